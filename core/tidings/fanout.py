"""From the journal to everyone who watches, live.

A subscription is a cursor on the journal. While it keeps up, an entry's frame goes to it straight from memory,
but only if its seq is the very next one; in every other case the subscription reads the journal from where it
stands, at its own pace. So a lost wake-up, a slow client or a burst costs latency and never an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import anyio
import anyio.abc
from structlog.typing import FilteringBoundLogger

from tidings.attention import Attention
from tidings.contracts import (
    Arrival,
    Bus,
    Clock,
    Glance,
    Notice,
    Outage,
    Principal,
    Question,
    Selection,
    Sink,
    WakeUp,
)
from tidings.errors import Denied, TidingsError, Unavailable
from tidings.event import Cursor, Entry, UserId
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.subscription import LiveSubscription
from tidings.watches import Watch, Watches

_WRITES_PER_TURN = 250  # then other tasks get the loop
_MOST_PENDING = 10_000  # entries in memory; beyond, subscriptions read the journal
_BEYOND = "beyond"  # the epoch of a cursor that was never given
_READS_AT_ONCE = 3  # of the database's readers; the rest are for the API


class Fanout:
    """Feeds every open stream of this node; see `tidings.contracts.Streams`.

    Args:
        most_streams: Streams that one user may have open, or None for no limit.
    """

    def __init__(
        self,
        journal: SqlJournal,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        health: Health,
        *,
        most_streams: int | None = None,
    ) -> None:
        self.journal = journal
        self.log = log
        self.metrics = metrics
        self.clock = clock
        self.reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._bus: Bus | None = None
        self._bus_health = health.component("bus")
        self._outage = ""  # of the bus, as it says itself
        self.attention = Attention(self, clock)
        self._most_streams = most_streams
        self._watches = Watches(
            journal,
            clock,
            bus=lambda: self.bus,
            reads=self.reads,
            start_soon=self._start_soon,
            deliver=self._next,
            fall_behind=self._fall_behind,
        )
        self._pending: deque[Entry] = deque()
        self._wakeups: dict[UserId, int] = {}
        self._waiting = asyncio.Event()
        self._untold = asyncio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._draining = False

    def use(self, bus: Bus) -> None:
        """Name the bus; called once, before `run`."""
        self._bus = bus

    @property
    def bus(self) -> Bus:
        """The bus."""
        if self._bus is None:
            raise Unavailable("The server is starting.", retry_after_seconds=1)
        return self._bus

    # --- what transports see ---

    async def open(
        self,
        principal: Principal,
        sink: Sink,
        *,
        after: Cursor | None,
        selection: Selection,
        encode: Callable[[Entry], bytes],
        transport: str,
    ) -> LiveSubscription:
        """See `tidings.contracts.Streams.open`."""
        async with self._watches.opening(principal.user_id) as watch:
            position = (
                Cursor(watch.epoch, watch.heard)
                if after is None
                else await self._judged(watch, principal, after)
            )
            # No await from here to the end: streams opened at once must all be counted, and all be drained.
            if self._draining:
                raise Unavailable("The server is shutting down.", retry_after_seconds=2)
            if self._most_streams is not None and len(watch.subscriptions) >= self._most_streams:
                raise Denied(
                    f"You have {self._most_streams} streams open, as many as this server allows. Close one first.",
                    status=429,
                    code="too_many_streams",
                )
            subscription = LiveSubscription(self, principal, sink, position, selection, encode, transport)
            watch.subscriptions[subscription] = None
        self.log.info("stream_opened", user=principal.user_id, transport=transport, after=str(position))
        self.metrics.streams.labels(transport).inc()
        return subscription

    async def _judged(self, watch: Watch, principal: Principal, after: Cursor) -> Cursor:
        """A cursor beyond the head is of no life of this journal; decided now, before the head can pass it."""
        if after.epoch == watch.epoch and after.seq > watch.heard:
            head = await self.journal.head(principal.user_id)  # another node may know more than this one
            if after.seq > head.seq:
                return Cursor(_BEYOND, after.seq)
        return after

    def subscriptions(self) -> list[LiveSubscription]:
        """Every open stream."""
        return [one for watch in self._watches for one in watch.subscriptions]

    def subscriptions_of(self, user_id: UserId) -> list[LiveSubscription]:
        """A user's open streams at this node."""
        watch = self._watches.get(user_id)
        return [] if watch is None else list(watch.subscriptions)

    def count_frames(self) -> None:
        """Bring the metric of frames up to date; counting each as it is sent would cost more than sending it."""
        for subscription in self.subscriptions():
            self._count(subscription)

    def _count(self, subscription: LiveSubscription) -> None:
        self.metrics.frames.labels(subscription.transport).inc(subscription.frames - subscription.counted)
        subscription.counted = subscription.frames

    # --- what the journal and the bus say ---

    def committed(self, entries: Sequence[Entry], _seconds: float = 0.0) -> None:
        """New entries are on disk; called by the journal's writer, returns at once."""
        for entry in entries:
            self._wakeups[entry.user_id] = entry.cursor.seq
        self._next([entry for entry in entries if self._watches.committed(entry)])
        self._untold.set()

    def _next(self, entries: Sequence[Entry]) -> None:
        """Have entries delivered from memory; if they are too many, streams read the journal."""
        self._pending.extend(entries)
        if len(self._pending) > _MOST_PENDING:
            users = {entry.user_id for entry in self._pending}
            self._pending.clear()
            self._fall_behind(users)
        self._waiting.set()

    def _fall_behind(self, users: Iterable[UserId]) -> None:
        for user_id in users:
            watch = self._watches.get(user_id)
            if watch is not None:
                for subscription in tuple(watch.subscriptions):
                    subscription.look(watch.newest)

    # --- tasks ---

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with anyio.create_task_group() as self._tasks:
                self._resume()
                for work in (
                    self._deliver,
                    self._wake_others,
                    self._listen,
                    self._watches.heads.run,
                    self._watches.let_go,
                ):
                    self._tasks.start_soon(work)
        finally:
            self._tasks = None

    def _resume(self) -> None:
        """Take up the streams that a failed run has left behind; the tasks that fed some of them are gone."""
        for watch in self._watches:
            for subscription in tuple(watch.subscriptions):
                if subscription.state == "live":
                    subscription.look(watch.newest)
                else:  # a frame may have been half-way out: the client knows best where it stands
                    self.start_soon(partial(subscription.finish, "restart"), subscription)

    def start_soon(self, work: Callable[[], Awaitable[None]], subscription: LiveSubscription) -> None:
        """Run `work` for a subscription, beside the others; if it fails, that stream alone ends."""
        self._start_soon(partial(self._contained, work, subscription))

    def _start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._tasks is None:
            raise Unavailable("The server is starting.", retry_after_seconds=1)
        self._tasks.start_soon(work)

    async def _contained(self, work: Callable[[], Awaitable[None]], subscription: LiveSubscription) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - a defect of one transport must not stop the others
            self.broken(subscription, error)

    def broken(self, subscription: LiveSubscription, error: Exception) -> None:
        """A stream's transport failed: end the stream, keep the rest."""
        self.log.error(
            "stream_failed",
            transport=subscription.transport,
            user=subscription.principal.user_id,
            exc_info=error,
        )
        if subscription.end("failed"):
            self.start_soon(subscription.dismiss, subscription)

    async def _deliver(self) -> None:
        writes = 0
        while True:
            while self._pending:
                entry = self._pending.popleft()
                watch = self._watches.get(entry.user_id)
                if watch is None:
                    continue
                frames: dict[object, bytes] = {}
                for subscription in tuple(watch.subscriptions):
                    subscription.take(entry, frames)
                    writes += 1
                    if writes % _WRITES_PER_TURN == 0:
                        await asyncio.sleep(0)
            if not self._pending:
                self._waiting.clear()
                await self._waiting.wait()

    async def _wake_others(self) -> None:
        """Tell the bus of commits; streams here need not wait until it has taken that."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            wakeups, self._wakeups = self._wakeups, {}
            try:
                await self.bus.publish([WakeUp(user_id, seq) for user_id, seq in wakeups.items()])
            except Exception as error:  # noqa: BLE001 - a lost wake-up costs latency
                reason = str(error) if isinstance(error, TidingsError) else f"{type(error).__name__}: {error}"
                self._bus_health.down(self._outage or reason)
            else:
                if not self._outage:
                    self._bus_health.up()

    async def _listen(self) -> None:
        async with aclosing(self.bus.wakeups()) as arrivals:
            async for arrival in arrivals:
                await self._arrived(arrival)

    async def _arrived(self, arrival: Arrival) -> None:
        match arrival:
            case WakeUp():
                self._watches.reach({arrival.user_id: arrival.seq})
            case Notice():
                for subscription in self.subscriptions_of(arrival.user_id):
                    subscription.tell(arrival)
            case Glance():
                self.attention.heard(arrival)
            case Question():
                if self.attention.answers(arrival):
                    with suppress(Unavailable):  # who asks has given up by then
                        await self.bus.answer(arrival)
            case Outage():
                self._outage = arrival.reason
                self._watches.heads.outage(lasts=bool(arrival.reason))
                if arrival.reason:
                    self._bus_health.down(arrival.reason)
                else:
                    self._bus_health.up()

    # --- what streams ask ---

    def newest(self, user_id: UserId) -> Cursor:
        """The newest position known of a watched user."""
        watch = self._watches[user_id]
        return Cursor(watch.epoch, watch.newest)

    def renew(self, user_id: UserId, epoch: str) -> None:
        """A reader found the journal under another epoch than when watching began."""
        self._watches[user_id].epoch = epoch

    def forget(self, subscription: LiveSubscription) -> None:
        """A subscription has ended."""
        watch = self._watches.get(subscription.principal.user_id)
        if watch is not None and subscription in watch.subscriptions:
            del watch.subscriptions[subscription]
            self.metrics.streams.labels(subscription.transport).dec()
            self._count(subscription)
            self.log.info(
                "stream_closed",
                user=subscription.principal.user_id,
                transport=subscription.transport,
                frames=subscription.frames,
                seconds=round(self.clock.monotonic() - subscription.opened_at, 1),
                reason=subscription.reason,
            )
            self._watches.note_idle(watch)

    # --- endings ---

    async def end(self, reasons: dict[str, str]) -> None:
        """End the streams of these principals: `{principal.key: reason}`."""
        ending = [one for one in self.subscriptions() if one.principal.key in reasons]
        await self._finish([(one, reasons[one.principal.key]) for one in ending])

    async def drain(self) -> None:
        """Tell every client to come back, and open nothing more: the server is stopping."""
        self._draining = True
        await self._finish([(one, "restart") for one in self.subscriptions()])

    async def _finish(self, endings: Sequence[tuple[LiveSubscription, str]]) -> None:
        async with anyio.create_task_group() as group:
            for subscription, reason in endings:
                group.start_soon(subscription.finish, reason)
