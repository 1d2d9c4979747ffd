"""The emulator's own record of all that happened, against which what tidings told is compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Protocol

import msgspec


class Happening(msgspec.Struct, frozen=True):
    """One thing that tidings is expected to tell one person, once.

    Attributes:
        platform: `github` or `spotify`.
        person: Key of the person who is expected to hear of it. A happening that several hear of is recorded
            once for each.
        kind: What it was: `push`, `play`, `like`, ….
        at: When, by the platform's own clock, aware UTC.
        key: Names it within the platform, made of nothing but what the platform's own data show (a commit, an
            id, a track with its instant), so that it can be found in an event.
        title: For people: what happened in a few words.
    """

    platform: str
    person: str
    kind: str
    at: datetime
    key: str
    title: str = ""


class Record:
    """All happenings in the order in which they happened.

    Args:
        keep: How many are remembered; None for all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._happenings: deque[Happening] = deque(maxlen=keep)
        self.total = 0

    def add(self, happening: Happening) -> Happening:
        """Write it down; returns it."""
        self._happenings.append(happening)
        self.total += 1
        return happening

    def clear(self) -> None:
        """Forget all."""
        self._happenings.clear()
        self.total = 0

    def __iter__(self) -> Iterator[Happening]:
        return iter(self._happenings)

    def of(self, person: str, platform: str = "") -> list[Happening]:
        """What this person is expected to hear of, oldest first; of every platform where none is named."""
        return [
            happening
            for happening in self._happenings
            if happening.person == person and platform in {"", happening.platform}
        ]

    def newest(self, count: int) -> list[Happening]:
        """The last `count`, newest first."""
        return [self._happenings[-back] for back in range(1, min(count, len(self._happenings)) + 1)]


class Actor(Protocol):
    """Where things can be made to happen: `World.act`."""

    def __call__(self, platform: str, kind: str, person: str) -> object:
        """Make something of this kind happen to the person."""


class Moment(msgspec.Struct, frozen=True):
    """Something that is going to happen."""

    at: datetime
    platform: str
    kind: str
    person: str


def plan_day(
    day: date, people: list[str], kinds: dict[str, list[str]], *, each: int, chance: Random
) -> list[Moment]:
    """A lively but bounded day: `each` things a person and platform, at instants all over the day, in order.

    Instants of one person at one platform lie at least four minutes apart, so that nothing is ambiguous.

    Args:
        day: Of UTC.
        people: Their keys.
        kinds: What can happen, by platform.
        each: How many things happen to each person at each platform, at most 100.
        chance: Where chance comes from.
    """
    midnight = datetime.combine(day, time(), UTC)
    moments = []
    for person in people:
        for platform, choices in kinds.items():
            slots = chance.sample(range(24 * 12 - 1), each)
            moments += [
                Moment(
                    midnight + timedelta(minutes=5 * slot, seconds=chance.randrange(60)),
                    platform,
                    chance.choice(choices),
                    person,
                )
                for slot in slots
            ]
    return sorted(moments, key=lambda moment: moment.at)
