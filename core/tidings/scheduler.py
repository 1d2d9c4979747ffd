"""Flow B: work that is due. Rows of the table `jobs`, claimed under a lease, run, and ended in one transaction."""

from __future__ import annotations

import dataclasses
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import msgspec
from sqlalchemy import Connection, and_, delete, or_, select, update
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock
from tidings.database import Database
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.metrics import Metrics
from tidings.schema import jobs, to_stored
from tidings.writer import Writer

_LEASE_SECONDS = 60.0
_LONGEST_REST_SECONDS = 5.0
_RUNNING_AT_ONCE = 20
_FIRST_RETRY_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One claimed job.

    Attributes:
        claimed: How many requests this run answers; more may come while it runs.
        attempts: Failed runs since the last good one.
    """

    user_id: UserId
    kind: str
    key: str
    payload: Mapping[str, Any]
    claimed: int
    attempts: int
    lease: str


#: Runs a job; returns after how many seconds to run it again, or None to rest until it is wanted again.
Handler = Callable[[Job], Awaitable[float | None]]


class Scheduler:
    """Runs the due jobs of those kinds that have a handler."""

    def __init__(
        self, database: Database, writer: Writer, clock: Clock, log: FilteringBoundLogger, metrics: Metrics
    ) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._handlers: dict[str, Handler] = {}
        self._woken = anyio.Event()
        self._running: dict[str, anyio.CancelScope] = {}  # by lease
        self._stopping = False

    def handle(self, kind: str, handler: Handler) -> None:
        """Name the handler of a kind of job."""
        self._handlers[kind] = handler

    def wake(self) -> None:
        """Look for due jobs now: one was just requested."""
        self._woken.set()

    async def run(self) -> None:
        """Run due jobs until cancelled; a slow one holds up none but itself."""
        async with anyio.create_task_group() as group:
            while True:
                self._woken = anyio.Event()
                claimed = await self._claim_due()
                for job in claimed:
                    self._running[job.lease] = anyio.CancelScope()
                    group.start_soon(self._run_one, job)
                if not claimed:
                    await self._rest()

    async def stop(self) -> None:
        """Start nothing more, break off what runs, and give its leases back, so that it goes on after a restart."""
        self._stopping = True
        leases = list(self._running)
        for scope in self._running.values():
            scope.cancel()
        if leases:
            with suppress(Unavailable):  # then the leases lapse by themselves
                await self._writer.run_unit(partial(_release, leases))

    async def _claim_due(self) -> Sequence[Job]:
        free = _RUNNING_AT_ONCE - len(self._running)
        if self._stopping or free <= 0:
            return ()
        try:
            return await self._writer.run_unit(partial(self._claim, free))
        except Unavailable:
            return ()  # the writer has said why

    async def _rest(self) -> None:
        async with anyio.create_task_group() as group:

            async def until_woken() -> None:
                await self._woken.wait()
                group.cancel_scope.cancel()

            group.start_soon(until_woken)
            await self._clock.sleep(_LONGEST_REST_SECONDS)
            group.cancel_scope.cancel()

    def _claim(self, most: int, connection: Connection) -> Sequence[Job]:
        now = to_stored(self._clock.now())
        due = and_(
            jobs.c.kind.in_(list(self._handlers)),
            jobs.c.due_at <= now,
            or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < now),
        )
        rows = connection.execute(select(jobs).where(due).order_by(jobs.c.due_at).limit(most)).all()
        claimed = []
        for row in rows:
            lease = secrets.token_hex(16)
            connection.execute(
                update(jobs)
                .where(_is(row.user_id, row.kind, row.key))
                .values(lease=lease, lease_until=now + round(_LEASE_SECONDS * 1e6), claimed=row.wanted)
            )
            payload = msgspec.json.decode(row.payload)
            claimed.append(
                Job(UserId(row.user_id), row.kind, row.key, payload, row.wanted, row.attempts, lease)
            )
        return claimed

    async def _run_one(self, job: Job) -> None:
        started = self._clock.monotonic()
        error = ""
        again: float | None = None
        scope = self._running[job.lease]
        with scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._extend, job)
                try:
                    again = await self._handlers[job.kind](job)
                except Exception as failure:  # noqa: BLE001 - whatever a handler raises, the job is tried again
                    error = f"{type(failure).__name__}: {failure}"
                group.cancel_scope.cancel()
        if scope.cancelled_caught:
            return
        outcome = "failed" if error else "done"
        self._metrics.jobs.labels(job.kind, outcome).inc()
        fields = {"kind": job.kind, "key": job.key, "user": job.user_id, "outcome": outcome}
        seconds = self._clock.monotonic() - started
        self._log.info("job", ms=round(seconds * 1000, 2), **fields, **({"error": error} if error else {}))
        with suppress(Unavailable):  # then the lease lapses, and the job runs again
            await self._writer.run_unit(lambda connection: self._end(connection, job, again, error))
        del self._running[job.lease]
        self.wake()

    async def _extend(self, job: Job) -> None:
        while True:
            await self._clock.sleep(_LEASE_SECONDS / 3)
            until = to_stored(self._clock.now()) + round(_LEASE_SECONDS * 1e6)
            with suppress(Unavailable):  # tried again in a while; the lease outlives two failures
                await self._writer.run_unit(partial(_extend_lease, job, until))

    def _end(self, connection: Connection, job: Job, again: float | None, error: str) -> None:
        """End a run, if its lease is still ours; a request that came meanwhile makes the job due at once."""
        ours = and_(_is(job.user_id, job.kind, job.key), jobs.c.lease == job.lease)
        now = to_stored(self._clock.now())
        free = {"lease": None, "lease_until": None}
        if error:
            wait = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2**job.attempts)
            due = now + round(random.uniform(0, wait) * 1e6)  # noqa: S311 - full jitter
            values = {"due_at": due, "attempts": job.attempts + 1, "last_error": error[:500]}
            connection.execute(update(jobs).where(ours).values(**free, **values))
            return
        values = {"attempts": 0, "last_error": None}
        rested = and_(ours, jobs.c.wanted == job.claimed)
        if again is None:
            connection.execute(delete(jobs).where(rested))
        else:
            connection.execute(
                update(jobs).where(rested).values(**free, **values, due_at=now + round(again * 1e6))
            )
        connection.execute(update(jobs).where(ours, jobs.c.wanted != job.claimed).values(**free, **values))


def _extend_lease(job: Job, until: int, connection: Connection) -> None:
    connection.execute(
        update(jobs)
        .where(_is(job.user_id, job.kind, job.key), jobs.c.lease == job.lease)
        .values(lease_until=until)
    )


def _release(leases: Sequence[str], connection: Connection) -> None:
    connection.execute(update(jobs).where(jobs.c.lease.in_(leases)).values(lease=None, lease_until=None))


def _is(user_id: int, kind: str, key: str) -> Any:
    return and_(jobs.c.user_id == user_id, jobs.c.kind == kind, jobs.c.key == key)
