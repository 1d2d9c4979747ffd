"""SQLite: one connection that writes, under `BEGIN IMMEDIATE` and `synchronous=FULL`, and a few that read."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, StaticPool

from tidings.database import SHARED, Database, Translated
from tidings.event import UserId
from tidings.statements import run_sql, transact

_READERS = 4
_BUSY_TIMEOUT_SECONDS = 10
_CHECKPOINT_PATIENCE_SECONDS = 0.05  # a reader may keep the log from starting over; the next time will do
# The index pages that a busy hour touches; with SQLite's usual 2 MB each event reads them anew.
_WRITER_CACHE_KIB = 32 * 1024
# The log is copied by `checkpoint`, not inside a commit.
# Larger pages would halve the cost of big rows, but a batch for many users rewrites a page for each.
_PRAGMAS = (
    "journal_mode=WAL",
    "wal_autocheckpoint=0",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "journal_size_limit=67108864",
)
# What SQLite says when it is the disk, the file or another process that fails, and not the statement.
_ABSENT = (
    "database or disk is full",
    "disk I/O error",
    "database is locked",
    "unable to open database file",
    "attempt to write a readonly database",
    "database disk image is malformed",
    "file is not a database",
)
_MOST_LOG_FRAMES = 16_384  # of 4 KiB
_CONNECT_ARGS = {
    "isolation_level": None,
    "timeout": _BUSY_TIMEOUT_SECONDS,
    "check_same_thread": False,
    "cached_statements": 512,
}
T = TypeVar("T")


class SqliteDatabase(Database):
    """The engines of one database in a file.

    Args:
        url: SQLAlchemy URL: `sqlite+aiosqlite:////var/lib/tidings/tidings.db`.
        synchronous: SQLite's durability; anything but FULL gives up the promise that a 2xx means on disk.
    """

    has_thread: ClassVar[bool] = True

    def __init__(self, url: str, *, synchronous: str = "FULL") -> None:
        self.url: URL = make_url(url)
        # The writer has a thread of its own: a whole transaction is one hand-over there and one back, where
        # aiosqlite makes two for each statement (measured: 4x the time for a small transaction).
        self._writer = create_engine(
            self.url.set(drivername="sqlite"),
            poolclass=StaticPool,
            pool_reset_on_return=None,  # a transaction here always ends by itself
            isolation_level="AUTOCOMMIT",  # see `statements.transact`
            connect_args=_CONNECT_ARGS,
        )
        self._reader = create_async_engine(
            self.url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=_READERS,
            max_overflow=0,
            pool_timeout=60,
            connect_args=_CONNECT_ARGS,
        )
        _prepare(self._writer, "", synchronous, cache_kib=_WRITER_CACHE_KIB)
        _prepare(self._reader.sync_engine, "BEGIN", synchronous)
        self._reading: set[asyncio.Task[Any]] = set()
        self._shared: dict[str, Any] = {}
        event.listen(self._writer, "connect", self._connected)
        self._open: Connection | None = None  # the writer's; used in its thread alone
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tidings-writer")
        self._checkpointer = create_engine(
            self.url.set(drivername="sqlite"),
            poolclass=StaticPool,
            connect_args={**_CONNECT_ARGS, "timeout": _CHECKPOINT_PATIENCE_SECONDS},
        )
        self._checkpoint_thread = ThreadPoolExecutor(1, thread_name_prefix="tidings-checkpoint")
        _prepare(self._checkpointer, "", synchronous)

    def _connected(self, _connection: Any, record: Any) -> None:
        record.info[SHARED] = self._shared

    @property
    def path(self) -> Path:
        """The database's file."""
        return Path(self.url.database or "")

    @property
    def place(self) -> str:
        """See `Database.place`."""
        return str(self.path)

    async def read(self, work: Callable[[Connection], T], *, user_id: UserId | None = None) -> T:
        """See `Database.read`; SQLite leaves it to the statements whose rows they give."""
        del user_id
        reading = asyncio.create_task(self._read(work))
        self._reading.add(reading)
        reading.add_done_callback(self._read_ended)
        with translated():
            # A read that has begun is finished, also for a caller that was cancelled: to break one off costs the
            # connection, and aiosqlite can hang while it gives it up.
            return await asyncio.shield(reading)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._reader.connect() as connection:
            return await connection.run_sync(work)

    def _read_ended(self, reading: asyncio.Task[Any]) -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()  # seen, even if the caller has gone

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Database.write`; `work` runs in the writer's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.transact, work)

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in the writer's thread, behind what already waits for it."""
        self._thread.submit(job)

    def transact(self, work: Callable[[Connection], T], *, isolated: bool = True) -> T:
        """See `Database.transact`; whoever writes is alone anyway."""
        del isolated
        with translated():
            if self._open is None:
                self._open = self._writer.connect()
            try:
                return transact(self._open, work)
            except Exception as error:
                if is_absent(error):
                    # SQLite may have rolled back by itself (it does when the disk is full); start afresh.
                    self._open.invalidate()
                    self._open.close()
                    self._open = None
                raise

    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """See `Database.prepare`; makes the file too, where there is none."""
        create_file(self.path)
        return await self.write(work)

    def _close_writer(self) -> None:
        if self._open is not None:
            self._open.close()
        self._writer.dispose()

    async def checkpoint(self) -> None:
        """Move what was committed from SQLite's write-ahead log into the database file, beside the writer.

        SQLite would do it inside every so many commits, whose callers then wait 10 to 60 ms longer.

        Raises:
            Unavailable: The disk refuses.
        """
        loop = asyncio.get_running_loop()
        with translated():
            frames = await loop.run_in_executor(self._checkpoint_thread, self._copy_log, "PASSIVE")
            if frames > _MOST_LOG_FRAMES:
                # Under load without a pause the log never gets the instant it needs to start over; take one.
                await loop.run_in_executor(self._thread, self._copy_log, "RESTART")

    def _copy_log(self, mode: str) -> int:
        with self._checkpointer.connect() as connection:
            return int(connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})").one()[1])

    async def close(self) -> None:
        """Close every connection, once what is being read has been."""
        if self._reading:
            await asyncio.wait(self._reading)
        self._checkpoint_thread.submit(self._checkpointer.dispose).result()
        self._checkpoint_thread.shutdown()
        self._thread.submit(self._close_writer).result()
        self._thread.shutdown()
        await self._reader.dispose()


def _prepare(engine: Engine, begin: str, synchronous: str, *, cache_kib: int = 2048) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        try:
            cursor = connection.cursor()
            for pragma in (*_PRAGMAS, f"cache_size=-{cache_kib}", f"synchronous={synchronous}"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # the pool has not taken it over yet
            raise

    if begin:

        @event.listens_for(engine, "begin")
        def start(connection: Connection) -> None:
            run_sql(connection, begin, ())


def translated() -> Translated:
    """Turn failures of the database itself into `Unavailable`."""
    return Translated(is_absent, "Check the disk's free space and the file's owner.")


def is_absent(error: BaseException) -> bool:
    """Whether the database failed, rather than the statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    return isinstance(error, DatabaseError | sqlite3.DatabaseError) and any(
        phrase in text for phrase in _ABSENT
    )


def create_file(path: Path) -> None:
    """Create the database's file, if there is none, for its owner alone: it holds what people were told.

    SQLite gives its log the same mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
