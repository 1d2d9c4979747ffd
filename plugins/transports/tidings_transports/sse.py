"""Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

`GET /api/sse/stream` is plain ASGI: a frame is encoded once and written straight to each connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tidings.asgi import Body, header
from tidings.config import Duration
from tidings.context import Context
from tidings.contracts import Notice, Transport
from tidings.event import Cursor, Entry, Gap
from tidings.hooks import Options, Plugin, hookimpl
from tidings.selection import parse_selection
from tidings_transports.names import event_name
from tidings_transports.pulse import PacedSink, Pulse

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),  # no-transform: a proxy that compresses would buffer
    (b"x-accel-buffering", b"no"),  # nginx: pass every byte on at once
]
_HEARTBEAT = b": heartbeat\n\n"


def _path(name: str, summary: str, media_type: str, **more: Any) -> Mapping[str, Any]:
    responses = {"200": {"description": "Done.", "content": {media_type: {}}}}
    return {"get": {"operationId": name, "summary": summary, "responses": responses, **more}}


_PARAMETERS = {
    "after": "A cursor: what came later is sent first. `0` is the oldest event kept; none is now.",
    "types": "CloudEvents types, `*` for any characters, separated by commas.",
    "platforms": "Platform ids, separated by commas.",
    "named": "`false` sends every event without an `event:` line, for `onmessage`.",
    "ticket": "From `POST /api/tickets`, where no header can be sent.",
    "userId": "Accepted if it is your own.",
}
_PATHS: Mapping[str, Any] = {
    "/api/sse/stream": _path(
        "get_api_sse_stream",
        "Your events, live, as Server-Sent Events",
        "text/event-stream",
        description=(
            "Needs the scope `read`. `id:` is a cursor, `data:` a CloudEvent. `Last-Event-ID` wins over `after`."
        ),
        parameters=[
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in _PARAMETERS.items()
        ],
    ),
    "/api/sse/stats": _path(
        "get_api_sse_stats",
        "Your open streams; everyone's for an admin",
        "application/json",
        description="Needs the scope `read`.",
    ),
    "/api/sse/health": _path(
        "get_api_sse_health", "Whether streams are served", "application/json", security=[]
    ),
}


class SseOptions(Options):
    """Options of the transport `sse`.

    Attributes:
        heartbeat: Longest silence on a stream; keep it below every proxy's time-out.
        retry: How long a browser waits before it reconnects.
    """

    heartbeat: Duration = 15.0
    retry: Duration = 3.0


class SsePlugin(Plugin):
    """Offers the transport `sse`."""

    options_model = SseOptions
    options: SseOptions

    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        """The one transport."""
        return [Sse(self.options, context)]


def named_frame(entry: Entry) -> bytes:
    """An entry as a frame with an `event:` line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(entry.cursor).encode(),
        event_name(entry).encode(),
        entry.cloudevent(),
    )


def unnamed_frame(entry: Entry) -> bytes:
    """An entry as a frame that a browser gives to `onmessage`."""
    return b"id: %b\ndata: %b\n\n" % (str(entry.cursor).encode(), entry.cloudevent())


def cursor_frame(cursor: Cursor) -> bytes:
    """Moves the client's `Last-Event-ID` without an event."""
    return b"id: %b\nevent: cursor\ndata: {}\n\n" % str(cursor).encode()


def closed_frame(reason: str) -> bytes:
    """The last one, of a stream that the server ends."""
    return b'event: closed\ndata: {"reason":"%b"}\n\n' % reason.encode()


class SseSink(Body, PacedSink):
    """The server's end of one stream."""

    __slots__ = ("_cut", "_named", "frames", "quiet_ticks", "told_seq")

    def __init__(self, send: Send, cut: anyio.CancelScope, *, named: bool) -> None:
        super().__init__(send)
        self._cut = cut
        self._named = named

    def heartbeat(self) -> bytes:
        """See `PacedSink.heartbeat`."""
        return _HEARTBEAT

    def position(self, cursor: Cursor) -> bytes:
        """See `PacedSink.position`."""
        return cursor_frame(cursor)

    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        """See `Sink.gap`."""
        self.told_seq = cursor.seq  # numbers told before may belong to another epoch
        return b"id: %b\nevent: gap\ndata: %b\n\n" % (str(cursor).encode(), gap.encode())

    def notice(self, notice: Notice) -> bytes:
        """See `Sink.notice`."""
        name = b"event: %b\n" % notice.name.encode() if self._named else b""
        return b"%bdata: %b\n\n" % (name, notice.data)

    async def finish(self, reason: str) -> None:
        """See `Sink.finish`."""
        try:
            await self.end(closed_frame(reason))
        finally:
            # Ends the request: at once after the last frame, and also for a client that does not read.
            self._cut.cancel()


class Sse(Transport):
    """The transport: its routes, its open streams and their heartbeats."""

    name = "sse"

    def __init__(self, options: SseOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._pulse = Pulse(context.clock, options.heartbeat)

    def routes(self) -> Sequence[BaseRoute]:
        """See `Transport.routes`."""
        return [
            Route("/api/sse/stream", StreamEndpoint(self), methods=["GET"], name="sse_stream"),
            Route("/api/sse/stats", self._stats, methods=["GET"], name="sse_stats"),
            Route("/api/sse/health", self._health, methods=["GET"], name="sse_health"),
        ]

    def describe(self) -> Mapping[str, Any]:
        """See `Transport.describe`."""
        return _PATHS

    async def run(self) -> None:
        """Keep silent streams alive."""
        await self._pulse.run()

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream until the client or the server ends it."""
        context = self._context
        principal = await context.access.enter_stream(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        selection = parse_selection(",".join(query.get("types", ())), ",".join(query.get("platforms", ())))
        position = header(scope, b"last-event-id") or query.get("after", [""])[0]
        named = query.get("named", ["true"])[0] not in {"false", "0"}
        with anyio.CancelScope() as cut:
            sink = SseSink(send, cut, named=named)
            subscription = await context.streams.open(
                principal,
                sink,
                after=Cursor.parse(position) if position else None,
                selection=selection,
                encode=named_frame if named else unnamed_frame,
                transport=self.name,
            )
            try:
                await sink.start(scope, _HEADERS)
                opening = b"retry: %d\n\n" % (self._options.retry * 1000) + cursor_frame(subscription.cursor)
                self._pulse.add(subscription, sink)
                await send({"type": "http.response.body", "body": opening, "more_body": True})
                subscription.start()
                while (await receive())["type"] != "http.disconnect":
                    pass
            finally:
                self._pulse.remove(subscription)
                subscription.close()

    async def _stats(self, request: Request) -> Response:
        principal = await self._context.access.require(request.scope, "read")
        return JSONResponse(self._pulse.stats(principal))

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})


class StreamEndpoint:
    """The stream as an ASGI application, which Starlette calls without wrapping it."""

    def __init__(self, transport: Sse) -> None:
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream."""
        await self._transport.stream(scope, receive, send)
