"""What comes before a request is whole: bounded in size, and in time."""

from __future__ import annotations

import asyncio

import pytest

from tidings import protocol
from tidings.testing.server import LiveServer


async def _connect(server: LiveServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_headers_without_end_are_refused(shared_server: LiveServer) -> None:
    reader, writer = await _connect(shared_server)
    writer.write(b"GET /api/health HTTP/1.1\r\nhost: x\r\n")
    received = b""
    for _ in range(200):
        writer.write(b"x-much: " + b"a" * 8000 + b"\r\n")
        try:
            await writer.drain()
        except ConnectionError:
            break
    async with asyncio.timeout(5):
        try:
            received = await reader.read()
        except ConnectionError:
            received = b"HTTP/1.1 431 "  # the answer was overtaken by the reset of what we still sent
    assert received.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_headers_of_a_usual_size_that_come_in_pieces_are_taken(shared_server: LiveServer) -> None:
    reader, writer = await _connect(shared_server)
    for _ in range(3):  # one connection, several requests
        for piece in (
            b"GET /api/he",
            b"alth HTTP/1.1\r\nho",
            b"st: x\r\nx-much: " + b"a" * 30_000,
            b"\r\n\r\n",
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(len(b'{"status":"ok"}')) == b'{"status":"ok"}'
    writer.close()


@pytest.mark.parametrize("begun", [b"", b"GET /api/health HT"])
async def test_a_head_that_does_not_come_in_time_ends_the_connection(
    shared_server: LiveServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.2)
    reader, writer = await _connect(shared_server)
    writer.write(begun)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
