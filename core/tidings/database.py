"""The connection to the database, and all SQL that differs from one database to another.

SQLite gets two engines: one connection that writes, under `BEGIN IMMEDIATE` and `synchronous=FULL`, and a
few that read. Everything else in tidings is SQLAlchemy Core that PostgreSQL understands too.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, LargeBinary, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, StaticPool

from tidings.errors import Conflict, Unavailable
from tidings.statements import run_sql, transact

Insert = sqlite_insert  # has on_conflict_do_update, as PostgreSQL's has

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
_LARGEST_CHUNK = 64
_MOST_LOG_FRAMES = 16_384  # of 4 KiB
_CONNECT_ARGS = {
    "isolation_level": None,
    "timeout": _BUSY_TIMEOUT_SECONDS,
    "check_same_thread": False,
    "cached_statements": 512,
}
T = TypeVar("T")


class Database:
    """The engines of one database.

    What reads and writes are plain functions on a SQLAlchemy `Connection`: one call, one transaction.

    Args:
        url: SQLAlchemy URL: `sqlite+aiosqlite:////var/lib/tidings/tidings.db`.
        synchronous: SQLite's durability; anything but FULL gives up the promise that a 2xx means on disk.
    """

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
        self._open: Connection | None = None  # the writer's; used in its thread alone
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tidings-writer")
        self._checkpointer = create_engine(
            self.url.set(drivername="sqlite"),
            poolclass=StaticPool,
            connect_args={**_CONNECT_ARGS, "timeout": _CHECKPOINT_PATIENCE_SECONDS},
        )
        self._checkpoint_thread = ThreadPoolExecutor(1, thread_name_prefix="tidings-checkpoint")
        _prepare(self._checkpointer, "", synchronous)

    @property
    def path(self) -> Path:
        """The database's file."""
        return Path(self.url.database or "")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a short read transaction: one consistent snapshot.

        Raises:
            Unavailable: The database can't be reached.
            Exception: Whatever `work` raises.
        """
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
        """Run `work` in a transaction that is on disk when this returns.

        Inside the server all goes through the writer; the CLI beside a running server calls this directly.

        Args:
            work: Runs in the writer's thread.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.transact, work)

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in the writer's thread, behind what already waits for it."""
        self._thread.submit(job)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `write` does, for those who run in the writer's thread already (see `start`).

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """
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


class translated:  # noqa: N801 - reads as a verb: `with translated():`
    """Turns failures of the database itself into `Unavailable`; lets a statement's own failure pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and is_absent(error):
            cause = str(getattr(error, "orig", error)).splitlines()[0]
            raise Unavailable(
                f"The database can't be used now: {cause}. Check the disk's free space and the file's owner.",
                retry_after_seconds=10,
            ) from error


def is_absent(error: BaseException) -> bool:
    """Whether the database failed, rather than the statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    return isinstance(error, DatabaseError | sqlite3.DatabaseError) and any(
        phrase in text for phrase in _ABSENT
    )


def insert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    on_conflict: str = "",
) -> None:
    """Insert many rows, up to 64 with each statement: far fewer hand-overs of Python's lock than row by row.

    Args:
        connection: Inside a transaction.
        table: Where to.
        columns: What each row has.
        rows: The rows.
        on_conflict: What follows ON CONFLICT, as SQLite and PostgreSQL both understand it; "" for an error.
    """
    for start in range(0, len(rows), _LARGEST_CHUNK):
        chunk = rows[start : start + _LARGEST_CHUNK]
        run_sql(
            connection,
            _insert_sql(table, columns, len(chunk), on_conflict),
            tuple([value for row in chunk for value in row]),
        )


class LookUp(NamedTuple):
    """A question: the `columns` of the rows of `table` whose `key` columns equal one of `keys`."""

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    keys: Sequence[tuple[Any, ...]]


def look_up(connection: Connection, questions: Sequence[LookUp]) -> list[list[list[Any]]]:
    """Answer several questions with one statement, one index seek for each key.

    Each answer is a list of rows; a row can come more than once, and bytes come as upper-case hex. The answers
    come as JSON in one row, because Python's lock changes hands for every row that SQLite returns. Row values
    with IN would say it shorter, but SQLite answers them with a scan of the whole table.
    """
    answers: list[list[list[Any]]] = [[] for _ in questions]
    for start in range(0, max(len(question.keys) for question in questions), _LARGEST_CHUNK):
        sizes, values = [], []
        for question in questions:
            chunk = list(question.keys[start : start + _LARGEST_CHUNK])
            if chunk:
                # The last key again, up to a power of two: a few prepared statements serve every batch.
                chunk += [chunk[-1]] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
            sizes.append((question.table, question.key, question.columns, len(chunk)))
            values += [value for key in chunk for value in key]
        row = run_sql(connection, _look_up_sql(tuple(sizes)), tuple(values)).fetchone()
        for answer, found in zip(answers, row, strict=True):
            answer.extend(msgspec.json.decode(found))
    return answers


@lru_cache(maxsize=512)
def _insert_sql(table: Table, columns: tuple[str, ...], rows: int, on_conflict: str) -> str:
    insert = f"INSERT INTO {table.name} ({', '.join(columns)}) {_values(len(columns), rows)}"
    return f"{insert} ON CONFLICT {on_conflict}" if on_conflict else insert


@lru_cache(maxsize=1024)
def _look_up_sql(sizes: tuple[tuple[Table, tuple[str, ...], tuple[str, ...], int], ...]) -> str:
    tables, answers = [], []
    for place, (table, key, columns, rows) in enumerate(sizes):
        if not rows:
            answers.append("'[]'")
            continue
        names = ", ".join(f"k{number}" for number in range(len(key)))
        tables.append(f"q{place}({names}) AS ({_values(len(key), rows)})")
        same = " AND ".join(f"t.{column} = k{number}" for number, column in enumerate(key))
        wanted = ", ".join(_as_json(table, column) for column in columns)
        # CROSS JOIN keeps SQLite from turning the order round.
        found = f"FROM q{place} CROSS JOIN {table.name} AS t WHERE {same}"
        answers.append(f"(SELECT json_group_array(json_array({wanted})) {found})")
    return f"WITH {', '.join(tables)} SELECT {', '.join(answers)}"


def _as_json(table: Table, column: str) -> str:
    return f"hex(t.{column})" if isinstance(table.c[column].type, LargeBinary) else f"t.{column}"


def _values(columns: int, rows: int) -> str:
    return "VALUES " + ", ".join([f"({', '.join('?' * columns)})"] * rows)


def size_bytes(connection: Connection) -> int:
    """How large the database is, without what is free inside it."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return int(pages - free) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def integrity_problems(connection: Connection) -> list[str]:
    """What is broken inside the database file; reads all of it."""
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
    return [str(problem) for problem in found if problem != "ok"]


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """The server at work on a database.

    Attributes:
        url: Where this machine reaches it, without a proxy between.
        public_url: Where people and platforms reach it.
    """

    process_id: int
    url: str
    public_url: str


def create_file(path: Path) -> None:
    """Create the database's file, if there is none, for its owner alone: it holds what people were told.

    SQLite gives its log the same mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


class ServerLock:
    """Held by the one server of a SQLite database; a second one is refused.

    Args:
        path: The database's file; the lock lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self, *, url: str = "", public_url: str = "") -> None:
        """Take the lock, and note for other processes where this server is (see `Holder`).

        Raises:
            Conflict: Another server holds it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            holder = self.holder()
            raise Conflict(
                f"Another tidings server (process {holder.process_id if holder else 'unknown'}) already "
                f"uses {self._path.with_suffix('')}. Stop it, or give this one a database of its own: "
                "`database:` in its config.yaml."
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n{url}\n{public_url}\n".encode())
        self._file = file

    def release(self) -> None:
        """Let go; the file stays, so that nobody races to remove it."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        """The server that holds the lock, by its own note; None where that process is gone.

        Does not try the lock itself: a server that starts in that moment would be refused.
        """
        try:
            process_id, url, public_url = self._path.read_text("utf-8").splitlines()
            holder = Holder(int(process_id), url, public_url)
        except (OSError, ValueError):
            return None
        try:
            os.kill(holder.process_id, 0)
        except PermissionError:
            return holder  # somebody else's process, so there is one
        except OSError:
            return None
        return holder
