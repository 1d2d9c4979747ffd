"""Makes a token with scopes read and send for each user u1…uN: `python add_tokens.py CONFIG COUNT`, one a line."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from tidings.accounts import resolve_user
from tidings.api_tokens import add_token
from tidings.config import load
from tidings.engines import open_database


async def main(config: Path, count: int) -> None:
    database = open_database(load(config).database)
    now = datetime.now(UTC)

    def add(connection: Connection) -> list[str]:
        return [
            add_token(connection, resolve_user(connection, f"u{number}"), scopes={"read", "send"}, now=now)[1]
            for number in range(1, count + 1)
        ]

    print("\n".join(await database.write(add)))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
