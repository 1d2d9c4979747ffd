"""Small pieces for plain ASGI endpoints, where a framework's request and response objects cost too much."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

from starlette.types import Message, Scope, Send

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
    sending = send(message)
    if type(sending) is not CoroutineType:
        return sending
    try:  # as in `step`, written out: this runs for every frame of every stream
        waits_for = sending.send(None)
    except StopIteration:
        return None
    return Rest(sending, waits_for)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
