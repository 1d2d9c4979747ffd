"""Looks for itself where journals end, so that a wake-up which never came costs latency and no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tidings.contracts import Clock
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.journal import SqlJournal

_SECONDS: Final = 15.0  # while wake-ups come through
_OUTAGE_SECONDS: Final = 1.0
#: What this process commits, and most wake-ups, are here within that time; only the rest is lost.
_GRACE_SECONDS: Final = 0.5
_USERS_AT_ONCE: Final = 500


class HeadCheck:
    """Compares what is known of each watched user with the journal, now and then.

    Args:
        journal: The truth.
        clock: All time.
        watched: The users watched.
        known: Where one's journal ends, as far as is known.
        found: Called with where it ends in truth, for those of whom too little was known.
    """

    def __init__(
        self,
        journal: SqlJournal,
        clock: Clock,
        *,
        watched: Callable[[], list[UserId]],
        known: Callable[[UserId], int],
        found: Callable[[Mapping[UserId, int]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._watched = watched
        self._known = known
        self._found = found
        self._outage = False
        self._changed = asyncio.Event()
        self._somebody = asyncio.Event()

    def begin(self) -> None:
        """Somebody is watched."""
        self._somebody.set()

    def outage(self, *, lasts: bool) -> None:
        """Wake-ups get lost from now on, or no more."""
        self._outage = lasts
        self._changed.set()

    async def run(self) -> None:
        """Look from time to time, and whenever an outage has begun or ended, until cancelled."""
        while True:
            if not self._watched():
                self._somebody.clear()
                await self._somebody.wait()
            await self._rest()
            with suppress(Unavailable):  # the streams wait for the database by themselves
                await self._look()

    async def _rest(self) -> None:
        resting = asyncio.ensure_future(self._clock.sleep(_OUTAGE_SECONDS if self._outage else _SECONDS))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({resting, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (resting, changed):
                task.cancel()
        self._changed.clear()

    async def _look(self) -> None:
        users = self._watched()
        behind: dict[UserId, int] = {}
        for start in range(0, len(users), _USERS_AT_ONCE):
            heads = await self._journal.heads(users[start : start + _USERS_AT_ONCE])
            behind |= self._unknown(heads)
        if behind:
            await self._clock.sleep(_GRACE_SECONDS)
            self._found(self._unknown(behind))

    def _unknown(self, heads: Mapping[UserId, int]) -> Mapping[UserId, int]:
        return {user_id: seq for user_id, seq in heads.items() if seq > self._known(user_id)}
