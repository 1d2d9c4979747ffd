"""Small pieces for plain ASGI endpoints, where a framework's response object costs too much."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

from starlette.types import Message, Send


def offer(send: Send, message: Message) -> Awaitable[None] | None:
    """Send without waiting: one step of `send`, which is all there is to it while the client keeps up.

    Returns:
        None when the message is written; else, where the client is slow, an awaitable that ends when it is.
        It must be awaited, or closed by cancelling whoever awaits it.
    """
    sending = send(message)
    if not isinstance(sending, Coroutine):
        return sending
    try:
        waits_for = sending.send(None)
    except StopIteration:
        return None
    return _Rest(sending, waits_for)


class _Rest:
    """The rest of a coroutine that has taken its first step outside any task."""

    def __init__(self, sending: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._sending = sending
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            received = yield self._waits_for
        except BaseException as error:  # noqa: BLE001 - a cancellation belongs to the coroutine that waits
            self._waits_for = self._sending.throw(error)
            yield from self._finish()
            return
        try:
            self._waits_for = self._sending.send(received)
        except StopIteration:
            return
        yield from self._finish()

    def _finish(self) -> Generator[Any, Any, None]:
        while True:
            received = yield self._waits_for
            try:
                self._waits_for = self._sending.send(received)
            except StopIteration:
                return


def header(scope: dict[str, Any] | Any, name: bytes) -> str | None:
    """The first header of that lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
