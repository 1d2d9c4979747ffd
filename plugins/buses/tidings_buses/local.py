"""The bus of an installation with one node: wake-ups stay in the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from tidings.context import Context
from tidings.contracts import Bus, Notice, WakeUp
from tidings.event import UserId
from tidings.hooks import Plugin, hookimpl

_MOST_NOTICES = 10_000  # that wait to be told; the oldest give way, for they are news to nobody any more


class LocalBus(Bus):
    """Hands every wake-up for a watched user back to this process; keeps the newest of each user only."""

    def __init__(self) -> None:
        self._watched: set[UserId] = set()
        self._newest: dict[UserId, int] = {}
        self._notices: deque[Notice] = deque(maxlen=_MOST_NOTICES)
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

    async def tell(self, notice: Notice) -> None:
        """See `Bus.tell`."""
        if notice.user_id in self._watched:
            self._notices.append(notice)
            self._waiting.set()

    async def wakeups(self) -> AsyncIterator[WakeUp | Notice]:
        """See `Bus.wakeups`."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            newest, self._newest = self._newest, {}
            for user_id, seq in newest.items():
                yield WakeUp(user_id, seq)
            while self._notices:
                yield self._notices.popleft()


class LocalBusPlugin(Plugin):
    """Offers the local bus."""

    @hookimpl
    def tidings_buses(self, context: Context) -> Iterable[Bus]:
        """The one bus."""
        del context  # it needs nothing
        return [LocalBus()]
