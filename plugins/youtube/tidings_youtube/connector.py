"""The YouTube connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from tidings.contracts import (
    Account,
    Answer,
    Api,
    Asked,
    Budget,
    Connector,
    Greeted,
    Greets,
    Http,
    Keys,
    Parsed,
    Pause,
    Polled,
    Polls,
    Receives,
    Registers,
    Reply,
    Target,
    Upstream,
    WebhookRequest,
)
from tidings.errors import Rejected
from tidings_google import SCOPE, GoogleConnects, GoogleOptions, error_reason
from tidings_youtube import quota
from tidings_youtube.cadence import Rules
from tidings_youtube.channels import own_channel
from tidings_youtube.greet import greet
from tidings_youtube.hub import Hub
from tidings_youtube.parse import parse
from tidings_youtube.poll import poll
from tidings_youtube.readings import Readings
from tidings_youtube.sample import video
from tidings_youtube.targets import SETTINGS_SCHEMA, watched
from tidings_youtube.verify import verify

# A screen on its stand, drawn for tidings; YouTube's own mark is a trademark.
_ICON: Final = (
    "M4 4h16a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z"
    "M10 7.500v7l6-3.500zM8 19.500h8V21H8z"
)
_NO_CHANNEL: Final = "youtubeSignupRequired"


class YouTubeConnector(GoogleConnects, Connector, Receives, Greets, Polls, Registers):
    """Has the hub tell of uploads, and asks for what it does not tell: likes, subscriptions, and what was lost.

    Args:
        options: Where Google is, and which client asks.
        api_url: Of the Data API.
        http: Reaches Google without an account's token.
        hub: Subscribes addresses to channels.
        hub_url: Where it is.
        rules: How often is asked.
        readings: What registering has read.
        daily_units: Units of the Data API in any 24 hours, for all accounts.
    """

    platform: ClassVar[str] = "youtube"
    display_name: ClassVar[str] = "YouTube"
    icon: ClassVar[str] = _ICON
    settings_schema: ClassVar[Mapping[str, Any]] = SETTINGS_SCHEMA

    def __init__(
        self,
        options: GoogleOptions,
        *,
        api_url: str,
        http: Http,
        hub: Hub,
        hub_url: str,
        rules: Rules,
        readings: Readings,
        daily_units: int,
    ) -> None:
        super().__init__(options, api_url=api_url, scopes=(f"{SCOPE}youtube.readonly",), http=http)
        self._hub = hub
        self._hub_url = hub_url
        self._rules = rules
        self._readings = readings
        self._budget = Budget(daily_units, quota.DAY_SECONDS)

    # --- accounts ---

    async def identify(self, api: Api) -> Account:
        """The channel that was chosen at the consent, and whose Google account consented.

        Raises:
            Unavailable: Google does not say now.
            Rejected: There is no channel.
        """
        profile = await self.profile(api)
        try:
            channel = await own_channel(api)
        except Rejected as error:
            if error.status != 401:
                raise
            channel = None
        if channel is None or not channel.id:
            raise Rejected(
                "This Google account has no YouTube channel. Make one at youtube.com, under Create a channel, then "
                "connect again.",
                status=403,
            )
        return Account(
            key=channel.id,
            name=channel.title or profile.name or channel.id,
            avatar_url=channel.avatar_url,
            url=f"https://www.youtube.com/channel/{channel.id}",
            grant_key=profile.sub,
        )

    @property
    def budgets(self) -> Sequence[Budget]:
        """The day's units of the Google project, which all accounts share."""
        return (self._budget,)

    def cost(self, method: str, url: str) -> int:
        """One unit for each call of the Data API that is made here; who somebody is costs nothing."""
        return 1 if url.startswith(self.api_url) else 0

    def is_refused(self, answer: Answer) -> bool:
        """Of a Google account without a channel, YouTube says 401, though its token is good."""
        return super().is_refused(answer) and error_reason(answer) != _NO_CHANNEL

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """Used-up units pause everybody until midnight in the Pacific time zone; else as all of Google's APIs."""
        return quota.used_up(answer, now) or super().pause(answer, now)

    # --- what the hub sends ---

    @property
    def shared_keys(self) -> Keys:
        """None: each subscription has a secret of its own."""
        return Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_youtube.verify`. The hub signs no timestamp: a replay is caught by the events' ids."""
        verify(request, keys)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_youtube.parse`."""
        return parse(request)

    def unknown(self, request: WebhookRequest) -> Reply | None:
        """A subscription that ended here, but not yet at the hub: 410 has it ended there, too (WebSub 1.0 §7)."""
        return Reply(410)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """See `tidings_youtube.sample`."""
        return video(keys, now, serial)

    def greet(self, request: WebhookRequest, target: str | None, *, is_wanted: bool) -> Greeted:
        """See `tidings_youtube.greet`."""
        return greet(request, target, is_wanted=is_wanted)

    # --- subscribing at the hub ---

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """See `tidings_youtube.targets`."""
        return await watched(api, settings, self._rules.most_channels, self._readings)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """See `tidings_youtube.hub`."""
        return await self._hub.subscribe(target, callback_url, secret)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """The hub tells nobody how a subscription stands; until its lease ends, it is believed to stand."""
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """See `tidings_youtube.hub`."""
        await self._hub.unsubscribe(upstream)

    def reaches(self, callback_url: str) -> bool:
        """The hub calls public addresses; one that stands in this network itself (a test's own, too) also others."""
        return super().reaches(callback_url) or not super().reaches(self._hub_url)

    # --- polling ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._rules.poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_youtube.poll`."""
        return poll(api, asked, self._rules, self._readings)
