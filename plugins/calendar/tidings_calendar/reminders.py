"""Events that start soon: said once, at the right time, where the user of a connection wants it.

Google has no notification for it; what is known of the calendars tells when to look. What is said is read anew: it may
have been moved a moment ago.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta

from tidings.contracts import Api
from tidings.errors import Rejected
from tidings.event import Event
from tidings.fields import Object
from tidings_calendar.calendars import Calendar
from tidings_calendar.cards import starting
from tidings_calendar.entry import Entry, read_entry
from tidings_calendar.google import event_path
from tidings_calendar.known import Known
from tidings_calendar.when import from_stamp, stamp


class Reminders:
    """What is to be said.

    Args:
        now: The present.
        seconds: How long before its start an event is said to start.
        told: The starts, as stamps, of those that were, by calendar and event.
    """

    def __init__(self, now: datetime, seconds: int, told: Object) -> None:
        self._now = now
        self._seconds = seconds
        current = stamp(now)
        self.told: Mapping[str, str] = {
            key: start for key, start in told.items() if isinstance(start, str) and start > current
        }

    async def due(self, api: Api, calendar: Calendar, known: Known) -> AsyncIterator[Event]:
        """The events of a calendar that start soon and were not said to.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
        """
        soon = stamp(self._now + timedelta(seconds=self._seconds))
        for event_id, start in [*known.starting(stamp(self._now), soon)]:
            key = f"{calendar.id} {event_id}"
            if "T" not in start or self.told.get(key) == start:  # a whole day has no hour to be ready at
                continue
            entry = await _read(api, calendar, event_id)
            self.told = {**self.told, key: start}
            if entry is not None and entry.when is not None and entry.when.stamp == start and _matters(entry):
                at = from_stamp(start) or self._now
                yield starting(entry, calendar, at - timedelta(seconds=self._seconds), self._seconds)

    def next_in_seconds(self, known: Iterable[Known], within_seconds: float) -> float | None:
        """When the next event is to be said to start, if that is within so many seconds."""
        ahead = timedelta(seconds=self._seconds)
        first, last = stamp(self._now + ahead), stamp(self._now + ahead + timedelta(seconds=within_seconds))
        starts = [start for events in known for _, start in events.starting(first, last) if "T" in start]
        at = from_stamp(min(starts)) if starts else None
        return None if at is None else (at - ahead - self._now).total_seconds()


async def _read(api: Api, calendar: Calendar, event_id: str) -> Entry | None:
    """An event as it is now; None where it is gone."""
    try:
        said = (await api.request("GET", event_path(calendar.id, event_id))).json()
    except Rejected:
        return None
    return read_entry(said) if isinstance(said, dict) else None


def _matters(entry: Entry) -> bool:
    """Whether the account goes there, as far as it has said."""
    return not entry.is_cancelled and not any(guest.is_self and guest.answer == "d" for guest in entry.guests)
