"""Flow B: work that is due. Claims jobs under a lease, runs them, and ends each in one transaction."""

from __future__ import annotations

import asyncio
import dataclasses
import random as randomness
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial

import anyio
import anyio.abc
import msgspec
from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock, Journal
from tidings.discretion import begin_discretion
from tidings.errors import Unavailable
from tidings.jobs import NEVER, Ended, Job, LeaseLost, database_now, listen
from tidings.leases import Claim, Ending, Room, claim, end, extend, release, spread
from tidings.leftovers import Leftovers
from tidings.metrics import Metrics
from tidings.retries import Result, Retries
from tidings.schema import from_stored, to_stored
from tidings.writer import Writer

_LEASE_SECONDS = 60.0
_EXTEND_SECONDS = _LEASE_SECONDS / 3
_LONGEST_REST_SECONDS = 5.0
_RUNNING_AT_ONCE = 100
_PER_PLATFORM = 40
_LONGEST_RUN_SECONDS = 900.0

# After a downtime: jobs this late are run one after the other, at this pace or faster.
_LATE_SECONDS = 300.0
_SPREAD_SECONDS = 0.1
_LONGEST_SPREAD_SECONDS = 1800.0

#: Runs a job.
Handler = Callable[[Job], Awaitable[Ended]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    handler: Handler
    at_once: int
    longest_seconds: float
    is_urgent: bool


@dataclasses.dataclass(slots=True)
class _Run:
    job: Job
    scope: anyio.CancelScope
    started: float
    has_lost: bool = False  # its lease


class Scheduler:
    """Runs the due jobs of those kinds that have a handler.

    Args:
        journal: Where the items of a run go.
        writer: Writes.
        clock: All time.
        log: One line for each run; the same failure of the same job again is not repeated.
        metrics: Counts runs.
        random: For jitter; given by tests and simulations.
        longest_rest_seconds: How long to rest at most without looking for jobs that other processes asked for.
        at_once: How many jobs run at once.
        per_platform: How many of them use the same platform.
        leftovers: Ends what a run leaves behind.
    """

    def __init__(
        self,
        journal: Journal,
        writer: Writer,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        *,
        random: randomness.Random | None = None,
        longest_rest_seconds: float = _LONGEST_REST_SECONDS,
        at_once: int = _RUNNING_AT_ONCE,
        per_platform: int = _PER_PLATFORM,
        leftovers: Leftovers | None = None,
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._retries = Retries(random or randomness.Random())  # noqa: S311 - jitter
        self._longest_rest = round(longest_rest_seconds * 1e6)
        self._at_once = at_once
        self._per_platform = per_platform
        self._tidied = nullcontext if leftovers is None else leftovers.ended
        self._kinds: dict[str, _Kind] = {}
        self._running: dict[str, _Run] = {}  # by lease
        self._ends = _Ends(clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scope = anyio.CancelScope()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._woken = asyncio.Event()
        self._settled = asyncio.Event()  # set, and replaced, when there may be nothing to do
        self._resting = False
        # When to do what, in microseconds: `_due_at` is when the next job is due as far as is known.
        self._due_at = 0
        self._look_at = 0
        self._extend_at = 0
        self._is_more = False  # due jobs wait for those that run

    def handle(
        self,
        kind: str,
        handler: Handler,
        *,
        at_once: int = _RUNNING_AT_ONCE,
        longest_seconds: float = _LONGEST_RUN_SECONDS,
        is_urgent: bool = False,
    ) -> None:
        """Name the handler of a kind of job.

        Args:
            kind: Which jobs.
            handler: Runs one. `Unavailable` is tried again when it says, else with back-off; `AuthExpired` rests;
                `Rejected` is tried again after an hour; anything else is a defect, tried again with back-off.
            at_once: How many run at once in this process.
            longest_seconds: A run that takes longer hangs: it is broken off and has failed.
            is_urgent: Whether they come first when much has been due for long.
        """
        self._kinds[kind] = _Kind(handler, at_once, longest_seconds, is_urgent)

    def wake(self) -> None:
        """Look for due jobs now. Not needed for those that this process asked for itself."""
        self._look_at = 0
        self._woken.set()

    def due(self, at: int) -> None:
        """See `tidings.jobs.Listener`; called in the database's thread, before the commit.

        To look there now would wait for that same thread, so what is found is committed.
        """
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._expect, at)

    def _expect(self, at: int) -> None:
        if at < self._due_at:
            self._due_at = at
            self._woken.set()

    async def run(self) -> None:
        """Run due jobs until stopped or cancelled; a slow one holds up none but itself."""
        if self._stopping:
            return
        self._loop = asyncio.get_running_loop()
        self._stopped, self._scope = asyncio.Event(), anyio.CancelScope()
        self._look_at = 0
        try:
            with self._scope:
                await self._write(self._begin)
                async with anyio.create_task_group() as group:
                    while True:
                        self._woken = asyncio.Event()
                        await self._turn(group)
                        await self._rest()
            await self._release()
        finally:
            self._loop = None
            self._running.clear()
            self._stopped.set()

    async def stop(self) -> None:
        """Start nothing more, break off what runs, and give its leases back, so that it goes on after a restart."""
        self._stopping = True
        self._scope.cancel()
        if self._loop is not None:
            await self._stopped.wait()

    async def idle(self) -> None:
        """Wait, while `run` runs, until nothing runs and nothing that it knows of is due."""
        while self._running or not self.is_resting or self._due_at <= self._now():
            await self._settled.wait()

    @property
    def is_resting(self) -> bool:
        """Whether it starts nothing more until its clock moves or somebody wakes it; some may run."""
        return self._resting and not self._woken.is_set()

    @property
    def running(self) -> frozenset[str]:
        """The leases of what runs."""
        return frozenset(self._running)

    def next_due(self) -> datetime | None:
        """When the next job is due, as far as is known; None for never. Exact after `idle`."""
        return None if self._due_at >= NEVER else from_stored(self._due_at)

    def _now(self) -> int:
        return to_stored(self._clock.now())

    async def _write(self, work: Callable[[Connection], object]) -> bool:
        """Run a unit of work about leases; says whether it was done. Not broken off, so that its outcome is known."""
        with anyio.CancelScope(shield=True):
            try:
                await self._writer.run_unit(work, isolated=False)
            except Unavailable:
                return False  # the writer has said why
        return True

    def _begin(self, connection: Connection) -> None:
        """Before anything runs: what became due while nobody ran it is spread."""
        listen(connection, self)
        late = spread(
            connection,
            list(self._kinds),
            [name for name, kind in self._kinds.items() if kind.is_urgent],
            database_now(connection, self._clock),
            late_seconds=_LATE_SECONDS,
            each_seconds=_SPREAD_SECONDS,
            longest_seconds=_LONGEST_SPREAD_SECONDS,
        )
        if late:
            self._log.info("jobs_spread", jobs=late)

    async def _turn(self, group: anyio.abc.TaskGroup) -> None:
        """Do what is to be done now."""
        now = self._now()
        if self._running and now >= self._extend_at:
            await self._extend(now)
        if now < min(self._due_at, self._look_at):
            return
        self._due_at, self._look_at = NEVER, now + self._longest_rest
        room = self._room()
        if room.total <= 0:
            self._is_more = True
            return
        before = self.running
        with anyio.CancelScope(shield=True):  # what is claimed must be known, to be given back
            try:
                claimed = await self._writer.run_unit(partial(self._claim, room), isolated=False)
            except Unavailable:
                self._look_at = now + min(self._longest_rest, round(_LONGEST_REST_SECONDS * 1e6))
                return
        self._is_more = claimed.is_more
        if self._is_more and before - self.running:  # beside the claim, which may not have seen that it ended
            self._look_at = now
        self._due_at = min(self._due_at, claimed.next_at)
        if not self._running:
            self._extend_at = claimed.at + round(_EXTEND_SECONDS * 1e6)
        started = self._clock.monotonic()
        for job in claimed.jobs:
            run = self._running[job.lease] = _Run(job, anyio.CancelScope(), started)
            group.start_soon(self._run, run)
        self._metrics.jobs_running.set(len(self._running))
        if claimed.jobs:
            self._metrics.jobs_late_seconds.set((claimed.at - claimed.jobs[0].due_at) / 1e6)

    def _room(self) -> Room:
        kinds = {name: kind.at_once for name, kind in self._kinds.items()}
        platforms: dict[str, int] = {}
        for run in self._running.values():
            kinds[run.job.kind] -= 1
            if platform := run.job.platform:
                platforms[platform] = platforms.get(platform, self._per_platform) - 1
        return Room(self._at_once - len(self._running), kinds, platforms, self._per_platform)

    def _claim(self, room: Room, connection: Connection) -> Claim:
        now = database_now(connection, self._clock)
        return claim(connection, room, secrets.token_hex(12), now, _LEASE_SECONDS)

    async def _rest(self) -> None:
        """Rest until there is something to do."""
        until = min(self._due_at, self._look_at, self._extend_at if self._running else NEVER)
        seconds = (until - self._now()) / 1e6
        if seconds <= 0 or self._woken.is_set():
            await anyio.lowlevel.checkpoint()
            return
        self._resting = True
        self._settle()
        woken = self._woken
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        sleeping.add_done_callback(lambda _: woken.set())
        try:
            await woken.wait()
        finally:
            sleeping.cancel()
            self._resting = False

    def _settle(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()

    async def _extend(self, now: int) -> None:
        """Extend the leases of all that runs; break off what has lost its own, and what hangs."""
        runs = list(self._running.values())
        held: list[str] = []

        def work(connection: Connection) -> None:
            until = database_now(connection, self._clock) + round(_LEASE_SECONDS * 1e6)
            held[:] = extend(connection, [run.job for run in runs], until)

        if not await self._write(work):
            self._extend_at = now + round(_LONGEST_REST_SECONDS * 1e6)  # the leases outlive some failures
            return
        self._extend_at = now + round(_EXTEND_SECONDS * 1e6)
        for run in runs:
            run.has_lost = run.job.lease not in held
            hangs = self._clock.monotonic() - run.started > self._kinds[run.job.kind].longest_seconds
            if run.has_lost or hangs:
                run.scope.cancel()

    async def _release(self) -> None:
        """Give back the leases of what was broken off."""
        broken_off = [run.job for run in self._running.values()]
        if broken_off:
            await self._write(
                lambda connection: release(connection, broken_off, database_now(connection, self._clock))
            )

    async def _run(self, run: _Run) -> None:
        job = run.job
        ended: Ended | None = None
        begin_discretion()
        with run.scope:
            try:
                with self._tidied():
                    ended = await self._kinds[job.kind].handler(job)
                result = Result("done", ended.again_seconds)
            except Exception as failure:  # noqa: BLE001 - whatever a handler raises, the job is tried again
                result = self._retries.judge(failure, job.attempts)
        if run.scope.cancelled_caught:
            seconds = self._clock.monotonic() - run.started
            hangs = Unavailable(f"The run was broken off: it had not ended after {seconds:.0f} s.")
            result = Result("lost") if run.has_lost else self._retries.judge(hangs, job.attempts)
        with anyio.CancelScope(shield=True):  # a run that has ended is not run again
            result = await self._end(job, result, ended)
        self._metrics.jobs.labels(job.kind, result.outcome).inc()
        self._tell(run, result)
        del self._running[job.lease]
        self._metrics.jobs_running.set(len(self._running))
        if self._is_more:
            self.wake()
        if not self._running:
            self._settle()

    async def _end(self, job: Job, result: Result, ended: Ended | None) -> Result:
        """End the run in the database; what became of it may change by that."""
        if result.outcome == "lost":
            return result
        try:
            if ended is not None and ended.items:
                *first, last = ended.items
                if first:
                    await self._journal.append(
                        *[msgspec.structs.replace(item, lease=job.held) for item in first]
                    )
                end_of_job = None if ended.is_committed else job.end(ended.again_seconds)
                await self._journal.append(msgspec.structs.replace(last, lease=job.held, job_end=end_of_job))
            elif ended is None or not ended.is_committed:
                await self._end_alone(job, result)
        except LeaseLost:
            return Result("lost")
        except Unavailable as error:  # of the database: the lease lapses, and the job runs again
            return Result("lost", error=str(error))
        except Exception as failure:  # noqa: BLE001 - an item that can't be stored is the handler's failure
            result = self._retries.judge(failure, job.attempts)
            with suppress(LeaseLost, Unavailable):
                await self._end_alone(job, result)
        return result

    async def _end_alone(self, job: Job, result: Result) -> None:
        error = "" if result.again_seconds is None else result.error  # one that rests has nothing to retry
        ending = Ending(job.user_id, job.kind, job.key, job.lease, result.again_seconds, error)
        await self._writer.put(self._ends, ending)

    def _tell(self, run: _Run, result: Result) -> None:
        """Log one line, unless it is the same failure as the last time."""
        job, error = run.job, result.error
        if error and error[: len(job.last_error) or None] == job.last_error:
            return
        fields = {
            "kind": job.kind,
            "user": job.user_id,
            "connection": job.key,
            "outcome": result.outcome,
            "ms": round((self._clock.monotonic() - run.started) * 1000, 2),
        }
        if not error:
            self._log.info("job", **fields)
        elif result.defect is None:
            self._log.warning("job", **fields, error=error)
        else:
            self._log.error("job", **fields, error=error, exc_info=result.defect)


class _Ends:
    """Ends all runs that wait for it in one transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def execute(self, connection: Connection, payloads: Sequence[Ending]) -> Sequence[Exception | None]:
        ours = end(connection, payloads, database_now(connection, self._clock))
        return [
            None if is_ours else LeaseLost(one.kind, one.key)
            for one, is_ours in zip(payloads, ours, strict=True)
        ]

    def committed(self, results: Sequence[Exception | None], seconds: float) -> None:
        return
