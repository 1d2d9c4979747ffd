"""A whole server on NATS: what it says of its broker, and that its streams do without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker import Broker, broker_in
from certificates import Authority
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import open_stream

PASSWORD = "s3cret-of-the-broker"
CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited}}
plugins:
  transports: {{sse: {{heartbeat: 90ms}}}}
  bus:
    nats:
      servers: ["{url}"]
      user: tidings
      password: {password}
      tls: {{ca: {{file: ca.pem}}}}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    authority = Authority()
    certificate, key = authority.pair("broker").write(tmp_path, "broker")
    (tmp_path / "ca.pem").write_text(authority.certificate)
    config = f"""
    tls {{ cert_file: "{certificate}", key_file: "{key}" }}
    authorization {{ user: tidings, password: "{PASSWORD}" }}
    """
    with broker_in(tmp_path / "nats", config) as broker:
        yield broker


@pytest.fixture
async def server(tmp_path: Path, broker: Broker) -> AsyncIterator[LiveServer]:
    url = broker.url.replace("nats://", "tls://")
    async with live_server(tmp_path, CONFIG.format(url=url, password=PASSWORD)) as server:
        yield server


class Caller:
    """Someone with a token."""

    def __init__(self, server: LiveServer, token: str) -> None:
        self._client = server.client
        self._headers = {"authorization": f"Bearer {token}"}

    async def health(self) -> dict[str, Any]:
        health: dict[str, Any] = (await self._client.get("/api/health", headers=self._headers)).json()
        return health

    async def until(self, status: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while (health := await self.health())["status"] != status:
                await asyncio.sleep(0)
        return health

    async def send(self, title: str) -> httpx.Response:
        message = {"message": {"title": title}}
        return await self._client.post("/api/sse/send", json=message, headers=self._headers)


async def test_without_its_broker_a_node_says_so_and_its_streams_go_on(
    server: LiveServer, broker: Broker
) -> None:
    token = await server.add_token(await server.add_user("alice"), "read", "send")
    caller = Caller(server, token)
    async with open_stream(server.client, token) as stream:
        assert (await caller.until("ok"))["components"]["bus"]["status"] == "up"
        await caller.send("before")
        assert (await stream.event()).json()["data"]["title"] == "before"
        broker.stop()
        health = await caller.until("degraded")
        bus = health["components"]["bus"]
        assert (bus["status"], f"127.0.0.1:{broker.port}" in bus["reason"]) == ("down", True)
        assert (await server.client.get("/api/health/ready")).status_code == 200, "it serves on"
        await caller.send("during")
        assert (await stream.event()).json()["data"]["title"] == "during"
        async with open_stream(server.client, token, after="0") as late:
            titles = [frame.json()["data"]["title"] for frame in await late.events(2)]
            assert titles == ["before", "during"]
            broker.start()
            await caller.until("ok")
            await caller.send("after")
            for one in (stream, late):
                assert (await one.event()).json()["data"]["title"] == "after"
    said = [line for line in server.logged if line.get("component") == "bus"]
    assert [line["event"] for line in said][-1] == "component_recovered"
    assert len(said) < 20, "an outage is told once for each reason, not with each attempt"
    assert PASSWORD not in str(server.logged)
