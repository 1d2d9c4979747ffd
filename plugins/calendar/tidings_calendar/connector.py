"""The Google Calendar connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from tidings.contracts import (
    Account,
    Answer,
    Api,
    Asked,
    Budget,
    Clock,
    Connector,
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
from tidings_calendar.calendars import targets
from tidings_calendar.channels import Channels
from tidings_calendar.parse import parse, unknown
from tidings_calendar.poll import poll
from tidings_calendar.sample import notification
from tidings_calendar.settings import SETTINGS_SCHEMA
from tidings_calendar.verify import verify
from tidings_google import SCOPE, GoogleConnects, GoogleOptions, error_reason

#: What is asked for: to read events, and the list of the calendars that they are in.
SCOPES: Final = (f"{SCOPE}calendar.events.readonly", f"{SCOPE}calendar.calendarlist.readonly")

# A sheet of a calendar with a day on it, drawn for tidings; Google's own mark is a trademark.
_ICON: Final = (
    "M7 2h2v2h6V2h2v2h2a2 2 0 0 1 2 2v13a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2h2z"
    "M5 9v10h14V9zm7 3h5v5h-5z"
)
# 600 requests a minute for each account (developers.google.com/workspace/calendar/api/guides/quota, May 2026).
_MINUTE_SECONDS: Final = 60.0
# "quotaExceeded" is Google's guard against abuse, not a rate; it lasts (Calendar API error guide, April 2026).
_ABUSE: Final = "quotaExceeded"
_ABUSE_SECONDS: Final = 3600.0


class CalendarConnector(GoogleConnects, Connector, Receives, Polls, Registers):
    """Has Google tell that something has changed in a calendar, and asks what."""

    platform: ClassVar[str] = "calendar"
    display_name: ClassVar[str] = "Google Calendar"
    icon: ClassVar[str] = _ICON
    settings_schema: ClassVar[Mapping[str, Any]] = SETTINGS_SCHEMA

    def __init__(
        self,
        options: GoogleOptions,
        http: Http,
        clock: Clock,
        *,
        api_url: str,
        poll_seconds: float,
        channel_seconds: float,
        minute_calls: int,
    ) -> None:
        super().__init__(options, api_url=api_url, scopes=SCOPES, http=http)
        self._poll_seconds = poll_seconds
        self._minute_calls = minute_calls
        self._channels = Channels(clock, channel_seconds)

    # --- webhooks ---

    @property
    def shared_keys(self) -> Keys:
        """None: every channel delivers to a registration of its own."""
        return Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_calendar.verify`. Google signs no time: a message that is sent again has its number again."""
        verify(request, keys)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_calendar.parse`."""
        return parse(request)

    def unknown(self, request: WebhookRequest) -> Reply | None:
        """See `tidings_calendar.parse`."""
        return unknown(request)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """See `tidings_calendar.sample`."""
        return notification(keys, now, serial)

    # --- accounts ---

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by Google's `sub`."""
        profile = await self.profile(api)
        return Account(
            key=profile.sub,
            name=profile.email or profile.name or profile.sub,
            avatar_url=profile.picture,
            url="https://calendar.google.com/calendar",
        )

    @property
    def budgets(self) -> Sequence[Budget]:
        """What Google allows each account in a minute."""
        return (Budget(self._minute_calls, _MINUTE_SECONDS, per_account=True),)

    def is_refused(self, answer: Answer) -> bool:
        """A 401, but not one that is about the address of a channel."""
        return answer.status == 401 and not error_reason(answer).startswith("push.")

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """As for all of Google's APIs, but longer where Google suspects abuse."""
        pause = super().pause(answer, now)
        if pause is not None and error_reason(answer) == _ABUSE:
            return msgspec.structs.replace(pause, seconds=max(pause.seconds, _ABUSE_SECONDS))
        return pause

    # --- polling ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_calendar.poll`."""
        return poll(api, asked)

    # --- registering ---

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """See `tidings_calendar.calendars`."""
        return await targets(api, settings)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """See `tidings_calendar.channels`."""
        return await self._channels.register(api, target, callback_url, secret)

    async def renew(
        self, api: Api, target: Target, callback_url: str, secret: str, former: Upstream
    ) -> Upstream:
        """See `tidings_calendar.channels`."""
        return await self._channels.renew(api, target, callback_url, secret, former)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """See `tidings_calendar.channels`."""
        return await self._channels.check(upstream)

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """See `tidings_calendar.channels`."""
        await self._channels.unregister(api, upstream)

    def reaches(self, callback_url: str) -> bool:
        """Google calls public addresses by https alone; one in this network itself (a test's own) also others."""
        is_public = callback_url.startswith("https://") and super().reaches(callback_url)
        return is_public or not super().reaches(self.api_url)
