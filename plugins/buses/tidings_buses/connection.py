"""One connection to a NATS server, by the library `nats-py`.

It is never mended: when it breaks, the bus makes another. The library would replay all subscriptions in one go, which
for 100,000 users keeps every stream waiting for a third of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tidings.errors import Unavailable
from tidings.event import UserId
from tidings_buses.wire import Received, Subjects

#: What the library raises where the other side can't be reached, or says no.
FAILURES: Final = (nats.errors.Error, OSError, asyncio.TimeoutError)
_CONFIRM_SECONDS: Final = 5
_ASK_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.002
_CLOSE_SECONDS: Final = 1.0


class Connection:
    """What the bus does by a connection; useless once `ended` is set.

    Args:
        client: Not connected yet.
        subjects: What is subscribed to.
        take: Called with what arrives.
    """

    def __init__(self, client: Client, subjects: Subjects, take: Callable[[Received], None]) -> None:
        self.ended = asyncio.Event()
        self._client = client
        self._subjects = subjects
        self._inbox = _Inbox(take, subjects)

    async def subscribe(self, user_id: UserId) -> Subscription:
        """Have the server send what is for this user; certain with the next `confirm`.

        Raises:
            Unavailable: The connection has ended.
        """
        with _translated():
            return await self._client.subscribe(self._subjects.of(user_id), future=self._inbox)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Undo it; a connection that ends takes its subscriptions along."""
        with suppress(*FAILURES):
            await subscription.unsubscribe()

    async def publish(self, messages: Iterable[tuple[UserId, bytes]]) -> None:
        """Send to whoever has subscribed to these users.

        Raises:
            Unavailable: The connection has ended.
        """
        with _translated():
            for user_id, payload in messages:
                await self._client.publish(self._subjects.of(user_id), payload)

    async def ask(self, user_id: UserId, payload: bytes) -> bool:
        """Send to whoever has subscribed to this user; whether somebody has answered within a moment."""
        try:
            await self._client.request(self._subjects.of(user_id), payload, timeout=_ASK_SECONDS)
        except FAILURES:  # nobody is there, or nobody has said yes
            return False
        return True

    async def answer(self, reply: str) -> None:
        """Say yes to who asks.

        Raises:
            Unavailable: The connection has ended.
        """
        with _translated():
            await self._client.publish(reply)

    async def confirm(self) -> None:
        """Return when the server has taken everything up to here.

        Raises:
            Unavailable: The connection has ended, or the server says nothing.
        """
        with _translated():
            await self._unless_ended(self._round_trip())

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event.

        Raises:
            Unavailable: The connection has ended.
        """
        await self._unless_ended(event.wait())

    async def _unless_ended(self, work: Coroutine[Any, Any, object]) -> None:
        working, ended = asyncio.create_task(work), asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                error = self._client.last_error
                raise Unavailable("the connection has ended" if error is None else described(error))
            await working
        finally:
            for task in (working, ended):
                task.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)

    async def _round_trip(self) -> None:
        # The library writes a PING at once, but what was sent before only when a task of its own comes to it: not while
        # the server reads slowly. A PONG would then say nothing of that.
        async with asyncio.timeout(_CONFIRM_SECONDS):
            while self._client.pending_data_size > 0:  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(_LOOK_SECONDS)
        await self._client.flush(_CONFIRM_SECONDS)

    async def close(self) -> None:
        """End it."""
        with suppress(*FAILURES):
            async with asyncio.timeout(
                _CLOSE_SECONDS
            ):  # the library waits for ever where a handshake has failed
                await self._client.close()


class _Inbox(asyncio.Future[Msg]):
    """Takes the messages of all subscriptions.

    The library would give each a task that waits for its messages. Handed this, as the future of a single message, it
    does without, and hands every message over at once.
    """

    def __init__(self, take: Callable[[Received], None], subjects: Subjects) -> None:
        super().__init__()
        self._hand_over = take
        self._subjects = subjects

    def cancelled(self) -> bool:
        """It never is."""
        return False

    def set_result(self, result: Msg) -> None:
        """Called for each message."""
        arrival = self._subjects.decode(result.subject, result.data, result.reply)
        if arrival is not None:
            self._hand_over(arrival)


def described(error: BaseException) -> str:
    """What the library says, for people."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error).removeprefix("nats: ").strip("'\"") or type(error).__name__


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise Unavailable(described(error)) from error
