"""The bus of an installation with one node: wake-ups stay in the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from tidings.context import Context
from tidings.contracts import Bus, WakeUp
from tidings.event import UserId
from tidings.hooks import Plugin, hookimpl


class LocalBus(Bus):
    """Hands every wake-up for a watched user back to this process; keeps the newest of each user only."""

    def __init__(self) -> None:
        self._watched: set[UserId] = set()
        self._newest: dict[UserId, int] = {}
        self._waiting = asyncio.Event()

    async def publish(self, wakeups: Sequence[WakeUp]) -> None:
        """See `Bus.publish`."""
        for wakeup in wakeups:
            if wakeup.user_id in self._watched:
                self._newest[wakeup.user_id] = max(wakeup.seq, self._newest.get(wakeup.user_id, 0))
                self._waiting.set()

    async def watch(self, user_id: UserId) -> None:
        """See `Bus.watch`."""
        self._watched.add(user_id)

    async def unwatch(self, user_id: UserId) -> None:
        """See `Bus.unwatch`."""
        self._watched.discard(user_id)
        self._newest.pop(user_id, None)

    async def wakeups(self) -> AsyncIterator[WakeUp]:
        """See `Bus.wakeups`."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            newest, self._newest = self._newest, {}
            for user_id, seq in newest.items():
                yield WakeUp(user_id, seq)


class LocalBusPlugin(Plugin):
    """Offers the local bus."""

    @hookimpl
    def tidings_buses(self, context: Context) -> Iterable[Bus]:
        """The one bus."""
        del context  # it needs nothing
        return [LocalBus()]
