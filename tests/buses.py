"""Buses for tests: the same two nodes by each of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from broker import Broker, nats_bus
from tidings.bus import Arrival, Bus
from tidings.clock import SystemClock
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings_buses.local import LocalBus
from tidings_buses.nats import NatsBus

A = TypeVar("A", bound=Arrival)

KINDS = ("local", "nats")
_somebody = itertools.count(10_000_000)  # for round trips


async def at_rest(bus: Bus) -> None:
    """Until all that this node has sent has arrived wherever it goes: the broker takes one thing after another."""
    if isinstance(bus, NatsBus):
        user_id = UserId(next(_somebody))
        try:
            await bus.watch(user_id)
        except Unavailable:
            return
        await bus.unwatch(user_id)


class Node:
    """A bus with all that has arrived there."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.arrived: list[Arrival] = []
        self._news = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for arrival in self.bus.wakeups():
            self.arrived.append(arrival)
            self._news.set()

    async def until(self, *wanted: Arrival) -> None:
        """Wait until these have arrived; as a backstop, not for ever."""
        async with asyncio.timeout(20):
            while not all(one in self.arrived for one in wanted):
                self._news.clear()
                await self._news.wait()

    async def first(self, kind: type[A]) -> A:
        """The first of a kind that has arrived, or will."""
        async with asyncio.timeout(20):
            while True:
                for one in self.arrived:
                    if isinstance(one, kind):
                        return one
                self._news.clear()
                await self._news.wait()

    async def stop(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)


@asynccontextmanager
async def two_nodes(kind: str, broker: Broker, **options: Any) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes of an installation; where the bus has only one, that is both."""
    buses = (
        [LocalBus()] if kind == "local" else [nats_bus(broker, SystemClock(), **options) for _ in range(2)]
    )
    nodes = [Node(bus) for bus in buses]
    try:
        yield nodes[0], nodes[-1]
    finally:
        for node in nodes:
            await node.stop()
