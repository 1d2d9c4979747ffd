"""One calendar: its events, the order in which they changed, and how Google shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_KEPT: Final = timedelta(days=60)


@dataclasses.dataclass(slots=True, eq=False)
class Row:
    """An event, or one date of a series.

    Attributes:
        series: The id of the series; "" for none.
        date: Where it lies in its series by the series' own rule.
        guests: What those who are invited have answered, by address.
        etag: Of its present state, without the quotes.
        change: The number of its last change in this calendar.
    """

    id: str
    series: str
    date: datetime
    title: str
    place: str
    start: datetime
    end: datetime
    created: datetime
    updated: datetime
    etag: str
    guests: dict[str, str] = dataclasses.field(default_factory=dict)
    sequence: int = 0
    change: int = 0
    is_cancelled: bool = False

    def show(self, owner: str) -> Json:
        """As the API shows it to the owner of the calendar; of a deleted one only what Google promises to say."""
        shown: Json = {"kind": "calendar#event", "etag": f'"{self.etag}"', "id": self.id}
        if self.series:
            shown["recurringEventId"] = self.series
            shown["originalStartTime"] = _moment(self.date)
        if self.is_cancelled:
            return shown | {"status": "cancelled"}
        shown |= {
            "status": "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={self.id}",
            "created": _iso(self.created),
            "updated": _iso(self.updated),
            "summary": self.title,
            "creator": {"email": owner, "self": True},
            "organizer": {"email": owner, "self": True},
            "start": _moment(self.start),
            "end": _moment(self.end),
            "iCalUID": f"{self.series or self.id}@google.com",
            "sequence": self.sequence,
            "reminders": {"useDefault": True},
            "eventType": "default",
        }
        if self.place:
            shown["location"] = self.place
        if self.guests:
            shown["attendees"] = [
                {"email": address, "displayName": _name(address), "responseStatus": answer}
                for address, answer in self.guests.items()
            ]
        return shown


@dataclasses.dataclass(slots=True, eq=False)
class Sheet:
    """A calendar.

    Attributes:
        owner: The address of whose it is.
        is_primary: Whether it is that person's own.
        is_selected: Whether it has a tick on the list.
        is_virtual: Whether Google makes it up, as it does for holidays.
        changes: How many changes there were.
        listed: The number of the last change of its entry on the list.
        is_gone: Whether it was deleted.
    """

    id: str
    name: str
    owner: str
    is_primary: bool = False
    is_selected: bool = True
    is_virtual: bool = False
    changes: int = 0
    listed: int = 1
    is_gone: bool = False
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)

    def note(self, row: Row) -> None:
        """A row is new or has changed."""
        self.changes += 1
        row.change = self.changes
        self.rows[row.id] = row

    def series(self, identity: str) -> list[Row]:
        """The dates of a series that were not cancelled, in order."""
        found = [row for row in self.rows.values() if row.series == identity and not row.is_cancelled]
        return sorted(found, key=lambda row: row.start)

    def living(self) -> Iterator[Row]:
        """What was not cancelled."""
        return (row for row in self.rows.values() if not row.is_cancelled)

    def forget(self, now: datetime) -> None:
        """Give up what lies so far back that nobody asks for it."""
        if any(row.end < now - 2 * _KEPT for row in self.rows.values()):
            self.rows = {key: row for key, row in self.rows.items() if row.end >= now - _KEPT}

    def show(self) -> Json:
        """As the list of calendars has it."""
        shown: Json = {"kind": "calendar#calendarListEntry", "etag": f'"{self.listed}"', "id": self.id}
        if self.is_gone:
            return shown | {"deleted": True}
        shown |= {
            "summary": self.name,
            "timeZone": "Europe/Berlin",
            "colorId": "15",
            "accessRole": "reader" if self.is_virtual else "owner",
            "defaultReminders": [],
        }
        if self.is_selected:
            shown["selected"] = True
        if self.is_primary:
            shown["primary"] = True
        return shown


def date_id(series: str, date: datetime) -> str:
    """The id of one date of a series."""
    return f"{series}_{date.astimezone(UTC):{_STAMP}}"


def matches(row: Row, parameters: Mapping[str, str]) -> bool:
    """Whether a row lies behind `timeMin` and before `timeMax`."""
    begin, end = parameters.get("timeMin"), parameters.get("timeMax")
    return (not begin or row.end > datetime.fromisoformat(begin)) and (
        not end or row.start < datetime.fromisoformat(end)
    )


def _moment(at: datetime) -> Json:
    return {"dateTime": at.isoformat().replace("+00:00", "Z"), "timeZone": "UTC"}


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(address: str) -> str:
    return " ".join(part.capitalize() for part in address.partition("@")[0].split("."))
