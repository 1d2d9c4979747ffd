"""The calendars of an account, and which of them are watched by its user's choice.

The settings: `{"calendars": "selected" | ["Work", "team@group.calendar.google.com", …]}`. By default it is those that
Google Calendar itself shows: the primary one and those with a tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tidings.contracts import Api, Target
from tidings.fields import Object, flag, line, one_line, raw
from tidings_calendar.google import CALENDARS, TokenGone, pages

SELECTED: Final = "selected"

_CALENDAR: Final = "calendar:"
_UNKNOWN: Final = "name:"  # before the name where there is no such calendar
_PAGE: Final = {"maxResults": "250"}
_LONGEST_ID: Final = 240
_MOST_CALENDARS: Final = 1000
_MOST_NAMES: Final = 250
_NAME_LENGTH: Final = 100
# Google's own: holidays, birthdays, week numbers. For them it sends no notifications
# (`pushNotSupportedForRequestedResource`).
_VIRTUAL: Final = "@group.v.calendar.google.com"
_READABLE: Final = frozenset({"reader", "writer", "owner"})  # `freeBusyReader` sees no event


class Calendar(NamedTuple):
    """A calendar on an account's list.

    Attributes:
        marks: `p` for the primary one, `s` for one with a tick, `r` for one whose events the account can read.
        zone: The IANA name of its time zone: `Europe/Berlin`.
    """

    id: str
    name: str
    marks: str
    zone: str

    @property
    def target(self) -> Target:
        """The same as something to watch."""
        return Target(f"{_CALENDAR}{self.id}", self.name)

    @property
    def is_virtual(self) -> bool:
        """Whether Google makes it up."""
        return self.id.endswith(_VIRTUAL)


class Calendars:
    """An account's list of calendars, as far as it is known.

    Args:
        state: As `store` gave it.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._token = raw(state, "token")
        self.all: dict[str, Calendar] = {}
        listed = state.get("all")
        for identity, fields in listed.items() if isinstance(listed, dict) else ():
            if isinstance(fields, list) and len(fields) == 3 and all(isinstance(one, str) for one in fields):
                self.all[identity] = Calendar(identity, *fields)

    def store(self) -> Mapping[str, Any]:
        """For a checkpoint."""
        return {"token": self._token, "all": {one.id: [*one[1:]] for one in self.all.values()}}

    async def refresh(self, api: Api) -> None:
        """Ask what has changed in the list.

        Raises:
            AuthExpired, Unavailable, Rejected: As `Api.request`.
        """
        try:
            await self._refresh(api)
        except TokenGone:
            self._token = ""
            await self._refresh(api)

    async def _refresh(self, api: Api) -> None:
        found = dict(self.all) if self._token else {}
        token = self._token
        async for page in pages(api, CALENDARS, _PAGE, {}, self._token):
            for item in page.items:
                identity = raw(item, "id")
                calendar = _calendar(identity, item)
                if calendar is not None and len(found) < _MOST_CALENDARS:
                    found[identity] = calendar
                else:
                    found.pop(identity, None)
            token = page.sync_token
        self.all, self._token = found, token


def watched(calendars: Iterable[Calendar], settings: Mapping[str, Any]) -> Sequence[Calendar]:
    """Those that are watched by the user's choice."""
    names = _names(settings)
    if names is None:
        return [
            one for one in calendars if "r" in one.marks and not one.is_virtual and {*one.marks} & {"p", "s"}
        ]
    wanted = {name.casefold() for name in names}
    return [one for one in calendars if {one.id.casefold(), one.name.casefold()} & wanted]


async def targets(api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
    """What channels are to be made for.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    calendars = Calendars({})
    await calendars.refresh(api)
    chosen = watched(calendars.all.values(), settings)
    known = {word for one in chosen for word in (one.id.casefold(), one.name.casefold())}
    missing = [name for name in _names(settings) or () if name.casefold() not in known]
    return [
        *(one.target for one in chosen if not one.is_virtual),
        *(Target(f"{_UNKNOWN}{name}", name) for name in missing),
    ]


def calendar_of(target_key: str) -> str:
    """The id of the calendar that a target is; "" where there is none of that name."""
    return target_key.removeprefix(_CALENDAR) if target_key.startswith(_CALENDAR) else ""


def _names(settings: Mapping[str, Any]) -> Sequence[str] | None:
    """The names and ids that were chosen; None for those that Google Calendar shows."""
    chosen = settings.get("calendars", SELECTED)
    if not isinstance(chosen, list | tuple):
        return None
    names = [one_line(name, _LONGEST_ID) for name in chosen[:_MOST_NAMES] if isinstance(name, str)]
    return [*dict.fromkeys(name for name in names if name)]


def _calendar(identity: str, item: Object) -> Calendar | None:
    """A calendar of the list; None where it was taken out."""
    if not 0 < len(identity) <= _LONGEST_ID or not identity.isprintable() or flag(item, "deleted"):
        return None
    name = line(item, "summaryOverride", _NAME_LENGTH) or line(item, "summary", _NAME_LENGTH) or identity
    marks = (
        ("p" if flag(item, "primary") else "")
        + ("s" if flag(item, "selected") and not flag(item, "hidden") else "")
        + ("r" if raw(item, "accessRole") in _READABLE else "")
    )
    return Calendar(identity, name, marks, line(item, "timeZone", 60))
