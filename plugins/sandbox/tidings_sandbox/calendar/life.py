"""What happens in calendars, and by which ids tidings is expected to tell it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Annotated, Any, Final

import msgspec

from tidings_sandbox.calendar.desk import PRIMARY, Desk
from tidings_sandbox.calendar.sheet import Row, Sheet

KINDS: Final[Mapping[str, str]] = {
    "event_created": "Make an event",
    "event_moved": "Move an event",
    "event_cancelled": "Cancel an event",
    "answered": "Have a guest answer",
    "series_edited": "Change a whole series",
}
_ANSWERS: Final = ("accepted", "declined", "tentative")
# Two changes of one event between two looks are one to who looks. So what happens by chance happens to others.
_UNTOUCHED: Final = timedelta(days=3)
_AHEAD: Final = timedelta(days=300)
_LEAST_DATES: Final = 3


class Details(msgspec.Struct, frozen=True):
    """What `act` understands.

    Attributes:
        calendar: Its id or name, or `primary`.
        event: The id of what it happens to.
        title: Of a new event, or a new title.
        in_seconds: When a new event begins, or to when one is moved.
        place: Move it there instead of to another hour.
        answer: `accepted`, `declined` or `tentative`.
        shifts: Whether a series moves by an hour instead of getting another title.
    """

    calendar: str = PRIMARY
    event: str = ""
    title: str = ""
    in_seconds: Annotated[float, msgspec.Meta(ge=-(10**8), le=10**8)] | None = None
    place: str = ""
    answer: str = ""
    shifts: bool = False


class Done(msgspec.Struct, frozen=True):
    """What has happened: the id by which tidings tells it, and in which calendar."""

    kind: str
    sheet: Sheet
    key: str
    title: str


class Life:
    """Makes it happen.

    Args:
        now: Google's clock.
        chance: Where chance comes from.
    """

    def __init__(self, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._ways: Mapping[str, Callable[[Desk, Sheet, Details], Done]] = {
            "event_created": self._created,
            "event_moved": self._moved,
            "event_cancelled": self._cancelled,
            "answered": self._answered,
            "series_edited": self._series_edited,
        }

    def make(self, kind: str, desk: Desk, given: Mapping[str, Any]) -> Done:
        """Make something of this kind happen; where there is nothing that it could happen to, something is made.

        Raises:
            LookupError: No such kind, calendar or event.
        """
        way = self._ways.get(kind)
        if way is None:
            raise LookupError(f"Google Calendar knows no {kind!r}. There are: {', '.join(self._ways)}.")
        details = _details(given)
        sheet = desk.sheet(details.calendar) if "calendar" in given else self._chance.choice(desk.own())
        if sheet is None:
            raise LookupError(f"{desk.person.name} has no calendar {details.calendar!r}.")
        sheet.forget(self._now())
        return way(desk, sheet, details)

    def _created(self, desk: Desk, sheet: Sheet, details: Details) -> Done:
        start = None if details.in_seconds is None else self._now() + timedelta(seconds=details.in_seconds)
        row = desk.add(sheet, title=details.title, start=start)
        return self._done("event_created", sheet, row.id, "created", f"made {row.title}")

    def _moved(self, desk: Desk, sheet: Sheet, details: Details) -> Done:
        row = self._choose(sheet, details, lambda row: not row.series)
        if row is None:
            return self._created(desk, sheet, details)
        if details.place or (details.in_seconds is None and self._chance.random() < 0.5):
            etag = desk.change(sheet, row, place=details.place or desk.some_place(row.place))
        else:
            by = timedelta(days=self._chance.randrange(1, 5))
            start = row.start + by
            if details.in_seconds is not None:
                start = self._now() + timedelta(seconds=details.in_seconds)
            etag = desk.change(sheet, row, start=start, end=start + (row.end - row.start))
        return self._done("event_moved", sheet, row.id, f"changed:{etag}", f"moved {row.title}")

    def _cancelled(self, desk: Desk, sheet: Sheet, details: Details) -> Done:
        row = self._choose(sheet, details, lambda row: not row.series or len(sheet.series(row.series)) > 1)
        if row is None:
            return self._created(desk, sheet, details)
        before = row.etag
        desk.change(sheet, row, is_cancelled=True)
        return self._done("event_cancelled", sheet, row.id, f"cancelled:{before}", f"cancelled {row.title}")

    def _answered(self, desk: Desk, sheet: Sheet, details: Details) -> Done:
        row = self._choose(sheet, details, lambda row: "needsAction" in row.guests.values())
        if row is None:
            return self._created(desk, sheet, details)
        waiting = [address for address, answer in row.guests.items() if answer == "needsAction"]
        guest = self._chance.choice(waiting or sorted(row.guests))
        answer = details.answer or self._chance.choice(_ANSWERS)
        etag = desk.change(sheet, row, guests={**row.guests, guest: answer})
        mark = hashlib.sha256(guest.encode()).hexdigest()[:5]
        what = f"had {guest}'s answer to {row.title}: {answer}"
        return self._done("answered", sheet, row.id, f"response:{mark}:{answer}:{etag}", what)

    def _series_edited(self, desk: Desk, sheet: Sheet, details: Details) -> Done:
        row = self._choose(sheet, details, lambda row: len(self._ahead(sheet, row.series)) >= _LEAST_DATES)
        if row is None or not row.series:
            rows = desk.add_series(sheet, title=details.title)
            return self._done("series_edited", sheet, rows[0].series, "created", f"made {rows[0].title}")
        rows = sheet.series(row.series)
        if details.shifts:
            ahead = [one for one in rows if one.start >= self._now()]
            etag = desk.shift_series(sheet, ahead, timedelta(hours=1))
        else:
            etag = desk.change(sheet, *rows, title=details.title or _retitled(row.title))
        return self._done(
            "series_edited", sheet, row.series, f"changed:{etag}", f"changed all of {row.title}"
        )

    def _choose(self, sheet: Sheet, details: Details, fits: Callable[[Row], bool]) -> Row | None:
        """What it happens to; None where there is nothing."""
        now = self._now()
        if details.event:
            named = sheet.rows.get(details.event) or next(iter(sheet.series(details.event)), None)
            if named is None or named.is_cancelled:
                raise LookupError(f"{sheet.name} has no event {details.event!r}.")
            return named
        touched = {row.series or row.id for row in sheet.rows.values() if row.updated > now - _UNTOUCHED}
        found = [
            row
            for row in sheet.living()
            if now < row.start < now + _AHEAD and (row.series or row.id) not in touched and fits(row)
        ]
        return self._chance.choice(sorted(found, key=lambda row: row.id)) if found else None

    def _ahead(self, sheet: Sheet, series: str) -> list[Row]:
        now = self._now()
        return [row for row in sheet.series(series) if series and now < row.start < now + _AHEAD]

    def _done(self, kind: str, sheet: Sheet, identity: str, what: str, title: str) -> Done:
        return Done(kind, sheet, f"calendar:{sheet.id}:{identity}:{what}", title)


def _details(given: Mapping[str, Any]) -> Details:
    known = {name: value for name, value in given.items() if name in Details.__struct_fields__}
    try:
        return msgspec.convert(known, Details)
    except msgspec.ValidationError as error:
        raise LookupError(str(error)) from None


def _retitled(title: str) -> str:
    return title.removesuffix(" (new)") if title.endswith(" (new)") else f"{title} (new)"
