"""With PostgreSQL away nothing acknowledged is lost, streams stay open, and all heals when it is back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import deliveries
import stores
from postgres_server import PostgresServer, postgres_server
from tidings.testing.server import Hook, LiveServer
from tidings.testing.streams import open_stream


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A PostgreSQL that no other test uses, to be stopped."""
    with postgres_server() as server:
        monkeypatch.setattr(stores, "server", server)
        yield server


async def test_postgresql_away_is_a_503_and_heals_without_a_restart(
    tmp_path: Path, config: str, own_server: PostgresServer
) -> None:
    async with stores.live(tmp_path, config) as server:
        alice = await server.add_user("alice")
        hook = await server.add_hook(alice, "github")
        token = await server.add_token(alice)
        async with open_stream(server.client, token) as stream:
            acknowledged = []
            for serial in range(3):
                answer = await deliveries.send(server.client, hook, deliveries.push(serial))
                acknowledged.append((answer.status_code, serial))
            streamed = await stream.events(3)

            await asyncio.to_thread(own_server.stop)
            refused = await deliveries.send(server.client, hook, deliveries.push(3), delivery="again")
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert own_server.password not in refused.text
            health = await server.client.get("/api/health")
            assert (health.status_code, health.json()["status"]) == (503, "unavailable")
            read = await server.client.get("/api/events", headers={"authorization": f"Bearer {token}"})
            assert read.status_code == 503
            for _ in range(3):
                await stream.heartbeat()

            await asyncio.to_thread(own_server.start)
            answer = await _until_taken(server, hook)
            assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}
            streamed += await stream.events(1)
            assert (await server.client.get("/api/health")).json()["status"] == "ok"
        assert [code for code, _ in acknowledged] == [200] * 3
        assert [int(frame.json()["sequence"]) for frame in streamed] == [1, 2, 3, 4]


async def _until_taken(server: LiveServer, hook: Hook) -> httpx.Response:
    async with asyncio.timeout(30):
        while True:
            answer = await deliveries.send(server.client, hook, deliveries.push(3), delivery="again")
            if answer.status_code == 200:
                return answer
            await asyncio.sleep(0.05)
