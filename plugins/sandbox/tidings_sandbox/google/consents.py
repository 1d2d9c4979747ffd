"""Google's way with consents: one project, whose clients and services share what a person gave.

https://developers.google.com/identity/protocols/oauth2 and …/oauth2/web-server (2026).
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidings_sandbox.consents import Consents, TokenAnswer
from tidings_sandbox.dialects import Dialect
from tidings_sandbox.tokens import Code, Consent, Token

#: Begins the name of every scope of Google's APIs.
SCOPE: Final = "https://www.googleapis.com/auth/"
EMAIL: Final = f"{SCOPE}userinfo.email"
PROFILE: Final = f"{SCOPE}userinfo.profile"

# OpenID's names of scopes, as they may be asked for, and as they are granted.
_FULL: Final = {"email": EMAIL, "profile": PROFILE}
_DEAD: Final = ("invalid_grant", "Token has been expired or revoked.")


def google_dialect() -> Dialect:
    """Google's OAuth for web applications. A refresh never brings a refresh token."""
    return Dialect(
        title="Google",
        authorize_path="/o/oauth2/v2/auth",
        token_path="/token",  # noqa: S106 - an address
        access_prefix="ya29.",
        refresh_prefix="1//0",
        access_seconds=3600,
        rotation="never",
        access_outlives_consent=False,
        access_dies_at_refresh=False,
        basic_auth=False,
        scope_separator=" ",
        error_status=400,
        errors={
            "client": ("invalid_client", "The OAuth client was not found."),
            "code": ("invalid_grant", "Bad Request"),
            "redirect": ("redirect_uri_mismatch", "Bad Request"),
            "verifier": ("invalid_grant", "Invalid code verifier."),
            "refresh": _DEAD,
            "revoked": _DEAD,
            "grant_type": ("unsupported_grant_type", "Invalid grant_type."),
        },
        speaks_form=False,
        token_type="Bearer",  # noqa: S106 - a word of the protocol
        # "100 refresh tokens per Google Account per OAuth 2.0 client ID": the oldest dies without a word.
        most_consents=100,
    )


class GoogleConsents(Consents):
    """Consents to the apps of one project."""

    def open(self, code: Code) -> TokenAnswer:
        """Begin a consent with the tokens for a code.

        With `include_granted_scopes=true` it has all that the person gave the project and did not take back. A
        refresh token comes with `access_type=offline` alone, and then with the first consent, or with
        `prompt=consent`.
        """
        now = self.now()
        earlier = [
            consent
            for consent in self.living(code.person)
            if consent.client_id == code.client_id and not self.is_over(consent, now)
        ]
        if code.asked.get("include_granted_scopes") == "true":
            given = [scope for consent in earlier for scope in consent.scopes]
            code = msgspec.structs.replace(code, scopes=(*code.scopes, *given))
        is_asked = not earlier or "consent" in code.asked.get("prompt", "").split()
        with_refresh = code.asked.get("access_type") == "offline" and is_asked
        return self.issue(self.begin(code), expires=True, with_refresh=with_refresh)

    def revoke_token(self, text: str) -> bool:
        """End all that the person of a living token gave the project; False if the token was dead already."""
        access = self.check(text)
        token = self._living_refresh(text) if access is None else access.token
        return token is not None and self.revoke(person=token.person, client_id=token.client_id) > 0

    def normalised(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Each once, by their full names."""
        return super().normalised(tuple(_FULL.get(scope, scope) for scope in scopes))

    def _living_refresh(self, text: str) -> Token | None:
        token = self.read_refresh(text)
        consent = None if token is None else self.adopted(token)
        if token is None or consent is None or self.is_over(consent, self.now()):
            return None
        return token if token.serial > consent.dead_refresh else None


def opens(consent: Consent, scopes: frozenset[str]) -> bool:
    """Whether a consent has one of these scopes."""
    return not scopes.isdisjoint(consent.scopes)
