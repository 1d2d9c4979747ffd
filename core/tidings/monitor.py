"""The job `monitor`: how each connection is watched, and why.

Decides (see `tidings.decisions`), and sees to it that the jobs that watch are there and due in time. Every change
is written down with its reason and told, in one transaction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
from sqlalchemy import Connection as Sql
from structlog.typing import FilteringBoundLogger

from tidings.commonlog import RecoversCommon
from tidings.connections import CONNECTED, change_monitor, list_connections, set_strategy
from tidings.connectors import Connector, Recovers
from tidings.contracts import Clock, Item, Strategy
from tidings.decisions import Decision, counted, decide
from tidings.durations import format_duration
from tidings.errors import NotFound
from tidings.event import Event, rfc3339
from tidings.feed import connection_event
from tidings.jobs import SYNC, Ended, Job, drop_jobs
from tidings.platforms import Platforms
from tidings.upstreams import PlatformRegistration, registered_connections
from tidings.watching import (
    HOOKS,
    MONITOR,
    RECOVER,
    Memory,
    Watched,
    look_closely,
    pace,
    recall,
    request,
)
from tidings.writer import Writer, announce

_USUAL_SECONDS = 12 * 3600.0  # between two looks, where nothing asks for one sooner
_UNDECIDED_SECONDS = 30.0
_MENDED_SECONDS = 1.0
_JITTER = 0.1
_LONGEST_CADENCE_SECONDS = 86400.0
_ASK_ALL_SECONDS = 900.0  # what happened lately may be shown late
_RECOVER_SECONDS = 900.0
_WARNED_ONCE_IN = timedelta(days=1)
_SPREAD_SECONDS = 0.1  # for each connection, when a server starts
_LONGEST_SPREAD_SECONDS = 300.0


class Monitor:
    """Runs the jobs `monitor`.

    Args:
        platforms: The connectors.
        strategies: All that plugins offer.
        writer: Writes, and reads beside.
        clock: All time.
        log: Told of strategies' defects.
        public_url: Where platforms reach this installation.
    """

    def __init__(
        self,
        platforms: Platforms,
        strategies: Sequence[Strategy],
        writer: Writer,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        public_url: str,
    ) -> None:
        self._platforms = platforms
        self._strategies = sorted(strategies, key=lambda strategy: -strategy.priority)
        self._writer = writer
        self._clock = clock
        self._log = log
        self._public_url = public_url

    async def start(self) -> None:
        """Look at every connection soon, and have what was pushed meanwhile looked for: the server was away."""
        await self._writer.run_unit(self._request_all)

    def _request_all(self, sql: Sql) -> None:
        now = self._clock.now()
        working = [one for one in list_connections(sql) if one.state == CONNECTED]
        registered = registered_connections(sql)
        spread = min(_LONGEST_SPREAD_SECONDS, _SPREAD_SECONDS * len(working))
        for connection in working:
            in_seconds = random.uniform(0, spread)  # noqa: S311 - spreads the work of a start
            request(sql, connection, MONITOR, now, in_seconds=in_seconds)
            if connection.id in registered:
                request(sql, connection, RECOVER, now, in_seconds=in_seconds)
            if recall(connection).is_push and not self._has_log(connection.platform):
                request(sql, connection, SYNC, now, in_seconds=in_seconds)

    def _has_log(self, platform: str) -> bool:
        """Whether what was pushed while nobody listened can be had later; else it can only be asked for."""
        try:
            return isinstance(self._platforms.connector(platform), Recovers | RecoversCommon)
        except NotFound:
            return True  # its plugin was taken out of the configuration

    async def handle(self, job: Job) -> Ended:
        """Decide how one connection is watched, and see to it that it is."""
        try:
            watched = await self._writer.database.read(partial(look_closely, job.user_id, job.key))
            connector = self._platforms.connector(watched.connection.platform)
        except NotFound:
            return Ended()  # disconnected, or its plugin was taken out of the configuration
        if not watched.connection.is_working:
            return Ended()  # healing it asks again
        now = self._clock.now()
        if _is_being_mended(watched, now):
            return Ended(_MENDED_SECONDS)
        watched = counted(watched, now)
        decision = decide(
            watched, connector, self._strategies, now, public_url=self._public_url, log=self._log
        )
        step = _Step(watched, connector, decision, now)
        await self._writer.run_unit(step.take)
        return Ended(step.again_seconds)


def _is_being_mended(watched: Watched, now: datetime) -> bool:
    """Whether webhooks are about to be looked at, so that what is missing now may stand again in a moment."""
    due_at = watched.due.get(HOOKS)
    return watched.memory.registers and HOOKS not in watched.failing and due_at is not None and due_at <= now


class _Step:
    """What follows from a decision: what is remembered, which jobs are due when, and what is told."""

    def __init__(self, watched: Watched, connector: Connector, decision: Decision, now: datetime) -> None:
        self._watched = watched
        self._connection = watched.connection
        self._name = f"{connector.display_name}: {watched.connection.account_name}"
        self._decision = decision
        self._now = now
        self._changed = decision.strategy != self._connection.strategy
        self._is_quiet = _is_past(watched.quiet_at(), now)
        self._memory = self._remembered()

    def _remembered(self) -> Memory:
        old, plan, now = self._watched.memory, self._decision.plan, self._now
        asks_all = _asks_all(old, now)
        calm_since = old.calm_since or now
        gap_at = old.gap_at or calm_since
        if (
            self._changed
            or asks_all
            or SYNC in self._watched.failing
            or old.doubted_at == now
            or gap_at > calm_since
        ):
            calm_since = now
        memory = msgspec.structs.replace(
            old,
            is_push=plan.is_push and not asks_all,
            is_steady=plan.is_steady,
            registers=plan.registers,
            calm_since=calm_since,
            tries=self._decision.tries,
            usual_seconds=self._watched.pause_seconds or old.usual_seconds,
        )
        if self._changed:
            # What fell stays in doubt until something is delivered, or it gets another chance.
            memory = msgspec.structs.replace(memory, missed=0, counted=0)
        if self._decision.attempts:
            memory = msgspec.structs.replace(memory, doubts=0, missed=0, counted=0, mends=plan.registers)
        if self._is_quiet:
            memory = msgspec.structs.replace(memory, quiet_since=self._connection.last_event_at)
        if self._lapsing() and not self._is_warned():
            memory = msgspec.structs.replace(memory, warned_at=now)
        return msgspec.structs.replace(memory, sync_seconds=self._cadence(memory))

    def _cadence(self, memory: Memory) -> float:
        """How often to ask: under push ever more rarely, for as long as nothing is found missing."""
        base = self._decision.plan.jobs.get(SYNC, 0.0)
        if _asks_all(memory, self._now):
            return min(base, _ASK_ALL_SECONDS)
        if not memory.is_push or self._is_quiet or memory.calm_since is None:
            return base
        calm_seconds = (self._now - memory.calm_since).total_seconds()
        return max(base, min(_LONGEST_CADENCE_SECONDS, base + calm_seconds))

    def _set_strategy(self, sql: Sql, since: datetime) -> None:
        one, decision = self._connection, self._decision
        set_strategy(sql, one.user_id, one.id, decision.strategy, decision.reason, since)

    def take(self, sql: Sql) -> None:
        """Write all of it, and tell what is to be told in the same transaction."""
        connection, decision, now = self._connection, self._decision, self._now
        old, new = msgspec.structs.asdict(recall(connection)), msgspec.structs.asdict(self._memory)
        changes = {key: value for key, value in new.items() if value != old[key]}
        if changes:
            change_monitor(sql, connection.user_id, connection.id, **changes)
        if self._changed:
            self._set_strategy(sql, now)
        elif decision.reason != connection.strategy_reason and not decision.is_open:
            self._set_strategy(sql, connection.strategy_since)
        self._request_jobs(sql)
        if events := self._events():
            item = Item(connection.user_id, events, "monitor", connection.id)
            announce(sql, item)

    def _request_jobs(self, sql: Sql) -> None:
        connection, plan, now = self._connection, self._decision.plan, self._now
        wanted = {
            kind: self._memory.recover_seconds or _RECOVER_SECONDS if kind == RECOVER else seconds
            for kind, seconds in plan.jobs.items()
        }
        if SYNC in wanted:
            wanted[SYNC] = self._memory.sync_seconds * pace(connection, self._now)
        for kind, seconds in wanted.items():
            due_at = self._watched.due.get(kind)
            if self._changed or due_at is None:
                request(sql, connection, kind, now)  # what lay between the old way and the new is asked for
            elif due_at > now + timedelta(seconds=seconds * (1 + _JITTER)):
                request(sql, connection, kind, now, in_seconds=seconds)
        drop_jobs(
            sql, connection.user_id, connection.id, [kind for kind in (SYNC, RECOVER) if kind not in wanted]
        )
        # One that fails is tried again by itself, when the platform wants it.
        is_trying = HOOKS in self._watched.due and HOOKS in self._watched.failing
        if plan.registers and not is_trying and (self._decision.attempts or HOOKS not in self._watched.due):
            request(sql, connection, HOOKS, now)
        elif not plan.registers and self._watched.registrations:
            request(sql, connection, HOOKS, now)  # which removes them

    def _events(self) -> list[Event]:
        told = []
        if self._changed:
            told.append(self._strategy_changed())
        if self._is_quiet and self._watched.memory.quiet_since != self._connection.last_event_at:
            told.append(self._quiet())
        if self._memory.warned_at != self._watched.memory.warned_at:
            told.append(self._attention())
        return told

    def _strategy_changed(self) -> Event:
        before, after = self._connection.strategy, self._decision.strategy
        return connection_event(
            "strategy_changed",
            self._connection,
            once=rfc3339(self._now),
            title=f"{self._name} is now watched by {after}"
            if after
            else f"{self._name} can't be watched now",
            text=self._decision.reason,
            now=self._now,
            more={"strategy": after, "before": before, "reason": self._decision.reason},
        )

    def _quiet(self) -> Event:
        last = self._connection.last_event_at
        assert last is not None
        checked_at = self._connection.last_checked_at
        checked = f" It was last asked on {checked_at:%d %B at %H:%M} UTC." if checked_at is not None else ""
        pause = format_duration(round(self._memory.usual_seconds / 3600) * 3600 or 3600)
        return connection_event(
            "quiet",
            self._connection,
            once=rfc3339(last),
            title=f"{self._name} has been quiet for {format_duration((self._now - last).days * 86400)}",
            text=f"Pauses are usually no longer than {pause}.{checked} It is asked more often until there is news.",
            now=self._now,
            more={"since": rfc3339(last), "usual_seconds": self._memory.usual_seconds},
        )

    def _attention(self) -> Event:
        lapsing = self._lapsing()
        first = min(end for _, end in lapsing)
        names = ", ".join(name for name, _ in lapsing[:3]) + (" and others" if len(lapsing) > 3 else "")
        return connection_event(
            "attention",
            self._connection,
            once=f"lease:{rfc3339(first)}",
            title=f"{self._name}: a webhook lapses on {first:%d %B at %H:%M} UTC",
            text=f"It could not be renewed so far, and is tried again: {names}. {self._memory.problem}".rstrip(),
            now=self._now,
            more={"by": rfc3339(first)},
        )

    def _lapsing(self) -> list[tuple[str, datetime]]:
        """What has used up most of its lease without being renewed, and when it lapses."""
        return [
            (row.upstream.target.name, row.expires_at)
            for row in self._watched.registrations
            if row.upstream is not None
            and row.expires_at is not None
            and row.delivers(self._now)
            and self._now >= _warn_at(row, row.expires_at)
        ]

    def _is_warned(self) -> bool:
        warned_at = self._watched.memory.warned_at
        return warned_at is not None and self._now - warned_at < _WARNED_ONCE_IN

    @property
    def again_seconds(self) -> float:
        """When the next thing that the monitor must see can happen."""
        now, rows = self._now, self._watched.registrations
        instants = [
            self._watched.quiet_at(),
            self._memory.ask_all_until,
            *(instant for one in self._decision.tries.values() for instant in (one.at, one.held_until)),
            *(row.expires_at for row in rows),
            *(_warn_at(row, row.expires_at) for row in rows if row.expires_at is not None),
        ]
        seconds = _USUAL_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads the looks
        if self._decision.is_open:
            seconds = _UNDECIDED_SECONDS
        return min([seconds, *((at - now).total_seconds() for at in instants if at is not None and at > now)])


def _warn_at(row: PlatformRegistration, expires_at: datetime) -> datetime:
    """When to warn that a lease lapses: it should have been renewed at half its life."""
    return expires_at - (expires_at - (row.renewed_at or row.created_at)) / 4


def _asks_all(memory: Memory, now: datetime) -> bool:
    return memory.ask_all_until is not None and memory.ask_all_until > now


def _is_past(instant: datetime | None, now: datetime) -> bool:
    return instant is not None and instant <= now
