"""Several servers on one database, and what the database itself uses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg

from harness import Server, cpu_seconds

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from broker import broker_in
from postgres_server import PostgresServer, postgres_server


class Nodes:
    """The servers at work on one database."""

    def __init__(self, servers: list[Server], postgres: PostgresServer | None, url: str) -> None:
        self.servers = servers
        self._postgres = postgres
        self._url = url

    def cpu_seconds(self) -> float:
        """What the servers have used so far."""
        return sum(server.cpu_seconds() for server in self.servers)

    def database_cpu_seconds(self) -> float:
        """What PostgreSQL has used so far, with all its processes; 0 for SQLite, whose work is the server's."""
        if self._postgres is None or self._postgres.process is None:
            return 0.0
        postmaster = self._postgres.process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return sum(cpu_seconds(int(pid)) for pid in (postmaster, *children))

    def events_stored(self) -> int:
        """How many rows there are."""
        if self._postgres is None:
            return self.servers[0].events_stored()
        return asyncio.run(self._count())

    async def _count(self) -> int:
        connection = await asyncpg.connect(self._url.replace("+asyncpg", ""))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM events"))
        finally:
            await connection.close()


@contextmanager
def at_work(
    folder: Path, *, users: int, database: str, count: int, transports: str = "{sse: {heartbeat: 15s}}"
) -> Iterator[Nodes]:
    """Started servers with that many users; PostgreSQL syncs its commits, as SQLite does."""
    with ExitStack() as stack:
        postgres, url = None, "sqlite+aiosqlite:///tidings.db"
        if database == "postgresql":
            postgres = stack.enter_context(postgres_server(durable=True))
            url = postgres.url(asyncio.run(postgres.create()))
        bus = "{local: {}}"
        if count > 1:
            broker = stack.enter_context(broker_in(folder / "nats"))
            bus = f'{{nats: {{servers: ["{broker.url}"]}}}}'
        servers = [
            Server(folder, transports, database=url, bus=bus, number=number) for number in range(count)
        ]
        servers[0].add_users(users)
        for server in servers:
            server.start()
            stack.callback(server.stop)
        yield Nodes(servers, postgres, url)
