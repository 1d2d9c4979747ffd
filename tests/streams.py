"""Streams without a network: a sink that a test can block, over a real journal and a real fan-out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from buses import at_rest
from stores import Store, opened
from tidings.asgi import step
from tidings.contracts import Bus, Item, Notice, Principal, Selection, Sink
from tidings.event import Cursor, Entry, Event, Gap, UserId
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.selection import EVERYTHING
from tidings.subscription import LiveSubscription
from tidings.supervisor import keep_running
from tidings_buses.local import LocalBus


class Client(Sink):
    """Takes frames, unless it is told to be slow."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.finished: list[str] = []
        self.fails = False
        self.position: Cursor | None = None  # told on opening, as a transport does
        self.behind = asyncio.Event()  # a frame had to wait
        self._open = asyncio.Event()
        self._open.set()

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def offer(self, frame: bytes) -> Awaitable[None] | None:
        if self.fails:
            raise OSError("a defect")
        if self._open.is_set():
            self.frames.append(frame)
            return None
        self.behind.set()
        return step(self._later(frame))[1]

    async def _later(self, frame: bytes) -> None:
        await self._open.wait()
        self.frames.append(frame)

    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        return f"gap:{gap.from_seq}-{gap.to_seq}:{gap.reason};".encode()

    def notice(self, notice: Notice) -> bytes:
        return b"notice:%b;" % notice.data

    async def finish(self, reason: str) -> None:
        self.finished.append(reason)

    @property
    def told(self) -> list[str]:
        """What came, one text an event: its seq, or the gap."""
        return [one for one in b"".join(self.frames).decode().split(";") if one]

    @property
    def seqs(self) -> list[int]:
        return [int(one) for one in self.told]


def frame(entry: Entry) -> bytes:
    return f"{entry.cursor.seq};".encode()


class Journal(SqlJournal):
    """One that says whether anybody looks at where it ends.

    Attributes:
        looks: By how many.
    """

    looks = 0

    async def heads(self, users: Sequence[UserId]) -> Mapping[UserId, int]:
        self.looks += 1
        try:
            return await super().heads(users)
        finally:
            self.looks -= 1


class Scene:
    """A journal with two users, and its fan-out."""

    def __init__(self, store: Store, users: list[UserId], bus: Bus) -> None:
        def note(_logger: object, method: str, event: Any) -> Any:
            self.logged.append({"level": method, **event})
            raise structlog.DropEvent

        self.logged: list[dict[str, Any]] = []
        self.store = store
        self.alice, self.bob = users
        self.log = log = structlog.wrap_logger(None, processors=[note])
        self.journal = Journal(store.database, store.writer, store.clock)
        self.health = Health(store.clock, log)
        self.fanout = Fanout(self.journal, store.clock, log, Metrics(), self.health)
        self.fanout.use(bus)
        self.journal.on_commit(self.fanout.committed)
        self._started: dict[LiveSubscription, Client] = {}
        self._number = 0

    async def append(self, count: int = 1, *, user: UserId | None = None, type_: str = "com.x") -> None:
        numbers = range(self._number, self._number + count)
        self._number += count
        events = [Event(id=f"x:{n}", type=type_, source="s", platform="x", data={}) for n in numbers]
        await self.journal.append(Item(user or self.alice, events, via="webhook"))

    async def open(
        self,
        client: Client,
        *,
        user: UserId | None = None,
        after: Cursor | None = None,
        selection: Selection = EVERYTHING,
        key: str = "token:1",
    ) -> LiveSubscription:
        principal = Principal(user or self.alice, "somebody", "token", key, frozenset({"read"}))
        subscription = await self.fanout.open(
            principal, client, after=after, selection=selection, encode=frame, transport="test"
        )
        self.start(subscription, client)
        return subscription

    def start(self, subscription: LiveSubscription, client: Client) -> None:
        self._started[subscription] = client
        client.position = subscription.cursor
        subscription.start()

    async def settle(self) -> None:
        """Until nothing moves any more."""
        quiet = 0
        async with asyncio.timeout(10):
            while quiet < 5:
                before = self._positions()
                await at_rest(self.fanout.bus)
                await self.store.read(lambda _connection: None)
                for _ in range(20):
                    await asyncio.sleep(0)
                still = before == self._positions() and not self._anyone_reads()
                quiet = quiet + 1 if still else 0

    def _anyone_reads(self) -> bool:
        looked_at = self.journal.looks > 0 or any(watch.fetching for watch in self.fanout._watches)
        return looked_at or any(
            one.state == "reading" and one in self._started and self._started[one]._open.is_set()
            for one in self.fanout.subscriptions()
        )

    def _positions(self) -> list[tuple[Cursor, str]]:
        return [(one.cursor, one.state) for one in self.fanout.subscriptions()]


@asynccontextmanager
async def scene_in(folder: Path, bus: Bus | None = None) -> AsyncIterator[Scene]:
    async with opened(folder) as store:
        users = [(await store.add_user(name)).id for name in ("alice", "bob")]
        scene = Scene(store, users, bus or LocalBus())
        component = scene.health.component("fanout")
        running = asyncio.create_task(keep_running(scene.fanout.run, component, store.clock, scene.log))
        await asyncio.sleep(0)  # now it runs
        try:
            yield scene
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
