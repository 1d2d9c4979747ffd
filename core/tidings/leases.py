"""Who may run a job: claimed under a lease, extended while the run goes on, and ended under that same lease.

All functions take a connection inside a transaction. Instants are microseconds, by the database's clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)

from tidings.event import UserId
from tidings.jobs import NEVER, Job, tell_due
from tidings.rowsets import LookUp, look_up, update_rows
from tidings.schema import jobs
from tidings.statements import Statement, run_sql

#: What names a run.
LEASE_KEY = ("user_id", "kind", "key", "lease")
_JOB_KEY = LEASE_KEY[:3]

_LONGEST_ERROR = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """How many more may run.

    Attributes:
        total: In all.
        kinds: Of each kind; of others none.
        platforms: For each platform where some run already.
        per_platform: For each of the other platforms.
    """

    total: int
    kinds: Mapping[str, int]
    platforms: Mapping[str, int]
    per_platform: int

    def without(self, running: Sequence[Job]) -> Room:
        """What is left of it once these run."""
        kinds, platforms = dict(self.kinds), dict(self.platforms)
        for job in running:
            kinds[job.kind] -= 1
            if job.platform:
                platforms[job.platform] = platforms.get(job.platform, self.per_platform) - 1
        return Room(self.total - len(running), kinds, platforms, self.per_platform)


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed, and when to look again.

    Attributes:
        next_at: When the next job is due, or the lease of another lapses.
        is_more: Whether jobs are due that have to wait until others end, or until their own run does.
        at: When this was.
    """

    jobs: Sequence[Job]
    next_at: int
    is_more: bool
    at: int


_IDENTITY = [jobs.c[name] for name in _JOB_KEY]
_LAPSED = select(*_IDENTITY).where(jobs.c.lease_until < bindparam("now")).with_for_update(skip_locked=True)
_LAPSE = Statement(
    update(jobs)
    .where(tuple_(*_IDENTITY).in_(_LAPSED))
    .values(
        lease=None,
        lease_until=None,
        claimed=0,  # what it was to answer is not answered
        due_at=case((jobs.c.due_at < bindparam("now"), jobs.c.due_at), else_=bindparam("now")),
        attempts=jobs.c.attempts + 1,
        last_error="The run did not end: its process died or hung.",
    )
)
_HELD = jobs.alias("held")
_LOCK_ACCOUNTS = (
    "SELECT account FROM unnest($1::text[]) AS account "
    "WHERE pg_try_advisory_xact_lock(hashtextextended(account, 1))"
)
_RUNNING_ACCOUNTS = "SELECT account FROM jobs WHERE lease_until IS NOT NULL AND account = ANY($1::text[])"
_ACCOUNT = 8  # its place in a row of `_due`
_BUSY_ACCOUNTS = select(_HELD.c.account).where(_HELD.c.lease_until.is_not(None), _HELD.c.account != "")


@lru_cache(maxsize=256)
def _due(kinds: int, full: int) -> Statement:
    """Those that may run now, given so many kinds for which there is room, and so many platforms with none."""
    among = [jobs.c.kind.in_(_places("kind", kinds))]
    if full:
        among.append(jobs.c.platform.not_in(_places("full", full)))
    return Statement(
        select(
            *(jobs.c[name] for name in ("user_id", "kind", "key", "payload", "due_at", "attempts")),
            *(jobs.c[name] for name in ("last_error", "platform", "account")),
        )
        .where(
            *among,
            jobs.c.due_at <= bindparam("now"),
            jobs.c.lease_until.is_(None),
            jobs.c.account.not_in(_BUSY_ACCOUNTS),
        )
        .order_by(jobs.c.due_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


@lru_cache(maxsize=64)
def _next(kinds: int) -> Statement:
    """When to look again. Of those that run too: what was asked for meanwhile is due when they end."""
    is_ours = jobs.c.kind.in_(_places("kind", kinds))
    soonest = select(func.min(jobs.c.due_at))
    return Statement(
        select(
            soonest.where(is_ours, jobs.c.due_at <= bindparam("now")).scalar_subquery(),
            soonest.where(is_ours, jobs.c.due_at > bindparam("now")).scalar_subquery(),
            select(func.min(_HELD.c.lease_until)).where(_HELD.c.lease_until.is_not(None)).scalar_subquery(),
        )
    )


def _places(name: str, count: int) -> Sequence[BindParameter[Any]]:
    return [bindparam(f"{name}{number}") for number in range(count)]


def _given(name: str, values: Collection[str]) -> Mapping[str, str]:
    return {f"{name}{number}": value for number, value in enumerate(values)}


def claim(connection: Connection, room: Room, token: str, now: int, lease_seconds: float) -> Claim:
    """Take the jobs that are due, longest due first, as far as there is room.

    Args:
        connection: Inside a transaction.
        room: How many.
        token: Begins the leases, and is used once.
        now: See `database_now`.
        lease_seconds: How long they are.
    """
    until = now + round(lease_seconds * 1e6)
    claimed = _take(connection, room, token, now, until)
    found = _look_ahead(connection, room, now)
    if found.lapse < now:  # of another, whose process died or hung
        _LAPSE.run(connection, now=now)
        claimed += _take(connection, room.without(claimed), f"{token}-lapsed", now, until)
        found = _look_ahead(connection, room, now)
    return Claim(claimed, found.next_at, found.is_more, now)


def _take(connection: Connection, room: Room, token: str, now: int, until: int) -> list[Job]:
    kinds, platforms = dict(room.kinds), dict(room.platforms)
    claimed: list[Job] = []
    while (free := room.total - len(claimed)) > 0:
        free_kinds = [kind for kind, left in kinds.items() if left > 0]
        full = [platform for platform, left in platforms.items() if left <= 0]
        due = _due(len(free_kinds), len(full))
        rows = due.rows(connection, now=now, most=free, **_given("kind", free_kinds), **_given("full", full))
        free_accounts = _free_accounts(connection, {row[_ACCOUNT] for row in rows} - {""})
        page: list[Job] = []
        for row in rows:
            job = _job(row, f"{token}-{len(claimed) + len(page)}")
            left = platforms.get(job.platform, room.per_platform) if job.platform else 1
            if kinds[job.kind] <= 0 or left <= 0 or (job.account and job.account not in free_accounts):
                continue
            kinds[job.kind] -= 1
            if job.platform:
                platforms[job.platform] = left - 1
            free_accounts.discard(job.account)
            page.append(job)
        update_rows(
            connection,
            jobs,
            "lease = run.lease, lease_until = :until, claimed = jobs.wanted, due_at = :never",
            LEASE_KEY,
            [(job.user_id, job.kind, job.key, job.lease) for job in page],
            key=_JOB_KEY,
            values={"until": until, "never": NEVER},
        )
        claimed += page
        if len(rows) < free or not page:
            break
    return claimed


def _free_accounts(connection: Connection, accounts: set[str]) -> set[str]:
    """Those accounts of which nothing runs, and of which nobody else begins a run before this transaction ends.

    What was found due may be known no longer: another node's claim can have been committed meanwhile. Who has an
    account's lock sees all earlier claims of it.
    """
    if not accounts or connection.dialect.name != "postgresql":
        return accounts
    locked = {row[0] for row in run_sql(connection, _LOCK_ACCOUNTS, (sorted(accounts),)).fetchall()}
    return locked - {row[0] for row in run_sql(connection, _RUNNING_ACCOUNTS, (sorted(locked),)).fetchall()}


class _Ahead(NamedTuple):
    """What comes next: see `Claim`; and when the first lease lapses, `NEVER` for none."""

    next_at: int
    is_more: bool
    lapse: int


def _look_ahead(connection: Connection, room: Room, now: int) -> _Ahead:
    found = _next(len(room.kinds)).row(connection, now=now, **_given("kind", room.kinds))
    assert found is not None, "an aggregate has a row"
    due_at, later, lapse = found
    if lapse is None:
        lapse = NEVER
    return _Ahead(
        min(later or NEVER, lapse + 1), due_at is not None, lapse
    )  # a lease holds to its last instant


def _job(row: Sequence[Any], lease: str) -> Job:
    user_id, kind, key, payload, due_at, attempts, last_error, platform, account = row
    return Job(
        UserId(user_id),
        kind,
        key,
        msgspec.json.decode(payload),
        lease,
        attempts,
        last_error or "",
        platform,
        account,
        due_at,
    )


def extend(connection: Connection, running: Sequence[Job], until: int) -> Collection[str]:
    """Make leases last until `until`; returns those that are still their owners'."""
    held = _held(connection, [(job.user_id, job.kind, job.key, job.lease) for job in running])
    _change(connection, "lease_until = :until", list(held), {"until": until})
    return {lease for *_, lease in held}


def release(connection: Connection, running: Sequence[Job], now: int) -> None:
    """Give leases back: the jobs are due, and have not failed."""
    runs = [(job.user_id, job.kind, job.key, job.lease) for job in running]
    sets = f"{_FREE}, claimed = 0, due_at = CASE WHEN jobs.due_at < :now THEN jobs.due_at ELSE :now END"
    _change(connection, sets, runs, {"now": now})


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run.

    Attributes:
        again_seconds: When to run again; None to rest. After a failure, requests that came meanwhile wait for it too.
        error: What went wrong; "" for nothing.
    """

    user_id: int
    kind: str
    key: str
    lease: str
    again_seconds: float | None
    error: str = ""


_FREE = "lease = NULL, lease_until = NULL"
_END = (
    f"{_FREE}, due_at = CASE WHEN run.attempts = 1 THEN run.due_at WHEN jobs.wanted <> jobs.claimed THEN "
    "CASE WHEN jobs.due_at < :now THEN jobs.due_at ELSE :now END "
    "WHEN jobs.due_at < run.due_at THEN jobs.due_at ELSE run.due_at END, "
    "attempts = CASE WHEN run.attempts = 1 THEN jobs.attempts + 1 ELSE 0 END, last_error = run.last_error"
)
_END_COLUMNS = (*LEASE_KEY, "due_at", "attempts", "last_error")  # attempts: 1 for one more that failed
_RESTED = Statement(
    delete(jobs).where(
        *[column == bindparam(f"of_{column.name}") for column in _IDENTITY],
        jobs.c.due_at == bindparam("never"),
        jobs.c.lease_until.is_(None),
    )
)


def end(connection: Connection, endings: Sequence[Ending], now: int) -> Sequence[bool]:
    """End runs; says of each whether its lease was still its own. Nothing is changed of the others."""
    if len(endings) == 1:
        return [end_held(connection, endings, now) == 1]
    held = _held(connection, [(one.user_id, one.kind, one.key, one.lease) for one in endings])
    ours = [(one.user_id, one.kind, one.key, one.lease) in held for one in endings]
    end_held(connection, [one for one, is_ours in zip(endings, ours, strict=True) if is_ours], now)
    return ours


def end_held(connection: Connection, endings: Sequence[Ending], now: int) -> int:
    """End runs whose leases were found to be their own in this transaction; returns how many were."""
    rows = []
    soonest = NEVER
    for one in endings:
        due_at = NEVER if one.again_seconds is None else now + round(one.again_seconds * 1e6)
        soonest = min(soonest, due_at)
        run = (one.user_id, one.kind, one.key, one.lease)
        rows.append((*run, due_at, int(bool(one.error)), one.error[:_LONGEST_ERROR] or None))
    ended = update_rows(connection, jobs, _END, _END_COLUMNS, rows, key=LEASE_KEY, values={"now": now})
    for one in endings:
        if one.again_seconds is None:
            _RESTED.run(connection, of_user_id=one.user_id, of_kind=one.kind, of_key=one.key, never=NEVER)
    if soonest < NEVER:
        tell_due(connection, soonest)
    return ended


def spread(
    connection: Connection,
    kinds: Collection[str],
    urgent: Collection[str],
    now: int,
    *,
    late_seconds: float,
    each_seconds: float,
    longest_seconds: float,
) -> int:
    """Spread the jobs that have been due for long, so that they don't all run at once; returns how many.

    Args:
        connection: Inside a transaction.
        kinds: Those to spread.
        urgent: The kinds that come first; among equals, the longest due.
        now: See `database_now`.
        late_seconds: How long is long.
        each_seconds: The time between two of them,
        longest_seconds: as long as all of them fit in this.
    """
    late = and_(
        jobs.c.kind.in_(kinds), jobs.c.lease_until.is_(None), jobs.c.due_at < now - round(late_seconds * 1e6)
    )
    count = connection.execute(select(func.count()).select_from(jobs).where(late)).scalar_one()
    if not count:
        return 0
    step = round(min(each_seconds, longest_seconds / count) * 1e6)
    order = func.row_number().over(order_by=(case((jobs.c.kind.in_(urgent), 0), else_=1), jobs.c.due_at))
    places = select(
        jobs.c.user_id, jobs.c.kind, jobs.c.key, (order - literal(1)).label("place")
    ).where(late).subquery()  # fmt: skip
    connection.execute(
        update(jobs)
        .where(jobs.c.user_id == places.c.user_id, jobs.c.kind == places.c.kind, jobs.c.key == places.c.key)
        .values(due_at=literal(now, BigInteger) + places.c.place * literal(step, BigInteger))
    )
    return int(count)


def _held(
    connection: Connection, runs: Sequence[tuple[int, str, str, str]]
) -> Collection[tuple[int, str, str, str]]:
    """Those runs whose leases are still their own."""
    (found,) = look_up(connection, [LookUp(jobs, LEASE_KEY, LEASE_KEY, runs, lock=True)])
    return {(user_id, kind, key, lease) for user_id, kind, key, lease in found}


def _change(
    connection: Connection, sets: str, runs: Sequence[tuple[int, str, str, str]], values: Mapping[str, Any]
) -> None:
    update_rows(connection, jobs, sets, LEASE_KEY, runs, key=LEASE_KEY, values=values)
