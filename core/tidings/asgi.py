"""Small pieces for plain ASGI endpoints, where a framework's request and response objects cost too much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from functools import lru_cache
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar, cast
from weakref import ReferenceType

from starlette.types import Message, Scope, Send

#: An ASGI extension that our own protocol offers: an `Exchange`.
EXCHANGE = "tidings.exchange"

#: Another, for answers that go on for long: its `connection` is a weak reference to a `Connection`.
STREAM = "tidings.stream"

_NO_EXTENSIONS: dict[str, Any] = {}
#: What is waited for.
T = TypeVar("T")


class Rest(Generic[T]):
    """The rest of a coroutine that has taken its first step outside any task; to be awaited once."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        while True:
            failure: BaseException | None = None
            received = None
            try:
                received = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation belongs to the coroutine that waits
                failure = error
            try:
                coroutine = self._coroutine
                waits_for = coroutine.send(received) if failure is None else coroutine.throw(failure)
            except StopIteration as end:
                return cast("T", end.value)


def step(awaitable: Awaitable[T]) -> tuple[T | None, Awaitable[T] | None]:
    """Take the first step of something awaitable, which is all there is to it if it need not wait.

    Returns:
        Its result and None; or None and the rest of it, which must be awaited.
    """
    if type(awaitable) is not CoroutineType:
        return None, awaitable
    try:
        waits_for = awaitable.send(None)
    except StopIteration as end:
        return cast("T", end.value), None
    return None, Rest(awaitable, waits_for)


def offer(send: Send, message: Message) -> Awaitable[None] | None:
    """Send without waiting.

    Returns:
        None when the message is written; else, where the client is slow, an awaitable that ends when it is.
    """
    return step(send(message))[1]


class Exchange(Protocol):
    """One request and its answer, for short ones: ASGI's messages make a step of each piece."""

    def body(self) -> bytes | None:
        """The whole body; None where it has not come yet, or never will, and `receive` must be asked."""

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole answer, its content-length among the headers.

        Returns:
            Whether it is sent; the client may be too slow for that, and `send` must be used.
        """


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, if whoever serves it offers one."""
    exchange: Exchange | None = scope.get("extensions", _NO_EXTENSIONS).get(EXCHANGE)
    return exchange


def header_texts(scope: Scope) -> dict[str, str]:
    """A request's headers by name, in lower case; one that was sent twice has both values (RFC 9110 §5.3)."""
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    headers = {_name(name): value.decode("latin-1") for name, value in pairs}
    if len(headers) != len(pairs):
        headers = {}
        for raw_name, raw_value in pairs:
            name, value = _name(raw_name), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@lru_cache(maxsize=256)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1")


class Connection(Protocol):
    """What the extension `STREAM` offers."""

    def attach(self, body: Body) -> None:
        """Set `body.write` while this connection takes more, and unset it while it does not; once it has begun."""


class Body:
    """The body of an answer that goes on for long, written piece by piece without waiting.

    Thousands of streams may get the same piece. Under our own server its bytes on the wire are made once, and go
    straight to each connection; any other server gets each piece by `send`.

    Attributes:
        write: Puts bytes on the wire; None where pieces go by `send`. Set by the connection.
    """

    __slots__ = ("_send", "write")

    def __init__(self, send: Send) -> None:
        self.write: Callable[[bytes], None] | None = None
        self._send = send

    async def start(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Answer 200 with these headers, no length among them; called once, before anything is written."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        extension: dict[str, ReferenceType[Connection]] = (scope.get("extensions") or {}).get(STREAM, {})
        connection = extension["connection"]() if extension else None
        if connection is not None:
            connection.attach(self)

    def offer(self, piece: bytes) -> Awaitable[None] | None:
        """Write a piece without waiting.

        Returns:
            None when it is written; else, where the client is slow, an awaitable that ends when it is.
        """
        write = self.write
        if write is None:
            return offer(self._send, {"type": "http.response.body", "body": piece, "more_body": True})
        write(_chunks.of(piece))
        return None

    async def end(self, piece: bytes) -> None:
        """Write the last piece."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})


class _Chunks:
    """Pieces as HTTP chunks (RFC 9112, section 7.1); who write the same piece one after the other share its chunk."""

    __slots__ = ("_chunk", "_piece")

    def __init__(self) -> None:
        self._piece = self._chunk = b""

    def of(self, piece: bytes) -> bytes:
        if piece is not self._piece:
            self._piece = piece
            # An empty chunk would end the body.
            self._chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return self._chunk


_chunks = _Chunks()


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
