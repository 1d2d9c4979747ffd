"""The one task that writes: everything that waits is committed together.

A commit to disk costs the same for one event as for hundreds, so while one commit is under way the next
batch gathers (group commit). Nothing waits on purpose: a lone write is committed at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from tidings.database import Database
from tidings.errors import Unavailable
from tidings.health import Component

T = TypeVar("T")
P = TypeVar("P", contravariant=True)  # noqa: PLC0105 - one letter, as the others
R = TypeVar("R")

_LARGEST_BATCH = 256
_LONGEST_QUEUE = 20_000


class Merged(Protocol[P, R]):
    """Writes of one sort, done for many callers at once."""

    def execute(self, connection: Connection, payloads: Sequence[P]) -> Sequence[R | Exception]:
        """Write all payloads; one result, or one reason for refusing, for each.

        Runs in the database's thread, and may run again after a rollback, so it must do nothing but write.
        """

    def committed(self, results: Sequence[R | Exception], seconds: float) -> None:
        """The results are on disk; `seconds` is how long the transaction took."""


@dataclasses.dataclass(slots=True, eq=False)
class _Write(Generic[P, R]):
    sort: Merged[P, R]
    payload: P
    done: asyncio.Future[R]


class _Single:
    """Runs units of work one after the other."""

    def execute(self, connection: Connection, payloads: Sequence[Any]) -> Sequence[Any]:
        return [work(connection) for work in payloads]

    def committed(self, results: Sequence[Any], seconds: float) -> None:
        return


_SINGLE = _Single()


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
        self._queue: deque[_Write[Any, Any]] = deque()
        self._waiting = asyncio.Event()
        self._closed = False
        self._finished = asyncio.Event()

    @property
    def database(self) -> Database:
        """Where the writes go; for reading beside them."""
        return self._database

    def put(self, sort: Merged[P, R], payload: P) -> asyncio.Future[R]:
        """Queue a write; the future ends when it is on disk.

        Raises:
            Unavailable: The queue is full, or the server is shutting down. Nothing was stored.
        """
        if self._closed:
            raise Unavailable("The server is shutting down.", retry_after_seconds=5)
        if len(self._queue) >= _LONGEST_QUEUE:
            raise Unavailable("Too many writes are waiting for the disk.", retry_after_seconds=5)
        write = _Write(sort, payload, asyncio.get_running_loop().create_future())
        self._queue.append(write)
        self._waiting.set()
        return write.done

    async def run_unit(self, work: Callable[[Connection], T]) -> T:
        """Run one unit of work in a transaction; returns when it is on disk.

        Args:
            work: Writes on the connection and returns a result. It runs in another thread, and may run again
                after a rollback, so it must do nothing else.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """
        return await self.put(_SINGLE, work)

    async def run(self) -> None:
        """Write until `close`."""
        while True:
            if not self._queue:
                if self._closed:
                    self._finished.set()
                    return
                self._waiting.clear()
                await self._waiting.wait()
                continue
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), _LARGEST_BATCH))]
            await self._commit(batch)

    def close(self) -> None:
        """Take nothing more; `run` returns when all that waits is written."""
        self._closed = True
        self._waiting.set()

    async def drained(self) -> None:
        """Wait, after `close`, until all is written."""
        await self._finished.wait()

    async def _commit(self, batch: Sequence[_Write[Any, Any]]) -> None:
        try:
            await self._transaction(batch)
        except Unavailable as error:
            self._health.down(str(error))
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller whose write raised it
            if len(batch) == 1:
                _fail(batch, error)
                return
            # Somebody's write is at fault: each by itself, so that only the culprit is refused.
            for write in batch:
                await self._commit([write])
        else:
            self._health.up()

    async def _transaction(self, batch: Sequence[_Write[Any, Any]]) -> None:
        sorts: dict[Merged[Any, Any], list[_Write[Any, Any]]] = {}
        for write in batch:
            sorts.setdefault(write.sort, []).append(write)

        def work(
            connection: Connection,
        ) -> list[tuple[Merged[Any, Any], list[_Write[Any, Any]], Sequence[Any]]]:
            return [
                (sort, writes, sort.execute(connection, [write.payload for write in writes]))
                for sort, writes in sorts.items()
            ]

        started = self._monotonic()
        outcomes = await self._database.write(work)
        seconds = self._monotonic() - started
        for sort, writes, results in outcomes:
            for write, result in zip(writes, results, strict=True):
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


def _fail(batch: Sequence[_Write[Any, Any]], error: Exception) -> None:
    for write in batch:
        if not write.done.done():
            write.done.set_exception(error)
