"""A connector for any OpenID provider: whose account it is, and what its owner is called by now.

Small, but whole: what an author of a connector would write with the standard in hand and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import (
    Account,
    Api,
    Asked,
    Connector,
    Connects,
    Http,
    OAuth,
    OAuthClient,
    Polled,
    Polls,
    TokenSet,
)
from tidings.errors import Unavailable
from tidings.event import Event
from tidings.hooks import Options, Plugin, hookimpl

_SCOPES = ("openid", "profile", "offline_access")


class OidcOptions(Options):
    """What stands under `plugins.connectors.oidc`; the addresses are those of the provider's discovery document."""

    client_id: str
    client_secret: Secret = None
    client_authentication: str = "basic"
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    revocation_endpoint: str


class OidcConnector(Connector, Connects, Polls):
    """Asks the userinfo endpoint."""

    platform: ClassVar[str] = "oidc"
    display_name: ClassVar[str] = "Open Door"

    def __init__(self, options: OidcOptions) -> None:
        self._options = options
        self.api_url = options.issuer

    @property
    def oauth(self) -> OAuth:
        """Offline access must be consented to each time it is asked for (OpenID Connect Core, section 11)."""
        return OAuth(
            provider="oidc",
            authorize_url=self._options.authorization_endpoint,
            token_url=self._options.token_endpoint,
            scopes=_SCOPES,
            needed_scopes=_SCOPES,
            parameters={"prompt": "consent"},
            client_authentication=self._options.client_authentication,
        )

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The one of the configuration."""
        secret = self._options.client_secret
        return [OAuthClient(self._options.client_id, secret.get_secret_value() if secret else "")]

    @property
    def poll_every_seconds(self) -> float:
        """Seldom: tests ask by themselves."""
        return 86_400.0

    async def identify(self, api: Api) -> Account:
        """The subject, which never changes."""
        said = await self._userinfo(api)
        return Account(key=said["sub"], name=said["name"])

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """One event for each new name."""
        name = (await self._userinfo(api))["name"]
        is_news = asked.checkpoint.get("name", name) != name
        event = Event(
            id=f"oidc:renamed:{api.account_key}:{name}",
            type="net.openid.renamed",
            source=self._options.issuer,
            subject=api.account_key,
            platform=self.platform,
            data={"title": f"Now called {name}"},
        )
        yield Polled(events=[event] if is_news else [], checkpoint={"name": name})

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """Give the grant back (RFC 7009)."""
        fields = {"token": tokens.refresh_token, "client_id": client.id, "client_secret": client.secret}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        url = self._options.revocation_endpoint
        answer = await http.send("POST", url, headers=headers, body=urlencode(fields).encode())
        if answer.status != 200:
            raise Unavailable(f"The provider answers {answer.status}.")

    async def _userinfo(self, api: Api) -> Any:
        return (await api.request("GET", self._options.userinfo_endpoint)).json()


class OidcPlugin(Plugin):
    """Offers the connector."""

    options_model = OidcOptions
    options: OidcOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return it."""
        del context  # it needs nothing of it
        return [OidcConnector(self.options)]
