"""The Spotify connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

from tidings.contracts import (
    Account,
    Answer,
    Api,
    Asked,
    Budget,
    Connector,
    Connects,
    OAuth,
    OAuthClient,
    Pause,
    Polled,
    Polls,
    retry_after_seconds,
)
from tidings.errors import Rejected
from tidings.fields import as_object, obj, raw
from tidings_spotify.poll import poll

# Three arcs in a disc, drawn for tidings; Spotify's own mark is a trademark.
_ICON: Final = (
    "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20z"
    "M6 9.5c4-1.4 8.5-1 12 1l.8-1.4C14.8 6.8 9.9 6.4 5.5 7.9z"
    "M6.5 13c3.4-1.100 7-.7 10 1l.8-1.4c-3.4-1.9-7.5-2.3-11.3-1.1z"
    "M7 16.200c2.7-.8 5.500-.5 7.9.8l.8-1.3c-2.8-1.5-6-1.800-9.1-.9z"
)
_DAY_SECONDS: Final = 86_400.0
# "Six months" from the consent on (Spotify's announcement of 2026-06-18); the shortest six months have 181 days.
_CONSENT_SECONDS: Final = 181 * _DAY_SECONDS
# The dashboard shows no limit; it is a rolling window of 30 s of unpublished size.
_UNSAID_SECONDS: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Urls:
    """Where Spotify is."""

    authorize: str
    token: str
    api: str


@dataclasses.dataclass(frozen=True, slots=True)
class Cadence:
    """How often to ask, in seconds, and how many calls a client has in 24 hours."""

    played_seconds: float
    saved_seconds: float
    daily_calls: int


class SpotifyConnector(Connector, Connects, Polls):
    """Learns by polling what is played and saved: Spotify sends nothing by itself."""

    platform: ClassVar[str] = "spotify"
    display_name: ClassVar[str] = "Spotify"
    icon: ClassVar[str] = _ICON
    follows_watchers: ClassVar[bool] = True

    def __init__(self, clients: Sequence[OAuthClient], urls: Urls, cadence: Cadence) -> None:
        self.api_url = urls.api
        self._clients = tuple(clients)
        self._cadence = cadence
        self._oauth = OAuth(
            provider="spotify",
            authorize_url=urls.authorize,
            token_url=urls.token,
            scopes=(
                "user-read-recently-played",
                "user-read-currently-playing",
                "user-library-read",
            ),
            needed_scopes=("user-read-recently-played",),
            pkce=True,
            client_authentication="basic",
            consent_seconds=_CONSENT_SECONDS,
        )

    @property
    def oauth(self) -> OAuth:
        """Spotify's OAuth: PKCE, with or without a secret; a consent lives six months."""
        return self._oauth

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The client ids of the configuration."""
        return self._clients

    @property
    def budgets(self) -> Sequence[Budget]:
        """The operator's daily budget: Spotify's own quota is unpublished, and exceeding it costs half a day."""
        return (Budget(self._cadence.daily_calls, _DAY_SECONDS),)

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._cadence.played_seconds

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by `account_id`, which never changes (since May 2026; `id` before).

        Raises:
            Rejected: The account is not on the client's list, or the client's owner has no Premium.
        """
        try:
            profile = as_object((await api.request("GET", "/me")).json())
        except Rejected as error:
            raise Rejected(f"{error} {_advice(error)}".strip(), status=error.status) from None
        key = raw(profile, "account_id") or raw(profile, "id")
        if not key:
            raise Rejected("Spotify does not say whose account this is.", status=502)
        images = profile.get("images")
        first = as_object(images[0]) if isinstance(images, list) and images else {}
        return Account(
            key=key,
            name=raw(profile, "display_name") or key,
            avatar_url=raw(first, "url"),
            url=raw(obj(profile, "external_urls"), "spotify"),
        )

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """Both of Spotify's limits belong to the client, not to the account."""
        if answer.status != 429:
            return None
        seconds = retry_after_seconds(answer.headers, now) or _UNSAID_SECONDS
        if b"QUOTA_EXCEEDED" in answer.body:
            return Pause(
                seconds, whole_app=True, reason="QUOTA_EXCEEDED: Spotify's quota for this client is used up."
            )
        return Pause(seconds, whole_app=True, reason="Spotify's rate limit for this client is reached.")

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_spotify.poll`."""
        cadence = self._cadence
        return poll(
            api,
            asked,
            poll_every_seconds=cadence.played_seconds,
            saved_every_seconds=cadence.saved_seconds,
        )


def _advice(error: Rejected) -> str:
    if error.status != 403:
        return ""
    if "premium" in str(error).lower():
        return "The owner of the Spotify app needs Premium; it can take some hours to be noticed."
    return (
        "Add this account's e-mail address under Users and Access of the app at developer.spotify.com, then "
        "connect again."
    )
