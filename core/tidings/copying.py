"""A whole installation, from one database into another: ids, cursors and sealed secrets stay what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, tuple_

from tidings.database import Database
from tidings.errors import Conflict
from tidings.migrate import current, ensure_schema, revisions
from tidings.rowsets import insert_rows
from tidings.schema import metadata

_CHUNK_ROWS = 1000


async def copy(source: Database, target: Database) -> Mapping[str, int]:
    """Copy every row; nobody may write to either meanwhile.

    Returns:
        How many rows of each table.

    Raises:
        Conflict: The source has another schema than this version's, or the target is not empty.
        Unavailable: One of them can't be used. What was copied so far is taken out again.
    """
    found = await source.read(current)
    if found != revisions()[-1]:
        raise Conflict(
            f"{source.place} has schema {found or 'none'}, and this version of tidings copies {revisions()[-1]}. "
            "Run `tidings db upgrade` on it first."
        )
    await ensure_schema(target)
    if filled := await target.read(_filled):
        raise Conflict(f"{target.place} is not empty: {', '.join(filled)}. Copy into an empty database.")
    try:
        return {table.name: await _copy_table(source, target, table) for table in metadata.sorted_tables}
    except BaseException:
        await target.write(_empty)
        raise


async def _copy_table(source: Database, target: Database, table: Table) -> int:
    columns = tuple(column.name for column in table.columns)
    key = [columns.index(column.name) for column in table.primary_key.columns]
    after: Sequence[Any] | None = None
    copied = 0
    while rows := await source.read(partial(_chunk, table, after)):
        await target.write(partial(insert_rows, table=table, columns=columns, rows=rows))
        copied += len(rows)
        after = [rows[-1][place] for place in key]
    if (count := await target.read(partial(_count, table))) != copied:
        raise Conflict(
            f"{copied} rows of {table.name} were copied, and {count} are there: somebody else writes to "
            f"{target.place}. Stop every server of it, and copy again."
        )
    return copied


def _chunk(table: Table, after: Sequence[Any] | None, connection: Connection) -> list[tuple[Any, ...]]:
    key = list(table.primary_key.columns)
    statement = select(table).order_by(*key).limit(_CHUNK_ROWS)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    return [tuple(row) for row in connection.execute(statement)]


def _count(table: Table, connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _filled(connection: Connection) -> list[str]:
    return [
        table.name
        for table in metadata.sorted_tables
        if connection.execute(select(*table.primary_key.columns).limit(1)).first() is not None
    ]


def _empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(delete(table))
