"""One event of a calendar as Google describes it, read once: what it is called, when it is, what it looks like."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from tidings.fields import Object, flag, line, link, obj, objs, raw
from tidings_calendar.fields import instant, prose
from tidings_calendar.when import When, read_stamp, read_when

CANCELLED: Final = "cancelled"
#: The letters by which answers are kept.
ANSWERS: Final[Mapping[str, str]] = {
    "needsAction": "n",
    "accepted": "a",
    "declined": "d",
    "tentative": "t",
}
# Where somebody works is said anew each day, and is no event to be told of (Event.eventType).
_NO_NEWS: Final = frozenset({"workingLocation"})
_BARE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ID: Final = re.compile(r"[!-~]{1,300}")
_MOST_GUESTS: Final = 40  # with more of them, answers are no longer followed
_DESCRIPTION_LENGTH: Final = 500
_HASH: Final = 5


class Guest(NamedTuple):
    """Somebody who is invited.

    Attributes:
        mark: Stands for the address, in few characters.
        answer: A letter of `ANSWERS`, or "".
        is_self: Whether it is the account itself.
    """

    mark: str
    name: str
    answer: str
    is_self: bool


class Entry(NamedTuple):
    """An event of a calendar.

    Attributes:
        id: Google's; of one date of a series `{series}_{stamp}`.
        series: The id of the series, or its own where it is in none.
        is_cancelled: Then little more than the ids is known.
        version: Stands for its state at Google, another one after every change: its `etag`.
        look: Stands for what people see of it: when, where, and the rest, five characters each.
        when: None where it is cancelled.
        date: The stamp of the date that it is of a series, or else of its start; "" for none.
        link: Its page.
        meeting: Where it is held online.
        creator: Who made it; `is_own` where that was the account.
        guests: Those invited, if they are few enough.
    """

    id: str
    series: str
    is_cancelled: bool
    version: str
    look: str
    title: str
    when: When | None
    date: str
    place: str
    description: str
    link: str
    meeting: str
    status: str
    creator: str
    is_own: bool
    created_at: datetime | None
    updated_at: datetime | None
    guests: tuple[Guest, ...]

    @property
    def is_of_series(self) -> bool:
        """Whether it is one date of a series."""
        return self.series != self.id


def read_entry(item: Object) -> Entry | None:
    """An event as Google describes it; None where it is none to tell of."""
    identity = raw(item, "id")
    series = raw(item, "recurringEventId") or identity
    if _ID.fullmatch(identity) is None or _ID.fullmatch(series) is None:
        return None
    when, is_cancelled = read_when(item), raw(item, "status") == CANCELLED
    if raw(item, "eventType") in _NO_NEWS or (when is None and not is_cancelled):
        return None
    date = read_stamp(item.get("originalStartTime")) or ("" if when is None else when.stamp)
    guests, creator = _guests(item), obj(item, "creator") or obj(item, "organizer")
    return Entry(
        id=identity,
        series=series,
        is_cancelled=is_cancelled,
        version=_version(raw(item, "etag") or raw(item, "updated")),
        look="" if when is None else _look(item, when, date, guests),
        title=line(item, "summary"),
        when=when,
        date=date,
        place=line(item, "location"),
        description=prose(item, "description", _DESCRIPTION_LENGTH),
        link=link(item, "htmlLink"),
        meeting=link(item, "hangoutLink"),
        status=line(item, "status", 20),
        creator=line(creator, "displayName", 100) or line(creator, "email", 100),
        is_own=flag(creator, "self"),
        created_at=instant(item, "created"),
        updated_at=instant(item, "updated"),
        guests=guests if len(guests) <= _MOST_GUESTS else (),
    )


def _version(tag: str) -> str:
    bare = tag.strip('"')
    return bare if _BARE.fullmatch(bare) else _hash(tag, 16)


def _look(item: Object, when: When, date: str, guests: tuple[Guest, ...]) -> str:
    begin = "" if date == when.stamp else when.stamp  # so that all dates of a series look alike
    rest = [raw(item, name) for name in ("summary", "description", "hangoutLink", "status")]
    invited = sorted(guest.mark for guest in guests)
    return (
        _hash(f"{begin} {when.seconds} {when.is_all_day}")
        + _hash(raw(item, "location"))
        + _hash("\0".join([*rest, *invited]))
    )


def _guests(item: Object) -> tuple[Guest, ...]:
    found = []
    for guest in objs(item, "attendees"):
        address = raw(guest, "email").lower() or raw(guest, "id")
        if address and not flag(guest, "resource"):  # a room
            name = line(guest, "displayName", 100) or line(guest, "email", 100)
            answer = ANSWERS.get(raw(guest, "responseStatus"), "")
            found.append(Guest(_hash(address), name, answer, flag(guest, "self")))
    return tuple(found)


def _hash(text: str, length: int = _HASH) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:length]
