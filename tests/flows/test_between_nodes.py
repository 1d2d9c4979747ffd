"""Two nodes on one PostgreSQL, with NATS between them: whatever is done at one counts at the other."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker import Broker
from deliveries import push, send
from postgres_server import PostgresServer
from push_service import Browser, PushService, serving, until
from tidings.api_tokens import list_tokens, revoke_token
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import open_stream

CONFIG = """\
server: {{public_url: "https://tidings.example.org"}}
database: ${{TIDINGS_DATABASE}}
limits: {{api: unlimited, sessions: unlimited}}
plugins:
  connectors: {{github: {{}}}}
  transports:
    sse: {{heartbeat: 90ms}}
    webpush: {{services: ["localhost:{port}"], allow_private: true, gather: 10ms, pace: 0s}}
  bus: {{nats: {{servers: ["{broker}"], subject: {subject}}}}}
"""
_subjects = itertools.count()


class Nodes:
    """Nodes of one installation; each can be started and stopped by itself."""

    def __init__(self, folder: Path, config: str, url: str) -> None:
        self._folder = folder
        self._config = config
        self._environ = {**os.environ, "TIDINGS_DATABASE": url}

    @asynccontextmanager
    async def node(self, name: str) -> AsyncIterator[LiveServer]:
        """One of them, with the keys of the first."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        for key in self._folder.glob("*.key"):
            shutil.copy(key, folder)
        async with live_server(folder, self._config, environ=self._environ) as server:
            for key in folder.glob("*.key"):
                shutil.copy(key, self._folder)
            yield server


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with serving() as service:
        yield service


@pytest.fixture
async def nodes(
    tmp_path: Path, postgres: PostgresServer, broker: Broker, service: PushService
) -> AsyncIterator[Nodes]:
    config = CONFIG.format(port=service.port, broker=broker.url, subject=f"nodes.{next(_subjects)}")
    async with postgres.database() as url:
        yield Nodes(tmp_path, config, url)


async def ask(node: LiveServer, token: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {token}"}
    answer = await node.client.request(method, path, json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def browser_at(node: LiveServer, token: str, service: PushService) -> Browser:
    browser = service.browser((await ask(node, token, "GET", "/api/push/key"))["key"])
    await ask(node, token, "POST", "/api/push/subscriptions", browser.shown())
    return browser


async def test_a_webhook_at_one_node_is_live_at_the_other(nodes: Nodes) -> None:
    async with nodes.node("one") as one, nodes.node("two") as two:
        alice = await one.add_user("alice")
        token, hook = await one.add_token(alice), await one.add_hook(alice, "github")
        async with open_stream(two.client, token) as stream:
            for serial in range(5):
                assert (await send(one.client, hook, push(serial))).status_code == 200
            assert [int(frame.json()["sequence"]) for frame in await stream.events(5)] == [1, 2, 3, 4, 5]
        assert (await send(two.client, hook, push(4))).json()["duplicate"], "the other node knows of it"


async def test_a_token_that_is_revoked_at_one_node_ends_its_streams_at_the_other(nodes: Nodes) -> None:
    async with nodes.node("one") as one, nodes.node("two") as two:
        alice = await one.add_user("alice")
        token = await one.add_token(alice)
        async with open_stream(two.client, token) as stream:
            (row,) = await one.services.database.read(lambda sql: list_tokens(sql, alice.id))
            began = two.services.clock.monotonic()
            await one.services.writer.run_unit(lambda sql: revoke_token(sql, row.id))
            async with asyncio.timeout(30):
                while (frame := await stream.next()).event != "closed":
                    pass
            assert frame.json()["reason"] == "revoked"
            assert two.services.clock.monotonic() - began < 5


async def test_a_device_that_subscribed_at_one_node_is_told_of_what_comes_to_the_other(
    nodes: Nodes, service: PushService
) -> None:
    async with nodes.node("one") as one, nodes.node("two") as two:
        alice = await one.add_user("alice")
        token, hook = await one.add_token(alice), await two.add_hook(alice, "github")
        browser = await browser_at(one, token, service)
        assert (await send(two.client, hook, push("there"))).status_code == 200
        await browser.wait_for(1)


async def test_what_a_page_in_view_shows_at_one_node_is_not_pushed_by_the_other(
    nodes: Nodes, service: PushService
) -> None:
    async with nodes.node("one") as one, nodes.node("two") as two:
        alice = await one.add_user("alice")
        token, hook = await one.add_token(alice, "read", "send"), await one.add_hook(alice, "github")
        browser = await browser_at(two, token, service)
        async with open_stream(one.client, token) as stream:
            # The load balancer sends what the page says to the node without its stream.
            await ask(two, token, "POST", "/api/push/presence", {"visible": True, "page": "a"})
            assert (await send(two.client, hook, push("seen"))).status_code == 200
            (frame,) = await stream.events(1)

            async def is_told() -> bool:
                (device,) = (await ask(two, token, "GET", "/api/push/subscriptions"))["subscriptions"]
                return bool(device["cursor"] == frame.id)

            async with asyncio.timeout(30):
                while not await is_told():
                    await asyncio.sleep(0.02)
            assert browser.received == []
            await ask(one, token, "POST", "/api/push/presence", {"visible": False, "page": "a"})
            assert (await send(two.client, hook, push("unseen"))).status_code == 200
            await browser.wait_for(1)


async def test_a_rolling_restart_loses_and_doubles_nothing(nodes: Nodes) -> None:
    """A client follows from node to node, with its last position alone, while webhooks keep coming."""
    told: list[int] = []
    position = "0"

    async def follow(node: LiveServer) -> None:
        nonlocal position
        async with open_stream(node.client, token, last_event_id=position) as stream:
            while (frame := await stream.next()).event != "closed":
                if frame.event == "webhook_received":
                    told.append(int(frame.json()["sequence"]))
                position = frame.id or position
            assert frame.json()["reason"] == "restart"

    async def sends(node: LiveServer, *serials: int) -> None:
        for serial in serials:
            assert (await send(node.client, hook, push(serial))).status_code == 200

    async with nodes.node("one") as one:
        alice = await one.add_user("alice")
        token, hook = await one.add_token(alice), await one.add_hook(alice, "github")
        async with nodes.node("two") as two:
            following = asyncio.create_task(follow(one))
            await sends(two, *range(10))
            one.stop()
            await following
            following = asyncio.create_task(follow(two))
            await sends(two, *range(10, 20))
            async with asyncio.timeout(30):
                while not one.stopped:
                    await asyncio.sleep(0.01)
            async with nodes.node("three") as three:
                await sends(three, *range(20, 30))
                two.stop()
                await following
                following = asyncio.create_task(follow(three))
                await sends(three, *range(30, 40))
                await until(lambda: len(told) >= 40, "everything to be told")
                three.stop()
                await following
    assert told == list(range(1, 41))


async def test_a_limit_of_the_api_is_one_for_all_nodes(
    tmp_path: Path, postgres: PostgresServer, broker: Broker, service: PushService
) -> None:
    config = CONFIG.format(port=service.port, broker=broker.url, subject=f"nodes.{next(_subjects)}")
    config = config.replace("api: unlimited, sessions: unlimited", "api: 6/15m, webhooks: 20/15m")
    async with postgres.database() as url:
        nodes = Nodes(tmp_path, config, url)
        async with nodes.node("one") as one, nodes.node("two") as two:
            alice = await one.add_user("alice")
            hook = await one.add_hook(alice, "github")
            headers = {"authorization": f"Bearer {await one.add_token(alice)}"}
            codes = []
            for number in range(10):
                node = (one, two)[number % 2]
                answer = await node.client.get("/api/me", headers=headers)
                codes.append(answer.status_code)
            assert codes == [200] * 6 + [429] * 4
            assert answer.headers["ratelimit-policy"] == '"api";q=6;w=900'
            assert 0 < int(answer.headers["retry-after"]) <= 900
            guessed, forged = dataclasses.replace(hook, secret="guessed"), []
            for number in range(30):
                node = (one, two)[number % 2]
                forged.append((await send(node.client, guessed, push(number))).status_code)
            # Each node sees to the first of an address by itself.
            assert forged == [401] * 22 + [429] * 8
            assert (await send(two.client, hook, push("signed"))).status_code == 200
