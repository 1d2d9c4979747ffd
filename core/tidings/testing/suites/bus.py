"""What a bus must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tidings.bus import Arrival
from tidings.contracts import Bus, Notice, WakeUp
from tidings.event import UserId
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.plugin import PluginSuite

_PATIENCE_SECONDS: Final = 60.0
_ANN, _BOB, _EVE = UserId(1), UserId(2), UserId(3)
_FLOOD: Final = 2_000


class Ear:
    """Hears all that a bus says, from when it is made."""

    def __init__(self, bus: Bus) -> None:
        self.heard: list[Arrival] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen(bus))

    async def _listen(self, bus: Bus) -> None:
        async for one in bus.wakeups():
            self.heard.append(one)
            self._news.set()

    async def until(self, wanted: WakeUp | Notice) -> None:
        """Wait until this was said.

        Raises:
            Violation: It never was.
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while wanted not in self.heard:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            fail(f"{wanted} was never heard, but {self.heard[-3:]}.")

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.wait([self._task])


class BusSuite(PluginSuite):
    """What a bus must be."""

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[tuple[Bus, Ear]]:
        """The bus, and who listens to it."""
        with self.offered() as (offer, _):
            if not isinstance(offer, Bus):
                fail(f"{self.plugin} offers {type(offer).__qualname__}, which is no Bus.")
            ear = Ear(offer)
            try:
                yield offer, ear
            finally:
                await ear.close()

    @standard
    async def test_wakes_who_is_watched(self) -> None:
        """What is published once `watch` has returned is heard."""
        async with self.bus() as (bus, ear):
            await bus.watch(_ANN)
            await bus.publish([WakeUp(_ANN, 1)])
            await ear.until(WakeUp(_ANN, 1))

    @standard
    async def test_lets_others_sleep(self) -> None:
        """What is published for users whom nobody watches here is not heard here."""
        async with self.bus() as (bus, ear):
            await bus.watch(_ANN)
            await bus.publish([WakeUp(_EVE, 1), WakeUp(_ANN, 1)])
            await ear.until(WakeUp(_ANN, 1))
            require(WakeUp(_EVE, 1) not in ear.heard, "A user whom nobody watches wakes this node.")

    @standard
    async def test_forgets_who_is_watched_no_more(self) -> None:
        """After `unwatch` nothing more is heard of that user."""
        async with self.bus() as (bus, ear):
            await bus.watch(_ANN)
            await bus.watch(_BOB)
            await bus.unwatch(_ANN)
            await bus.publish([WakeUp(_ANN, 5)])
            await bus.tell(Notice(_ANN, "token_refresh", "t", "x", b"{}"))
            await bus.publish([WakeUp(_BOB, 1)])
            await ear.until(WakeUp(_BOB, 1))
            require(
                not any(isinstance(one, WakeUp | Notice) and one.user_id == _ANN for one in ear.heard),
                "A user who is watched no more wakes this node.",
            )

    @standard
    async def test_tells_the_newest(self) -> None:
        """Of many wake-ups of one user the last one matters: it is heard, however many come at once."""
        async with self.bus() as (bus, ear):
            await bus.watch(_ANN)
            for seq in range(1, 501):
                await bus.publish([WakeUp(_ANN, seq)])
            await ear.until(WakeUp(_ANN, 500))

    @standard
    async def test_carries_notices(self) -> None:
        """What is told beside the journal comes to who watches, as it is."""
        async with self.bus() as (bus, ear):
            notice = Notice(_ANN, "platform_sync", "com.example.now", "example", b'{"title":"now"}')
            await bus.watch(_ANN)
            await bus.tell(notice)
            await ear.until(notice)

    @standard
    async def test_waits_for_nobody(self) -> None:
        """Publishing never waits for a node that takes nothing any more: it would hold up every commit."""
        with self.offered() as (bus, _):
            arrivals = bus.wakeups()
            first = asyncio.ensure_future(anext(arrivals))
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await bus.watch(_ANN)
                    await bus.publish([WakeUp(_ANN, 0)])
                    await first  # from now on nobody takes what arrives
                    for seq in range(_FLOOD):
                        await bus.publish([WakeUp(_ANN, seq)])
                        await bus.tell(Notice(_ANN, "token_refresh", "t", "x", b"{}"))
            except TimeoutError:
                fail(f"{_FLOOD} wake-ups that nobody takes are not published.")
            finally:
                first.cancel()
                await asyncio.wait([first])
                await arrivals.aclose()
