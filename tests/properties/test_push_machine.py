"""One device, whatever its push service answers and whenever the process dies: each thing is told once, in order."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import stores
from examples import examples
from stores import at_rest, placed, with_our_clock
from tidings.accounts import add_user
from tidings.contracts import Item, Principal
from tidings.devices import Admitted, Device, Fate, News, Pushed, Pushes
from tidings.event import Event, UserId
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.keys import KeyRing
from tidings.metrics import Metrics
from tidings.push_rules import Rules, set_rules
from tidings.push_subscriptions import list_subscriptions
from tidings.pushing import Pushing
from tidings.scheduler import Scheduler
from tidings.testing.clock import FakeClock
from tidings.vault import Vault
from tidings.writer import Writer
from tidings_buses.local import LocalBus

_drop = structlog.wrap_logger(None, processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
MUTED = "com.example.muted"
DIES = "dies"  # the push service has taken it, and the process never learns
Script = Fate | str


class Scripted(Pushes):
    """Speaks to a push service that answers as it is told, else takes everything.

    Attributes:
        shown: What the device shows in the end: the last place and the number of events, by the first place.
        refused: What the push service never will take: from, to.
    """

    name = "scripted"
    pace_seconds = 30.0
    public_keys: Mapping[str, str] = {"k": "public"}  # type: ignore[assignment]  # a property in the contract

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.script: list[Script] = []
        self.shown: dict[int, tuple[int, int]] = {}
        self.refused: list[tuple[int, int, int]] = []
        self.not_before = 0.0  # as it was asked to wait
        self.held = asyncio.Event()
        self.wrong: list[str] = []  # an exception here would only be a failed run

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        raise AssertionError("Nothing asks for it here.")

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        return Admitted(wish, wish["endpoint"], "push.example.org")

    async def push(self, device: Device, news: News | None) -> Pushed:
        assert news is not None
        if self.clock.monotonic() < self.not_before:
            self.wrong.append("It was pushed too soon.")
        if any(entry.type == MUTED for entry in news.entries):
            self.wrong.append("What is muted was told.")
        answer = self.script.pop(0) if self.script else Fate.TAKEN
        first, last = news.first.seq, news.entries[-1].cursor.seq
        if answer is Fate.REFUSED:
            # Of what a process sent that died then, the device may show the beginning already.
            before, count = self.shown.get(first, (first - 1, 0))
            self.refused.append((before + 1, last, news.count - count))
        if answer in {Fate.TAKEN, DIES}:
            self.shown[first] = (last, news.count)
        if answer == DIES:
            self.held.set()
            await asyncio.get_running_loop().create_future()
        if answer is Fate.TAKEN:
            self.not_before = self.clock.monotonic() + self.pace_seconds
        if answer is Fate.LATER:
            self.not_before = self.clock.monotonic() + 90
            return Pushed(Fate.LATER, 503, "It fails.", 90.0)
        assert isinstance(answer, Fate)
        return Pushed(answer, 201 if answer is Fate.TAKEN else 400, "It says so.")


class PushMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.numbers = itertools.count(1)
        self.wanted: list[int] = []  # places of the events that are to be told
        self.do(self.begin())

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.runner.run(work)

    async def begin(self) -> None:
        self.clock = FakeClock()
        self.transport = Scripted(self.clock)
        url = await self.stack.enter_async_context(placed(Path(self.folder.name)))
        self.database = with_our_clock(url)
        self.stack.push_async_callback(self.database.close)
        if stores.server is not None:
            self.clock.join(partial(at_rest, self.database))
        await self.database.write(
            lambda sql: add_user(sql, name="alice", is_admin=False, now=self.clock.now())
        )
        await self.database.write(lambda sql: set_rules(sql, UserId(1), Rules(muted_types=(MUTED,))))
        await self.start()
        principal = Principal(UserId(1), "alice", "token", "token:1", frozenset({"read"}))
        await self.pushing.subscribe(principal, {"endpoint": "secret"}, key="", label="")
        await self.settle()

    async def start(self) -> None:
        """A process begins."""
        health, metrics = Health(self.clock, _drop), Metrics()
        self.writer = Writer(self.database, health.component("database"), self.clock.monotonic)
        self.journal = SqlJournal(self.database, self.writer, self.clock)
        fanout = Fanout(self.journal, self.clock, _drop, metrics, health)
        fanout.use(LocalBus())
        self.scheduler = Scheduler(self.journal, self.writer, self.clock, _drop, metrics, random=Random(1))
        self.pushing = Pushing(
            self.transport, {}, self.journal, self.writer, fanout, Vault(KeyRing({"v": b"v" * 32})),
            self.clock, _drop, metrics, health.component("push"), Random(2),
        )  # fmt: skip
        self.pushing.register(self.scheduler)
        self.tasks = [
            asyncio.create_task(self.scheduler.run()),
            asyncio.create_task(self.pushing.run()),
        ]
        await self.pushing.start()

    async def stop(self) -> None:
        """A process dies; what it had not committed is lost."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.writer.close()
        await self.writer.drained()
        self.transport.held.clear()

    async def settle(self) -> None:
        """Until nothing is left to do now, or a push has no answer yet."""
        while True:
            while self.pushing._pending:
                await asyncio.sleep(0.001)
            idle = asyncio.create_task(self.scheduler.idle())
            held = asyncio.create_task(self.transport.held.wait())
            await asyncio.wait([idle, held], return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
            held.cancel()
            await asyncio.gather(idle, held, return_exceptions=True)
            if not self.pushing._pending:
                return

    async def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.advance(1)
            await self.settle()

    async def append(self, types: list[str]) -> None:
        events = [
            Event(id=f"x:{next(self.numbers)}", type=type_, source="//x", platform="x", data={"title": "x"})
            for type_ in types
        ]
        (appended,) = await self.journal.append(Item(UserId(1), events, via="webhook"))
        for cursor, type_ in zip(appended.cursors, types, strict=True):
            if type_ != MUTED:
                assert cursor is not None
                self.wanted.append(cursor.seq)

    @rule(
        types=st.lists(
            st.sampled_from(["com.example.told", "com.example.told", MUTED]), min_size=1, max_size=4
        ),
        script=st.lists(
            st.sampled_from([Fate.LATER, Fate.TAKEN, DIES, Fate.REFUSED, Fate.BLOCKED]), max_size=3
        ),
        seconds=st.sampled_from([3, 0, 1, 35]),
    )
    def something_happens(self, types: list[str], script: list[Script], seconds: int) -> None:
        async def work() -> None:
            self.transport.script = list(script)
            await self.append(types)
            await self.settle()
            await self.advance(seconds)

        self.do(work())

    @rule(seconds=st.sampled_from([3, 35, 95]))
    def time_passes(self, seconds: int) -> None:
        self.do(self.advance(seconds))

    @rule(types=st.lists(st.just("com.example.told"), max_size=2))
    def the_process_dies(self, types: list[str]) -> None:
        """At once after something was committed, or at rest."""

        async def work() -> None:
            if types:
                await self.append(types)
            await self.stop()
            await self.start()
            await self.settle()

        self.do(work())

    def teardown(self) -> None:
        try:
            self.do(self.end())
        finally:
            self.runner.close()
            self.folder.cleanup()

    async def end(self) -> None:
        """All is well from now on, and time enough: then everything was told, once and in order."""
        try:
            if self.transport.held.is_set():
                await self.stop()
                await self.start()
            self.transport.script = []
            for _ in range(60):  # the longest back-off is 10 minutes, a lease lapses after one
                await self.clock.advance(20)
                await self.settle()
            assert self.transport.wrong == []
            (device,) = await self.database.read(list_subscriptions)
            head = await self.journal.head(UserId(1))
            assert device.cursor == head
            told = sorted(
                [*self.transport.refused, *((first, *rest) for first, rest in self.transport.shown.items())]
            )
            places: list[int] = []
            for first, last, count in told:
                within = [seq for seq in self.wanted if first <= seq <= last]
                assert len(within) == count
                places += within
            assert places == self.wanted
        finally:
            await self.stop()
            await self.stack.aclose()


@pytest.mark.usefixtures("every_database")
def test_each_thing_is_told_once_and_in_order() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # has no annotations
        PushMachine,
        settings=settings(
            max_examples=examples(15 if stores.server is None else 4), stateful_step_count=12, deadline=None
        ),
    )
