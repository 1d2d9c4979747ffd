"""What people and conversations are called, as polls learnt it, kept in memory for the cards.

Slack's events carry ids. Names never become part of an event's id: the same event has the same id whoever knows what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

_MOST: Final = 50_000


class Person(NamedTuple):
    """Somebody's name and picture; both "" where Slack would not say."""

    name: str
    avatar_url: str = ""


class Names:
    """The names of all workspaces here; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._people: dict[tuple[str, str], Person] = {}
        self._channels: dict[tuple[str, str], tuple[str, float]] = {}
        self._urls: dict[str, str] = {}
        self._listed: dict[str, float] = {}

    def person(self, team: str, user: str) -> Person | None:
        """Somebody; None where nobody has looked them up."""
        return self._people.get((team, user))

    def channel(self, team: str, channel: str) -> str:
        """A conversation's name, without `#`; "" where it is unknown."""
        return self._channels.get((team, channel), ("", 0.0))[0]

    def channel_at(self, team: str, channel: str) -> float | None:
        """When a conversation's name was noted, in seconds since 1970; None where it was not."""
        found = self._channels.get((team, channel))
        return None if found is None else found[1]

    def url(self, team: str) -> str:
        """A workspace's address, with a slash at the end; "" where it is unknown."""
        return self._urls.get(team, "")

    def missing_people(self, team: str, users: Iterable[str]) -> list[str]:
        """Those of them whom nobody has looked up."""
        return [user for user in dict.fromkeys(users) if user and (team, user) not in self._people]

    def note_person(self, team: str, user: str, person: Person) -> None:
        """Somebody was looked up."""
        self._people.pop((team, user), None)
        self._people[team, user] = person
        if len(self._people) > _MOST:
            del self._people[next(iter(self._people))]

    def note_channel(self, team: str, channel: str, name: str, at: float) -> None:
        """A conversation was looked up, at so many seconds since 1970."""
        self._channels.pop((team, channel), None)
        self._channels[team, channel] = (name, at)
        if len(self._channels) > _MOST:
            del self._channels[next(iter(self._channels))]

    def note_url(self, team: str, url: str) -> None:
        """A workspace says where it is."""
        self._urls[team] = url.rstrip("/") + "/"

    def is_listed(self, team: str, at: float, every_seconds: float) -> bool:
        """Whether a workspace's people were listed less than so long ago."""
        before = self._listed.get(team)
        return before is not None and at - before < every_seconds

    def note_listed(self, team: str, at: float) -> None:
        """A workspace's people were listed."""
        self._listed[team] = at
