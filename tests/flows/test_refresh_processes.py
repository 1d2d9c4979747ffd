"""One redemption a token, among tasks and processes, on real sockets and one database; also if they are killed."""

import asyncio
import dataclasses
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select

import refresh_process
import refreshes
from refresh_process import Orders
from stores import placed
from tidings import schema
from tidings.accounts import add_user
from tidings.clock import SystemClock
from tidings.database import Database
from tidings.engines import open_database
from tidings.event import UserId
from tidings.grants import Grant, find_grant
from tidings.redemptions import LEASE_SECONDS, PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("every_database")

PROCESSES = 4
CALLERS = 50
ROUNDS = 5


@dataclasses.dataclass
class Platform:
    """A provider with rotating single-use tokens behind a real HTTP server, and a grant that it gave."""

    database_url: str
    url: str
    grant_id: str
    user_id: UserId
    database: Database
    endpoint: refreshes.Endpoint

    def orders(self, **more: Any) -> Orders:
        return Orders(self.database_url, f"{self.url}/token", self.grant_id, self.user_id, **more)

    async def run(self, **more: Any) -> dict[str, Any]:
        """Run a process to its end; what it said."""
        code, said = await self.started(**more)
        assert code == 0
        return json.loads(said)  # type: ignore[no-any-return]  # what `refresh_process` prints

    async def started(self, **more: Any) -> tuple[int, bytes]:
        orders = json.dumps(dataclasses.asdict(self.orders(**more)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, refresh_process.__file__, orders, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said

    async def grant(self) -> Grant:
        return await self.database.read(lambda sql: find_grant(sql, self.grant_id, user_id=self.user_id))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    clock = SystemClock()
    endpoint = refreshes.Endpoint(clock)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        fields = parse_qs((await reader.readexactly(length)).decode())
        endpoint.sent.append(fields["refresh_token"][0])
        answer = endpoint.handle(endpoint.sent[-1])
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (answer.status, len(answer.body), answer.body)
        )
        await writer.drain()
        writer.close()

    stack = AsyncExitStack()
    database_url = await stack.enter_async_context(placed(tmp_path))
    database = open_database(database_url)
    now = clock.now()
    user = await database.write(lambda sql: add_user(sql, name="alice", is_admin=False, now=now))
    grant = await database.write(lambda sql: refreshes.saved(sql, user.id, endpoint.first(), clock))
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield Platform(database_url, f"http://{host}:{port}", grant.id, user.id, database, endpoint)
    finally:
        server.close()
        await database.close()
        await stack.aclose()


async def test_fifty_callers_in_each_of_four_processes_redeem_each_token_once(platform: Platform) -> None:
    said = await asyncio.gather(*[platform.run(callers=CALLERS, rounds=ROUNDS) for _ in range(PROCESSES)])
    got = [tuple(token) for one in said for token in one["got"]]
    assert len(got) == PROCESSES * CALLERS * ROUNDS
    assert {problem for _, _, problem in got} == {""}
    version = (await platform.grant()).version
    assert version >= 1 + ROUNDS
    # Each token was sent once and taken once, and each but the last was redeemed.
    assert Counter(platform.endpoint.sent) == platform.endpoint.redeemed
    assert set(platform.endpoint.redeemed.values()) == {1}
    assert len(platform.endpoint.sent) == version - 1
    assert sum(one["outcomes"].count("done") for one in said) == version - 1
    # Nobody got a token older than wanted.
    for one in said:
        wanted = [1 + place // CALLERS for place in range(len(one["got"]))]
        assert all(number > than for than, (_, number, _) in zip(wanted, one["got"], strict=True))
    # One version has one token.
    assert len({text for text, _, _ in got}) == len({number for _, number, _ in got})


async def test_a_kill_between_answer_and_commit_ends_in_needs_reauth_after_one_retry(
    platform: Platform,
) -> None:
    assert (await platform.started(dies=True))[0] == -signal.SIGKILL
    assert platform.endpoint.redeemed == {"refresh-1": 1}
    row = await platform.database.read(lambda sql: sql.execute(select(schema.grants)).one())
    assert (row.version, row.refresh_attempts, row.refresh_started_at is None) == (1, 1, False)

    ahead = LEASE_SECONDS + 1
    said = await platform.run(ahead_seconds=ahead)
    assert said["outcomes"] == ["refused"]
    assert platform.endpoint.sent == ["refresh-1", "refresh-1"]
    assert (await platform.grant()).state == "ok"

    said = await platform.run(ahead_seconds=ahead + PATIENCE_SECONDS + 10)
    assert said["outcomes"] == ["crash_lost"]
    assert 'tidings_token_refreshes_total{outcome="crash_lost",provider="acme"} 1.0' in said["metrics"]
    (reason,) = said["parks"]
    assert "never reached us" in reason
    grant = await platform.grant()
    assert (grant.state, grant.reason) == ("needs_reauth", reason)

    said = await platform.run(ahead_seconds=ahead + 1000)
    assert said["got"] == [["", 0, f"AuthExpired: {reason}"]]
    assert platform.endpoint.sent == ["refresh-1", "refresh-1"]
    assert said["parks"] == []


async def test_a_kill_between_answer_and_commit_costs_nothing_where_the_platform_gives_grace(
    platform: Platform,
) -> None:
    platform.endpoint.grace_seconds = 300
    assert (await platform.started(dies=True))[0] == -signal.SIGKILL
    said = await platform.run(ahead_seconds=LEASE_SECONDS + 1)
    assert said["got"] == [["access-2", 2, ""]]
    assert platform.endpoint.redeemed == {"refresh-1": 1}
    assert ((await platform.grant()).state, (await platform.grant()).version) == ("ok", 2)
