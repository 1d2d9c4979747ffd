"""For transports: streams, routes and frames without a framework."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from tidings import Context, Cursor, Entry, Gap, Notice, Principal, Sink, Streams, Subscription, Transport
from tidings.asgi import (
    EXCHANGE,
    STREAM,
    Body,
    Connection,
    Exchange,
    Rest,
    exchange_of,
    header,
    header_texts,
    offer,
    step,
)
from tidings.contracts import Requests, Selection
from tidings.errors import NotFound
from tidings.exchange import exchange, is_reset_while_connecting
from tidings.selection import EVERYTHING
from tidings.websocket import MOST_MESSAGE_BYTES, Socket, text_frame, texts_of
from tidings.websocket import Connection as SocketConnection


class Lines(Sink):
    """One stream: each event on a line."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def offer(self, frame: bytes) -> Rest[None] | None:
        waits = self.body.offer(frame)
        return waits if isinstance(waits, Rest) else None

    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        return gap.encode() + b"\n"

    def notice(self, notice: Notice) -> bytes:
        return notice.data + b"\n"

    async def finish(self, reason: str) -> None:
        await self.body.end(b"")


def line(entry: Entry) -> bytes:
    return entry.cloudevent() + b"\n"


class LinesTransport(Transport):
    """`GET /api/lines`: what comes from now on."""

    name = "lines"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.selection: Selection = EVERYTHING

    def routes(self) -> Sequence[BaseRoute]:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            principal: Principal = await self.context.access.enter_stream(scope)
            body = Body(send)
            streams: Streams = self.context.streams
            subscription: Subscription = await streams.open(
                principal, Lines(body), after=None, selection=self.selection, encode=line, transport=self.name
            )
            try:
                await body.start(scope, [(b"content-type", b"application/x-ndjson")])
                subscription.start()
                await receive()  # until the client leaves
            finally:
                subscription.close()

        return [Route("/api/lines", lambda request: endpoint, name="lines")]

    async def sync(self, principal: Principal, connection_id: str) -> str:
        requests: Requests = self.context.requests
        try:
            await requests.sync(principal, connection_id)
        except NotFound as error:
            return str(error)
        return "It is being asked."


async def show_a_send_that_need_not_wait() -> None:
    written: list[Message] = []

    async def send(message: Message) -> None:
        written.append(message)

    async def length(text: str) -> int:
        return len(text)

    assert step(length("abc")) == (3, None)  # its result, and nothing left to wait for
    assert offer(send, {"type": "http.response.body", "body": b"x", "more_body": True}) is None
    body = Body(send)
    await body.start({"extensions": {}}, [(b"content-type", b"text/plain")])
    assert Lines(body).offer(b"one\n") is None
    await body.end(b"")
    assert [one["type"].rpartition(".")[2] for one in written] == ["body", "start", "body", "body"]
    assert header({"headers": [(b"accept", b"text/html")]}, b"accept") == "text/html"
    assert header_texts({"headers": [(b"accept", b"text/html"), (b"accept", b"*/*")]}) == {
        "accept": "text/html, */*"
    }
    # What our own server offers under these names in `scope["extensions"]`, without which `send` does.
    assert (EXCHANGE, STREAM) == ("tidings.exchange", "tidings.stream")
    assert exchange_of({"extensions": {}}) is None and hasattr(Exchange, "answer")
    assert hasattr(Connection, "attach") and hasattr(SocketConnection, "abort") and Socket.__doc__


def show_frames_of_a_websocket() -> None:
    frames = text_frame(b'{"type":"pong"}') + text_frame(b"{}" * 100)
    assert list(texts_of(frames)) == [b'{"type":"pong"}', b"{}" * 100]
    assert MOST_MESSAGE_BYTES == 65_536


async def show_a_request_with_an_end() -> None:
    async with exchange("push.example.org", within_seconds=10):  # httpx's failures as NotSent and Unavailable
        pass
    assert not is_reset_while_connecting(AttributeError("another"))
