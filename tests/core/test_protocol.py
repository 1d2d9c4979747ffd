from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

import wire
from tidings.asgi import STREAM, Body

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HEADERS = [(b"content-type", b"text/event-stream")]
PIECES = [b"one", b"", b"x" * 300, b"\r\n0\r\n\r\n", "drei \u20ac".encode()]
LARGE = b"y" * 100_000


def connected(app: ASGIApp) -> AbstractAsyncContextManager[wire.Client]:
    """A client of `app`, which is served by our protocol."""
    return wire.connected(uvicorn.Config(app, log_config=None, lifespan="off", date_header=False))


def streaming(work: Callable[[Body], Awaitable[None]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(send)
        await body.start(scope, HEADERS)
        await work(body)

    return app


async def all_at_once(body: Body) -> None:
    for piece in PIECES:
        assert body.offer(piece) is None
    await body.end(b"end")


async def answered(client: wire.Client, request: bytes = GET) -> bytes:
    """Everything up to the end of one answer in chunks."""
    reader, writer = client
    writer.write(request)
    return await reader.readuntil(b"end\r\n0\r\n\r\n")


async def test_a_piece_that_goes_straight_to_the_connection_looks_as_one_that_is_sent() -> None:
    async def plain(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        for piece in PIECES:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"end", "more_body": False})

    async def straight(body: Body) -> None:
        assert body.write is not None
        await all_at_once(body)

    async with connected(streaming(straight)) as client, connected(plain) as other:
        assert await answered(client) == await answered(other)


async def test_without_the_extension_pieces_are_sent() -> None:
    async def bare(scope: Scope, _receive: Receive, send: Send) -> None:
        del scope["extensions"]
        body = Body(send)
        await body.start(scope, HEADERS)
        assert body.write is None
        await all_at_once(body)

    async with connected(streaming(all_at_once)) as client, connected(bare) as other:
        assert await answered(client) == await answered(other)


async def test_after_a_whole_answer_the_connection_serves_the_next_and_the_old_body_can_not_disturb_it() -> (
    None
):
    bodies: list[Body] = []

    async def work(body: Body) -> None:
        bodies.append(body)
        await all_at_once(body)
        with pytest.raises(RuntimeError):
            body.offer(b"too late")

    async with connected(streaming(work)) as client:
        assert await answered(client) == await answered(client)
    assert [body.write for body in bodies] == [None, None]


async def test_requests_that_come_together_are_answered_one_after_the_other() -> None:
    async with connected(streaming(all_at_once)) as client:
        first = await answered(client, GET * 3)
        assert [await answered(client, b"") for _ in range(2)] == [first, first]


async def test_an_answer_to_head_has_no_body() -> None:
    async with connected(streaming(all_at_once)) as (reader, writer):
        writer.write(GET.replace(b"GET", b"HEAD"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.write(GET)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"


async def test_a_slow_client_is_waited_for_and_gets_every_piece_in_order() -> None:
    waited: list[int] = []

    async def work(body: Body) -> None:
        for number in range(100):
            rest = body.offer(b"%05d" % number + LARGE)
            if rest is not None:
                waited.append(number)
                assert body.write is None
                await rest
                assert body.write is not None
        await body.end(b"end")

    async with connected(streaming(work)) as (reader, writer):
        writer.write(GET)
        async with asyncio.timeout(5):
            while not waited:
                await asyncio.sleep(0)
        await reader.readuntil(b"\r\n\r\n")
        numbers = []
        for _ in range(100):
            length = int(await reader.readuntil(b"\r\n"), 16)
            piece = await reader.readexactly(length + 2)
            assert piece[5:] == LARGE + b"\r\n"
            numbers.append(int(piece[:5]))
        assert numbers == list(range(100))
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\nend\r\n0\r\n\r\n"
    assert 0 < len(waited) < 100  # and straight on when it had caught up


async def test_what_is_offered_to_a_client_that_has_gone_is_dropped() -> None:
    gone = asyncio.Event()
    bodies: list[Body] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(body := Body(send))
        await body.start(scope, HEADERS)
        connection = scope["extensions"][STREAM]["connection"]()
        while (await receive())["type"] != "http.disconnect":
            pass
        connection.attach(body)
        assert body.write is None
        assert body.offer(b"nobody hears this") is None
        gone.set()

    async with connected(app) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        assert bodies[0].write is not None
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)


async def test_many_bodies_share_the_bytes_of_a_piece() -> None:
    written: list[bytes] = []
    bodies = [Body(None) for _ in range(3)]  # type: ignore[arg-type] - nothing is sent
    for body in bodies:
        body.write = written.append
        body.offer(PIECES[2])
    assert {id(chunk) for chunk in written} == {id(written[0])}
    assert written[0] == b"12c\r\n" + PIECES[2] + b"\r\n"


async def test_a_connection_is_closed_once_it_has_been_idle_for_long_enough() -> None:
    released = asyncio.Event()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await released.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    loop = asyncio.get_running_loop()
    config = uvicorn.Config(app, log_config=None, lifespan="off", date_header=False)
    config.timeout_keep_alive = 0.2  # type: ignore[assignment]  # a fraction will do
    async with wire.connected(config) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"ok")
        writer.write(GET.replace(b"/ ", b"/slow "))
        with pytest.raises(TimeoutError):  # it is not idle, although the timer is long due
            await asyncio.wait_for(reader.readexactly(1), 0.5)
        released.set()
        await reader.readuntil(b"ok")
        writer.write(GET)
        await reader.readuntil(b"ok")
        answered_at = loop.time()
        assert await asyncio.wait_for(reader.read(), 20) == b""
        assert loop.time() - answered_at >= 0.19
