"""A database in a file of its own, with its writer and a clock that stands still."""

import asyncio
import dataclasses
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from broker import Broker
from postgres_server import PostgresServer
from tidings import schema
from tidings.accounts import User, add_user
from tidings.database import Database
from tidings.engines import open_database
from tidings.health import Health
from tidings.testing.blank import write_blank
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings.writer import Writer

T = TypeVar("T")


@dataclasses.dataclass
class Store:
    database: Any  # a Database; tests look inside
    writer: Writer
    clock: FakeClock
    refusing: list[str] = dataclasses.field(default_factory=list)  # tables

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self.writer.run_unit(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.database.read(work)

    async def refuse(self, table: str, condition: str) -> None:
        """Let the database refuse rows of which this is true; for as long as the store is open."""
        if self.database.url.get_backend_name() == "sqlite":
            sql = (
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN NEW.{condition} "
                "BEGIN SELECT RAISE(ABORT, 'no luck'); END"
            )
        else:
            sql = f"ALTER TABLE {table} ADD CONSTRAINT refuse CHECK (NOT {condition})"
            self.refusing.append(table)
        await self.write(lambda connection: connection.exec_driver_sql(sql))

    async def stored(self) -> bytes:
        """Everything that lies on disk."""
        if self.database.url.get_backend_name() == "sqlite":
            return stored_bytes(self.database.path.parent)

        def everything(connection: Connection) -> bytes:
            rows = [
                row for table in schema.metadata.tables.values() for row in connection.execute(table.select())
            ]
            return b"\n".join(
                value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
            )

        return await self.read(everything)

    async def add_user(self, name: str, *, is_admin: bool = False) -> User:
        now = self.clock.now()
        return await self.write(
            lambda connection: add_user(connection, name=name, is_admin=is_admin, now=now)
        )


#: The server on which `opened` makes databases; None for files. See the fixture `every_database`.
server: PostgresServer | None = None
#: The broker by which `live` servers wake one another there; None for the local bus.
broker: Broker | None = None
_subjects = itertools.count()


@asynccontextmanager
async def placed(folder: Path) -> AsyncIterator[str]:
    """The URL of a database with tables and nothing in them."""
    if server is not None:
        async with server.database() as url:
            yield url
        return
    path = folder / "tidings.db"
    write_blank(path)
    yield f"sqlite+aiosqlite:///{path}"


def with_our_clock(url: str) -> Database:
    """A test's clock is its own, so the database's does not count."""
    return open_database(url, synchronous="OFF", keeps_time=False)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    async with placed(folder) as url, _at_work(with_our_clock(url)) as store:
        if server is not None:
            store.clock.join(partial(at_rest, store.database))
        yield store
        for table in store.refusing:
            await store.write(partial(_accept, table))


@asynccontextmanager
async def _at_work(database: Database) -> AsyncIterator[Store]:
    clock = FakeClock()
    health = Health(clock, structlog.get_logger()).component("database")
    writer = Writer(database, health, clock.monotonic)
    try:
        yield Store(database, writer, clock)
    finally:
        writer.close()
        await writer.drained()
        await database.close()


@asynccontextmanager
async def live(folder: Path, config: str, **options: Any) -> AsyncIterator[LiveServer]:
    """A server at work (see `live_server`) on a database where `opened` makes them."""
    if server is None:
        async with live_server(folder, config, **options) as running:
            yield running
    else:
        async with server.database() as url:
            on_server = config.replace("sqlite+aiosqlite:///tidings.db", "${TIDINGS_DATABASE}")
            if broker is not None:
                nats = f'nats: {{servers: ["{broker.url}"], subject: live.{next(_subjects)}}}'
                on_server = on_server.replace("bus: {local: {}}", f"bus: {{{nats}}}")
            environ = {**os.environ, "TIDINGS_DATABASE": url}
            async with live_server(folder, on_server, environ=environ, **options) as running:
                yield running


def is_working(database: Any) -> bool:
    """Whether something is under way that this loop need not wait for a thread for."""
    return bool(database._tasks if hasattr(database, "_tasks") else database._reading)


async def at_rest(*databases: Any) -> None:
    """Comes back once nothing is under way in PostgreSQL, nor follows from what was: a standing clock may move on."""
    for _ in range(1000):
        for _ in range(20):
            await asyncio.sleep(0)
        working = [task for one in databases for task in getattr(one, "_tasks", ())]
        if not working:
            return
        await asyncio.wait(working)


def _accept(table: str, connection: Connection) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT refuse")


def stored_bytes(folder: Path) -> bytes:
    """Everything that lies on disk."""
    return b"".join(path.read_bytes() for path in folder.iterdir())
