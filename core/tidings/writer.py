"""The one that writes: everything that waits is committed together.

A commit to disk costs the same for one event as for hundreds, so while one commit is under way the next
batch gathers (group commit). Nothing waits on purpose: a lone write is committed at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from tidings.contracts import Item
from tidings.database import Database
from tidings.errors import Unavailable
from tidings.health import Component

T = TypeVar("T")
P = TypeVar("P", contravariant=True)  # noqa: PLC0105 - one letter, as the others
R = TypeVar("R")

_ANNOUNCED = "tidings.announced"
_SMALL_BATCH = 16  # is not divided
_LARGEST_BATCH = 256
_LONGEST_GIVEN_SECONDS = 0.005  # of the loop's time; a slow disk must not hold it up
_LONGEST_QUEUE = 20_000

_Ending = Callable[[], None]  # tells those who wait what became of their writes; runs in the loop


class Merged(Protocol[P, R]):
    """Writes of one sort, done for many callers at once."""

    def execute(self, connection: Connection, payloads: Sequence[P]) -> Sequence[R | Exception]:
        """Write all payloads; one result, or one reason for refusing, for each.

        Runs in the database's thread, and may run again after a rollback, so it must do nothing but write.
        """

    def committed(self, results: Sequence[R | Exception], seconds: float) -> None:
        """The results are on disk; `seconds` is how long the transaction took. Runs in the event loop."""


@dataclasses.dataclass(slots=True, eq=False)
class _Write(Generic[P, R]):
    sort: Merged[P, R]
    payload: P
    done: asyncio.Future[R]


def announce(connection: Connection, item: Item) -> None:
    """Append `item` to the journal at the end of this unit's transaction: both are committed, or neither."""
    connection.info.setdefault(_ANNOUNCED, []).append(item)


class Announcing(Protocol):
    """Appends what units of work announce: the journal."""

    def execute_items(self, connection: Connection, items: Sequence[Item]) -> Sequence[Any]:
        """Append items; runs in the database's thread."""

    def committed(self, results: Sequence[Any], seconds: float) -> None:
        """They are on disk. Runs in the event loop."""


class _Units:
    """Runs units of work one after the other."""

    def execute(self, connection: Connection, payloads: Sequence[Any]) -> Sequence[Any]:
        return [work(connection) for work in payloads]

    def committed(self, results: Sequence[Any], seconds: float) -> None:
        return


_ISOLATED = _Units()
_LOCKING = _Units()  # those that lock what they read
_UNITS = (_ISOLATED, _LOCKING)


@dataclasses.dataclass(slots=True, eq=False)
class _Lane:
    """Writes that are committed one after the other, or a few side by side.

    Attributes:
        at_once: How many transactions at most.
        largest: How many writes share one.
        busy: How many transactions there are.
        underway: How many writes are in them.
    """

    at_once: int
    largest: int
    queue: deque[_Write[Any, Any]] = dataclasses.field(default_factory=deque)
    busy: int = 0
    underway: int = 0


class Writer:
    """Takes writes from any task and commits them in order of arrival.

    Args:
        database: Where to.
        health: Told when the database goes down and comes back.
        monotonic: Seconds, for measuring.
    """

    def __init__(self, database: Database, health: Component, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._health = health
        self._monotonic = monotonic
        self._lanes: dict[Merged[Any, Any] | None, _Lane] = {}
        self._closed = False
        self._finished = asyncio.Event()
        self._journal: Announcing | None = None

    def announce_to(self, journal: Announcing) -> None:
        """Append to `journal` what units of work announce."""
        self._journal = journal

    @property
    def database(self) -> Database:
        """Where the writes go; for reading beside them."""
        return self._database

    @property
    def is_busy(self) -> bool:
        """Whether anything is being written, or waits for it."""
        return any(lane.busy for lane in self._lanes.values())

    def put(self, sort: Merged[P, R], payload: P) -> asyncio.Future[R]:
        """Queue a write; the future ends when it is on disk.

        Raises:
            Unavailable: The queue is full, or the server is shutting down. Nothing was stored.
        """
        if self._closed:
            raise Unavailable("The server is shutting down.", retry_after_seconds=5)
        lane = self._lane(sort)
        if len(lane.queue) >= _LONGEST_QUEUE:
            raise Unavailable("Too many writes are waiting for the disk.", retry_after_seconds=5)
        loop = asyncio.get_running_loop()
        write = _Write(sort, payload, loop.create_future())
        lane.queue.append(write)
        if lane.busy < lane.at_once:
            lane.busy += 1
            loop.call_soon(self._next, lane)  # with whatever else comes in this turn
        return write.done

    def _lane(self, sort: Merged[Any, Any]) -> _Lane:
        """The lane of a sort of writes: one for all where nothing can be written side by side anyway."""
        at_once = self._database.units_at_once
        key = None if at_once == 1 else sort
        lane = self._lanes.get(key)
        if lane is None:
            # What one unit has locked must not wait for what another wants.
            lane = _Lane(at_once, 1) if key in _UNITS else _Lane(1, _LARGEST_BATCH)
            self._lanes[key] = lane
        return lane

    async def run_unit(self, work: Callable[[Connection], T], *, isolated: bool = True) -> T:
        """Run one unit of work in a transaction; returns when it is on disk.

        Args:
            work: Writes on the connection and returns a result. It runs in another thread, and may run again
                after a rollback, so it must do nothing else.
            isolated: See `Database.transact`.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """
        return await self.put(_ISOLATED if isolated else _LOCKING, work)

    def close(self) -> None:
        """Take nothing more; what waits is still written."""
        self._closed = True
        self._finish()

    async def drained(self) -> None:
        """Wait, after `close`, until all is written."""
        await self._finished.wait()

    def _finish(self) -> None:
        if self._closed and not self.is_busy:
            self._finished.set()

    def _next(self, lane: _Lane, endings: Sequence[_Ending] = ()) -> None:
        """Hand what waits to the database, then tell what became of the last batch.

        A database with a thread of its own is given way until its statements have run: all that is left then is the
        commit, which does without Python's lock. Otherwise the loop and that thread would wrest the lock from each
        other at every statement.
        """
        most = len(lane.queue)
        gives_way = self._database.has_thread
        if gives_way:
            # Under load half of what is under way, so that the loop has the other half to do during the commit.
            # A server elsewhere leaves the loop time enough, and each transaction costs it round trips.
            most = max(_SMALL_BATCH, (most + lane.underway) // 2)
        batch = [lane.queue.popleft() for _ in range(min(len(lane.queue), most, lane.largest))]
        lane.underway = len(batch)
        if batch:
            executed = threading.Lock()  # held until then
            executed.acquire()
            loop = asyncio.get_running_loop()
            self._database.start(partial(self._write, loop, lane, batch, executed))
            # How long a unit takes, nobody knows.
            if gives_way and not all(write.sort in _UNITS for write in batch):
                executed.acquire(timeout=_LONGEST_GIVEN_SECONDS)
        for tell in endings:
            tell()
        if not batch:
            lane.busy -= 1
            self._finish()

    def _write(
        self,
        loop: asyncio.AbstractEventLoop,
        lane: _Lane,
        batch: Sequence[_Write[Any, Any]],
        executed: threading.Lock,
    ) -> None:
        """Commit a batch, where the database works."""

        def give_back() -> None:
            if executed.locked():  # not the second time, after a rollback
                executed.release()

        endings = self._commit(batch, give_back)
        give_back()
        loop.call_soon_threadsafe(self._next, lane, endings)

    def _commit(self, batch: Sequence[_Write[Any, Any]], executed: Callable[[], object]) -> list[_Ending]:
        """Write a batch in one transaction; returns how to tell it, for the loop.

        Args:
            batch: What to write.
            executed: Called when all that is left to do is to commit.
        """
        sorts: dict[Merged[Any, Any], list[_Write[Any, Any]]] = {}
        for write in batch:
            sorts.setdefault(write.sort, []).append(write)

        def work(connection: Connection) -> tuple[list[Sequence[Any]], Sequence[Any]]:
            connection.info.pop(_ANNOUNCED, None)  # by units that were rolled back
            results = [
                sort.execute(connection, [write.payload for write in writes])
                for sort, writes in sorts.items()
            ]
            announced: Sequence[Any] = ()
            if items := connection.info.pop(_ANNOUNCED, None):
                assert self._journal is not None
                announced = self._journal.execute_items(connection, items)
            executed()
            return results, announced

        started = self._monotonic()
        try:
            results, announced = self._database.transact(work, isolated=_ISOLATED in sorts)
        except Unavailable as error:
            return [partial(self._away, batch, error)]
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller whose write raised it
            if len(batch) == 1:
                return [partial(_fail, batch, error)]
            # Somebody's write is at fault: each by itself, so that only the culprit is refused.
            return [ending for write in batch for ending in self._commit([write], executed)]
        seconds = self._monotonic() - started
        endings: list[_Ending] = [
            partial(self._written, sort, writes, outcome, seconds)
            for (sort, writes), outcome in zip(sorts.items(), results, strict=True)
        ]
        if announced:
            assert self._journal is not None
            endings.append(partial(self._written, self._journal, (), announced, seconds))
        return endings

    def _written(
        self,
        sort: Merged[Any, Any] | Announcing,
        writes: Sequence[_Write[Any, Any]],
        results: Sequence[Any],
        seconds: float,
    ) -> None:
        self._health.up()
        for write, result in zip(writes, results, strict=bool(writes)):
            if write.done.done():
                continue  # the caller has gone; what it wrote stays
            if isinstance(result, Exception):
                write.done.set_exception(result)
            else:
                write.done.set_result(result)
        try:
            sort.committed(results, seconds)
        except Exception as error:  # noqa: BLE001 - what is on disk must not be written once more for it
            context = {"message": "A listener failed after a commit", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _away(self, batch: Sequence[_Write[Any, Any]], error: Unavailable) -> None:
        self._health.down(str(error))
        _fail(batch, error)


def _fail(batch: Sequence[_Write[Any, Any]], error: Exception) -> None:
    for write in batch:
        if not write.done.done():
            write.done.set_exception(error)
