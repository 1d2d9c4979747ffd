"""Slack's OAuth v2: a person's rights and a bot's in one consent, and answers that say `ok`.

https://docs.slack.dev/authentication/installing-with-oauth, …/using-token-rotation, …/reference/methods/oauth.v2.access
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from tidings_sandbox.consents import Consents, TokenAnswer
from tidings_sandbox.dialects import Dialect
from tidings_sandbox.oauth import AuthorizationServer
from tidings_sandbox.slack.workspace import BOT_USER, TEAM, TEAM_NAME, user_of
from tidings_sandbox.tokens import Access, Code, Consent
from tidings_sandbox.wire import Answer, Call, json_answer

APP: Final = "A0SANDBOX"
#: Among the scopes of a token: whose it is.
PERSON: Final = "as:user"
ROBOT: Final = "as:bot"
_ROTATING_SECONDS: Final = 43_200
_GRACE_SECONDS: Final = 30.0


def slack_dialect() -> Dialect:
    """Slack without token rotation; `expires` as `always` switches it on."""
    return Dialect(
        title="Slack",
        authorize_path="/oauth/v2/authorize",
        token_path="/api/oauth.v2.access",  # noqa: S106 - an address
        access_prefix="xoxp-",
        refresh_prefix="xoxe-1-",
        expires="offline_access",
        access_seconds=_ROTATING_SECONDS,
        rotation="single_use",
        grace_seconds=_GRACE_SECONDS,
        access_outlives_consent=False,
        access_dies_at_refresh=False,
        basic_auth=False,
        scope_separator=",",
        error_status=200,
        errors={
            "client": ("bad_client_secret", ""),
            "code": ("invalid_code", ""),
            "redirect": ("bad_redirect_uri", ""),
            "verifier": ("invalid_code", ""),
            "refresh": ("invalid_refresh_token", ""),
            "revoked": ("invalid_refresh_token", ""),
            "grant_type": ("invalid_grant_type", ""),
        },
        speaks_form=False,
        token_type="user",  # noqa: S106 - a word of the protocol
    )


class SlackConsents(Consents):
    """Consents, of which each is a person's or a bot's; both may come of one click.

    Attributes:
        ended: Told of each consent that ends.
    """

    ended: Callable[[Consent], None] | None = None

    def open(self, code: Code) -> TokenAnswer:
        """Begin what was agreed to: a bot's token stands at the top of the answer, a person's within."""
        person = self._stage.people.get(code.person)
        assert person is not None, "a code is of somebody"
        rotates = self.dialect.expires == "always"
        answer: TokenAnswer = {"ok": True, "app_id": APP}
        of_person: TokenAnswer = {"id": user_of(person)}
        for marker, prefix in ((ROBOT, "bot:"), (PERSON, "user:")):
            scopes = tuple(one.removeprefix(prefix) for one in code.scopes if one.startswith(prefix))
            if not scopes:
                continue
            consent = self.begin(msgspec.structs.replace(code, scopes=(marker, *scopes)))
            tokens = self.issue(consent, expires=rotates, with_refresh=rotates)
            if marker == PERSON:
                of_person |= tokens
            else:
                answer |= {**tokens, "bot_user_id": BOT_USER}
        return {
            **answer,
            "authed_user": of_person,
            "team": {"id": TEAM, "name": TEAM_NAME},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def issue(self, consent: Consent, *, expires: bool, with_refresh: bool) -> TokenAnswer:
        """Tokens, with the word that tells whose they are; a refresh answers them as they are."""
        answer = super().issue(consent, expires=expires, with_refresh=with_refresh)
        scopes = [one for one in consent.scopes if one not in {PERSON, ROBOT}]
        kind = "bot" if ROBOT in consent.scopes else "user"
        return {"ok": True, **answer, "scope": ",".join(scopes), "token_type": kind}

    def expire_access(self, person: str = "") -> int:
        """Let access tokens end, where they do that at all: without token rotation nothing could follow them."""
        return super().expire_access(person) if self.dialect.expires == "always" else 0

    def why_refused(self, text: str) -> str:
        """Slack's word for an access token that opens nothing."""
        token = self._mint.read(text, self.dialect.access_prefix)
        consent = None if token is None else self.adopted(token)
        if token is None or consent is None:
            return "invalid_auth"
        return "token_revoked" if consent.ended else "token_expired"

    def end_access(self, access: Access) -> None:
        """Let this access token and those before it end; the consent goes on."""
        consent = self._consents[access.token.consent_id]
        consent.dead_access = max(consent.dead_access, access.token.serial)

    def end_consent(self, access: Access) -> None:
        """End what an access token comes from."""
        self._end(self._consents[access.token.consent_id])

    def _end(self, consent: Consent) -> None:
        super()._end(consent)
        if self.ended is not None:
            self.ended(consent)


class SlackAuthorization(AuthorizationServer):
    """The consent page and the token endpoint; every answer of the latter has status 200."""

    def _answer_browser(self, call: Call) -> Answer:
        asked = call.parameters()
        scopes = [f"user:{one}" for one in asked.get("user_scope", "").split(",") if one]
        scopes += [f"bot:{one}" for one in asked.get("scope", "").split(",") if one]
        query = urlencode({**asked, "scope": " ".join(scopes)})
        return super()._answer_browser(msgspec.structs.replace(call, query=query))

    def _respond(self, call: Call, fields: Mapping[str, Any], status: int) -> Answer:
        if "error" in fields:
            return json_answer({"ok": False, "error": fields["error"]})
        return json_answer(fields)
