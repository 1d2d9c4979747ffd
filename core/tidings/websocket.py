"""The server's end of a WebSocket (RFC 6455), for plain ASGI endpoints that write the same frames to thousands.

A frame from a server is not masked (section 5.1), and nothing is compressed here, so the bytes of a message are the
same for everybody who gets it: they are made once, and go straight to each connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol
from weakref import ReferenceType

from starlette.types import Scope, Send

from tidings.asgi import STREAM, step

#: What the server takes of one message; a route may take less.
MOST_MESSAGE_BYTES: Final = 64 * 1024

_PING: Final = b"\x89\x00"
_LONGEST_REASON_BYTES: Final = 123  # section 5.5: a control frame holds 125 bytes, and the code takes two


def text_frame(text: bytes) -> bytes:
    """A text message as one frame (section 5.2).

    Args:
        text: The message, UTF-8.
    """
    length = len(text)
    if length < 126:
        return b"\x81%c%b" % (length, text)
    if length < 65_536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)


def texts_of(frames: bytes) -> Iterator[bytes]:
    """The messages in frames that `text_frame` made, one after the other."""
    place = 0
    while place < len(frames):
        length, place = frames[place + 1], place + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, place = int.from_bytes(frames[place : place + size], "big"), place + size
        yield frames[place : place + length]
        place += length


class Connection(Protocol):
    """What the extension `tidings.asgi.STREAM` offers for a WebSocket."""

    def attach(self, socket: Socket) -> None:
        """Set `socket.write` while this connection takes more, and unset it while it does not; once it is accepted.

        Also sets `socket.heard` whenever anything comes, or the client takes what waited for it.
        """

    def abort(self) -> None:
        """Cut the connection off, whatever has not been sent yet."""


class Socket:
    """The server's end of one WebSocket, written to without waiting.

    Under our own server frames go straight to the connection; any other gets each message by `send`.

    Attributes:
        write: Puts frames on the wire; None where messages go by `send`. Set by the connection.
        heard: Whether a sign of life has come from the client since this was last unset.
    """

    __slots__ = ("_connection", "_send", "heard", "write")

    def __init__(self, send: Send) -> None:
        self.write: Callable[[bytes], None] | None = None
        self.heard = True
        self._send = send
        self._connection: ReferenceType[Connection] | None = None

    async def accept(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Complete the handshake; called once, before anything is written."""
        await self._send({"type": "websocket.accept", "headers": list(headers)})
        extension: dict[str, ReferenceType[Connection]] = (scope.get("extensions") or {}).get(STREAM, {})
        if extension:
            self._connection = extension["connection"]
            connection = self._connection()
            if connection is not None:
                connection.attach(self)

    def offer(self, frame: bytes) -> Awaitable[None] | None:
        """Write frames that `text_frame` made, one or several, without waiting.

        Returns:
            None when they are written; else, where the client is slow, an awaitable that ends when they are.
        """
        write = self.write
        if write is None:
            return step(self._say(frame))[1]
        write(frame)
        return None

    async def say(self, frame: bytes) -> None:
        """Write frames, and wait where the client is slow."""
        rest = self.offer(frame)
        if rest is not None:
            await rest

    def ping(self) -> None:
        """Have the client show that it is there: browsers and libraries answer by themselves. Not if it is slow."""
        if self.write is not None:
            self.write(_PING)

    async def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; nothing more is written. Waits where the client is slow."""
        reason = reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            return  # it has gone
        finally:
            self.write = None

    def abort(self) -> None:
        """Cut the client off, where the server can; one that does not read would never see the end."""
        connection = self._connection() if self._connection is not None else None
        if connection is not None:
            connection.abort()

    async def _say(self, frames: bytes) -> None:
        try:
            for text in texts_of(frames):
                await self._send({"type": "websocket.send", "text": text.decode()})
        except OSError:  # the client has gone (ASGI's word for it); `receive` tells who waits there
            return
