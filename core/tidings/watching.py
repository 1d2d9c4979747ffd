"""What is known of how a connection is being watched: its rows, read in one go, and what the monitor remembers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import bindparam, select

from tidings.connections import Connection, change_monitor, find_connection
from tidings.connectors import Connector
from tidings.contracts import JobRequest, WatchState
from tidings.event import UserId
from tidings.jobs import SYNC, request_job
from tidings.rhythm import ACTIVE_SECONDS
from tidings.schema import events, from_stored, jobs, journals, to_stored
from tidings.statements import Statement
from tidings.upstreams import ACTIVE, PlatformRegistration, platform_registrations

MONITOR: Final = "monitor"
HOOKS: Final = "hooks"
RECOVER: Final = "recover"

# What has just been busy may be so again: for so long after something happened it is not asked later than usual.
_ACTIVE = timedelta(seconds=ACTIVE_SECONDS)
_GREETED_SECONDS = 5.0  # a hub asks about many at once
_MOST_EVENTS = 50
_LEAST_EVENTS = 8  # before a rhythm can be told
_SCANNED_EVENTS = 1000
# GitHub's feeds may be six hours late (its REST documentation, "Events"); so none is believed sooner.
_ASK_ALL = timedelta(hours=6, minutes=30)
_RHYTHMS = 3  # so many times a usual pause, and a source is unusually quiet
_LEAST_QUIET_SECONDS = 86400.0

_OWN_JOBS = Statement(
    select(jobs.c.kind, jobs.c.due_at, jobs.c.attempts).where(
        jobs.c.user_id == bindparam("user_id"), jobs.c.key == bindparam("connection_id")
    )
)
_HEAD = select(journals.c.head).where(journals.c.user_id == bindparam("user_id")).scalar_subquery()
_RECORDED = Statement(
    select(events.c.recorded_at)
    .where(
        events.c.user_id == bindparam("user_id"),
        events.c.seq > _HEAD - _SCANNED_EVENTS,  # a rare source's rhythm is remembered from before
        events.c.connection_id == bindparam("connection_id"),
        events.c.platform == bindparam("platform"),
    )
    .order_by(events.c.seq.desc())
    .limit(_MOST_EVENTS)
)


class Try(msgspec.Struct, frozen=True):
    """When a strategy that is not in force is tried again.

    Attributes:
        failures: How often it was tried or fell since it last worked for long.
        held_until: Until then it is not trusted, though it may seem to work, unless something is delivered.
    """

    failures: int
    at: datetime
    held_until: datetime


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered in `connections.monitor`; see `connections.change_monitor` for what polls make of it.

    Attributes:
        counted: How many of `missed` the monitor has drawn its conclusions from.
        doubts: How many checks found missed events since the last delivery.
        doubted_at: When the last of them did.
        calm_since: Since when nothing was found missing; the cadence under push follows from it.
        registers: Whether webhooks are to be kept at the platform.
        mends: Whether those that stand are to be made again: they are given another chance.
        callback_base: The public URL that they call.
        targets: How many things are to be watched; None until the platform was asked.
        problem: Why some have no webhook, for people.
        tries: By strategy.
        ask_all_until: Until then, polls ask for what webhooks bring, too: see `ask_all`.
        compared_at: Up to when the platform's log of deliveries was compared.
        recover_seconds: How long to the next comparison.
        addressed_at: When a delivery to the platform's common address last named this connection.
        reached_at: When the platform was last asked by which addresses its deliveries name it.
        usual_seconds: How long its pauses usually are at most; 0 while unknown.
        quiet_since: The last event before the silence that was told.
        gap_at: When a poll or a log last told of a gap.
        warned_at: When a lease about to lapse was last warned of.
        is_steady: Whether polls keep to the cadence; see `Plan.is_steady`.
    """

    is_push: bool = False
    is_steady: bool = False
    sync_seconds: float = 0.0
    missed: int = 0
    counted: int = 0
    doubts: int = 0
    doubted_at: datetime | None = None
    calm_since: datetime | None = None
    registers: bool = False
    mends: bool = False
    callback_base: str = ""
    targets: int | None = None
    problem: str = ""
    tries: Mapping[str, Try] = {}
    ask_all_until: datetime | None = None
    compared_at: datetime | None = None
    recover_seconds: float = 0.0
    addressed_at: datetime | None = None
    reached_at: datetime | None = None
    usual_seconds: float = 0.0
    quiet_since: datetime | None = None
    gap_at: datetime | None = None
    warned_at: datetime | None = None


def recall(connection: Connection) -> Memory:
    """What is remembered of a connection."""
    try:
        return msgspec.convert(connection.monitor, Memory)
    except msgspec.ValidationError:  # another version wrote it; all of it can be learnt again
        return Memory()


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """A connection with all that tells how it is being watched.

    Attributes:
        due: When its jobs are due, by kind.
        failing: The kinds of those that failed last.
        pause_seconds: How long nine in ten pauses between its latest events are at most; 0 where there are too few.
    """

    connection: Connection
    memory: Memory
    registrations: Sequence[PlatformRegistration]
    due: Mapping[str, datetime]
    failing: frozenset[str]
    pause_seconds: float = 0.0

    @property
    def delivered_at(self) -> datetime | None:
        """When something was last delivered for this connection."""
        known = [one.last_delivery_at for one in self.registrations if one.last_delivery_at is not None]
        if self.memory.addressed_at is not None:
            known.append(self.memory.addressed_at)
        return max(known, default=None)

    @property
    def doubts(self) -> int:
        """How many checks found missed events since the last delivery."""
        delivered_at, doubted_at = self.delivered_at, self.memory.doubted_at
        if delivered_at is not None and doubted_at is not None and delivered_at > doubted_at:
            return 0
        return self.memory.doubts

    def state(self, connector: Connector, public_url: str, now: datetime) -> WatchState:
        """The same as strategies see it."""
        delivered_at = self.delivered_at
        return WatchState(
            connector=connector,
            callback_url=callback_url(public_url, self.connection.platform),
            strategy=self.connection.strategy,
            since=self.connection.strategy_since,
            targets=self.memory.targets,
            registered=sum(one.delivers(now) for one in self.registrations),
            problem=self.memory.problem,
            missed=self.memory.missed,
            doubts=self.doubts,
            is_addressed=self.memory.addressed_at is not None,
            quiet_seconds=None if delivered_at is None else (now - delivered_at).total_seconds(),
            settings=self.connection.settings,
        )

    def quiet_at(self) -> datetime | None:
        """When silence becomes unusual; None while its rhythm is unknown, or before its first event."""
        last = self.connection.last_event_at
        usual = self.pause_seconds or self.memory.usual_seconds
        if last is None or not usual:
            return None
        return last + timedelta(seconds=max(_LEAST_QUIET_SECONDS, _RHYTHMS * usual))


def look(user_id: UserId, connection_id: str, sql: Sql) -> Watched:
    """Read all that tells how a user's connection is being watched.

    Raises:
        NotFound: There is no such connection.
    """
    connection = find_connection(sql, connection_id, user_id=user_id)
    own = _OWN_JOBS.rows(sql, user_id=connection.user_id, connection_id=connection_id)
    return Watched(
        connection,
        recall(connection),
        platform_registrations(sql, connection_id),
        {kind: from_stored(due_at) for kind, due_at, _ in own},
        frozenset(kind for kind, _, attempts in own if attempts),
    )


def look_closely(user_id: UserId, connection_id: str, sql: Sql) -> Watched:
    """As `look`, with the rhythm of its events.

    Raises:
        NotFound: There is no such connection.
    """
    watched = look(user_id, connection_id, sql)
    return dataclasses.replace(watched, pause_seconds=_usual_pause(sql, watched.connection))


def _usual_pause(sql: Sql, connection: Connection) -> float:
    """How long nine in ten pauses between a connection's latest events are at most; 0 where there are too few."""
    rows = _RECORDED.rows(
        sql, user_id=connection.user_id, connection_id=connection.id, platform=connection.platform
    )
    recorded = [row[0] for row in rows]
    if len(recorded) < _LEAST_EVENTS:
        return 0.0
    pauses = sorted(late - early for late, early in pairwise(recorded))
    return float(pauses[(len(pauses) - 1) * 9 // 10]) / 1e6


def request(sql: Sql, connection: Connection, kind: str, now: datetime, *, in_seconds: float = 0.0) -> None:
    """Make one of a connection's jobs due in so many seconds, unless it is due sooner."""
    job = JobRequest(
        kind, connection.id, in_seconds=in_seconds, platform=connection.platform, account=connection.id
    )
    request_job(sql, connection.user_id, job, to_stored(now))


def pace(connection: Connection, now: datetime) -> float:
    """What its own rhythm makes of a connection's cadence; under push the monitor sees to it."""
    if connection.monitor.get("is_push") or connection.monitor.get("is_steady"):
        return 1.0
    own = float(connection.monitor.get("pace", 1.0))
    last = connection.last_event_at
    # When a poll found it last, and no webhook has come since, what counts is when that happened.
    if last is not None and connection.monitor.get("found_at") == to_stored(last):
        last = from_stored(int(connection.monitor["happened_at"]))
    return min(own, 1.0) if last is not None and now - last < _ACTIVE else own


def ask_all(sql: Sql, connection: Connection, now: datetime) -> None:
    """Have polls ask for a while for what webhooks bring, too: something may have come by no way."""
    change_monitor(sql, connection.user_id, connection.id, ask_all_until=now + _ASK_ALL, is_push=False)
    request(sql, connection, SYNC, now)
    request(sql, connection, MONITOR, now)


def encourage(sql: Sql, connection: Connection, now: datetime) -> None:
    """Have everything tried at once: its user consented, or the platform greeted a webhook."""
    change_monitor(sql, connection.user_id, connection.id, tries={})
    if connection.strategy:  # before the first decision nobody knows whether webhooks are wanted
        request(sql, connection, HOOKS, now)
    request(sql, connection, MONITOR, now)


def greeted(sql: Sql, row: PlatformRegistration, now: datetime) -> None:
    """Draw the conclusions from a platform's question about a registration, once the others have been asked too."""
    connection = find_connection(sql, row.connection_id, user_id=row.user_id)
    request(sql, connection, HOOKS, now, in_seconds=_GREETED_SECONDS)
    if row.state != ACTIVE:
        request(sql, connection, MONITOR, now, in_seconds=_GREETED_SECONDS)


def denied(sql: Sql, row: PlatformRegistration, now: datetime) -> None:
    """Draw the conclusions from a platform's word that it will not deliver.

    It is asked again by and by, as after any failure: at once it would only say the same.
    """
    connection = find_connection(sql, row.connection_id, user_id=row.user_id)
    request(sql, connection, MONITOR, now, in_seconds=_GREETED_SECONDS)


def callback_url(public_url: str, platform: str, registration_id: str = "") -> str:
    """Where a platform sends webhooks: to a registration, or to its common address."""
    base = f"{public_url}/api/webhooks/{platform}"
    return f"{base}/{registration_id}" if registration_id else base
