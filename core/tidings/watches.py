"""The users whose wake-ups this node receives: those who have a stream here, or had one just now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidings.bus import Bus
from tidings.contracts import Clock
from tidings.errors import NotFound, Unavailable
from tidings.event import Cursor, Entry, UserId
from tidings.headcheck import HeadCheck
from tidings.journal import SqlJournal

if TYPE_CHECKING:
    from tidings.subscription import LiveSubscription

_IDLE_SECONDS: Final = 30.0
_FETCHED_ENTRIES: Final = 100


class Watch:
    """One user.

    Attributes:
        epoch: Of the user's journal.
        newest: The seq of the newest entry that was handed to the streams.
        heard: The seq up to which the journal is said to reach.
        fetching: Whether what lies between the two is being read.
        subscriptions: The user's streams here: an ordered set.
        ready: Set when the bus and the journal know, or have refused.
        opening: How many streams are being opened.
        idle_since: Since when there is none, by the monotonic clock.
    """

    __slots__ = ("epoch", "fetching", "heard", "idle_since", "newest", "opening", "ready", "subscriptions")

    def __init__(self) -> None:
        self.epoch = ""
        self.newest = self.heard = 0
        self.fetching = False
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
        reads: So many may read the journal at once.
        start_soon: Runs work beside everything else.
        deliver: Called with entries that come next to those before.
        fall_behind: Called with users whose streams must read for themselves.
    """

    def __init__(
        self,
        journal: SqlJournal,
        clock: Clock,
        *,
        bus: Callable[[], Bus],
        reads: asyncio.Semaphore,
        start_soon: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        deliver: Callable[[Sequence[Entry]], None],
        fall_behind: Callable[[Iterable[UserId]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._bus = bus
        self._reads = reads
        self._start_soon = start_soon
        self._deliver = deliver
        self._fall_behind = fall_behind
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

    def committed(self, entry: Entry) -> bool:
        """Whether an entry that this node has committed comes next, and may go to the streams as it is."""
        watch = self._watches.get(entry.user_id)
        if watch is None:
            return False
        seq = entry.cursor.seq
        if not watch.fetching and seq == watch.newest + 1:
            watch.newest = watch.heard = seq
            return bool(watch.subscriptions)
        self.reach({entry.user_id: seq})  # another node has committed before it
        return False

    def reach(self, heads: Mapping[UserId, int]) -> None:
        """Journals reach up to here: the bus says so, or the journal itself."""
        for user_id, seq in heads.items():
            watch = self._watches.get(user_id)
            if watch is None or seq <= watch.heard:
                continue
            watch.heard = seq
            if not watch.subscriptions:
                watch.newest = seq
            elif not watch.fetching:
                watch.fetching = True
                try:
                    self._start_soon(partial(self._fetch, user_id, watch))
                except Unavailable:  # it starts again, and the streams with it
                    self._give_up(user_id, watch)

    async def _fetch(self, user_id: UserId, watch: Watch) -> None:
        """Read once, for all streams, what other nodes have committed."""
        try:
            while watch.newest < watch.heard:
                async with self._reads:
                    page = await self._journal.read(
                        user_id, Cursor(watch.epoch, watch.newest), limit=_FETCHED_ENTRIES
                    )
                # No await from here to the next read: what is committed now belongs behind these.
                wanted = [entry for entry in page.entries if entry.cursor.seq > watch.newest]
                if page.gap is not None or not wanted or len(page.entries) == _FETCHED_ENTRIES:
                    break  # much, or something particular: each stream reads at its own pace
                watch.newest = wanted[-1].cursor.seq
                watch.heard = max(watch.heard, watch.newest)
                self._deliver(wanted)
        except (Unavailable, NotFound):
            pass  # each stream finds out, and waits by itself
        finally:
            self._give_up(user_id, watch)

    def _give_up(self, user_id: UserId, watch: Watch) -> None:
        """No more is fetched for all; if something is left, each stream reads it."""
        watch.fetching = False
        if watch.newest < watch.heard:
            watch.newest = watch.heard
            self._fall_behind([user_id])

    def _known(self, user_id: UserId) -> int:
        watch = self._watches.get(user_id)
        return 0 if watch is None else watch.heard

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
            watch.heard = max(watch.heard, watch.newest)
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
