"""A person's calendars, and what is in them before anything happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Final

from tidings_sandbox.calendar.sheet import Row, Sheet, date_id
from tidings_sandbox.people import Person

PRIMARY: Final = "primary"
TITLES: Final = (
    "Dentist", "Lunch with Maren", "Choir practice", "Budget review", "Swimming", "Parents' evening",
    "Design talk", "Coffee with Bram", "Car inspection", "Book club", "Interview", "Release meeting",
)  # fmt: skip
SERIES: Final = ("Stand-up", "Weekly review", "Yoga", "Piano lesson")
PLACES: Final = ("Room Otter", "Room Heron", "Café Zentral", "Town hall", "Video call", "")
GUESTS: Final = ("ada.winter@elsewhere.example", "kofi.lund@elsewhere.example", "mina.falk@elsewhere.example")
DATES: Final = 20
_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(days=7)


class Desk:
    """A person's calendars.

    Args:
        person: Whose.
        now: Google's clock.
        serial: Gives numbers that grow.
        chance: Where chance comes from.
    """

    def __init__(
        self, person: Person, now: Callable[[], datetime], serial: Callable[[], int], chance: Random
    ) -> None:
        self.person = person
        self._now = now
        self._serial = serial
        self._chance = chance
        self.changes = 1
        email = person.google_email
        own = f"sandbox{person.number:04d}@group.calendar.google.example"
        holidays = "en.german#holiday@group.v.calendar.google.com"
        archive = f"archive{person.number:04d}@group.calendar.google.example"
        self.sheets: dict[str, Sheet] = {
            one.id: one
            for one in (
                Sheet(email, email, email, is_primary=True),
                Sheet(own, "Family", email),
                Sheet(holidays, "Holidays in Germany", email, is_virtual=True),
                Sheet(archive, "Archive", email, is_selected=False),
            )
        }
        for sheet in (self.sheets[email], self.sheets[own]):
            for _ in range(4):
                self.add(sheet)
            self.add_series(sheet)
        self._age()

    def sheet(self, name: str) -> Sheet | None:
        """The calendar of this id or name; `primary` is the person's own."""
        if name == PRIMARY:
            return self.sheets[self.person.google_email]
        found = self.sheets.get(name) or next((one for one in self.sheets.values() if one.name == name), None)
        return None if found is None or found.is_gone else found

    def own(self) -> list[Sheet]:
        """Those in which things happen."""
        return [
            one for one in self.sheets.values() if one.is_selected and not one.is_virtual and not one.is_gone
        ]

    def remove(self, sheet: Sheet) -> None:
        """The calendar is deleted."""
        sheet.is_gone = True
        self.touch_list(sheet)

    def open(self, name: str) -> Sheet:
        """The person makes a calendar."""
        identity = f"made{self._serial()}@group.calendar.google.example"
        sheet = self.sheets[identity] = Sheet(identity, name, self.person.google_email)
        self.touch_list(sheet)
        return sheet

    def touch_list(self, sheet: Sheet) -> None:
        """The entry of a calendar on the list has changed."""
        self.changes += 1
        sheet.listed = self.changes

    # --- events ---

    def add(self, sheet: Sheet, *, title: str = "", start: datetime | None = None, guests: int = 2) -> Row:
        """A new event."""
        begin = start or self._some_hour()
        row = self._row(f"{self._serial():x}event", "", begin, title or self._chance.choice(TITLES), begin)
        row.guests = dict.fromkeys(GUESTS[:guests], "needsAction")
        sheet.note(row)
        return row

    def add_series(self, sheet: Sheet, *, title: str = "") -> list[Row]:
        """A new series: one date a week, twenty in all."""
        series, begin = f"{self._serial():x}series", self._some_hour(8)
        name, etag = title or self._chance.choice(SERIES), str(self._serial())
        rows = []
        for week in range(DATES):
            at = begin + week * _WEEK
            row = self._row(date_id(series, at), series, at, name, at)
            row.etag = etag
            sheet.note(row)
            rows.append(row)
        return rows

    def change(self, sheet: Sheet, *rows: Row, **fields: object) -> str:
        """Rows change, all at once; returns the etag that they have then."""
        etag, now = str(self._serial()), self._now()
        for row in rows:
            for name, value in fields.items():
                setattr(row, name, value)
            row.etag, row.updated = etag, now
            row.sequence += 1
            sheet.note(row)
        return etag

    def shift_series(self, sheet: Sheet, rows: list[Row], by: timedelta) -> str:
        """A series moves: its dates are others then, with other ids."""
        moved = [
            self._row(
                date_id(row.series, row.date + by), row.series, row.date + by, row.title, row.start + by
            )
            for row in rows
        ]
        etag = self.change(sheet, *rows, is_cancelled=True)
        for before, row in zip(rows, moved, strict=True):
            row.created, row.etag, row.place, row.guests = (
                before.created,
                etag,
                before.place,
                {**before.guests},
            )
            sheet.note(row)
        return etag

    def some_place(self, other_than: str) -> str:
        """A place."""
        return self._chance.choice([place for place in PLACES if place != other_than])

    def _some_hour(self, days: int = 60) -> datetime:
        midnight = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=self._chance.randrange(1, days), hours=self._chance.randrange(8, 19))

    def _row(self, identity: str, series: str, date: datetime, title: str, start: datetime) -> Row:
        now = self._now()
        return Row(
            id=identity,
            series=series,
            date=date,
            title=title,
            place=self._chance.choice(PLACES),
            start=start,
            end=start + _HOUR,
            created=now,
            updated=now,
            etag=str(self._serial()),
        )

    def _age(self) -> None:
        """What is there from the start has been for long."""
        for sheet in self.sheets.values():
            for row in sheet.rows.values():
                row.created -= _WEEK
                row.updated -= _WEEK
