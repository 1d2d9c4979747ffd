"""The job `sync`: asks a platform for what is new, and commits each piece with the checkpoint after it.

Where nothing is pushed this is how news is learnt; under push it makes sure that nothing was missed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import bindparam, select

from tidings import feed
from tidings.addressing import replace_addresses
from tidings.budgets import Budgets
from tidings.connecting import Connects
from tidings.connections import (
    Check,
    Connection,
    change_monitor,
    find_connection,
    note_checks,
    read_checkpoint,
    write_checkpoints,
)
from tidings.connectors import Asked, Connector, Polled, Polls, Receives
from tidings.contracts import Appended, Checkpoint, Clock, Item, JobEnd, Journal, Notice
from tidings.defects import checked, pieces_of
from tidings.errors import AuthExpired, NotFound, Rejected, Unavailable
from tidings.event import Event, UserId, encode_json
from tidings.grants import count_accounts
from tidings.halting import Halts
from tidings.hints import drop_hints, read_hints
from tidings.jobs import Ended, Job, LeaseLost, database_now
from tidings.leases import Ending, end
from tidings.platforms import Platforms
from tidings.rhythm import MOST_PACE, slower
from tidings.schema import grants, platform_webhooks
from tidings.statements import Statement
from tidings.watching import MONITOR, RECOVER, pace, request
from tidings.writer import Writer

# Pushed copies may be minutes late: what is younger than this was not missed by push, only overtaken.
_OVERTAKEN = timedelta(minutes=10)
_JITTER = 0.05
_FLUSH_SECONDS = 30.0
# More news than this goes by parts, one platform's one after the other, and each part is followed by a rest that is so
# many times as long as it took: who has much to tell, or a connector that makes things up, holds up nobody else.
_PART_EVENTS = 250
_REST_RATIO = 2.0
_COUNTED_SECONDS = 600.0  # accounts come and go more seldom


_CLIENT = Statement(
    select(grants.c.client_id).where(
        grants.c.user_id == bindparam("user_id"), grants.c.id == bindparam("grant_id")
    )
)
_HEALTHY = Statement(
    select(platform_webhooks.c.target, platform_webhooks.c.upstream).where(
        platform_webhooks.c.user_id == bindparam("user_id"),
        platform_webhooks.c.connection_id == bindparam("connection_id"),
        platform_webhooks.c.state == "active",
        platform_webhooks.c.problem == "",
        platform_webhooks.c.upstream.is_not(None),
    )
)


class _Look(NamedTuple):
    """What a poll must know.

    Attributes:
        pushed: The kinds of event that healthy webhooks deliver, by target; nothing where polls are the way.
        client_id: Of the OAuth client by which it was connected.
        hinted: What deliveries have named since it was last looked at, and how often.
    """

    connection: Connection
    connector: Connector
    checkpoint: Mapping[str, Any]
    pushed: Mapping[str, frozenset[str]]
    client_id: str
    hinted: Mapping[str, int]


class Syncing:
    """Runs the jobs `sync`.

    Args:
        platforms: The connectors and their APIs.
        journal: Where events go.
        writer: Writes, and reads beside.
        clock: All time.
        is_watched: Whether somebody looks at a live page of a user.
        tell: Passes a notice to who watches.
        budgets: Says what a call costs of an account's share.
        random: For jitter.

    Attributes:
        halts: Which connectors must not be called now.
    """

    def __init__(
        self,
        platforms: Platforms,
        journal: Journal,
        writer: Writer,
        clock: Clock,
        *,
        is_watched: Callable[[UserId], Awaitable[bool]],
        tell: Callable[[Notice], Awaitable[None]],
        budgets: Budgets,
        random: Random | None = None,
    ) -> None:
        self.halts = Halts()
        self.platforms = platforms
        self.journal = journal
        self.writer = writer
        self.clock = clock
        self.is_watched = is_watched
        self.tell = tell
        self.random = random or Random()  # noqa: S311 - jitter
        self._budgets = budgets
        # How many share a client, and until when that is to be trusted.
        self._accounts: dict[tuple[str, str], tuple[int, float]] = {}
        self._quiet = _QuietEnds(clock)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._checks: dict[tuple[UserId, str], Check] = {}
        self._checked = asyncio.Event()

    async def handle(self, job: Job) -> Ended:
        """Poll once.

        Raises:
            AuthExpired, Unavailable, Rejected: As the connector says; what was committed before stays.
        """
        began = self.halts.now
        try:
            look = await self.writer.database.read(partial(self._look, job.user_id, job.key))
        except NotFound:
            return Ended()  # disconnected, or its plugin was taken out of the configuration
        connection, connector = look.connection, look.connector
        if not connection.is_working or not isinstance(connector, Polls):
            return Ended()
        memory = connection.monitor
        cadence = float(memory.get("sync_seconds") or connector.poll_every_seconds)
        now = self.clock.now()
        jitter = self.random.uniform(1 - _JITTER, 1 + _JITTER)
        asked = Asked(
            checkpoint=look.checkpoint,
            now=now,
            every_seconds=cadence * min(MOST_PACE, pace(connection, now) * jitter),
            share_seconds=await self._share_seconds(connector, look.client_id),
            is_urgent=bool(memory.get("is_urgent")),
            is_watched=await self.is_watched(connection.user_id),
            pushed=look.pushed,
            hinted=frozenset(look.hinted),
            settings=connection.settings,
        )
        ended = await _Poll(self, connection, connector, connector, asked, job, cadence, began).run()
        if look.hinted:  # a crash before this has them looked at once more
            forget = partial(
                drop_hints,
                user_id=connection.user_id,
                connection_id=connection.id,
                looked_at=look.hinted,
            )
            await self.writer.run_unit(forget)
        return ended

    def _look(self, user_id: UserId, connection_id: str, sql: Sql) -> _Look:
        connection = find_connection(sql, connection_id, user_id=user_id)
        connector = self.platforms.connector(connection.platform)
        pushed = _pushed(sql, connection, connector) if connection.monitor.get("is_push") else {}
        client = _CLIENT.row(sql, user_id=connection.user_id, grant_id=connection.grant_id)
        client_id = "" if client is None else client[0]
        hinted = read_hints(sql, connection.user_id, connection_id)
        return _Look(connection, connector, read_checkpoint(sql, connection), pushed, client_id, hinted)

    async def _share_seconds(self, connector: Connector, client_id: str) -> float:
        if not isinstance(connector, Connects) or not connector.budgets:
            return 0.0
        provider, now = connector.oauth.provider, self.clock.monotonic()
        accounts, until = self._accounts.get((provider, client_id), (0, 0.0))
        if now >= until:
            count = partial(count_accounts, provider=provider, client_id=client_id)
            accounts = await self.writer.database.read(count)
            self._accounts[provider, client_id] = accounts, now + _COUNTED_SECONDS
        return self._budgets.share_seconds(connector.platform, client_id, accounts)

    async def run(self) -> None:
        """Write down what was checked, some time later and together, until cancelled."""
        while True:
            await self._checked.wait()
            await self.clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    def note(self, connection: Connection, check: Check) -> None:
        """Take note of a check that went well; a crash in the next half minute forgets it."""
        key = connection.user_id, connection.id
        before = self._checks.get(key)
        if check.event_at is None and before is not None:
            check = dataclasses.replace(check, event_at=before.event_at, happened_at=before.happened_at)
        self._checks[key] = check
        self._checked.set()

    async def move_on(self, connection: Connection, checkpoint: Mapping[str, Any], ending: Ending) -> None:
        """End a run that brought nothing but a new checkpoint: both are committed, or neither.

        Raises:
            LeaseLost: Another runs the job by now.
            Unavailable: The database can't be used now.
        """
        await self.writer.put(self._quiet, _Quiet(ending, connection, checkpoint))

    async def append_slowly(self, platform: str, item: Item) -> Appended:
        """Append a part of much: in turn with others of its platform, and with a rest after it.

        Raises:
            LeaseLost, Unavailable, Rejected: As `Journal.append`.
        """
        turn = self._turns.setdefault(platform, asyncio.Lock())
        async with turn:
            began = self.clock.monotonic()
            (appended,) = await self.journal.append(item)
            took_seconds = self.clock.monotonic() - began
            if took_seconds > 0:
                await self.clock.sleep(took_seconds * _REST_RATIO)
        return appended

    async def flush(self) -> None:
        """Write down what was checked since the last time; also wanted before that is shown, and at a stop."""
        self._checked.clear()
        if not self._checks:
            return
        checks, self._checks = self._checks, {}
        with suppress(Unavailable):  # the next check is written down when the database is back
            await self.writer.run_unit(partial(note_checks, checks=checks))


class _Quiet(NamedTuple):
    """The end of a run that brought nothing but a new checkpoint."""

    ending: Ending
    connection: Connection
    checkpoint: Mapping[str, Any]


class _QuietEnds:
    """Ends all runs that wait for it in one transaction. Most runs are quiet, and a journal asks for much more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def execute(self, sql: Sql, payloads: Sequence[_Quiet]) -> Sequence[Exception | None]:
        now = database_now(sql, self._clock)
        ours = end(sql, [one.ending for one in payloads], now)
        moved = {
            one.connection.id: (one.connection.user_id, one.checkpoint)
            for one, is_ours in zip(payloads, ours, strict=True)
            if is_ours
        }
        write_checkpoints(sql, moved, now)
        return [
            None if is_ours else LeaseLost(one.ending.kind, one.ending.key)
            for one, is_ours in zip(payloads, ours, strict=True)
        ]

    def committed(self, results: Sequence[Exception | None], seconds: float) -> None:
        return


class _Poll:
    """One run."""

    def __init__(
        self,
        syncing: Syncing,
        connection: Connection,
        connector: Connector,
        polls: Polls,
        asked: Asked,
        job: Job,
        cadence_seconds: float,
        began: int,
    ) -> None:
        self._to = syncing
        self._go_on = partial(syncing.halts.check, connector, began)
        self._cadence_seconds = cadence_seconds
        self._connection = connection
        self._connector = connector
        self._polls = polls
        self._asked = asked
        self._job = job
        self._fresh = 0
        self._missed = 0
        self._gap = False
        self._happened_at: datetime | None = None

    async def run(self) -> Ended:
        """Ask, commit piece by piece, and end the job together with the last piece."""
        waiting: Polled | None = None
        try:
            self._go_on()
            polling = self._polls.poll(self._to.platforms.api(self._connection), self._asked)
            async for piece in pieces_of(polling):
                polled = checked(piece)
                self._go_on()
                if polled.addresses is not None:
                    save = partial(replace_addresses, connection=self._connection, addresses=polled.addresses)
                    await self._to.writer.run_unit(save)
                if waiting is not None and _has_news(waiting):  # else the next piece stands for both
                    await self._commit(waiting)
                waiting = polled
        except (AuthExpired, Unavailable, Rejected):
            if waiting is not None:
                await self._commit(waiting)  # what was reached stays
            raise
        wanted = waiting.next_in_seconds if waiting is not None else None
        usual = self._asked.every_seconds
        if self._fresh or (waiting is not None and waiting.events):
            usual = min(usual, self._cadence_seconds)
        again_seconds = usual if wanted is None else wanted
        if waiting is None or self._is_nothing(waiting):
            ended = Ended(again_seconds)
        elif not _has_news(waiting):
            await self._to.move_on(self._connection, waiting.checkpoint, _ending(self._job, again_seconds))
            ended = Ended(is_committed=True)
        else:
            await self._commit(waiting, self._job.end(again_seconds))
            ended = Ended(is_committed=True)
        await self._account(waiting)
        return ended

    def _is_nothing(self, polled: Polled) -> bool:
        return not _has_news(polled) and polled.checkpoint == self._asked.checkpoint

    async def _commit(self, polled: Polled, job_end: JobEnd | None = None) -> None:
        connection, now = self._connection, self._to.clock.now()
        is_hinted = not self._asked.hinted.isdisjoint({polled.target, ""})
        kinds = frozenset() if is_hinted else self._asked.pushed.get(polled.target, frozenset())
        overdue = [one for one in polled.events if _kind(one) in kinds and _is_overdue(one, now)]
        others = [one for one in polled.events if one not in overdue] if overdue else list(polled.events)
        if polled.gap:
            once = hashlib.sha256(encode_json(polled.checkpoint)).hexdigest()[:16]
            name = self._connector.display_name
            others.append(feed.gap(connection, name, reason=polled.gap, once=once, now=now))
        item = partial(
            Item,
            user_id=connection.user_id,
            via="webhook" if is_hinted else "polling",  # a delivery told of it, if not what it was
            connection_id=connection.id,
            lease=self._job.held,
        )
        # Without the checkpoint: a crash has them asked for, and known, once more.
        while len(others) > _PART_EVENTS:
            part, others = others[:_PART_EVENTS], others[_PART_EVENTS:]
            self._fresh += (await self._to.append_slowly(connection.platform, item(events=part))).fresh
        last = item(events=others, checkpoint=Checkpoint(connection.id, polled.checkpoint), job_end=job_end)
        # By itself, so that the answer says how many of them a webhook should have brought.
        first = [item(events=overdue)] if overdue else []
        appended = await self._to.journal.append(*first, last)
        self._fresh += sum(one.fresh for one in appended)
        instants = [min(one.time or now, now) for one in polled.events]
        self._happened_at = max([*instants, *filter(None, [self._happened_at])], default=None)
        self._missed += appended[0].fresh if overdue else 0
        self._gap = self._gap or bool(polled.gap)
        for fields in polled.notices:
            await self._notice(str(fields.get("type", "sync.notice")), fields)

    async def _account(self, last: Polled | None) -> None:
        """Note the check, its rhythm, and what push has missed; tell who watches that it went well."""
        connection, now = self._connection, self._to.clock.now()
        old = float(connection.monitor.get("pace", 1.0))
        new = 1.0 if self._fresh else slower(old)  # news brings the cadence back
        event_at = now if self._fresh else None
        happened_at = self._happened_at if self._fresh else None
        self._to.note(connection, Check(now, event_at, None if new == old else new, happened_at))
        if self._asked.is_urgent:
            calm = partial(
                change_monitor,
                user_id=connection.user_id,
                connection_id=connection.id,
                is_urgent=False,
            )
            await self._to.writer.run_unit(calm)
        if self._missed:
            missed = int(connection.monitor.get("missed", 0)) + self._missed
            await self._to.writer.run_unit(partial(_missed, connection=connection, missed=missed, now=now))
        if self._gap:
            await self._to.writer.run_unit(partial(_gap_found, connection=connection, now=now))
        if not self._fresh and self._asked.is_watched:
            await self._to.tell(feed.notice("platform_sync", "sync.finished", connection, now=now))

    async def _notice(self, type_: str, fields: Mapping[str, Any]) -> None:
        if self._asked.is_watched:
            connection = self._connection
            data = encode_json({"platform": connection.platform, "connection": connection.id, **fields})
            notice = Notice(connection.user_id, "platform_sync", type_, connection.platform, data)
            await self._to.tell(notice)


def _ending(job: Job, again_seconds: float) -> Ending:
    return Ending(job.user_id, job.kind, job.key, job.lease, again_seconds)


def _has_news(polled: Polled) -> bool:
    return bool(polled.events or polled.gap or polled.notices)


def _pushed(sql: Sql, connection: Connection, connector: Connector) -> Mapping[str, frozenset[str]]:
    """The kinds of event that healthy webhooks of a connection deliver, by target."""
    rows = _HEALTHY.rows(sql, user_id=connection.user_id, connection_id=connection.id)
    pushed = {target: frozenset(msgspec.json.decode(upstream).get("kinds", ())) for target, upstream in rows}
    if isinstance(connector, Receives) and connector.common_kinds and connection.monitor.get("addressed_at"):
        pushed[""] = connector.common_kinds
    return pushed


def _missed(sql: Sql, *, connection: Connection, missed: int, now: datetime) -> None:
    change_monitor(sql, connection.user_id, connection.id, missed=missed)
    for kind in (RECOVER, MONITOR):
        request(sql, connection, kind, now)


def _gap_found(sql: Sql, *, connection: Connection, now: datetime) -> None:
    change_monitor(sql, connection.user_id, connection.id, gap_at=now)
    request(sql, connection, MONITOR, now)


def _kind(event: Event) -> str:
    return event.type.rpartition(".")[2]


def _is_overdue(event: Event, now: datetime) -> bool:
    return event.time is not None and event.time < now - _OVERTAKEN
