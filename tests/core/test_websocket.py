"""The server's end of a WebSocket, and uvicorn's protocol with our bounds."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode

import wire
from tidings.websocket import Socket, text_frame, texts_of
from tidings.websocketprotocol import BoundedWebSocket

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
LARGE = "y" * 50_000


def config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        date_header=False,
        ws=BoundedWebSocket,
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )


def connected(app: ASGIApp, request: bytes = HANDSHAKE) -> AbstractAsyncContextManager[wire.Client]:
    """A client of `app`, which is served by our protocols; it has sent its request."""
    return wire.connected(config(app), request)


def serving(work: Callable[[Socket], Awaitable[None]], kept: list[Socket] | None = None) -> ASGIApp:
    """An application that accepts, does its work, and then reads until the client leaves."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        socket = Socket(send)
        if kept is not None:
            kept.append(socket)
        await socket.accept(scope)
        await work(socket)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return app


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """By the library's own parser."""
    buffer = b""

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal buffer
        while len(buffer) < count:
            yield
        data, buffer = buffer[:count], buffer[count:]
        return data

    parser = Frame.parse(read_exact, mask=False)
    async with asyncio.timeout(10):
        while True:
            try:
                next(parser)
            except StopIteration as end:
                frame: Frame = end.value
                return frame
            buffer += await reader.readexactly(1)


async def handshaken(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readuntil(b"\r\n\r\n")


async def nothing(_socket: Socket) -> None:
    return


# --- frames -------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.binary(max_size=300) | st.sampled_from([b"x" * n for n in (125, 126, 65_535, 65_536)]), max_size=4
    )
)
def test_frames_hold_their_texts(texts: list[bytes]) -> None:
    frames = b"".join(text_frame(text) for text in texts)
    assert list(texts_of(frames)) == texts


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_is_the_one_that_the_library_makes(length: int) -> None:
    text = b"z" * length
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


async def test_what_goes_straight_to_the_connection_looks_as_what_is_sent() -> None:
    texts = ["one", "", "x" * 300, "drei \u20ac", LARGE]

    async def straight(socket: Socket) -> None:
        assert socket.write is not None
        assert socket.offer(b"".join(text_frame(text.encode()) for text in texts)) is None

    async def sent(socket: Socket) -> None:
        socket.write = None
        await socket.say(b"".join(text_frame(text.encode()) for text in texts))

    for work in (straight, sent):
        async with connected(serving(work)) as (reader, _):
            await handshaken(reader)
            frames = [await read_frame(reader) for _ in texts]
        assert [bytes(frame.data).decode() for frame in frames] == texts
        assert {frame.opcode for frame in frames} == {Opcode.TEXT}


async def test_a_server_without_the_extension_is_sent_messages_and_cuts_nobody_off() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    socket = Socket(send)
    await socket.accept({"type": "websocket"})
    socket.offer(text_frame(b"a") + text_frame("\u00e4".encode()))
    socket.ping()
    await socket.close(4001, "\u00e4" * 100)
    socket.abort()
    assert sent == [
        {"type": "websocket.accept", "headers": []},
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "text": "\u00e4"},
        {"type": "websocket.close", "code": 4001, "reason": "\u00e4" * 61},
    ]


# --- the protocol -------------------------------------------------------------------------------------------


async def test_a_slow_client_is_waited_for_and_gets_every_message_in_order() -> None:
    waited: list[int] = []

    async def work(socket: Socket) -> None:
        for number in range(150):
            rest = socket.offer(text_frame(f"{number:05d}{LARGE}".encode()))
            if rest is not None:
                waited.append(number)
                await rest
        await socket.close(1000, "")

    async with connected(serving(work)) as (reader, _):
        async with asyncio.timeout(10):
            while not waited:
                await asyncio.sleep(0.01)
        await handshaken(reader)
        for number in range(150):
            frame = await read_frame_fast(reader)
            assert int(frame[:5]) == number
        assert (await read_frame(reader)).opcode is Opcode.CLOSE
    assert 0 < len(waited) < 150  # and straight on when it had caught up


async def read_frame_fast(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    assert head[:2] == b"\x81\x7e"
    return await reader.readexactly(int.from_bytes(head[2:], "big"))


async def test_answers_to_pings_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    kept: list[Socket] = []

    async def fill(socket: Socket) -> None:
        while socket.write is not None:
            socket.offer(text_frame(LARGE.encode()))
            await asyncio.sleep(0)

    async with connected(serving(fill, kept)) as (reader, writer):
        async with asyncio.timeout(10):
            while not kept or kept[0].write is not None:
                await asyncio.sleep(0.01)
        connection: Any = kept[0]._connection() if kept[0]._connection else None
        before = connection.transport.get_write_buffer_size()
        kept[0].heard = False
        for _ in range(100):
            writer.write(masked(Opcode.PING, b"p" * 125) * 100)
            await writer.drain()
        async with asyncio.timeout(10):
            while not kept[0].heard:
                await asyncio.sleep(0.01)
        assert connection.transport.get_write_buffer_size() <= before
        await handshaken(reader)


async def test_a_ping_of_a_client_that_reads_is_answered() -> None:
    async with connected(serving(nothing)) as (reader, writer):
        await handshaken(reader)
        writer.write(masked(Opcode.PING, b"here?"))
        frame = await read_frame(reader)
        assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, b"here?")


async def test_anything_that_comes_is_a_sign_of_life() -> None:
    kept: list[Socket] = []
    async with connected(serving(nothing, kept)) as (reader, writer):
        await handshaken(reader)
        kept[0].heard = False
        kept[0].ping()
        assert (await read_frame(reader)).opcode is Opcode.PING
        writer.write(masked(Opcode.PONG, b""))
        async with asyncio.timeout(10):
            while not kept[0].heard:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(Opcode.TEXT, b"x" * 65_537), 1009),
        (masked(Opcode.TEXT, b"x" * 40_000, fin=False) + masked(Opcode.CONT, b"x" * 40_000), 1009),
        (masked(Opcode.TEXT, b"", fin=False) + masked(Opcode.CONT, b"", fin=False) * 200, 1009),
        (masked(Opcode.TEXT, b"\xff\xfe"), 1007),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (masked(Opcode.CONT, b"of nothing"), 1002),
        (b"\xf1\x80\x00\x00\x00\x00", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
    ],
    ids=[
        "long",
        "long in pieces",
        "pieces",
        "no text",
        "no mask",
        "no beginning",
        "reserved bits",
        "no opcode",
    ],
)
async def test_what_breaks_the_protocol_or_a_bound_ends_it(sent: bytes, code: int) -> None:
    kept: list[Socket] = []
    async with connected(serving(nothing, kept)) as (reader, writer):
        await handshaken(reader)
        writer.write(sent)
        frame = await read_frame(reader)
        assert (frame.opcode, int.from_bytes(frame.data[:2], "big")) == (Opcode.CLOSE, code)
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert kept[0].write is None
    assert kept[0].offer(text_frame(b"nobody hears this")) is None


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        (b"x-long: %b\r\n" % (b"x" * 9000), b"431"),
        (b"".join(b"x-%d: 1\r\n" % number for number in range(150)), b"431"),
        (b"content-length: 5\r\n", b"400"),
        (b"sec-websocket-key: another\r\n", b"400"),
    ],
)
async def test_a_handshake_that_can_not_be_read_is_answered(extra: bytes, status: bytes) -> None:
    request = HANDSHAKE.replace(b"host: x\r\n", b"host: x\r\n" + extra)
    async with connected(serving(nothing), request) as (reader, _):
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.split(b" ")[1] == status


async def test_a_connection_whose_answer_is_still_under_way_becomes_no_websocket() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    async with connected(app, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") as (reader, writer):
        await reader.readuntil(b"one\r\n")
        writer.write(HANDSHAKE)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_connection_that_has_been_answered_may_become_a_websocket() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await serving(nothing)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"end"})

    async with connected(app, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") as (reader, writer):
        await reader.readuntil(b"end")
        writer.write(HANDSHAKE)
        assert (await handshaken(reader)).startswith(b"HTTP/1.1 101 ")


async def test_a_client_that_takes_no_close_frame_can_be_cut_off() -> None:
    cut = asyncio.Event()

    async def work(socket: Socket) -> None:
        socket.offer(text_frame(b"y" * 30_000_000))  # more than any system buffers
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await socket.close(4001, "expired")
        socket.abort()
        cut.set()

    async with connected(serving(work)) as (reader, _):
        await asyncio.wait_for(cut.wait(), 10)
        received = 0
        with suppress(ConnectionResetError):
            while data := await asyncio.wait_for(reader.read(65_536), 10):
                received += len(data)
    assert received < 30_000_000


class Wire(asyncio.Transport):
    """A connection that a test feeds by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


_frames = st.builds(
    lambda first, length, data: bytes([first, length]) + b"\0\0\0\0" + data,
    st.sampled_from([kind | fin for kind in Opcode for fin in (0, 0x80)]),
    st.integers(0x80, 0x80 | 20) | st.integers(0, 255),
    st.binary(max_size=20),
) | st.builds(masked, st.sampled_from(list(Opcode)), st.binary(max_size=125))


@given(st.lists(_frames | st.binary(max_size=30), max_size=12), st.integers(1, 40))
async def test_whatever_comes_is_no_defect_and_after_the_end_nothing_is_written(
    pieces: list[bytes], size: int
) -> None:
    kept: list[Socket] = []
    state = ServerState()
    protocol = BoundedWebSocket(config=config(serving(nothing, kept)), server_state=state, app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(HANDSHAKE)
    while not wire.written:
        await asyncio.sleep(0)
    data = b"".join(pieces)
    for place in range(0, len(data), size):
        protocol.data_received(data[place : place + size])
        await asyncio.sleep(0)
    if protocol.close_sent or wire.closed:
        assert kept[0].write is None
        written = wire.written
        kept[0].offer(text_frame(b"too late"))
        assert wire.written == written
    protocol.connection_lost(None)
    await asyncio.wait_for(asyncio.gather(*state.tasks), 10)
    assert kept[0].write is None


async def test_an_open_connection_keeps_nothing_of_its_handshake() -> None:
    async def work(socket: Socket) -> None:
        await socket.say(text_frame(b"there"))

    request = HANDSHAKE.replace(b"host: x\r\n", b"host: x\r\nx-long: " + b"z" * 2000 + b"\r\n")
    async with connected(serving(work), request) as (reader, _):
        await handshaken(reader)
        assert (await read_frame(reader)).data == b"there"
        assert [one for one in gc.get_objects() if isinstance(one, Headers) and "x-long" in one] == []
