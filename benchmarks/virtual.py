"""Time that passes only when there is nothing left to do, and a database in the same thread.

The loop's own time stands still while anything is ready to run; then it leaps to the next timer. So a year takes as
long as its work takes, nothing sleeps, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import random
import secrets
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.sqlite import SqliteDatabase, translated

T = TypeVar("T")

_MOST_TURNS = 2_000_000  # of the loop, at one and the same instant: then it runs in circles
_CACHE_KIB = 64 * 1024


def settle_chance(seed: int) -> None:
    """Let all chance in this process follow from a seed, even where secrets come from: here they protect nothing.

    The order of sets follows from a variable that counts at the start alone, so the process may start once more.
    """
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    random.seed(seed)
    chance = random.Random(f"{seed}/secrets")
    secrets.choice, secrets.token_bytes = chance.choice, lambda nbytes=None: chance.randbytes(nbytes or 32)


class Standstill(Exception):
    """Virtual time can't go on."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. It has one thread: nothing in it may wait for another, or for a file."""

    def __init__(self) -> None:
        self._instant = 0.0
        self._turns = 0
        super().__init__()

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._instant

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As any loop's, without what helps to find mistakes."""
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    # There is no other thread to be woken from.
    call_soon_threadsafe = call_soon

    @property
    def _queue(self) -> deque[asyncio.Handle]:
        queue: deque[asyncio.Handle] = vars(self)["_ready"]
        return queue

    def _run_once(self) -> None:
        """One turn, as `asyncio.BaseEventLoop` makes it, but where that would look for files, time leaps."""
        loop: Any = self
        ready, timers = loop._ready, loop._scheduled
        while timers and timers[0].cancelled():
            loop._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        if ready or loop._stopping:
            self._turns += 1
            if self._turns > _MOST_TURNS:
                raise Standstill(f"Running in circles after {self._instant:.3f} s.")
        elif timers:
            self._turns = 0
            self._instant = max(self._instant, timers[0].when())
        else:
            raise Standstill(f"Nothing will ever happen any more, after {self._instant:.3f} s.")
        while timers and timers[0].when() <= self._instant:
            handle = heapq.heappop(timers)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()


class VirtualClock:
    """A clock on virtual time; see `tidings.contracts.Clock`.

    Attributes:
        offset_seconds: By how much it is ahead of what it was set to. May jump.

    Args:
        loop: Whose time.
        start: The first instant, aware UTC.
    """

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start
        self._at = -1.0
        self._now = start
        self.offset_seconds = 0.0

    def now(self) -> datetime:
        at = self._loop.time() + self.offset_seconds
        if at != self._at:
            self._at, self._now = at, self._start + timedelta(seconds=at)
        return self._now

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, instant: datetime) -> None:
        """Sleep until an instant; not at all where it is past."""
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))


class InlineDatabase(SqliteDatabase):
    """A database whose transactions run in the loop's own thread, and which can die with its process.

    It has one connection, which need not ask at each step whether others have changed something.

    Attributes:
        is_dead: Set where the process was killed: from then on nothing is read and written any more.
    """

    def __init__(self, url: str, *, synchronous: str) -> None:
        super().__init__(url, synchronous=synchronous)
        self.is_dead = False

    async def read(self, work: Callable[[Connection], T], *, user_id: UserId | None = None) -> T:
        del user_id
        self._check()
        await asyncio.sleep(0)  # others get their turn, as they do while a thread reads
        self._check()
        with translated():
            return work(self._connection())

    async def write(self, work: Callable[[Connection], T]) -> T:
        return self.transact(work)

    def transact(self, work: Callable[[Connection], T], *, isolated: bool = True) -> T:
        self._check()
        self._connection()
        return super().transact(work, isolated=isolated)

    def start(self, job: Callable[[], None]) -> None:
        job()

    async def checkpoint(self) -> None:
        if not self.is_dead:
            self._connection().exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()

    @property
    def is_closed(self) -> bool:
        """Whether the process that it belonged to has ended in good order."""
        return self._open is not None and self._open.closed

    def die(self, work: Callable[[Connection], T]) -> T:
        """The process is killed; returns what `work` finds on the disk."""
        self.is_dead = True
        return work(self._connection())

    def _connection(self) -> Connection:
        if self._open is None:
            self._open = self._writer.connect()
            for pragma in ("locking_mode=EXCLUSIVE", f"cache_size=-{_CACHE_KIB}"):
                self._open.exec_driver_sql(f"PRAGMA {pragma}")
        return self._open

    def _check(self) -> None:
        if self.is_dead:
            raise Unavailable("The process was killed.")
