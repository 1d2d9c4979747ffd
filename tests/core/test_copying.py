"""An installation moves from one database to another whole, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, Table, insert, select

from postgres_server import PostgresServer
from tidings import copying as copying_module
from tidings.copying import copy
from tidings.database import Database
from tidings.engines import open_database
from tidings.errors import Conflict
from tidings.migrate import ensure_schema
from tidings.schema import metadata

ROWS = 25


def rows_of(table: Table) -> list[dict[str, Any]]:
    """Rows with every sort of value, some of them far out."""
    return [{column.name: value(column, number) for column in table.columns} for number in range(1, ROWS + 1)]


def value(column: Column[Any], number: int) -> Any:
    kind = column.type.python_type
    if column.nullable and number % 3 == 0:
        return None
    if kind is bytes:
        return bytes([number, 0, 255]) * 8
    if kind is str:
        return f"{column.name}\u2028'\"\\\N{SNOWMAN}-{number}"
    if kind is bool:
        return number % 2 == 0
    return number if column.name in {"id", "user_id"} else number * 10**15 if is_wide(column) else number


def is_wide(column: Column[Any]) -> bool:
    return isinstance(column.type, BigInteger)


def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for table in metadata.sorted_tables
    }


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def made(stack: AsyncExitStack, url: str) -> Database:
    database = open_database(url, synchronous="OFF")
    stack.push_async_callback(database.close)
    await ensure_schema(database)
    return database


async def filled(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    def fill(connection: Connection) -> None:
        for table in metadata.sorted_tables:
            connection.execute(insert(table), rows_of(table))

    await database.write(fill)
    return await database.read(everything)


async def test_what_is_copied_to_postgresql_and_back_is_the_same(
    tmp_path: Path, postgres: PostgresServer, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying_module, "_CHUNK_ROWS", 10)
    source = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    between = await made(stack, await stack.enter_async_context(postgres.database()))
    back = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'b.db'}")
    original = await filled(source)
    counts = await copy(source, between)
    assert counts == dict.fromkeys(original, ROWS)
    assert await between.read(everything) == original
    await copy(between, back)
    assert await back.read(everything) == original


async def test_a_database_with_something_in_it_is_left_alone(tmp_path: Path, stack: AsyncExitStack) -> None:
    source = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    target = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'b.db'}")
    kept = await filled(target)
    with pytest.raises(Conflict, match=r"b\.db is not empty: .*users.*\. Copy into an empty database"):
        await copy(source, target)
    assert await target.read(everything) == kept


async def test_a_copy_that_breaks_off_leaves_nothing(
    tmp_path: Path, postgres: PostgresServer, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    target = await made(stack, await stack.enter_async_context(postgres.database()))
    await filled(source)
    tables = iter(range(len(metadata.sorted_tables)))

    def insert_rows(*given: Any, **named: Any) -> None:
        if next(tables) == 7:
            raise ZeroDivisionError
        original(*given, **named)

    original = copying_module.insert_rows
    monkeypatch.setattr(copying_module, "insert_rows", insert_rows)
    with pytest.raises(ZeroDivisionError):
        await copy(source, target)
    assert not any((await target.read(everything)).values())


async def test_a_source_of_another_schema_is_refused(tmp_path: Path, stack: AsyncExitStack) -> None:
    source = open_database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    stack.push_async_callback(source.close)
    target = await made(stack, f"sqlite+aiosqlite:///{tmp_path / 'b.db'}")
    with pytest.raises(Conflict, match="has schema none, and this version of tidings copies"):
        await copy(source, target)
