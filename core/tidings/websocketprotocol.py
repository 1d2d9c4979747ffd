"""uvicorn's WebSocket protocol, with bounds on what a client can make it keep.

Also a short way for frames that thousands get: straight to the connection, where ASGI would make each anew.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Close, CloseCode, Frame
from websockets.http11 import Request

from tidings.asgi import STREAM
from tidings.websocket import Socket

# Empty fragments have no size that could be counted.
_MOST_FRAGMENTS: Final = 64
_LAST_WORD_SECONDS: Final = 2.0
_UNREADABLE: Final = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Takes a message of so many bytes and fragments, and lets nothing pile up for a client that does not read."""

    __slots__ = ("_failed", "_socket")

    def connection_made(self, transport: Any) -> None:
        """Wait for the request, which has been read already."""
        self._socket: Socket | None = None
        self._failed = False
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._detach()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; whatever it is, somebody is there."""
        if self._failed:
            return
        if self._socket is not None:
            self._socket.heard = True
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            # The library says so itself where something is too long or too many.
            self.transport.write(b"".join(self.conn.data_to_send()) or _UNREADABLE)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """The request is whole."""
        super().handle_connect(event)
        if not self.close_sent:
            # In time: the task of the connection, which super() made, begins later. Weak, so that it leaves no cycle.
            self.scope["extensions"][STREAM] = {"connection": weakref.ref(self)}

    def handle_cont(self, event: Frame) -> None:
        """A message goes on."""
        if len(self.frames) < _MOST_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        """Answer, unless the answers of a client that does not read them would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_close(self, event: Frame) -> None:
        """The client ends it, or answers our end."""
        self._detach()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """What came breaks the protocol, or a bound: say so, and read on without looking until the client has it.

        If the connection were closed while more is coming, the system would reset it, and our last word would be lost.
        """
        self._detach()
        self._failed = self.close_sent = True
        close = self.conn.close_sent or Close(CloseCode.ABNORMAL_CLOSURE, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(_LAST_WORD_SECONDS, self.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    async def send(self, message: Any) -> None:
        """Take an ASGI message.

        Raises:
            ClientDisconnected: The connection has ended; `receive` tells.
        """
        await self.writable.wait()
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.close" and self.close_timer is not None:
            # It would let a client that reads nothing keep the connection for as long as it likes.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.abort)

    # --- see `tidings.websocket.Connection` ---

    def attach(self, socket: Socket) -> None:
        """Write for this socket from now on."""
        if not (self.disconnected or self.close_sent or self.transport.is_closing()):
            self._socket = socket
            # The handshake is over; what it was made of would stay for as long as the connection. The library's parser
            # keeps the request itself, so its headers are taken out of it.
            self.request.headers.clear()
            del self.request, self.response
            if self.writable.is_set():
                socket.write = self.transport.write

    def abort(self) -> None:
        """Cut the connection off."""
        self._detach()
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client is slow."""
        super().pause_writing()
        if self._socket is not None:
            self._socket.write = None

    def resume_writing(self) -> None:
        """The client has taken most of what waited for it."""
        super().resume_writing()
        if self._socket is not None:
            self._socket.heard = True
            if not self.close_sent:
                self._socket.write = self.transport.write

    def shutdown(self) -> None:
        """The server stops."""
        self._detach()
        try:
            super().shutdown()
        except InvalidState:  # the client was faster
            self.transport.close()

    def _detach(self) -> None:
        if self._socket is not None:
            self._socket.write = None
            self._socket = None
