"""Spotify for tidings: what somebody plays and saves, by polling; the platform has no webhooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import Connector, OAuthClient
from tidings.durations import Duration
from tidings.hooks import Options, Plugin, hookimpl
from tidings_spotify.connector import Cadence, SpotifyConnector, Urls

# "Development mode" serves five people per client id (developer.spotify.com, quota modes, 2026).
_USERS_PER_CLIENT = 5


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Write one that begins with https://.")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class SpotifyClient(BaseModel):
    """One of several client ids.

    Attributes:
        client_id: From the developer dashboard.
        client_secret: Optional: Spotify takes PKCE without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    client_id: str
    client_secret: Secret = None


class SpotifyOptions(Options):
    """What stands under `plugins.connectors.spotify`.

    Attributes:
        client_id: From the developer dashboard; without one nobody can connect.
        client_secret: Optional: Spotify takes PKCE without one.
        clients: More client ids, each for `users_per_client` people.
        users_per_client: How many people a client id serves; Spotify allows five in development mode.
        poll_every: How often to ask for plays; sooner while music plays, later while it doesn't.
        saved_every: How often to ask for saved tracks.
        daily_budget: Calls of each client id in any 24 hours. Intervals stretch to fit it.
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        api_url: The Web API.
    """

    client_id: str | None = None
    client_secret: Secret = None
    clients: tuple[SpotifyClient, ...] = ()
    users_per_client: int = Field(default=_USERS_PER_CLIENT, ge=1)
    poll_every: Duration = 1800.0
    saved_every: Duration = 4 * 3600.0
    daily_budget: int = Field(default=500, ge=10)
    authorize_url: Url = "https://accounts.spotify.com/authorize"
    token_url: Url = "https://accounts.spotify.com/api/token"  # noqa: S105 - an address
    api_url: Url = "https://api.spotify.com/v1"


class SpotifyPlugin(Plugin):
    """Offers the Spotify connector."""

    options_model = SpotifyOptions
    options: SpotifyOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector."""
        del context  # it needs nothing of it
        options = self.options
        first = (
            (SpotifyClient(client_id=options.client_id, client_secret=options.client_secret),)
            if options.client_id
            else ()
        )
        clients = tuple(
            OAuthClient(
                id=one.client_id,
                secret=one.client_secret.get_secret_value() if one.client_secret else "",
                most_users=options.users_per_client,
            )
            for one in (*first, *options.clients)
        )
        return [
            SpotifyConnector(
                clients,
                Urls(options.authorize_url, options.token_url, options.api_url),
                Cadence(options.poll_every, options.saved_every, options.daily_budget),
            )
        ]
