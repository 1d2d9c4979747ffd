"""The monitor on a platform where everything goes wrong, in any order."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import stores
from examples import examples
from scripted import HOUR, Logging, Pollable, Pushing, watching

TARGETS = ["a", "b"]
# The longest back-off, once for what was found out late, and what retries of jobs add.
BACK_WITHIN_SECONDS = 14 * HOUR


class MonitorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()

    @initialize(kind=st.sampled_from([Logging, Pushing]), lease=st.sampled_from([None, 24 * HOUR]))
    def connect(self, kind: type[Pollable], lease: float | None) -> None:
        watched = watching(Path(self.folder.name), kind, targets=list(TARGETS), lease_seconds=lease)
        self.watch = self.runner.run(self.stack.enter_async_context(watched))
        self.remote = self.watch.remote

    # --- what goes wrong, and ends ------------------------------------------------------------------------------

    @rule(where=st.sampled_from(TARGETS))
    def somebody_deletes_a_webhook(self, where: str) -> None:
        for hook in [hook for hook in self.remote.hooks.values() if hook.target == where]:
            del self.remote.hooks[hook.id]

    @rule(where=st.sampled_from(TARGETS))
    def somebody_disables_a_webhook(self, where: str) -> None:
        for hook in self.remote.hooks.values():
            hook.is_enabled = hook.is_enabled and hook.target != where

    @rule(refused=st.sets(st.sampled_from(TARGETS)))
    def rights_change(self, refused: set[str]) -> None:
        self.remote.refuses = refused

    @rule(disables=st.booleans())
    def the_platform_disables_webhooks(self, disables: bool) -> None:
        self.remote.disables = disables

    @rule(loses=st.booleans())
    def deliveries_get_lost(self, loses: bool) -> None:
        self.remote.loses = loses

    @rule(is_down=st.booleans())
    def the_platform_goes_down_or_up(self, is_down: bool) -> None:
        self.remote.is_down = is_down

    @rule(where=st.sampled_from(TARGETS), signal=st.sampled_from(["", "verified", "removed"]))
    def something_happens(self, where: str, signal: str) -> None:
        self.runner.run(self.watch.happen(where, signal=signal))

    @rule(seconds=st.sampled_from([10.0, 600.0, 2 * HOUR, 7 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.runner.run(self.watch.pass_seconds(seconds))

    @rule()
    def the_server_starts_again(self) -> None:
        self.runner.run(self.watch.monitor.start())

    @rule()
    def the_consent_ends_and_is_given_anew(self) -> None:
        async def again() -> None:
            await self.watch.park()
            await self.watch.pass_seconds(HOUR)
            await self.watch.heal()
            await self.watch.pass_seconds(1)

        self.runner.run(again())

    # --- what must hold at any time -----------------------------------------------------------------------------

    @invariant()
    def some_job_keeps_watching(self) -> None:
        due = self.runner.run(self._due())
        assert {"monitor", "sync"} <= due.keys()

    async def _due(self) -> dict[str, float]:
        return await self.watch.due

    @invariant()
    def every_change_is_told_once_and_has_a_reason(self) -> None:
        async def told() -> None:
            connection, before = await self.watch.connection, None
            while connection != before:  # jobs go on: look until nothing moves between the two
                before = connection
                entries = await self.watch.entries("strategy_changed")
                connection = await self.watch.connection
            changes = [json.loads(bytes(one.data)) for one in entries]
            strategies = ["", *[change["strategy"] for change in changes]]
            assert [change["before"] for change in changes] == strategies[:-1]
            assert all(before != after for before, after in pairwise(strategies))
            assert all(change["reason"] for change in changes)
            assert connection.strategy == strategies[-1]
            assert connection.strategy_reason or not connection.strategy

        self.runner.run(told())

    def teardown(self) -> None:
        try:
            if hasattr(self, "watch"):
                self.runner.run(self._all_is_well_again())
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()
            self.folder.cleanup()

    async def _all_is_well_again(self) -> None:
        remote, watch = self.remote, self.watch
        remote.refuses, remote.disables, remote.loses, remote.is_down = set(), False, False, False
        await watch.pass_seconds(BACK_WITHIN_SECONDS)
        assert (await watch.connection).strategy == "webhook"
        assert {hook.target for hook in remote.hooks.values() if hook.is_enabled} == set(TARGETS)
        await watch.pass_seconds(12 * HOUR)
        told = Counter(one.id for one in await watch.entries(".thing"))
        assert told == Counter(f"scripted:thing:{number}" for number in range(len(remote.happened)))


@pytest.mark.usefixtures("every_database")
def test_whatever_goes_wrong_the_connection_is_watched_and_finds_its_way_back() -> None:
    run_state_machine_as_test(
        MonitorMachine,
        settings=settings(
            max_examples=examples(8 if stores.server is None else 3), stateful_step_count=12, deadline=None
        ),
    )
