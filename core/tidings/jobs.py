"""Jobs, and how they are asked for: a row of the table `jobs` for each, due at an instant.

While a job runs, its `due_at` is `NEVER`: whatever else stands there was asked for meanwhile. `wanted` counts
those who asked for a run at once, `claimed` is what it was when the run began; a job whose two differ has a
request that no run has answered yet. How jobs are claimed and ended stands in `leases`.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection, and_, bindparam, case, delete, update

from tidings.contracts import Clock, Item, JobEnd, JobLease, JobRequest
from tidings.database import KEEPS_TIME, SHARED, afterwards
from tidings.errors import Conflict
from tidings.event import UserId
from tidings.hints import note_hints
from tidings.rowsets import insert_rows
from tidings.schema import jobs, to_stored
from tidings.statements import Statement, run_sql

#: The kind of job that polls a connection.
SYNC: Final = "sync"

#: The `due_at` of a job that runs, and for which nothing else was asked.
NEVER = to_stored(datetime(9999, 12, 31, tzinfo=UTC))

_COLUMNS = (
    "user_id",
    "kind",
    "key",
    "payload",
    "due_at",
    "wanted",
    "claimed",
    "attempts",
    "platform",
    "account",
)
# SQLite has min() where PostgreSQL has least(); CASE is understood by both.
_ASKED_AGAIN = (
    "(user_id, kind, key) DO UPDATE SET wanted = jobs.wanted + excluded.wanted, due_at = "
    "CASE WHEN excluded.due_at < jobs.due_at THEN excluded.due_at ELSE jobs.due_at END"
)
_DROP = Statement(
    delete(jobs).where(
        jobs.c.user_id == bindparam("user_id"),
        jobs.c.key == bindparam("key"),
        jobs.c.kind == bindparam("kind"),
    )
)
_LISTENERS = "jobs"
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class LeaseLost(Conflict):
    """Another runs this job by now, or nobody wants it any more; what this run brought is not stored."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(
            f"The run of job {kind}/{key} has lost its lease: it took too long, or the job was taken out. "
            "Nothing of what it brought was stored; the next run brings it again."
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One claimed job.

    Attributes:
        attempts: Failed runs since the last good one.
        last_error: What the last of them said.
        due_at: When it was due, as stored.
    """

    user_id: UserId
    kind: str
    key: str
    payload: Mapping[str, Any]
    lease: str
    attempts: int = 0
    last_error: str = ""
    platform: str = ""
    account: str = ""
    due_at: int = 0

    @property
    def held(self) -> JobLease:
        """For `Item.lease`: what the run brings is committed only while the lease is its own."""
        return JobLease(self.kind, self.key, self.lease)

    def end(self, again_seconds: float | None) -> JobEnd:
        """For `Item.job_end`: ends the run together with what it brought last."""
        return JobEnd(self.kind, self.key, self.lease, again_seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        again_seconds: When to run again; None to rest until it is wanted.
        items: What it brought last. The last of them is committed in one transaction with the job's end, the
            others before.
        is_committed: Whether the handler has committed the end itself, with `Job.end`.
    """

    again_seconds: float | None = None
    items: Sequence[Item] = ()
    is_committed: bool = False

    @classmethod
    def committed(cls) -> Ended:
        """The handler has committed the end itself, with `Job.end`."""
        return cls(is_committed=True)


class Listener(Protocol):
    """Wants to know when a job becomes due."""

    def due(self, at: int) -> None:
        """Some job will be due at `at`, as soon as the transaction is committed. Runs where the database does."""


def listen(connection: Connection, listener: Listener) -> None:
    """Tell `listener`, while it lives, of all that becomes due through its database."""
    listeners = connection.info[SHARED].setdefault(_LISTENERS, {})
    known = listeners.get(id(listener))
    if known is None or known() is not listener:  # else it listens already
        listeners[id(listener)] = weakref.ref(listener)


def tell_due(connection: Connection, at: int) -> None:
    """Tell the listeners that some job will be due at `at`."""
    listeners = connection.info.get(SHARED, {}).get(_LISTENERS)
    if listeners:
        afterwards(connection, partial(_tell, listeners, at))


def _tell(listeners: dict[int, weakref.ref[Listener]], at: int) -> None:
    for key, reference in list(listeners.items()):
        listener = reference()
        if listener is None:
            del listeners[key]
        else:
            listener.due(at)


def database_now(connection: Connection, clock: Clock) -> int:
    """The instant that leases are measured by: the database's. Who shares a SQLite file shares a machine's clock."""
    if connection.info.get(SHARED, {}).get(KEEPS_TIME):
        return int(run_sql(connection, _NOW, ()).fetchone()[0])
    return to_stored(clock.now())


def request_job(connection: Connection, user_id: int, job: JobRequest, at: int) -> None:
    """Make a job due `job.in_seconds` after `at` (microseconds), or sooner if it is; see `JobRequest`."""
    request_jobs(connection, [(user_id, job)], at)


def request_jobs(connection: Connection, requests: Iterable[tuple[int, JobRequest]], at: int) -> None:
    """What `request_job` does, for many."""
    rows: dict[tuple[int, str, str], list[Any]] = {}
    hinted: list[tuple[int, str, str]] = []
    for user_id, job in requests:
        hinted += [(user_id, job.key, target) for target in job.hints]
        due_at = at + round(job.in_seconds * 1e6)
        wanted = int(due_at <= at)
        row = rows.get((user_id, job.kind, job.key))
        if row is None:
            payload = msgspec.json.encode(job.payload).decode()
            rows[user_id, job.kind, job.key] = [
                *(user_id, job.kind, job.key, payload, due_at, wanted),
                *(0, 0, job.platform, job.account),
            ]
        else:
            row[4] = min(row[4], due_at)
            row[5] += wanted
    if rows:
        chosen = [tuple(row) for row in rows.values()]
        insert_rows(connection, jobs, _COLUMNS, chosen, on_conflict=_ASKED_AGAIN)
        tell_due(connection, min(row[4] for row in chosen))
    if hinted:
        note_hints(connection, hinted)


def reschedule(connection: Connection, user_id: int, kind: str, key: str, due_at: int) -> bool:
    """Make a job due at `due_at`, be that sooner or later; says whether there is one.

    A request for a run at once that none has answered yet is answered first. A job that runs just now is due
    then, or sooner if its run says so.
    """
    is_urgent = and_(jobs.c.wanted != jobs.c.claimed, jobs.c.due_at < due_at)
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.user_id == user_id, jobs.c.kind == kind, jobs.c.key == key)
        .values(due_at=case((is_urgent, jobs.c.due_at), else_=due_at))
    )
    tell_due(connection, due_at)
    return bool(changed.rowcount)


def drop_jobs(connection: Connection, user_id: int, key: str, kinds: Collection[str]) -> None:
    """Take jobs out; one that runs loses its lease, and what it brings is not stored."""
    for kind in kinds:
        _DROP.run(connection, user_id=user_id, key=key, kind=kind)
