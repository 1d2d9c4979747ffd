"""Thousands of subscribers, by SSE or WebSocket, and a sender of webhooks at a fixed rate, with one clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

from tidings.server import allow_many_connections

READY = b"event: cursor"


class Subscriber(asyncio.Protocol):
    """One open stream; tells of every chunk that ends a frame."""

    def __init__(self, request: bytes, opened: Callable[[], None], received: Callable[[bytes], None]) -> None:
        self.request = request
        self.opened = opened
        self.received = received
        self.ready = False
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
            self.buffer = b""
        if not data.endswith(b"\n\n\r\n"):
            self.buffer = data
            return
        if not self.ready:
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a stream was refused: {data[:300]!r}")
            self.ready = True
            self.opened()
        else:
            self.received(data)


class WebSocketSubscriber(asyncio.Protocol):
    """One open WebSocket, or a connection to the bare server, which sends the same frames; tells of every event."""

    def __init__(self, request: bytes, opened: Callable[[], None], received: Callable[[bytes], None]) -> None:
        self.request = request
        self.opened = opened
        self.received = received
        self.ready = self.upgraded = False
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data
        self.buffer = b""
        if not self.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.buffer = head
                return
            self.upgraded = True
            if head.startswith(b"HTTP/1.1 200"):  # the bare one: what its body has so far is no frame
                self.ready = True
                self.opened()
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"a WebSocket was refused: {head[:300]!r}")
            self.transport.write(masked(b'{"type":"subscribe"}'))
        events = []
        place = 0
        while len(data) - place >= 2:
            start, length = place, data[place + 1]
            body = place + 2
            if length == 126:
                length, body = int.from_bytes(data[body : body + 2], "big"), body + 2
            if body + length > len(data):
                break
            place = body + length
            if data[start] == 0x89:
                self.transport.write(b"\x8a\x80\0\0\0\0")
            elif data.startswith(b'{"type":"event"', body):
                events.append(data[start:place])
            elif data.startswith(b'{"type":"ack","of":"subscribe"', body):
                self.ready = True
                self.opened()
            elif data.startswith(b'{"type":"error"', body) or data[start] == 0x88:
                raise SystemExit(f"a WebSocket was refused: {data[body:place]!r}")
        self.buffer = data[place:]
        if events:
            self.received(b"".join(events) if len(events) > 1 else events[0])


def masked(text: bytes) -> bytes:
    """A client's text frame of fewer than 126 bytes, masked with zeros, which changes nothing."""
    return b"\x81%c\0\0\0\0%b" % (0x80 | len(text), text)


async def subscribe(
    port: int,
    requests: Sequence[bytes],
    received: Callable[[bytes], None],
    kind: type[Subscriber] | type[WebSocketSubscriber] = Subscriber,
) -> list[Subscriber | WebSocketSubscriber]:
    """Open one stream for each request, a few hundred at a time; returns when all have their first frame."""
    allow_many_connections()
    loop = asyncio.get_running_loop()
    count = 0
    progress = asyncio.Event()

    def opened() -> None:
        nonlocal count
        count += 1
        progress.set()

    subscribers: list[Subscriber | WebSocketSubscriber] = []
    for start in range(0, len(requests), 200):
        for request in requests[start : start + 200]:
            _, protocol = await loop.create_connection(
                lambda request=request: kind(request, opened, received), "127.0.0.1", port
            )
            subscribers.append(protocol)
        while count < len(subscribers):
            progress.clear()
            await asyncio.wait_for(progress.wait(), 30)
    return subscribers


class Poster(asyncio.Protocol):
    """A connection that sends requests, one after the other."""

    def __init__(self) -> None:
        self.idle = True
        self.queue: list[bytes] = []
        self.answered: asyncio.Future[bytes] | None = None
        self.statuses: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def post(self, request: bytes) -> None:
        if self.idle:
            self.idle = False
            self.transport.write(request)
        else:
            self.queue.append(request)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1"):
            self.statuses.append(int(data[9:12]))
            self.idle = True
            if self.queue:
                self.post(self.queue.pop(0))


async def posters(port: int, count: int) -> list[Poster]:
    """That many connections."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Poster, "127.0.0.1", port))[1] for _ in range(count)]


async def send_at_rate(
    connections: Sequence[Poster],
    requests: Sequence[bytes],
    per_second: float,
    sent: Callable[[int, float], None],
) -> None:
    """Send the requests at a fixed rate, whether or not earlier ones are answered (an open loop).

    Args:
        sent: Called with each request's place and the instant at which it was due.
    """
    start = time.perf_counter() + 0.05
    for place, request in enumerate(requests):
        due = start + place / per_second
        while (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait if wait > 0.002 else 0)
        sent(place, due)
        connections[place % len(connections)].post(request)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the last, in ms."""
    seconds = sorted(seconds)
    return {
        "p50_ms": round(seconds[len(seconds) // 2] * 1000, 2),
        "p99_ms": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] * 1000, 2),
        "last_ms": round(seconds[-1] * 1000, 2),
    }
