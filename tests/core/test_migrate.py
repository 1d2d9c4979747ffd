from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

from tidings.database import Database
from tidings.engines import open_database
from tidings.errors import Conflict
from tidings.migrate import current, ensure_schema, revisions
from tidings.schema import metadata


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite+aiosqlite:///{tmp_path / 'folder' / 'tidings.db'}", synchronous="OFF")
    yield database
    await database.close()


def _shape(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                (one["name"], str(one["type"]), one["nullable"], one["primary_key"])
                for one in inspector.get_columns(table)
            ],
            "indexes": sorted(
                (one["name"], one["column_names"], one["unique"]) for one in inspector.get_indexes(table)
            ),
            "unique": sorted(
                (one["name"], one["column_names"]) for one in inspector.get_unique_constraints(table)
            ),
            "key": inspector.get_pk_constraint(table),
            "rowid": "WITHOUT ROWID" in _sql(connection, table),
        }
        for table in sorted(inspector.get_table_names())
        if table != "alembic_version"
    }


def _sql(connection: Connection, table: str) -> str:
    statement = "SELECT sql FROM sqlite_master WHERE name = ?"
    return str(connection.exec_driver_sql(statement, (table,)).scalar_one())


async def test_migrations_make_the_very_tables_that_the_schema_names(
    database: Database, tmp_path: Path
) -> None:
    assert await ensure_schema(database)
    wanted = open_database(f"sqlite+aiosqlite:///{tmp_path / 'wanted.db'}", synchronous="OFF")
    try:
        await wanted.write(metadata.create_all)
        assert await database.read(_shape) == await wanted.read(_shape)
    finally:
        await wanted.close()


async def test_a_second_start_has_nothing_to_do(database: Database) -> None:
    assert await ensure_schema(database)
    assert not await ensure_schema(database)
    assert await database.read(current) == revisions()[-1]


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    await ensure_schema(database)
    await database.write(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    )
    with pytest.raises(Conflict, match=r"has schema 9999.*nothing was changed"):
        await ensure_schema(database)


async def test_a_migration_that_fails_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_config: Any, _revision: str) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("alembic.command.upgrade", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        await ensure_schema(database)
    assert await database.read(lambda connection: inspect(connection).get_table_names()) == []


def test_tables_with_a_persons_data_start_with_the_user() -> None:
    without = {"users", "settings", "provisions", "budgets", "rates"}
    for table in metadata.tables.values():
        if table.name not in without:
            assert next(iter(table.columns)).name == "user_id", table.name
