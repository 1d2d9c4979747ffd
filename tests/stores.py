"""A database in a file of its own, with its writer and a clock that stands still."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from tidings import schema
from tidings.accounts import User, add_user
from tidings.database import Database
from tidings.health import Health
from tidings.testing.clock import FakeClock
from tidings.writer import Writer

T = TypeVar("T")


@dataclasses.dataclass
class Store:
    database: Database
    writer: Writer
    clock: FakeClock

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self.writer.run_unit(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.database.read(work)

    async def add_user(self, name: str, *, is_admin: bool = False) -> User:
        now = self.clock.now()
        return await self.write(
            lambda connection: add_user(connection, name=name, is_admin=is_admin, now=now)
        )


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    clock = FakeClock()
    database = Database(f"sqlite+aiosqlite:///{folder / 'tidings.db'}", synchronous="OFF")
    await database.write(schema.metadata.create_all)
    health = Health(clock, structlog.get_logger()).component("database")
    writer = Writer(database, health, clock.monotonic)
    try:
        yield Store(database, writer, clock)
    finally:
        writer.close()
        await writer.drained()
        await database.close()


def stored_bytes(folder: Path) -> bytes:
    """Everything that lies on disk."""
    return b"".join(path.read_bytes() for path in folder.iterdir())
