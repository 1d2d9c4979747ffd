"""Channels, by which Google tells that a calendar has changed: made, replaced, stopped.

Facts: developers.google.com/workspace/calendar/api/guides/push and the discovery document of calendar v3 (2026). A
channel watches one calendar, ends by itself after a week at most, and can't be made to last longer. There is no list
of them, so nobody can say how one stands.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from tidings.contracts import Api, Clock, Target, Upstream
from tidings.errors import Rejected, Unavailable
from tidings.fields import one_line, raw
from tidings_calendar.calendars import calendar_of
from tidings_calendar.fields import number
from tidings_calendar.google import STOP, calendar_path
from tidings_calendar.verify import channel_token

#: The kinds of event that come of a notification.
KINDS: Final = frozenset({"event_created", "event_changed", "event_cancelled", "response"})

# Where an answer says nothing of an end, it is believed to be near: sources disagree about Google's default, and an
# hour is the shortest of them.
_UNSAID: Final = timedelta(hours=1)
_LATEST_MS: Final = 7_258_118_400_000  # the year 2200
_STOPPED: Final = frozenset({404, 410})


class Channels:
    """The channels of all accounts.

    Args:
        clock: All time.
        seconds: How long a channel is to last; Google may give less.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """Make a channel.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
            Rejected: Google makes none for this calendar; the text says why.
        """
        calendar_id = calendar_of(target.key)
        if not calendar_id:
            raise Rejected(f"There is no calendar called {target.name} on this account's list.", status=404)
        channel_id, now = str(uuid4()), self._clock.now()
        wanted = now + timedelta(seconds=self._seconds)
        body = {
            "id": channel_id,
            "type": "web_hook",
            "address": callback_url,
            "token": channel_token(secret.encode(), channel_id),
            "expiration": int(wanted.timestamp() * 1000),
        }
        try:
            answer = await api.request("POST", f"{calendar_path(calendar_id)}/events/watch", json=body)
        except Rejected as error:
            raise Rejected(_explained(error, target), status=error.status) from None
        said = answer.json()
        resource = raw(said, "resourceId") if isinstance(said, dict) else ""
        if not resource:
            raise Unavailable("Google answered something else than a channel.")
        ends_ms = number(said, "expiration")
        known = ends_ms is not None and 0 < ends_ms < _LATEST_MS
        expires_at = datetime.fromtimestamp(ends_ms / 1000, UTC) if ends_ms and known else now + _UNSAID
        return Upstream(
            id=channel_id,
            target=target,
            kinds=KINDS,
            expires_at=expires_at,
            data={"resource": one_line(resource, 200)},
        )

    async def renew(
        self, api: Api, target: Target, callback_url: str, secret: str, former: Upstream
    ) -> Upstream:
        """Make another channel, and stop the former one then; for a moment both deliver.

        Raises:
            AuthExpired, Unavailable, Rejected: As `register`; the former channel is as it was.
        """
        made = await self.register(api, target, callback_url, secret)
        with suppress(Unavailable, Rejected):  # then it ends by itself; what it sends until then is welcome
            await self.unregister(api, former)
        return made

    async def check(self, upstream: Upstream) -> Upstream:
        """How the channel stands, by its own end.

        Raises:
            Rejected: It has ended (404).
        """
        if upstream.expires_at is None or upstream.expires_at <= self._clock.now():
            raise Rejected("The channel has ended.", status=404)
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """Stop a channel; one that has ended already is fine.

        Raises:
            AuthExpired, Unavailable, Rejected: As `Api.request`.
        """
        body = {"id": upstream.id, "resourceId": raw(upstream.data, "resource")}
        await api.request("POST", STOP, json=body, accept=_STOPPED)


def _explained(error: Rejected, target: Target) -> str:
    said = str(error)
    if "pushNotSupported" in said or "not supported" in said.lower():
        return f"Google sends no notifications for {target.name}: it is asked instead."
    if "webhook" in said.lower():
        return f"Google takes no address that it can't reach by https with a valid certificate. {said}"
    if error.status == 404:
        return f"Google does not show the calendar {target.name} to this account any more."
    if error.status == 403:
        return f"This account may not watch the calendar {target.name}. {said}"
    return said
