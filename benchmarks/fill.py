"""Fills user u1's journal with COUNT messages, straight into the database: `python fill.py CONFIG COUNT`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, update

from tidings.accounts import resolve_user
from tidings.config import load
from tidings.engines import open_database
from tidings.rowsets import insert_rows
from tidings.schema import events, journals, to_stored

_CHUNK = 20_000
_DATA = '{"title":"Event %d","text":"' + "x" * 200 + '","url":"","actor":{"name":"u1","avatar_url":""}}'


async def main(config: Path, count: int) -> None:
    database = open_database(load(config).database)
    columns = tuple(column.name for column in events.columns)
    now = to_stored(datetime.now(UTC))

    def fill(connection: Connection, start: int) -> None:
        user_id = resolve_user(connection, "u1").id
        insert_rows(
            connection,
            events,
            columns,
            [
                (
                    user_id, seq, f"tidings:message:{seq}", "", "org.tidings.message", "//tidings/messages", "", now,
                    now, "tidings", "api", _DATA % seq,
                )
                for seq in range(start + 1, min(start + _CHUNK, count) + 1)
            ],
        )  # fmt: skip
        connection.execute(
            update(journals).where(journals.c.user_id == user_id).values(head=min(start + _CHUNK, count))
        )

    for start in range(0, count, _CHUNK):
        await database.write(lambda connection, start=start: fill(connection, start))
        await database.checkpoint()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
