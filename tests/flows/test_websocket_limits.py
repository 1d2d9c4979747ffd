"""How long, how large, how often and how many: the bounds of a WebSocket, and how each is told."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tidings.api_tokens import list_tokens, revoke_token
from tidings.contracts import Item
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings.testing.readers import closed, connected, say, told
from tidings.testing.server import LiveServer, live_server

_numbers = itertools.count()


@asynccontextmanager
async def serving(
    folder: Path, config: str, options: str, clock: FakeClock | None = None
) -> AsyncIterator[LiveServer]:
    mine = config.replace("websocket: {heartbeat: 90ms}", f"websocket: {{{options}}}")
    assert mine != config
    async with live_server(folder, mine, clock=clock) as server:
        yield server
        assert [line for line in server.logged if line["level"] in {"error", "critical"}] == []


async def _token(server: LiveServer) -> str:
    return await server.add_token(await server.add_user(f"user{next(_numbers)}"))


# --- messages -----------------------------------------------------------------------------------------------


async def test_a_message_may_be_as_long_as_the_operator_says(tmp_path: Path, config: str) -> None:
    async with serving(tmp_path, config, "max_message: 1KiB") as server:
        token = await _token(server)
        for last in ("x", "\u00e4"):  # bytes are counted, not characters
            room = 1024 - len(b'{"type":"ping","id":""}') - 1
            fits = json.dumps({"type": "ping"}).ljust(1023) + " "
            async with connected(server, token) as socket:
                await told(socket, "ack")
                await socket.send(fits)
                await told(socket, "pong")
                await socket.send(f'{{"type":"ping","id":"{"x" * (room - 1)}{last}x"}}')
                if last == "x":
                    assert (await told(socket, "error"))[
                        "code"
                    ] == "rejected"  # only because its id is too long
                    await socket.send(fits + " ")
                assert await closed(socket) == (1009, "too_large")


async def test_what_is_no_text_ends_it(server: LiveServer) -> None:
    token = await _token(server)
    async with connected(server, token) as socket:
        await socket.send(b"binary")
        assert await closed(socket) == (1003, "unsupported")
    async with connected(server, token) as socket:
        await socket.send(b"\xff\xfe", text=True)
        assert (await closed(socket))[0] == 1007
    async with connected(server, token) as socket:
        await socket.send("x" * 70_000)
        assert (await closed(socket))[0] == 1009


async def test_a_message_may_come_in_pieces(server: LiveServer) -> None:
    async with connected(server, await _token(server)) as socket:
        await told(socket, "ack")
        await socket.send(iter(['{"type":', '"ping","id"', ':"7"}']))
        assert await told(socket, "pong") == {"type": "pong", "id": "7"}


async def test_more_messages_than_allowed_end_it(tmp_path: Path, config: str) -> None:
    clock = FakeClock()
    async with serving(
        tmp_path, config, "messages: 5/1m, auth_timeout: 1h, idle_timeout: 1h", clock
    ) as server:
        token = await _token(server)
        async with connected(server, token) as socket, connected(server, token) as other:
            await told(socket, "ack")
            for turn in range(2):
                for number in range(5):
                    await say(socket, type="ping", id=f"{turn}{number}")
                    assert (await told(socket, "pong"))["id"] == f"{turn}{number}"
                await clock.advance(60 if turn == 0 else 59)
            await say(socket, type="ping")
            assert (await told(socket, "error"))["code"] == "rate_limited"
            assert await closed(socket) == (4429, "rate_limited")
            await told(other, "ack")
            await say(other, type="ping")  # each connection has a count of its own
            await told(other, "pong")


# --- connections --------------------------------------------------------------------------------------------


async def test_a_user_may_have_so_many_connections(tmp_path: Path, config: str) -> None:
    async with serving(tmp_path, config, "connections: 2") as server:
        token, others = await _token(server), await _token(server)
        async with connected(server, token) as first, connected(server, token) as second:
            await told(first, "ack")
            await told(second, "ack")
            async with connected(server, token) as third:
                assert (await told(third, "error"))["code"] == "too_many_streams"
                assert await closed(third) == (4430, "too_many_streams")
            async with connected(server) as fourth:
                await say(fourth, type="auth", token=token, id="a")
                assert (await told(fourth, "error"))["id"] == "a"
                assert await closed(fourth) == (4430, "too_many_streams")
            await say(first, type="auth", token=token)  # it is counted already
            await told(first, "ack")
            async with connected(server, others) as another:
                await told(another, "ack")
        (transport,) = [one for one in server.services.transports if one.name == "websocket"]
        async with asyncio.timeout(10):
            while transport._of_user:  # type: ignore[attr-defined]  # nothing else shows it
                await asyncio.sleep(0.01)
        async with AsyncExitStack() as stack:
            for _ in range(2):
                socket = await stack.enter_async_context(connected(server, token))
                await told(socket, "ack")


async def test_streams_beyond_the_limit_end_it(tmp_path: Path, config: str) -> None:
    limited = config.replace("limits: {", "limits: {streams: 1, ")
    async with live_server(tmp_path, limited) as server:
        token = await _token(server)
        async with connected(server, token) as first, connected(server, token) as second:
            for socket in (first, second):
                await told(socket, "ack")
                await say(socket, type="subscribe")
            await told(first, "ack")
            assert (await told(second, "error"))["code"] == "too_many_streams"
            assert await closed(second) == (4430, "too_many_streams")


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authenticated", [False, True])
async def test_who_does_not_subscribe_in_time_is_closed(
    tmp_path: Path, config: str, authenticated: bool
) -> None:
    clock = FakeClock()
    async with serving(tmp_path, config, "auth_timeout: 10s", clock) as server:
        token = await _token(server)
        async with (
            connected(server, token if authenticated else "") as socket,
            connected(server, token) as other,
        ):
            await told(other, "ack")
            await say(other, type="subscribe")
            await told(other, "ack")
            await clock.advance(7)
            await say(socket, type="ping")  # a sign of life is no subscription
            await told(socket, "ack" if authenticated else "pong")
            await clock.advance(6)
            assert await closed(socket) == (4408, "auth_timeout")
            await say(other, type="ping")
            await told(other, "pong")


async def test_a_wish_that_is_refused_does_not_count_as_a_subscription(tmp_path: Path, config: str) -> None:
    clock = FakeClock()
    async with (
        serving(tmp_path, config, "auth_timeout: 10s", clock) as server,
        connected(server, await _token(server)) as socket,
    ):
        await told(socket, "ack")
        await say(socket, type="subscribe", after="yesterday")
        assert (await told(socket, "error"))["code"] == "invalid_cursor"
        await clock.advance(13)
        assert await closed(socket) == (4408, "auth_timeout")


class Raw:
    """A client that answers the protocol's pings only if it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.pings = 0
        self.end: bytes | None = None

    async def read(self, *, answering: bool) -> None:
        while True:
            try:
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    length = int.from_bytes(await self.reader.readexactly(2), "big")
                data = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if first == 0x89:
                self.pings += 1
                if answering:
                    self.writer.write(b"\x8a\x80\0\0\0\0")
            elif first == 0x88:
                self.end = data


@asynccontextmanager
async def raw(server: LiveServer, token: str, *, answering: bool) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.services.settings.server.port)
    wish = b'{"type":"subscribe"}'
    writer.write(
        b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\nauthorization: Bearer %b\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n" % token.encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.write(b"\x81%c\0\0\0\0%b" % (0x80 | len(wish), wish))
    await reader.readuntil(b'"subscribe"')
    await reader.readuntil(b"}")
    client = Raw(reader, writer)
    reading = asyncio.create_task(client.read(answering=answering))
    try:
        yield client
    finally:
        writer.close()
        await reading


async def _pass(server: LiveServer, clock: FakeClock, clients: Sequence[Raw], seconds: int) -> None:
    """Let time pass, by 40 seconds each; before the next, who is pinged has had its turn to answer."""
    for _ in range(0, seconds, 40):
        before = [client.pings for client in clients]
        await clock.advance(40)
        async with asyncio.timeout(10):
            while any(
                one.pings == count and one.end is None for one, count in zip(clients, before, strict=True)
            ):
                await asyncio.sleep(0.01)
        assert (await server.client.get("/api/health")).status_code == 200


async def test_who_gives_no_sign_of_life_is_closed_and_who_does_is_not(tmp_path: Path, config: str) -> None:
    clock = FakeClock()
    async with serving(tmp_path, config, "heartbeat: 5s, idle_timeout: 60s", clock) as server:
        token = await _token(server)
        async with raw(server, token, answering=False) as dead, raw(server, token, answering=True) as alive:
            await _pass(server, clock, [dead, alive], 40)
            assert dead.end is None
            await _pass(server, clock, [dead, alive], 160)
            async with asyncio.timeout(10):
                while dead.end is None:
                    await asyncio.sleep(0.01)
            assert (int.from_bytes(dead.end[:2], "big"), dead.end[2:]) == (4410, b"idle_timeout")
            assert alive.end is None
            assert alive.pings >= 5


async def test_a_client_that_does_not_read_is_cut_off_when_its_right_ends(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    token = await server.add_token(alice)
    async with connected(server, token, slow=True) as stuck:
        await told(stuck, "ack")
        await say(stuck, type="subscribe")
        await told(stuck, "ack")
        for start in range(0, 3000, 100):
            events = [
                Event(
                    id=f"t:{n}",
                    type="com.example.n",
                    source="//n",
                    platform="test",
                    data={"text": "x" * 3000},
                )
                for n in range(start, start + 100)
            ]
            await server.services.journal.append(Item(alice.id, events, via="webhook"))
        (known,) = await server.services.database.read(partial(list_tokens, user_id=alice.id))
        (transport,) = [one for one in server.services.transports if one.name == "websocket"]
        held: Any = transport
        async with asyncio.timeout(15):  # it takes three: one until it is noticed, two for the last word
            await server.services.writer.run_unit(partial(revoke_token, token_id=known.id))
            while held._open:
                await asyncio.sleep(0.01)
        assert server.services.fanout.subscriptions() == []
