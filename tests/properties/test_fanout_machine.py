"""Streams that open, lag, leave and come back while events come: each gets exactly its events, in order, once."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from broker import Broker, nats_bus
from examples import examples
from streams import Client, Scene, scene_in
from tidings.bus import Bus
from tidings.clock import SystemClock
from tidings.contracts import WakeUp
from tidings.event import OLDEST, Cursor, UserId
from tidings.retention import Policy, Retention
from tidings.selection import EVERYTHING, TypeSelection
from tidings.subscription import LiveSubscription
from tidings_buses.local import LocalBus

RARE = TypeSelection(["rare"])


@dataclasses.dataclass(eq=False)
class Watcher:
    """A client with what it must get: every wanted seq behind `start`.

    Attributes:
        oldest: It asked for the oldest kept: what is cut before it is served is not missing.
        foreign: It came with a cursor that was never given: before anything else it must be told so.
    """

    client: Client
    stream: LiveSubscription
    user: UserId
    start: int
    rare_only: bool
    oldest: bool = False
    foreign: bool = False

    def check(self, types: list[str], floor: int, *, complete: bool) -> None:
        """Everything told is in order, once, wanted; what is missing before it lies in a gap that was told."""
        position = self.start
        told = self.client.told
        if self.foreign and told:
            assert told[0].endswith(":restored"), "a cursor that was never given is answered with a gap"
        for place, one in enumerate(told):
            if one.startswith("gap:"):
                span, reason = one[4:].split(":")
                first, last = (int(part) for part in span.split("-"))
                assert last <= floor
                if reason == "restored":
                    assert self.foreign
                    assert place == 0
                else:
                    assert first == position + 1 or self.rare_only
                    assert last >= first
                position = last
                continue
            seq = int(one)
            if self.oldest and place == 0:
                position = max(position, min(seq - 1, floor))
            assert seq > position, "in order and once"
            assert self.missed(types, position, seq - 1) == [], "nothing left out"
            assert self.wants(types, seq)
            position = seq
        if complete:
            if self.oldest and not told:
                position = max(position, floor)
            assert self.missed(types, position, len(types)) == []

    def wants(self, types: list[str], seq: int) -> bool:
        return not self.rare_only or types[seq - 1] == "rare"

    def missed(self, types: list[str], after: int, upto: int) -> list[int]:
        return [seq for seq in range(after + 1, upto + 1) if self.wants(types, seq)]


class FanoutMachine(RuleBasedStateMachine):
    watchers = Bundle("watchers")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.open_watchers: list[Watcher] = []

    bus: ClassVar[Callable[[], Bus]] = LocalBus

    @initialize()
    def begin(self) -> None:
        opened = scene_in(Path(self.folder.name), type(self).bus())
        self.scene: Scene = self.runner.run(self.stack.enter_async_context(opened))
        self.types: dict[UserId, list[str]] = {self.scene.alice: [], self.scene.bob: []}
        self.floors = dict.fromkeys(self.types, 0)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def _user(self, first: bool) -> UserId:
        return self.scene.alice if first else self.scene.bob

    @rule(
        target=watchers,
        first=st.booleans(),
        rare_only=st.booleans(),
        paused=st.booleans(),
        where=st.sampled_from(["now", "oldest", "somewhere", "foreign", "beyond"]),
        share=st.floats(0, 1),
    )
    def open(self, first: bool, rare_only: bool, paused: bool, where: str, share: float) -> Watcher:
        user = self._user(first)
        head, floor = len(self.types[user]), self.floors[user]
        seq = floor + round(share * (head - floor))
        epoch = self.runner.run(self.scene.journal.head(user)).epoch
        after, start = {
            "now": (None, head),
            "oldest": (OLDEST, floor),
            "somewhere": (Cursor(epoch, seq), seq),
            "foreign": (Cursor("other", seq), floor),
            "beyond": (Cursor(epoch, head + 5), floor),
        }[where]
        client = Client()
        if paused:
            client.pause()
        selection = RARE if rare_only else EVERYTHING
        stream = self.runner.run(self.scene.open(client, user=user, after=after, selection=selection))
        if where == "now":  # from the newest that this node knows of: a wake-up may have been lost
            assert client.position is not None
            start = client.position.seq
            assert start <= head
        watcher = Watcher(
            client, stream, user, start, rare_only, where == "oldest", where in {"foreign", "beyond"}
        )
        self.open_watchers.append(watcher)
        return watcher

    @rule(watcher=watchers)
    def pause(self, watcher: Watcher) -> None:
        watcher.client.pause()

    @rule(watcher=watchers)
    def resume(self, watcher: Watcher) -> None:
        watcher.client.resume()

    @rule(watcher=watchers)
    def beat(self, watcher: Watcher) -> None:
        """A heartbeat, which says nothing; the client may have to take it before it gets more."""
        self.runner.run(self._beat(watcher))

    async def _beat(self, watcher: Watcher) -> None:
        watcher.stream.offer(b"")

    @rule(target=watchers, watcher=consumes(watchers))
    def come_back(self, watcher: Watcher) -> Watcher:
        """The client leaves, and comes back with the last position it was told."""
        self.runner.run(self._close(watcher))
        self.open_watchers.remove(watcher)
        told = watcher.client.told
        # Where nothing was told yet, the client has what it was told on opening. For one that came with a cursor
        # beyond the head that is not its own: the journal may have grown past that in the meantime.
        after, start, oldest, foreign = (
            watcher.client.position,
            watcher.start,
            watcher.oldest,
            watcher.foreign,
        )
        if told:
            start = int(told[-1].split(":")[1].split("-")[1] if "gap" in told[-1] else told[-1])
            after = Cursor(self.runner.run(self.scene.journal.head(watcher.user)).epoch, start)
            oldest = foreign = False
        client = Client()
        selection = RARE if watcher.rare_only else EVERYTHING
        stream = self.runner.run(self.scene.open(client, user=watcher.user, after=after, selection=selection))
        again = Watcher(client, stream, watcher.user, start, watcher.rare_only, oldest, foreign)
        self.open_watchers.append(again)
        return again

    async def _close(self, watcher: Watcher) -> None:
        watcher.stream.close()

    @rule(watcher=consumes(watchers))
    def leave(self, watcher: Watcher) -> None:
        self.runner.run(self._close(watcher))
        self.open_watchers.remove(watcher)

    @rule(first=st.booleans(), counts=st.lists(st.integers(1, 100), max_size=4), rare=st.booleans())
    def append(self, first: bool, counts: list[int], rare: bool) -> None:
        user = self._user(first)
        type_ = "rare" if rare else "common"

        async def all_at_once() -> None:
            await asyncio.gather(*[self.scene.append(count, user=user, type_=type_) for count in counts])

        self.runner.run(all_at_once())
        self.types[user] += [type_] * sum(counts)

    @rule(first=st.booleans(), count=st.integers(1, 5), wake=st.booleans())
    def append_elsewhere(self, first: bool, count: int, wake: bool) -> None:
        """Another node appends: no frame in memory here, and its wake-up may be lost."""
        user = self._user(first)
        listeners = self.scene.journal._listeners[:]
        self.scene.journal._listeners.clear()
        self.runner.run(self.scene.append(count, user=user, type_="common"))
        self.scene.journal._listeners.extend(listeners)
        self.types[user] += ["common"] * count
        if wake:
            self.runner.run(self.scene.fanout.bus.publish([WakeUp(user, len(self.types[user]))]))

    @rule(keep=st.integers(1, 150))
    def cut(self, keep: int) -> None:
        policy = Policy(None, keep)
        scene = self.scene
        self.runner.run(Retention(scene.store.writer, scene.store.clock, scene.log, policy).cut())
        for user, types in self.types.items():
            self.floors[user] = max(self.floors[user], len(types) - keep)

    @rule()
    def catch_up(self) -> None:
        """When clients read and one more event comes, everybody has everything."""
        for watcher in self.open_watchers:
            watcher.client.resume()
        for user, types in self.types.items():
            self.runner.run(self.scene.append(1, user=user, type_="rare"))
            types.append("rare")
        self.runner.run(self.scene.settle())
        for watcher in self.open_watchers:
            watcher.check(self.types[watcher.user], self.floors[watcher.user], complete=True)
            assert watcher.stream.state == "live"
            assert watcher.stream.cursor.seq == len(self.types[watcher.user])

    @invariant()
    def nothing_is_told_wrongly(self) -> None:
        for watcher in self.open_watchers:
            watcher.check(self.types[watcher.user], self.floors[watcher.user], complete=False)


@pytest.mark.usefixtures("every_database")
def test_every_stream_gets_exactly_its_events_in_order_once() -> None:
    run_state_machine_as_test(
        FanoutMachine, settings=settings(max_examples=examples(15), stateful_step_count=30, deadline=None)
    )


def test_every_stream_gets_exactly_its_events_in_order_once_by_nats(broker: Broker) -> None:
    subjects = itertools.count()

    class NatsMachine(FanoutMachine):
        @staticmethod
        def bus() -> Bus:
            return nats_bus(broker, SystemClock(), subject=f"machine.{next(subjects)}")

    run_state_machine_as_test(
        NatsMachine, settings=settings(max_examples=examples(5), stateful_step_count=30, deadline=None)
    )
