"""Clients of every transport that streams, alike for a test: each turns what comes into the same words."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tidings.testing.server import LiveServer
from tidings.testing.streams import SseReader

_PATIENCE_SECONDS = 20.0
_SMALL_BUFFER_BYTES = 128 * 1024  # beside the loopback's segments; with less each takes 40 ms


@dataclasses.dataclass(frozen=True, slots=True)
class News:
    """What came: `event`, `gap`, `cursor`, `notice` or `closed`.

    Attributes:
        name: The name that a listener gets it by, of events and notices.
        cursor: The position behind it; "" where it has none.
        data: The CloudEvent, the gap, the notice's fields, or why it was closed.
    """

    kind: str
    name: str
    cursor: str
    data: Any

    @property
    def seq(self) -> int:
        """The number in its cursor."""
        return int(self.cursor.rpartition("-")[2])


class Listener:
    """One open stream.

    Attributes:
        opened_at: The position that the server told first.
        cursor: Where a client would come back.
        beats: How many signs of life came.
    """

    def __init__(self, opened_at: str, read: Callable[[], Awaitable[News]]) -> None:
        self.opened_at = self.cursor = opened_at
        self.beats = 0
        self._read = read

    async def next(self) -> News:
        """The next of anything; a heartbeat is none."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                news = await self._read()
                if news.kind != "beat":
                    self.cursor = news.cursor or self.cursor
                    return news
                self.beats += 1

    async def event(self) -> News:
        """The next but positions."""
        while (news := await self.next()).kind == "cursor":
            pass
        return news

    async def events(self, count: int) -> list[News]:
        """The next so many of them."""
        return [await self.event() for _ in range(count)]


Open = Callable[..., AbstractAsyncContextManager[Listener]]


@asynccontextmanager
async def listening_by_sse(
    server: LiveServer,
    token: str,
    *,
    after: str = "",
    types: Sequence[str] = (),
    platforms: Sequence[str] = (),
    slow: bool = False,
) -> AsyncIterator[Listener]:
    """By Server-Sent Events."""
    query = {"after": after, "types": ",".join(types), "platforms": ",".join(platforms)}
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)] if slow else []
    transport = httpx.AsyncHTTPTransport(verify=False, socket_options=options)  # there is no TLS
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(
            base_url=server.url, transport=transport, timeout=httpx.Timeout(30, read=None)
        ) as client,
        client.stream(
            "GET",
            "/api/sse/stream",
            params={name: value for name, value in query.items() if value},
            headers=headers,
        ) as response,
    ):
        if response.status_code != 200:
            await response.aread()
            raise AssertionError(f"{response.status_code}: {response.text}")
        reader = SseReader(response)
        opening = await reader.next()
        assert opening.event == "cursor"
        yield Listener(opening.id, lambda: _read_sse(reader))


async def _read_sse(reader: SseReader) -> News:
    before = reader.last_event_id
    frame = await reader.next(timeout_seconds=_PATIENCE_SECONDS)
    has_cursor = reader.last_event_id != before or frame.event == "cursor"
    cursor = reader.last_event_id if has_cursor else ""
    if frame.event in {"cursor", "gap", "closed"}:
        return News(frame.event, "", cursor, frame.json())
    return News("event" if cursor else "notice", frame.event, cursor, frame.json())


@asynccontextmanager
async def listening_by_websocket(
    server: LiveServer,
    token: str,
    *,
    after: str = "",
    types: Sequence[str] = (),
    platforms: Sequence[str] = (),
    slow: bool = False,
) -> AsyncIterator[Listener]:
    """By WebSocket, with another implementation of the protocol than the server's."""
    async with connected(server, token, slow=slow) as socket_:
        await told(socket_, "ack")
        wish = {"after": after, "types": list(types), "platforms": list(platforms)}
        await say(socket_, type="subscribe", **{name: value for name, value in wish.items() if value})
        answer = await heard(socket_)
        if answer["type"] == "error":
            raise AssertionError(answer["message"])
        yield Listener(answer["cursor"], lambda: _read_websocket(socket_))


async def _read_websocket(socket_: ClientConnection) -> News:
    try:
        message = await heard(socket_)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return News("closed", "", "", {"reason": closed.rcvd.reason})
    kind = message["type"]
    if kind == "ping":
        return News("beat", "", "", None)
    data = {} if kind == "cursor" else message[kind]
    return News(kind, message.get("name", ""), message.get("cursor", ""), data)


TRANSPORTS: dict[str, Open] = {"sse": listening_by_sse, "websocket": listening_by_websocket}


# --- WebSockets by themselves ---


@asynccontextmanager
async def connected(
    server: LiveServer,
    token: str = "",
    *,
    path: str = "/ws",
    headers: dict[str, str] | None = None,
    origin: str | None = None,
    slow: bool = False,
) -> AsyncIterator[ClientConnection]:
    """An open WebSocket, whose handshake has that token if there is one. A slow one reads only what is asked for."""
    given = dict(headers or {})
    if token:
        given["authorization"] = f"Bearer {token}"
    sock = None
    if slow:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(
            sock, ("127.0.0.1", server.services.settings.server.port)
        )
    async with connect(
        server.url.replace("http://", "ws://") + path,
        additional_headers=given,
        origin=origin,  # type: ignore[arg-type]  # a text will do
        compression=None,
        max_queue=2 if slow else 1000,
        max_size=None,
        ping_interval=None,
        proxy=None,
        close_timeout=0.5,
        sock=sock,
    ) as socket_:
        yield socket_


async def say(socket_: ClientConnection, **message: Any) -> None:
    """Send a message."""
    await socket_.send(json.dumps(message))


async def heard(socket_: ClientConnection) -> Any:
    """The next message, whatever it is."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return json.loads(await socket_.recv())


async def told(socket_: ClientConnection, kind: str) -> Any:
    """The next message that is no heartbeat, which must be of this kind."""
    while (message := await heard(socket_))["type"] == "ping":
        pass
    assert message["type"] == kind, message
    return message


async def closed(socket_: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closes it, whatever it says before."""
    try:
        while True:
            await heard(socket_)
    except ConnectionClosed as error:
        assert error.rcvd is not None, "it was cut off"
        return error.rcvd.code, error.rcvd.reason
