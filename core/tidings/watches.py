"""The users whose wake-ups this node receives: those who have a stream here, or had one just now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidings.bus import Bus
from tidings.contracts import Clock
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.headcheck import HeadCheck
from tidings.journal import SqlJournal

if TYPE_CHECKING:
    from tidings.subscription import LiveSubscription

_IDLE_SECONDS: Final = 30.0


class Watch:
    """One user.

    Attributes:
        epoch: Of the user's journal.
        newest: The seq of the newest entry known.
        subscriptions: The user's streams here: an ordered set.
        ready: Set when the bus and the journal know, or have refused.
        opening: How many streams are being opened.
        idle_since: Since when there is none, by the monotonic clock.
    """

    __slots__ = ("epoch", "idle_since", "newest", "opening", "ready", "subscriptions")

    def __init__(self) -> None:
        self.epoch = ""
        self.newest = 0
        self.subscriptions: dict[LiveSubscription, None] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.opening = 0
        self.idle_since: float | None = None


class Watches:
    """Begins to watch with a user's first stream, and ends a while after the last.

    Args:
        journal: Where journals end.
        clock: All time.
        bus: The bus; asked for when there is one.
        start_soon: Runs work beside everything else.
        found: Called with users of whom there is more in the journal than was known.
    """

    def __init__(
        self,
        journal: SqlJournal,
        clock: Clock,
        *,
        bus: Callable[[], Bus],
        start_soon: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        found: Callable[[Iterable[UserId]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._bus = bus
        self._start_soon = start_soon
        self._found = found
        self._watches: dict[UserId, Watch] = {}
        self._leaving: dict[UserId, asyncio.Future[None]] = {}  # of whom the bus is being told
        self.heads = HeadCheck(
            journal, clock, watched=lambda: list(self._watches), known=self._known, found=self.reach
        )

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._watches.values())

    def get(self, user_id: UserId) -> Watch | None:
        """The watch of a user, if there is one."""
        return self._watches.get(user_id)

    def __getitem__(self, user_id: UserId) -> Watch:
        return self._watches[user_id]

    def reach(self, heads: Mapping[UserId, int]) -> None:
        """Journals reach up to here: the bus says so, or the journal itself."""
        behind = []
        for user_id, seq in heads.items():
            watch = self._watches.get(user_id)
            if watch is not None and seq > watch.newest:
                watch.newest = seq
                behind.append(user_id)
        self._found(behind)

    def _known(self, user_id: UserId) -> int:
        watch = self._watches.get(user_id)
        return 0 if watch is None else watch.newest

    @asynccontextmanager
    async def opening(self, user_id: UserId) -> AsyncIterator[Watch]:
        """A user's watch, ready; a stream may be put into it until this is left.

        Raises:
            NotFound: There is no such user.
            Unavailable: Try again.
        """
        watch = self._watches.get(user_id)
        if watch is None:
            watch = Watch()
            self._start_soon(partial(self._begin, user_id, watch))
            self._watches[user_id] = watch
            self.heads.begin()
        watch.opening += 1
        try:
            await asyncio.shield(watch.ready)
            yield watch
        finally:
            watch.opening -= 1
            self.note_idle(watch)

    def note_idle(self, watch: Watch) -> None:
        """A stream has come or gone."""
        if watch.subscriptions or watch.opening:
            watch.idle_since = None
        elif watch.idle_since is None:
            watch.idle_since = self._clock.monotonic()

    async def _begin(self, user_id: UserId, watch: Watch) -> None:
        try:
            if (leaving := self._leaving.get(user_id)) is not None:
                await asyncio.shield(leaving)
            with suppress(Unavailable):  # an outage: until it is over, heads are looked up
                await self._bus().watch(user_id)
            # Only now: whatever was committed before is in the head, whatever comes later wakes us.
            head = await self._journal.head(user_id)
        except BaseException as error:
            del self._watches[user_id]
            failure = error if isinstance(error, Exception) else Unavailable("The stream was abandoned.")
            watch.ready.set_exception(failure)
            watch.ready.exception()  # seen, even if nobody waits any more
            if not isinstance(error, Exception):
                raise
            await self._tell_bus(user_id)
        else:
            watch.epoch = head.epoch
            watch.newest = max(watch.newest, head.seq)
            watch.ready.set_result(None)

    async def let_go(self) -> None:
        """End what is idle, until cancelled."""
        while True:
            await self._clock.sleep(_IDLE_SECONDS)
            now = self._clock.monotonic()
            idle = [
                user_id
                for user_id, watch in self._watches.items()
                if watch.idle_since is not None and now - watch.idle_since >= _IDLE_SECONDS
            ]
            for user_id in idle:
                watch = self._watches.get(user_id)
                if watch is not None and watch.idle_since is not None:  # nobody came while others were let go
                    del self._watches[user_id]
                    await self._tell_bus(user_id)

    async def _tell_bus(self, user_id: UserId) -> None:
        leaving = self._leaving[user_id] = asyncio.get_running_loop().create_future()
        try:
            await self._bus().unwatch(user_id)
        finally:
            del self._leaving[user_id]
            leaving.set_result(None)
