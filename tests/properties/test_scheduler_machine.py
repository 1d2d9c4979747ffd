"""Two schedulers on one database, with one clock: whatever is asked for, fails, stalls, crashes and restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

import stores
from examples import examples
from stores import at_rest, placed, with_our_clock
from tidings.accounts import add_user
from tidings.contracts import Checkpoint, Item, JobRequest
from tidings.errors import AuthExpired, Unavailable
from tidings.event import Event, UserId
from tidings.health import Health
from tidings.jobs import NEVER, Ended, Job, request_job, reschedule
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.scheduler import Scheduler
from tidings.schema import checkpoints, events, jobs, to_stored
from tidings.testing.clock import FakeClock
from tidings.writer import Writer

KEYS = ("a", "b", "c")
ACCOUNTS = {"a": "one", "b": "one", "c": "two"}
USER = UserId(1)
_drop = structlog.wrap_logger(None, processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])


@dataclasses.dataclass(eq=False)
class Run:
    """A handler at work; it ends when the machine says how."""

    job: Job
    node: Node
    end: asyncio.Future[Callable[[], Ended]]


class Node:
    """One process: its own connections, writer and scheduler."""

    def __init__(self, url: str, clock: FakeClock, machine: SchedulerMachine, seed: int) -> None:
        self.machine = machine
        self.clock = clock
        self.seed = seed
        self.is_stalled = False
        self.database = with_our_clock(url)
        health = Health(clock, _drop).component("database")
        self.writer = Writer(self.database, health, clock.monotonic)
        self.journal = SqlJournal(self.database, self.writer, clock)

    def start(self) -> None:
        self.is_stalled = False
        self.scheduler = Scheduler(
            self.journal, self.writer, self.clock, _drop, Metrics(), random=Random(self.seed)
        )
        self.scheduler.handle("sync", self.handle)
        self.task = asyncio.create_task(self.scheduler.run())

    async def handle(self, job: Job) -> Ended:
        run = Run(job, self, asyncio.get_running_loop().create_future())
        self.machine.begun(run)
        try:
            return (await run.end)()
        finally:
            self.machine.runs.remove(run)

    async def crash(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def close(self) -> None:
        await self.crash()
        self.writer.close()
        await self.writer.drained()
        await self.database.close()


class SchedulerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.runs: list[Run] = []
        self.order = itertools.count(1)
        self.asked: dict[str, int] = {}  # when a run at once was asked for last
        self.started: dict[str, int] = {}  # when a run began last
        self.lives: set[str] = set()  # keys whose job must not be lost
        self.serials = itertools.count(1)
        self.stored: set[str] = set()  # ids of events that must be there, and no others
        self.autopilot = False
        self.place = AsyncExitStack()
        self.runner.run(self.open())

    async def open(self) -> None:
        url = await self.place.enter_async_context(placed(Path(self.folder.name)))
        self.nodes = [Node(url, self.clock, self, seed) for seed in (1, 2)]
        if stores.server is not None:
            self.clock.join(partial(at_rest, *[node.database for node in self.nodes]))
        now = self.clock.now()
        await self.nodes[0].database.write(
            lambda connection: add_user(connection, name="alice", is_admin=False, now=now)
        )
        for node in self.nodes:
            node.start()
        await self.settle()

    def teardown(self) -> None:
        try:
            self.runner.run(self.drain())
        finally:
            self.runner.run(self.shut())
            self.runner.run(self.place.aclose())
            self.runner.close()
            self.folder.cleanup()

    async def shut(self) -> None:
        for node in self.nodes:
            await node.close()

    async def drain(self) -> None:
        """In the end everything has run that was asked for, and all jobs rest."""
        self.autopilot = True
        for node in self.nodes:
            node.is_stalled = False
        for run in list(self.runs):
            run.end.set_result(Ended)
        for _ in range(3):
            self.clock._start += timedelta(hours=3)  # leases lapse, retries fall due
            for _ in range(3):
                for node in self.nodes:
                    node.scheduler.wake()
                await self.settle()
        assert await self.rows() == {}
        for key, asked in self.asked.items():
            assert self.started.get(key, 0) > asked, "a request was answered by no run"

    def begun(self, run: Run) -> None:
        self.runs.append(run)
        self.started[run.job.key] = next(self.order)
        if self.autopilot:
            run.end.set_result(Ended)

    async def settle(self) -> None:
        """Let all that can happen now happen."""
        quiet = 0
        while quiet < 2:
            for node in self.nodes:
                if node.is_stalled:
                    node.scheduler._extend_at = NEVER
                await node.writer.run_unit(lambda _connection: None)
            await self.clock.advance(0)
            rests = all(node.scheduler._resting and not node.scheduler._woken.is_set() for node in self.nodes)
            ends = any(run.end.done() for run in self.runs)
            quiet = quiet + 1 if rests and not ends else 0

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        async def whole() -> None:
            await work
            await self.settle()

        self.runner.run(whole())

    async def rows(self) -> dict[str, Any]:
        def read(connection: Connection) -> dict[str, Any]:
            return {row.key: row for row in connection.execute(select(jobs))}

        return await self.nodes[0].database.read(read)

    async def advance(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            await self.clock.advance(5)
            await self.settle()

    @rule(
        keys=st.sets(st.sampled_from(KEYS), min_size=1),
        node=st.integers(0, 1),
        in_seconds=st.sampled_from([0, 0, 0, 30]),
    )
    def request(self, keys: set[str], node: int, in_seconds: int) -> None:
        async def work() -> None:
            for key in sorted(keys):
                await self._request(key, node, in_seconds)

        self.do(work())

    async def _request(self, key: str, node: int, in_seconds: int = 0) -> None:
        job = JobRequest("sync", key, in_seconds=in_seconds, account=ACCOUNTS[key])
        at = to_stored(self.clock.now())
        order = next(self.order)  # before: a run may begin with the commit
        await self.nodes[node].writer.run_unit(lambda connection: request_job(connection, 1, job, at))
        if not in_seconds:
            self.asked[key] = order
        self.lives.add(key)

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([3, 40, 4000]))
    def change_cadence(self, key: str, seconds: int) -> None:
        due_at = to_stored(self.clock.now()) + seconds * 1_000_000
        self.do(
            self.nodes[0].writer.run_unit(lambda connection: reschedule(connection, 1, "sync", key, due_at))
        )

    @rule(
        place=st.integers(0, 9),
        again=st.sampled_from([None, 3, 40]),
        brings=st.booleans(),
        kind=st.sampled_from(["done", "done", "auth", "auth", "retry later", "unavailable", "defect"]),
        is_wanted=st.booleans(),
    )
    def finish(self, place: int, again: int | None, brings: bool, kind: str, is_wanted: bool) -> None:
        run = self.chosen(place)
        if run is None:
            self.request(set(KEYS), 0, 0)  # so that there is something to end the next time
            return

        async def work() -> None:
            if is_wanted:  # once more, while it runs
                await self._request(run.job.key, 0)
            await self._finish(run, again, brings, kind)

        self.do(work())
        row = self.runner.run(self.rows()).get(run.job.key)
        assert row is None or row.lease != run.job.lease, "a run has ended and holds its lease"

    def chosen(self, place: int) -> Run | None:
        """One of those at work. Which node that is may differ from time to time, so no rule's data depends on it."""
        runs = sorted(self.runs, key=lambda run: (run.job.key, run.job.due_at))
        return runs[place % len(runs)] if runs else None

    async def _finish(self, run: Run, again: int | None, brings: bool, kind: str) -> None:
        job = run.job
        before = (await self.rows()).get(job.key)
        is_ours = before is not None and before.lease == job.lease
        if kind != "done":
            failure = {
                "retry later": Unavailable("busy", retry_after_seconds=10),
                "unavailable": Unavailable("down"),
                "auth": AuthExpired("dead"),
                "defect": RuntimeError("oops"),
            }[kind]

            def fail() -> Ended:
                raise failure

            run.end.set_result(fail)
            rests = kind == "auth"
        else:
            name = f"x:{next(self.serials)}"
            event = Event(id=name, type="com.x", source="//x", platform="x", data={})
            item = Item(job.user_id, [event], via="polling", checkpoint=Checkpoint(name, {}))
            run.end.set_result(lambda: Ended(again, [item] if brings else []))
            if brings and is_ours:
                self.stored.add(name)
            rests = again is None
        if is_ours and rests and before.wanted == before.claimed and before.due_at == NEVER:
            self.lives.discard(job.key)

    @rule(seconds=st.sampled_from([5, 5, 25, 65]))
    def pass_time(self, seconds: int) -> None:
        self.do(self.advance(seconds))

    @rule(node=st.integers(0, 1), is_crash=st.booleans())
    def restart(self, node: int, is_crash: bool) -> None:
        async def work() -> None:
            chosen = self.nodes[node]
            if is_crash:
                await chosen.crash()
                chosen.start()
                return
            held = [run.job for run in self.runs if run.node is chosen]
            await chosen.scheduler.stop()
            await chosen.task
            rows = await self.rows()
            assert all(job.key not in rows or rows[job.key].lease != job.lease for job in held)
            chosen.start()

        self.do(work())

    @rule(place=st.integers(0, 9))
    def stall(self, place: int) -> None:
        """A process extends no lease for longer than leases last, as where it swaps or its machine sleeps."""
        if run := self.chosen(place):
            run.node.is_stalled = True
            self.do(self.advance(75))

    @rule()
    def recover(self) -> None:
        for node in self.nodes:
            node.is_stalled = False
            node.scheduler._extend_at = 0
            node.scheduler.wake()
        self.do(self.settle())

    @invariant()
    def no_job_is_lost(self) -> None:
        rows = self.runner.run(self.rows())
        assert self.lives <= set(rows), "a job is gone that was to run"
        for row in rows.values():
            assert row.lease is not None or row.due_at < NEVER, "a job lies there for ever"
            assert (row.lease is None) == (row.lease_until is None)

    @invariant()
    def never_two_runs_at_once_under_valid_leases(self) -> None:
        rows = self.runner.run(self.rows())
        now = to_stored(self.clock.now())
        accounts = [row.account for row in rows.values() if row.lease is not None and row.lease_until >= now]
        assert len(accounts) == len(set(accounts))
        healthy = [run.job.key for run in self.runs if not run.node.is_stalled]
        assert len(healthy) == len(set(healthy))
        for run in self.runs:
            if not run.node.is_stalled:
                assert rows[run.job.key].lease == run.job.lease

    @invariant()
    def nothing_is_committed_under_a_lost_lease(self) -> None:
        def read(connection: Connection) -> tuple[set[str], set[str]]:
            return (
                set(connection.execute(select(events.c.id)).scalars()),
                set(connection.execute(select(checkpoints.c.connection_id)).scalars()),
            )

        assert self.runner.run(self.nodes[0].database.read(read)) == (self.stored, self.stored)


@pytest.mark.usefixtures("every_database")
def test_jobs_are_neither_lost_nor_run_twice_at_once() -> None:
    run_state_machine_as_test(
        SchedulerMachine,
        settings=settings(
            max_examples=examples(15 if stores.server is None else 5), stateful_step_count=40, deadline=None
        ),
    )
