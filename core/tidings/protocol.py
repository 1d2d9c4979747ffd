"""uvicorn's HTTP protocol, with bounds on the part of a request that comes before any of our code sees it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

    _head_bytes = 0  # of the head that is open, without what came together with its beginning
    _in_head = False
    _begun_now = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

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

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
