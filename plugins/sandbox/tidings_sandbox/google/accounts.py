"""The emulated Google accounts: consent, identity and keys, which Gmail, Calendar and YouTube share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidings_sandbox.google.consents import EMAIL, PROFILE, GoogleConsents, google_dialect
from tidings_sandbox.google.keys import SigningKeys
from tidings_sandbox.google.replies import unauthorised
from tidings_sandbox.google.serviceaccounts import JWT_BEARER, ServiceAccounts
from tidings_sandbox.oauth import AuthorizationServer
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access, Mint
from tidings_sandbox.wire import Answer, Call, json_answer

#: The one OAuth client of the one project; all three connectors are led to it.
CLIENT_ID: Final = "900000000001-sandbox.apps.googleusercontent.example"
PLATFORMS: Final = ("gmail", "calendar", "youtube")
#: Where each platform's address serves what is shared.
REVOKE_PATH: Final = "/revoke"
USERINFO_PATH: Final = "/v1/userinfo"
CERTS_PATH: Final = "/oauth2/v3/certs"

_TESTING_SECONDS: Final = 7 * 86_400.0


class GoogleAccounts:
    """What the Google services of one world share: `stage.part(GoogleAccounts)`.

    Attributes:
        consents: Everybody's, for all services.
        oauth: The authorization server.
        keys: Sign the tokens of service accounts.
        service_accounts: The installation's own.

    Args:
        stage: What all platforms stand on. Google's accounts go by the installation's clock.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.consents = GoogleConsents(stage, google_dialect(), stage.clock.now)
        self.oauth = AuthorizationServer(stage, self.consents)
        self.keys = SigningKeys(stage.clock.now)
        self.service_accounts = ServiceAccounts(stage.clock.now)
        callbacks = [f"{stage.public_url}/api/oauth/{platform}/callback" for platform in PLATFORMS]
        self.consents.register(CLIENT_ID, *callbacks)

    @property
    def testing(self) -> bool:
        """Whether the project's publishing status is "Testing": then a consent dies seven days after it was given."""
        return self.consents.dialect.consent_seconds is not None

    @testing.setter
    def testing(self, testing: bool) -> None:
        self.consents.dialect.consent_seconds = _TESTING_SECONDS if testing else None

    def answer(self, call: Call) -> Answer | None:
        """Answer what is shared, below the address of any service; None for any other path."""
        if call.path == self.consents.dialect.token_path and call.method == "POST":
            form = call.form()
            if form.get("grant_type") == JWT_BEARER:
                return self.service_accounts.exchange(form.get("assertion", ""))
        answered = self.oauth.answer(call)
        if answered is not None:
            return answered
        if call.path == REVOKE_PATH and call.method == "POST":
            return self._revoke(call)
        if call.path == USERINFO_PATH and call.method in {"GET", "POST"}:
            return self._userinfo(call)
        if call.path == CERTS_PATH and call.method == "GET":
            return json_answer(
                self.keys.jwks(), headers=[(b"cache-control", b"public, max-age=3600, must-revalidate")]
            )
        return None

    def _revoke(self, call: Call) -> Answer:
        text = call.form().get("token") or call.parameters().get("token", "")
        if self.consents.revoke_token(text):
            return json_answer({})
        said = {"error": "invalid_token", "error_description": "Token expired or revoked"}
        return json_answer(said, 400)

    def _userinfo(self, call: Call) -> Answer:
        access = self.consents.authenticate(call)
        if access is None or access.scopes.isdisjoint({"openid", EMAIL, PROFILE}):
            return unauthorised()
        return json_answer(self._identity(access))

    def _identity(self, access: Access) -> dict[str, Any]:
        person = access.person
        said: dict[str, Any] = {"sub": person.google_sub}
        if PROFILE in access.scopes:
            said |= _names(person) | {"picture": f"{self._stage.public_url}{person.face_path}"}
        if EMAIL in access.scopes:
            said |= {"email": person.google_email, "email_verified": True}
        return said


def google_options(base: str, seed: int) -> Mapping[str, Any]:
    """What leads a Google connector to the address of its service here, but for its own API's part."""
    return {
        "client_id": CLIENT_ID,
        "client_secret": Mint(seed, google_dialect().title).secret(CLIENT_ID),
        "authorize_url": f"{base}{google_dialect().authorize_path}",
        "token_url": f"{base}{google_dialect().token_path}",
        "revoke_url": f"{base}{REVOKE_PATH}",
        "userinfo_url": f"{base}{USERINFO_PATH}",
    }


def _names(person: Person) -> dict[str, str]:
    given, _, family = person.name.partition(" ")
    return {"name": person.name, "given_name": given, "family_name": family}
