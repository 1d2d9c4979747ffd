"""Hearing all that a server in a test lets out: each byte on the wire, each line of its log.

Append a `Listener` to `listeners`, and every `live_server` that starts afterwards tells it. A server that a test puts
together by itself is heard with `HttpServer(…, protocol=overheard())`.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.types import Scope

from tidings.protocol import BoundedProtocol
from tidings.services import Services


class Listener(Protocol):
    """Hears a server. It must be quick, and must not raise."""

    def sent(self, scope: Scope | None, before: bytes, piece: bytes) -> None:
        """Bytes went to a client: heads, bodies, frames, as they lie on the wire.

        Args:
            scope: ASGI scope of the request that they answer; None where its head was never read to the end.
            before: The end of what went to this client before.
            piece: The bytes.
        """

    def logged(self, line: Mapping[str, Any]) -> None:
        """A line was logged: its fields, `level` and `event` among them; a traceback is the text `exception`."""

    def stopped(self, services: Services) -> None:
        """A server has stopped; what it counted can still be read."""


#: Who hears the servers that start from now on.
listeners: list[Listener] = []

_REMEMBERED_BYTES = 64


def overheard() -> type[BoundedProtocol]:
    """The protocol that a server speaks in tests: the usual one, heard by all `listeners` if there are any."""
    return _Overheard if listeners else BoundedProtocol


class _Overheard(BoundedProtocol):
    __slots__ = ()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Ear(transport, self))


class _Ear:
    """A transport that repeats what is written to it; in everything else it is the one it stands before."""

    __slots__ = ("_before", "_protocol", "_transport")

    def __init__(self, transport: Any, protocol: BoundedProtocol) -> None:
        self._transport = transport
        self._protocol = weakref.ref(protocol)
        self._before = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, piece: bytes) -> None:
        protocol = self._protocol()
        cycle = None if protocol is None else protocol.cycle
        scope: Any = None if cycle is None else cycle.scope
        before, self._before = self._before, piece[-_REMEMBERED_BYTES:]
        for listener in listeners:
            listener.sent(scope, before, piece)
        self._transport.write(piece)
