"""When an event is: read from Google's `start` and `end`, kept in few characters, told to people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from tidings.fields import Object, raw
from tidings_calendar.fields import instant

# A stamp is an instant (`20270105T090000Z`, UTC) or, for a whole day, its date (`20270105`): as Google writes them
# into the ids of a series' events. Stamps sort as the instants do.
_STAMP: Final = re.compile(r"[0-9]{8}(?:T[0-9]{6}Z)?")
_TIMED: Final = "%Y%m%dT%H%M%SZ"
_DATE: Final = "%Y%m%d"
_DAY: Final = timedelta(days=1)


class When(NamedTuple):
    """When an event is, by the clock of its own place.

    Attributes:
        end: Exclusive, also for whole days.
    """

    start: datetime
    end: datetime
    is_all_day: bool

    @property
    def stamp(self) -> str:
        """Its start, in few characters."""
        return stamp(self.start, is_all_day=self.is_all_day)

    @property
    def end_stamp(self) -> str:
        """Its end, likewise."""
        return stamp(self.end, is_all_day=self.is_all_day)

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return int((self.end - self.start).total_seconds())


def read_when(event: Object) -> When | None:
    """When an event is, from its `start` and `end`; None where it does not say."""
    start = _moment(event.get("start"))
    if start is None:
        return None
    at, is_all_day = start
    end = _moment(event.get("end"))
    until = end[0] if end is not None and end[1] == is_all_day and end[0] >= at else None
    return When(at, until or (at + _DAY if is_all_day else at), is_all_day)


def read_stamp(moment: object) -> str:
    """The stamp of a `start` or an `originalStartTime`; "" for none."""
    found = _moment(moment)
    return "" if found is None else stamp(found[0], is_all_day=found[1])


def stamp(at: datetime, *, is_all_day: bool = False) -> str:
    """An instant, or the day it lies in, in few characters."""
    if is_all_day:
        return at.strftime(_DATE)
    return at.astimezone(UTC).strftime(_TIMED)


def is_stamp(text: str) -> bool:
    """Whether it is one."""
    return from_stamp(text) is not None


def from_stamp(text: str) -> datetime | None:
    """The instant of a stamp; of a whole day the midnight in UTC that begins it; None for something else."""
    if _STAMP.fullmatch(text) is None:
        return None
    try:
        return datetime.strptime(text, _TIMED if "T" in text else _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None


def iso_stamp(text: str) -> str:
    """A stamp as ISO 8601 has it: `2027-01-05T09:00:00+00:00`, or `2027-01-05`; "" for something else."""
    at = from_stamp(text)
    if at is None:
        return ""
    return at.isoformat() if "T" in text else at.date().isoformat()


def spell_stamp(text: str, zone: str) -> str:
    """A stamp for people, by the clocks of a time zone; "" for something else."""
    at = from_stamp(text)
    if at is None:
        return ""
    if "T" not in text:
        return _spell_day(at)
    at = _local(at, zone)
    return f"{_spell_day(at)}, {at:%H:%M}"


def spell_when(when: When, zone: str) -> str:
    """When an event is, for people, by the clocks of a time zone: `Tuesday 5 January 2027, 12:00`."""
    if when.is_all_day:
        last = when.end - _DAY
        if last <= when.start:
            return _spell_day(when.start)
        return f"{_spell_day(when.start)} to {_spell_day(last)}"
    start, end = _local(when.start, zone), _local(when.end, zone)
    begin = f"{_spell_day(start)}, {start:%H:%M}"
    if end <= start:
        return begin
    if end.date() == start.date():
        return f"{begin}–{end:%H:%M}"  # noqa: RUF001 - a dash between two times
    return f"{begin} to {_spell_day(end)}, {end:%H:%M}"


def _spell_day(at: datetime) -> str:
    return f"{at:%A} {at.day} {at:%B} {at.year}"


def _local(at: datetime, zone: str) -> datetime:
    """An instant by the clocks of a time zone; as it is where there is no such zone."""
    try:
        return at.astimezone(ZoneInfo(zone))
    except (ValueError, OSError, KeyError, OverflowError):  # ZoneInfoNotFoundError is a KeyError
        return at


def _moment(value: object) -> tuple[datetime, bool] | None:
    """An instant and whether it stands for a whole day."""
    if not isinstance(value, dict):
        return None
    at = instant(value, "dateTime")
    if at is not None:
        return at, False
    if "T" in raw(value, "date") or " " in raw(value, "date"):
        return None
    day = instant(value, "date")
    return None if day is None else (day, True)
