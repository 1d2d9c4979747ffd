"""A client that does not read slows nobody down, and loses nothing."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from tidings.contracts import Item
from tidings.event import Event, UserId
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import open_stream

EVENTS = 5_000
BATCH = 250


async def _append(server: LiveServer, user_id: UserId, count: int, *, text: str = "x" * 900) -> None:
    """So many events, about 1.3 KiB each on the wire."""
    already = (await server.services.journal.head(user_id)).seq
    for start in range(already, already + count, BATCH):
        events = [
            Event(id=f"test:{n}", type="com.example.n", source="//n", platform="test", data={"text": text})
            for n in range(start, min(start + BATCH, already + count))
        ]
        await server.services.journal.append(Item(user_id, events, via="webhook"))


class SlowClient:
    """A stream whose client sends the request and then reads only when it is told to."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self._socket.setblocking(False)
        self._rest = b""
        self._ids: list[int] = []
        self._id: int | None = None

    @classmethod
    async def opened(cls, server: LiveServer, token: str) -> "SlowClient":
        loop, client = asyncio.get_running_loop(), cls()
        await loop.sock_connect(client._socket, ("127.0.0.1", server.services.settings.server.port))
        request = f"GET /api/sse/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        await loop.sock_sendall(client._socket, request.encode())
        head = b""
        while b"event: cursor" not in head:
            head += await loop.sock_recv(client._socket, 4096)
        return client

    async def read(self, count: int) -> list[int]:
        """The ids of the next `count` news on the wire; the sizes of chunks between them are passed over."""
        while len(self._ids) < count:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 256 * 1024), 10)
            assert data, f"the server closed the stream after {self._id}"
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"id: "):
                    self._id = int(line.rpartition(b"-")[2])
                elif line.startswith(b"event: webhook_received"):
                    assert self._id is not None
                    self._ids.append(self._id)
        read, self._ids = self._ids[:count], self._ids[count:]
        return read

    def close(self) -> None:
        self._socket.close()


async def test_a_slow_reader_gets_everything_later_and_others_get_it_now(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    token = await server.add_token(alice)
    slow = await SlowClient.opened(server, token)
    try:
        async with open_stream(server.client, token) as one, open_stream(server.client, token) as other:
            readings = [
                asyncio.create_task(stream.events(EVENTS, timeout_seconds=30)) for stream in (one, other)
            ]
            await _append(server, alice.id, EVENTS)
            for frames in await asyncio.gather(*readings):
                assert [int(frame.id.rpartition("-")[2]) for frame in frames] == list(range(1, EVENTS + 1))
            stuck = [one for one in server.services.fanout.subscriptions() if one.state != "live"]
            assert len(stuck) == 1
            assert stuck[0].cursor.seq < EVENTS
            # Healthy streams go on while it is stuck, and it joins in when it has caught up.
            assert await slow.read(EVENTS) == list(range(1, EVENTS + 1))
            await _append(server, alice.id, 3)
            assert [frame.event for frame in await one.events(3)] == ["webhook_received"] * 3
            assert await slow.read(3) == [EVENTS + 1, EVENTS + 2, EVENTS + 3]
    finally:
        slow.close()


async def test_a_reader_that_pauses_again_and_again_gets_everything_once(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    token = await server.add_token(alice)
    slow = await SlowClient.opened(server, token)
    try:
        read: list[int] = []
        for _ in range(8):
            await _append(server, alice.id, 300)
            read += await slow.read(150 + len(read) % 7)
        read += await slow.read(2400 - len(read))
        assert read == list(range(1, 2401))
    finally:
        slow.close()


async def test_a_stuck_client_that_leaves_is_forgotten(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    token = await server.add_token(alice)
    slow = await SlowClient.opened(server, token)
    await _append(server, alice.id, 1000)
    slow.close()
    async with asyncio.timeout(5):
        while server.services.fanout.subscriptions():
            await asyncio.sleep(0.01)


async def test_a_memory_bound_holds_for_a_stuck_client(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    token = await server.add_token(alice)
    slow = await SlowClient.opened(server, token)
    try:
        await _append(server, alice.id, 1000, text="x" * 9000)
        (subscription,) = server.services.fanout.subscriptions()
        queue = subscription._queue or ()
        assert sum(len(frame) for _, frame in queue) <= 64 * 10_000
    finally:
        slow.close()


@pytest.mark.parametrize("stuck", [0, 3])
async def test_stopping_takes_less_than_five_seconds(tmp_path: Path, config: str, stuck: int) -> None:
    clients = []
    async with live_server(tmp_path, config) as server:
        alice = await server.add_user("alice")
        token = await server.add_token(alice)
        clients = [await SlowClient.opened(server, token) for _ in range(stuck)]
        await _append(server, alice.id, 1000)
        started = time.monotonic()
    seconds = time.monotonic() - started
    for client in clients:
        client.close()
    assert seconds < 5
