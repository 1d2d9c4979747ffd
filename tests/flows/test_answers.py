"""The answer to a webhook, as it goes over the wire."""

from __future__ import annotations

import asyncio

import pytest

from tidings.testing.server import LiveServer

_BODY = b'{"error":{"code":"refused","message":"Nothing here takes webhooks for \'nobody\'."}}'


def _request(version: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /api/webhooks/nobody/x HTTP/" + version, b"host: x", b"content-length: 2", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n{}"


async def _connect(server: LiveServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"content-length: %d\r\n" % len(_BODY) in head
    assert b"\r\ndate: " in head
    assert await reader.readexactly(len(_BODY)) == _BODY
    return head


async def test_requests_that_were_sent_ahead_are_answered_in_turn_on_one_connection(
    shared_server: LiveServer,
) -> None:
    reader, writer = await _connect(shared_server)
    writer.write(_request(b"1.1") * 3 + b"GET /api/health HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(5):
        for _ in range(3):
            assert b"\r\nconnection:" not in await _answer(reader)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("request_", [_request(b"1.0"), _request(b"1.1", b"connection: close")])
async def test_the_connection_is_closed_where_the_sender_keeps_none(
    shared_server: LiveServer, request_: bytes
) -> None:
    reader, writer = await _connect(shared_server)
    writer.write(request_)
    async with asyncio.timeout(5):
        assert b"\r\nconnection: close\r\n" in await _answer(reader)
        assert await reader.read() == b""
    writer.close()
