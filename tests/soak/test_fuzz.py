"""Whatever is sent, signed or not, the answer is never a 5xx."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

import deliveries
import fuzz
from tidings.testing.readers import connected
from tidings.testing.server import LiveServer, live_server
from tidings_transports.closes import CLOSES

REQUESTS = 2_000
QUERY = ["after", "before", "limit", "types", "platforms", "last", "hours", "userId", "ticket", "x"]
INVALID = {1007}  # RFC 6455: text that is no UTF-8, as the protocol's own layer says
SEED = int(os.environ.get("TIDINGS_SOAK_SEED", "20261123"))
CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
limits: {api: unlimited, sessions: unlimited, webhooks: unlimited}
plugins:
  connectors: {github: {}}
  transports: {sse: {}, websocket: {messages: 100000/1m}}
  bus: {local: {}}
  extras: {dashboard: {}}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, CONFIG) as running:
        yield running


async def _all(requests: list[Any]) -> Counter[int]:
    counted: Counter[int] = Counter()
    for start in range(0, len(requests), 50):
        answers = await asyncio.gather(*requests[start : start + 50])
        counted.update(answer.status_code for answer in answers)
    return counted


def _failures(server: LiveServer) -> list[str]:
    return [str(line.get("exception")) for line in server.logged if line["event"] == "request_failed"]


@pytest.mark.parametrize("signed", [True, False])
async def test_random_webhooks_never_give_a_5xx(server: LiveServer, signed: bool) -> None:
    chance = random.Random(SEED)
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    requests = []
    for _ in range(REQUESTS):
        body, headers = fuzz.body(chance), fuzz.headers(chance)
        if signed:
            headers.append((b"x-hub-signature-256", deliveries.signature(hook.secret, body).encode()))
        requests.append(server.client.post(hook.path, content=body, headers=headers))
    counted = await _all(requests)
    print(counted)
    assert not [status for status in counted if status >= 500], _failures(server)
    assert (counted[200] > REQUESTS / 8) is signed
    # What was stored can be read, by API and stream alike.
    token = await server.add_token(alice)
    page = await server.client.get("/api/events?limit=500", headers={"authorization": f"Bearer {token}"})
    assert page.status_code == 200
    assert len(page.json()["events"]) == min(500, (await server.services.journal.head(alice.id)).seq)


async def test_random_api_requests_never_give_a_5xx(server: LiveServer) -> None:
    chance = random.Random(SEED)
    boss = await server.add_user("boss", is_admin=True)
    token = (b"authorization", f"Bearer {await server.add_token(boss, 'admin')}".encode())
    paths = [
        "GET /api/me", "GET /api/events", "GET /api/reading", "PUT /api/reading", "GET /api/activity",
        "POST /api/sse/send", "POST /api/sse/send", "POST /api/sse/broadcast",
        "GET /api/sse/stats", "GET /api/tokens", "POST /api/tokens", "DELETE /api/tokens/{}",
        "POST /api/tickets", "POST /api/logout", "GET /api/health", "GET /metrics", "GET /login/{}", "GET /{}",
        "POST /api/webhooks/{}/{}", "GET /static/dashboard/{}",
    ]  # fmt: skip
    requests = []
    for _ in range(REQUESTS):
        pieces = [quote(_piece(chance), safe="") for _ in range(2)]
        usual, template = chance.choice(paths).split(" ")
        path = template.format(*pieces)
        query = "&".join(
            f"{chance.choice(QUERY)}={quote(_piece(chance), safe='*,')}" for _ in range(chance.randrange(4))
        )
        headers = [one for one in fuzz.headers(chance) if one[0] != b"authorization"]
        if chance.random() < 0.8:
            headers.append(token)
        if chance.random() < 0.8:
            headers = [one for one in headers if one[0] != b"content-type"]
            headers.append((b"content-type", b"application/json"))
        method = usual if chance.random() < 0.9 else chance.choice(["PUT", "OPTIONS", "HEAD", "PATCH"])
        content = _message(chance) if chance.random() < 0.5 else fuzz.body(chance)
        requests.append(server.client.request(method, f"{path}?{query}", headers=headers, content=content))
    counted = await _all(requests)
    print(counted)
    assert not [status for status in counted if status >= 500], _failures(server)


async def test_random_websocket_messages_never_find_a_defect(server: LiveServer) -> None:
    chance = random.Random(SEED)
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice, "read", "send")
    counted: Counter[int | str] = Counter()
    for number in range(REQUESTS // 20):
        async with connected(server, token if chance.random() < 0.8 else "") as socket:
            try:
                for _ in range(20):
                    await socket.send(fuzz.message(chance))
                    if chance.random() < 0.1:  # events come in between
                        body = deliveries.push(number)
                        assert (await deliveries.send(server.client, hook, body)).status_code == 200
                await socket.send('{"type": "ping", "id": "last"}')
                while (answer := json.loads(await socket.recv())) != {"type": "pong", "id": "last"}:
                    counted[answer["type"]] += 1
            except ConnectionClosed as closed:
                assert closed.rcvd is not None  # it was not cut off without a word
                counted[closed.rcvd.code] += 1
    print(counted)
    codes = {close.code for close in CLOSES if close.reason not in {"failed", "unavailable", "restart"}}
    assert {one for one in counted if isinstance(one, int)} <= codes | INVALID
    assert counted.keys() >= {"ack", "error", "pong", "event", 4401}
    assert [line for line in server.logged if line["level"] in {"error", "critical"}] == []


def _piece(chance: random.Random) -> str:
    text = chance.choice(
        [
            "1", "0", "-1", "99999999999999999999", "9" * 3000, "a-1", "abc-9223372036854775807", "x", "%", "..",
            "com.github.*", "*a" * 40, "é", "\0", "\n", " ", "whk" + "a" * 24, "true", "1e3", "github",
        ]
    )  # fmt: skip
    return text or "x"


def _message(chance: random.Random) -> bytes:
    fields = {chance.choice(["title", "text", "url", "x"]): fuzz.value(chance) for _ in range(4)}
    message = {"title": "x", **fields} if chance.random() < 0.7 else fuzz.value(chance)
    wish: dict[str, Any] = {"message": message}
    if chance.random() < 0.3:
        wish["userId"] = fuzz.value(chance)
    return json.dumps(wish).encode()
