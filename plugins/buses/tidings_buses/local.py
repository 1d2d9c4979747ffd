"""The bus of an installation with one node: wake-ups stay in the process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence

from tidings.context import Context
from tidings.contracts import Arrival, Bus, Glance, Notice, Question, WakeUp
from tidings.event import UserId
from tidings.hooks import Plugin, hookimpl
from tidings_buses.mailbox import Mailbox


class LocalBus(Bus):
    """Hands what is sent to a watched user back to this process."""

    def __init__(self) -> None:
        self._watched: set[UserId] = set()
        self._mailbox = Mailbox()

    async def publish(self, wakeups: Sequence[WakeUp]) -> None:
        """See `Bus.publish`."""
        for wakeup in wakeups:
            if wakeup.user_id in self._watched:
                self._mailbox.put(wakeup)

    async def watch(self, user_id: UserId) -> None:
        """See `Bus.watch`."""
        self._watched.add(user_id)

    async def unwatch(self, user_id: UserId) -> None:
        """See `Bus.unwatch`."""
        self._watched.discard(user_id)
        self._mailbox.forget(user_id)

    async def tell(self, frame: Notice | Glance) -> None:
        """See `Bus.tell`."""
        if frame.user_id in self._watched:
            self._mailbox.put(frame)

    async def ask(self, question: Question) -> bool:
        """See `Bus.ask`: there is no other node."""
        del question
        return False

    async def answer(self, question: Question) -> None:
        """See `Bus.answer`: none ever arrives."""

    async def wakeups(self) -> AsyncGenerator[Arrival, None]:
        """See `Bus.wakeups`."""
        while True:
            await self._mailbox.wait()
            for arrival in self._mailbox.take():
                yield arrival


class LocalBusPlugin(Plugin):
    """Offers the local bus."""

    @hookimpl
    def tidings_buses(self, context: Context) -> Iterable[Bus]:
        """The one bus."""
        del context  # it needs nothing
        return [LocalBus()]
