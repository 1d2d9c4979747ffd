"""Whole answers wait for the end of the loop's turn, and none gets lost or out of order by it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

import wire
from tidings.asgi import ANSWER
from tidings.outbox import Outbox
from tidings.protocol import BoundedProtocol


class Wire:
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data.rpartition(b"\r\n\r\n")[2])

    def close(self) -> None:
        self.told.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.told

    def get_extra_info(self, _name: str) -> None:
        return None

    def resume_reading(self) -> None:
        return None

    pause_reading = resume_reading


async def path(scope: Scope, receive: Receive, _send: Send) -> None:
    """Answers with the path, in one piece."""
    await receive()
    body = str(scope["path"]).encode()
    assert scope["extensions"][ANSWER]["write"](200, [(b"content-length", b"%d" % len(body))], body)


def get(name: str, more: str = "") -> bytes:
    return f"GET /{name} HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode()


def settings() -> uvicorn.Config:
    return uvicorn.Config(path, log_config=None, lifespan="off", date_header=False)


@pytest.fixture
def config() -> uvicorn.Config:
    config = settings()
    config.load()
    return config


def connect(config: uvicorn.Config) -> tuple[BoundedProtocol, Wire]:
    protocol, transport = BoundedProtocol(config, ServerState(), {}), Wire()
    protocol.connection_made(transport)
    return protocol, transport


async def made(outbox: Outbox, count: int) -> None:
    """Wait until so many answers wait, which is before they are written."""
    while len(outbox.waiting) < count:
        await asyncio.sleep(0)


async def test_answers_of_one_turn_are_written_right_after_one_another(config: uvicorn.Config) -> None:
    outbox = Outbox.of(asyncio.get_running_loop())
    order: list[Any] = []
    connections = [connect(config) for _ in range(3)]
    for number, (protocol, transport) in enumerate(connections):
        transport.told = order
        protocol.data_received(get(f"{number}"))
    await made(outbox, 3)
    assert order == []
    await asyncio.sleep(0)
    assert order == [b"/0", b"/1", b"/2"]
    assert outbox.waiting == []


async def test_an_answer_comes_before_that_to_the_next_request(config: uvicorn.Config) -> None:
    outbox = Outbox.of(asyncio.get_running_loop())
    protocol, transport = connect(config)
    protocol.data_received(get("first"))
    await made(outbox, 1)
    protocol.data_received(get("second"))
    assert transport.told == [b"/first"]
    assert protocol.timeout_keep_alive_task is None  # it is not idle
    await made(outbox, 1)
    await asyncio.sleep(0)
    assert transport.told == [b"/first", b"/second"]


async def test_a_server_that_stops_lets_the_last_answers_out(config: uvicorn.Config) -> None:
    protocol, transport = connect(config)
    protocol.data_received(get("last"))
    await made(Outbox.of(asyncio.get_running_loop()), 1)
    protocol.shutdown()
    assert transport.told == [b"/last", "closed"]


async def test_a_client_that_wants_no_more_gets_its_answer_and_then_the_end(config: uvicorn.Config) -> None:
    protocol, transport = connect(config)
    protocol.data_received(get("only", "connection: close\r\n"))
    await made(Outbox.of(asyncio.get_running_loop()), 1)
    await asyncio.sleep(0)
    assert transport.told == [b"/only", "closed"]


async def test_a_client_that_has_gone_takes_nobodys_answer_with_it(config: uvicorn.Config) -> None:
    (gone, its), (stays, others) = connect(config), connect(config)
    gone.data_received(get("a"))
    stays.data_received(get("b"))
    await made(Outbox.of(asyncio.get_running_loop()), 2)
    its.close()
    gone.connection_lost(None)
    await asyncio.sleep(0)
    assert b"/a" not in its.told
    assert others.told == [b"/b"]


async def test_over_sockets_each_client_gets_its_own() -> None:
    async with wire.connected(settings()) as one, wire.connected(settings()) as two:
        for name in ("x", "y", "z"):
            for _, writer in (one, two):
                writer.write(get(name))
            for reader, _ in (one, two):
                assert (await reader.readuntil(b"\r\n\r\n/" + name.encode())).startswith(b"HTTP/1.1 200")
