"""Adds users u1…uN in one transaction: `python add_users.py CONFIG COUNT`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from tidings.accounts import add_user
from tidings.config import load
from tidings.engines import open_database
from tidings.migrate import ensure_schema


async def main(config: Path, count: int) -> None:
    database = open_database(load(config).database)
    await ensure_schema(database)
    now = datetime.now(UTC)

    def add(connection: Connection) -> None:
        for number in range(1, count + 1):
            add_user(connection, name=f"u{number}", is_admin=number == 1, now=now)

    await database.write(add)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
