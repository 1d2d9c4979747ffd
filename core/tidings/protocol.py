"""uvicorn's HTTP protocol, with bounds on the part of a request that comes before any of our code sees it.

Also a short way for short answers: head and body in one write, where ASGI's two messages make two.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tidings.asgi import EXCHANGE, STREAM, Body

_MOST_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0
_ANSWER = b'{"error":{"code":"rejected","message":"The headers are larger than 65536 bytes. Send fewer."}}'
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
)


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers are too long, or too long in coming.

    Without this anyone could make the server keep headers without end, and hold connections by saying nothing.
    """

    # In uvicorn's own dictionary they would be too many for Python to share its keys: 1.3 KB more a connection.
    __slots__ = ("_begun_now", "_body", "_head_bytes", "_idle_since", "_in_head", "_timer")

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._in_head = self._begun_now = False
        self._head_bytes = 0  # of the head that is open, without what came together with its beginning
        self._body: Body | None = None
        self._idle_since: float | None = None  # by the loop's clock; None while there is something to do
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._detach()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what came, and look how much of a head is still open after it."""
        self._begun_now = False
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if not self._begun_now:
            self._head_bytes += len(data)
        if self._head_bytes > _MOST_HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._timer is None:
            self._timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._begun_now = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()
        if self.scope.get("path") is None:
            return  # it becomes a WebSocket, which is another protocol's
        # In time: the task of the request, which super() made, begins later.
        extensions: dict[str, Any] = {
            # Weak, both, so that no request leaves a cycle of references behind.
            EXCHANGE: _Exchange(weakref.ref(self.cycle)),
            STREAM: {"connection": weakref.ref(self)},
        }
        self.scope["extensions"] = extensions

    def handle_websocket_upgrade(self) -> None:
        """The connection goes on as a WebSocket."""
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is still under way, which nobody would ever tell that its client has gone.
            self.transport.close()
            return
        super().handle_websocket_upgrade()

    def attach(self, body: Body) -> None:
        """See `tidings.asgi.Connection.attach`."""
        # Where requests came together, this is the last of them: it has begun if it is the one that asks.
        cycle = self.cycle
        if cycle.chunked_encoding and not cycle.disconnected:
            self._body = body
            if not self.flow.write_paused:
                body.write = self.transport.write

    def pause_writing(self) -> None:
        """The client is slow."""
        super().pause_writing()
        if self._body is not None:
            self._body.write = None

    def resume_writing(self) -> None:
        """The client has taken most of what waited for it."""
        super().resume_writing()
        if self._body is not None:
            self._body.write = self.transport.write

    def on_response_complete(self) -> None:
        """An answer is whole."""
        self._detach()
        goes_on = bool(self.pipeline)  # with a request that waits
        if goes_on or self.timeout_keep_alive_task is None or self.transport.is_closing():
            super().on_response_complete()
        else:  # the timer runs already
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        self._idle_since = None if goes_on else self.loop.time()

    def _unset_keepalive_if_required(self) -> None:
        """There is something to do.

        The timer that closes idle connections runs on, and sees how things are when it is due: to stop it and start
        another at every request would cost as much as its headers.
        """
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for so long."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the next answer starts it again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _detach(self) -> None:
        if self._body is not None:
            self._body.write = None
            self._body = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Exchange:
    """See `tidings.asgi.Exchange`."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: weakref.ref[RequestResponseCycle]) -> None:
        self._cycle = cycle

    def body(self) -> bytes | None:
        """See `tidings.asgi.Exchange.body`."""
        cycle = self._cycle()
        if cycle is None or cycle.more_body or cycle.disconnected:
            return None
        return bytes(cycle.body)

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """See `tidings.asgi.Exchange.answer`."""
        cycle = self._cycle()
        if cycle is None:
            return True  # the connection is gone, and with it who asked
        if cycle.flow.write_paused:
            return False
        if cycle.disconnected:
            return True
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"".join(lines))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True
