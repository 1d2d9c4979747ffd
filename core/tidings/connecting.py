"""How a connector calls its platform, and how its accounts are connected by OAuth.

Core keeps the tokens fresh and the calls within the limits; the connector knows the endpoints, the scopes and
what the platform's answers mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import msgspec

from tidings.errors import Unavailable

# --- HTTP: how a connector calls its platform -------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True):
    """What a platform answered.

    Attributes:
        headers: Names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Unavailable: It is none: a proxy or an outage answered instead of the platform.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Unavailable(f"The platform answered {self.status} with something else than JSON.") from None


class Http(Protocol):
    """The one HTTP client: with a time-out, without credentials, following no redirect by itself."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request; any status is an answer.

        Raises:
            NotSent: No connection came about: the platform can't have acted on it.
            Unavailable: No answer came, in time or at all. The platform may have acted on it.
        """


class Api(Protocol):
    """A platform's API as one connected account may use it: with a fresh token, within the limits."""

    @property
    def account_key(self) -> str:
        """The account's key, as `identify` gave it; "" while it is being identified."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Call the API; the token is added, refreshed before it ends, and once more on a 401.

        Args:
            method: `GET`, `POST`, ….
            url: In full, or a path below the connector's `api_url`.
            headers: Besides `Authorization` and `User-Agent`.
            params: The query.
            json: The body.
            accept: Statuses to return besides 2xx and 304.

        Raises:
            AuthExpired: The token is refused and can't be refreshed.
            Unavailable: The platform is down or asks for patience; `retry_after_seconds` says how much.
            Rejected: Any other 4xx; `status` says which.
        """


# --- OAuth: how an account is connected -------------------------------------------------------------------------


class OAuthClient(msgspec.Struct, frozen=True):
    """An application registered at the platform.

    Attributes:
        secret: "" where the platform lets a client be public.
        most_users: How many people the platform lets this client serve; None for any number.
    """

    id: str
    secret: str = ""
    most_users: int | None = None

    def __repr__(self) -> str:
        return f"OAuthClient({self.id!r})"  # never the secret


class OAuth(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's OAuth 2.0, as data.

    Attributes:
        provider: Who gives the grants; connectors of one provider share an account's grant: `google`.
        scopes: Asked for.
        scope_separator: Stands between them in the authorisation request; a space everywhere but at Slack.
        scope_parameter: Names them there; `scope` everywhere but at Slack, which asks for a person's own rights in
            `user_scope`.
        needed_scopes: Those without which something is missing; "a|b" where either will do. Told to the user.
        parameters: More parameters of the authorisation request.
        pkce: Whether the platform takes PKCE with S256 (RFC 7636).
        client_authentication: How the client proves itself at `token_url`: `body`, `basic`, or `none`.
        consent_seconds: How long after the consent its refresh token dies, whatever happens; None for never.
        refresh_ahead_seconds: How long before a token's end it is refreshed; less for short lives.
        needs_refresh_token: Whether a consent that brings no refresh token is refused, instead of dying within hours.
    """

    provider: str
    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    scope_separator: str = " "
    scope_parameter: str = "scope"
    needed_scopes: tuple[str, ...] = ()
    parameters: Mapping[str, str] = {}
    pkce: bool = True
    client_authentication: str = "body"
    consent_seconds: float | None = None
    refresh_ahead_seconds: float = 600
    needs_refresh_token: bool = False


class TokenSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token endpoint gave.

    Attributes:
        refresh_token: "" where the answer had none: on a refresh, the old one stays.
        expires_in_seconds: The access token's life; None for one that does not end.
        refresh_expires_in_seconds: The refresh token's life, where the platform says it.
        scopes: What was granted; None where the answer does not say.
        extra: More that the connector needs, secrets too (Slack's user token); kept sealed.
    """

    access_token: str
    refresh_token: str = ""
    expires_in_seconds: float | None = None
    refresh_expires_in_seconds: float | None = None
    scopes: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return "TokenSet(…)"


class Account(msgspec.Struct, frozen=True):
    """Whose account it is.

    Attributes:
        key: Stable for the life of the account; never a name that can change.
        name: For people: `octocat`.
        addresses: What deliveries that name no registration may name instead: `installation:5`.
        grant_key: Who consented, where that is not the account itself: Google's user behind a YouTube channel. "" for
            `key`. Connections of one provider with the same one share a grant.
    """

    key: str
    name: str
    avatar_url: str = ""
    url: str = ""
    addresses: tuple[str, ...] = ()
    grant_key: str = ""


class Pause(msgspec.Struct, frozen=True):
    """The platform asks for patience.

    Attributes:
        seconds: For how long.
        whole_app: Whether all accounts of this OAuth client must wait, not this one alone.
        reason: For people: `QUOTA_EXCEEDED: today's calls are used up`.
    """

    seconds: float
    whole_app: bool
    reason: str


class Budget(msgspec.Struct, frozen=True):
    """At most `calls` calls in any `seconds`.

    Attributes:
        calls: Calls, or units where the platform weighs them: see `Connects.cost`.
        per_account: Whether each account has as many, counted from each start of tidings on; else all accounts of one
            OAuth client share them, counted over restarts.
    """

    calls: int
    seconds: float
    per_account: bool = False


class Connects(ABC):
    """A connector whose accounts are connected by OAuth.

    Attributes:
        api_url: Below this, paths given to `Api.request` lie.
        other_api_urls: Where else its tokens may be sent; `Api.request` refuses any other host.
    """

    api_url: str
    other_api_urls: Sequence[str] = ()

    @property
    @abstractmethod
    def oauth(self) -> OAuth:
        """The endpoints, scopes and rules."""

    @property
    @abstractmethod
    def clients(self) -> Sequence[OAuthClient]:
        """The applications that the operator registered; none means that nobody can connect."""

    @abstractmethod
    async def identify(self, api: Api) -> Account:
        """Whose account the token belongs to.

        Raises:
            Unavailable: The platform does not say now.
            Rejected: The platform lets this person not use this client; the text says what to do.
        """

    @property
    def headers(self) -> Mapping[str, str]:
        """Sent with every call, such as an API version; of these, `user-agent` goes to `token_url` as well."""
        return {}

    @property
    def budgets(self) -> Sequence[Budget]:
        """The platform's limits on calls, as far as they are known beforehand."""
        return ()

    def cost(self, method: str, url: str) -> int:
        """What a call takes of the budgets; one, by default."""
        return 1

    def is_refused(self, answer: Answer) -> bool:
        """Whether an answer says that the access token is no longer good; by default, a 401."""
        return answer.status == 401

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """What an answer says about rates; by default a 429 with `Retry-After` pauses the account.

        Called with every answer to a call, so that a limit that is used up is known before it is hit.
        """
        if answer.status != 429:
            return None
        return Pause(retry_after_seconds(answer.headers, now) or 60.0, whole_app=False, reason="429")

    def read_tokens(self, answer: Mapping[str, Any]) -> TokenSet:
        """Read a successful answer of the token endpoint (RFC 6749 §5.1)."""
        scope = answer.get("scope")
        return TokenSet(
            access_token=str(answer["access_token"]),
            refresh_token=str(answer.get("refresh_token") or ""),
            expires_in_seconds=_seconds(answer.get("expires_in")),
            refresh_expires_in_seconds=_seconds(answer.get("refresh_token_expires_in")),
            scopes=tuple(scope.replace(",", " ").split()) if isinstance(scope, str) else None,
        )

    def is_permanent(self, status: int, error: str) -> bool:
        """Whether the token endpoint's `error` means that the refresh token is dead (RFC 6749 §5.2).

        What is wrong with our client (`invalid_client`) is not: the operator can mend that.
        """
        return error == "invalid_grant"

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """Give the grant back at the platform, where it can be.

        Raises:
            Unavailable: Try again.
        """
        return


class Manifest(msgspec.Struct, frozen=True):
    """What a browser posts to the platform to have an application made: a form's address and its fields.

    Core adds a `state` to the address's query, which the platform must give back beside `code`.
    """

    url: str
    fields: Mapping[str, str]


class Provisions(ABC):
    """A connector whose platform makes an OAuth application for this installation on one click."""

    @abstractmethod
    def manifest(self, public_url: str, redirect_uri: str, callback_url: str, return_url: str) -> Manifest:
        """The form to post.

        Args:
            public_url: Of this installation.
            redirect_uri: Where consents come back to.
            callback_url: Where the application's webhooks go.
            return_url: Where the platform sends the browser with `?code=`.
        """

    @abstractmethod
    async def provision(self, http: Http, code: str) -> Mapping[str, Any]:
        """Exchange the code for the application's credentials, which core keeps sealed.

        Raises:
            Unavailable: Try again.
            Rejected: The code is used up or invented.
        """

    @abstractmethod
    def use(self, credentials: Mapping[str, Any]) -> None:
        """Work with these credentials from now on, unless the operator configured others."""


class Draft(msgspec.Struct, frozen=True):
    """An application for this installation, described as its platform reads it.

    Attributes:
        text: To paste there.
        url: The platform's page that makes it, with the text filled in as far as that can be done by an address.
    """

    text: str
    url: str


class Drafts(ABC):
    """A connector whose platform makes an OAuth application from a text that a person pastes there."""

    @abstractmethod
    def draft(self, public_url: str, redirect_uri: str, callback_url: str) -> Draft:
        """Describe the application.

        Implementers must be pure.

        Args:
            public_url: Of this installation.
            redirect_uri: Where consents come back to.
            callback_url: Where the application's webhooks go.
        """


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """What a `Retry-After` header asks for (RFC 9110 §10.2.3), as seconds from now; None without a usable one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds < 1e10 else None
