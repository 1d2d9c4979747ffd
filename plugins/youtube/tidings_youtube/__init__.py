"""YouTube for tidings: new videos by push from the hub, likes and subscriptions by asking, within the day's units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from tidings.context import Context
from tidings.contracts import Connector
from tidings.durations import Duration
from tidings.hooks import Plugin, hookimpl
from tidings_google import GoogleOptions, Url
from tidings_youtube.cadence import Rules
from tidings_youtube.connector import YouTubeConnector
from tidings_youtube.hub import PLACE, Hub
from tidings_youtube.readings import Readings

_DAY_SECONDS = 86_400.0


def _topic(url: str) -> str:
    if PLACE not in url or not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL with {PLACE} where the channel's id belongs.")
    return url


def _lease(seconds: float) -> float:
    if not 600 <= seconds <= 30 * _DAY_SECONDS:
        raise ValueError("A lease lasts from 10m to 30d. Write 10d, the longest that YouTube's hub grants.")
    return seconds


class YouTubeOptions(GoogleOptions):
    """What stands under `plugins.connectors.youtube`.

    Attributes:
        poll_every: How often to ask for the uploads of a channel that nobody pushes.
        likes_every: How often to ask for what was liked; up to four times as seldom while nothing is.
        subscriptions_every: How often to ask whom an account subscribes to.
        playlists_every: How often to ask what was put into an account's own playlists; up to four times as seldom
            while nothing is.
        daily_budget: Units of the Data API in any 24 hours, for all accounts together; Google gives a project 10 000.
            Intervals stretch to fit it.
        most_channels: How many subscriptions of each account are watched; of more, the first by alphabet.
        api_url: The Data API.
        hub_url: Where the hub takes subscriptions.
        topic: The address of a channel's feed, as the hub knows it, with `{channel}` in it.
        lease: How long a subscription at the hub shall last; it is renewed from half of it on.
    """

    poll_every: Duration = 2 * 3600.0
    likes_every: Duration = 2 * 3600.0
    subscriptions_every: Duration = 24 * 3600.0
    playlists_every: Duration = 24 * 3600.0
    daily_budget: int = Field(default=9000, ge=100)
    most_channels: int = Field(default=500, ge=1, le=2000)
    api_url: Url = "https://www.googleapis.com/youtube/v3"
    hub_url: Url = "https://pubsubhubbub.appspot.com/subscribe"
    topic: Annotated[str, AfterValidator(_topic)] = (
        "https://www.youtube.com/xml/feeds/videos.xml?channel_id={channel}"
    )
    lease: Annotated[Duration, AfterValidator(_lease)] = 10 * _DAY_SECONDS


class YouTubePlugin(Plugin):
    """Offers the YouTube connector."""

    options_model = YouTubeOptions
    options: YouTubeOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector."""
        options = self.options
        hub = Hub(
            context.http,
            context.clock,
            url=options.hub_url,
            topic=options.topic,
            lease_seconds=options.lease,
        )
        rules = Rules(
            options.poll_every,
            options.likes_every,
            options.subscriptions_every,
            options.playlists_every,
            options.most_channels,
        )
        return [
            YouTubeConnector(
                options,
                api_url=options.api_url,
                http=context.http,
                hub=hub,
                hub_url=options.hub_url,
                rules=rules,
                readings=Readings(context.clock),
                daily_units=options.daily_budget,
            )
        ]
