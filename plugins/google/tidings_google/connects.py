"""Google's OAuth 2.0 as the connectors of one project share it.

Facts: developers.google.com/identity/protocols/oauth2 and …/oauth2/web-server (2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from tidings.contracts import (
    Answer,
    Api,
    Connects,
    Http,
    OAuth,
    OAuthClient,
    Pause,
    TokenSet,
    retry_after_seconds,
)
from tidings.errors import Rejected, Unavailable
from tidings_google.settings import GoogleOptions

#: Begins the name of every scope of Google's APIs.
SCOPE: Final = "https://www.googleapis.com/auth/"
_IDENTITY: Final = ("openid", f"{SCOPE}userinfo.email", f"{SCOPE}userinfo.profile")
# A consent of a project in "Testing" ends after seven days, whatever is done (…/oauth2, "Refresh token expiration").
_TESTING_SECONDS: Final = 7 * 86_400.0
_UNSAID_SECONDS: Final = 30.0
_LIMITS: Final = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"}
)


class Profile(msgspec.Struct, frozen=True):
    """Whose account a token is of.

    Attributes:
        sub: Google's id of the person, which never changes; an address can.
    """

    sub: str
    email: str
    name: str
    picture: str


class GoogleConnects(Connects):
    """A connector whose accounts are connected with the one consent of a Google account.

    One Google account of one person has one grant for all of these connectors; each consent adds its scopes to it.

    Args:
        options: Where Google is, and which client asks.
        api_url: Of the connector's API.
        scopes: What it needs besides the identity, by their full names.
        http: For giving a grant back.
    """

    def __init__(self, options: GoogleOptions, *, api_url: str, scopes: Sequence[str], http: Http) -> None:
        self.api_url = api_url
        self.other_api_urls = (options.userinfo_url,)
        self._userinfo_url = options.userinfo_url
        self._revoke_url = options.revoke_url
        self._clients = options.clients()
        self._http = http
        self._oauth = OAuth(
            provider="google",
            authorize_url=options.authorize_url,
            token_url=options.token_url,
            scopes=(*_IDENTITY, *scopes),
            needed_scopes=tuple(scopes),
            # Without prompt=consent only the first consent of all brings a refresh token.
            parameters={
                "access_type": "offline",
                "prompt": "consent",
                "include_granted_scopes": "true",
            },
            consent_seconds=_TESTING_SECONDS if options.testing else None,
            needs_refresh_token=True,
        )

    @property
    def oauth(self) -> OAuth:
        """Google's OAuth, with this connector's scopes."""
        return self._oauth

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The client of the configuration."""
        return self._clients

    async def profile(self, api: Api) -> Profile:
        """Whose account the token is of.

        Raises:
            Unavailable: Google does not say now.
            Rejected: It says something else than an identity.
        """
        said = (await api.request("GET", self._userinfo_url)).json()
        fields = said if isinstance(said, dict) else {}
        sub = fields.get("sub")
        if not isinstance(sub, str) or not sub:
            raise Rejected("Google does not say whose account this is.", status=502)
        return Profile(sub, *(_text(fields.get(name)) for name in ("email", "name", "picture")))

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """Both 403 and 429 may mean a limit; the reason in the body tells."""
        if answer.status not in {403, 429}:
            return None
        reason = error_reason(answer)
        if answer.status == 403 and reason not in _LIMITS:
            return None
        seconds = retry_after_seconds(answer.headers, now) or _UNSAID_SECONDS
        return Pause(
            seconds, whole_app=False, reason=f"Google's limit is reached: {reason or answer.status}."
        )

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """Give the grant back, for all connectors of the project: core does so with the last of them alone.

        Raises:
            Unavailable: Try again.
        """
        body = urlencode({"token": tokens.refresh_token or tokens.access_token}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await http.send("POST", self._revoke_url, headers=headers, body=body)
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"Google answers {answer.status} to a revocation.")


def error_reason(answer: Answer) -> str:
    """The `reason` in an error of Google's APIs (`{"error": {"errors": [{"reason": …}]}}`); "" without one."""
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    error = said.get("error") if isinstance(said, dict) else None
    errors = error.get("errors") if isinstance(error, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return _text(first.get("reason")) if isinstance(first, dict) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
