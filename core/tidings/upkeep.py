"""The parts that keep connected accounts going, put together: consent, tokens, polls, webhooks, recovery, monitor."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random

from sqlalchemy import Connection as Sql
from structlog.typing import FilteringBoundLogger

from tidings import reach
from tidings.addressing import COMMON_LOG, REACH
from tidings.arrivals import Arrivals
from tidings.budgets import Budgets
from tidings.commonrecovery import CommonRecovery
from tidings.connecting import Connects, Http
from tidings.connections import CONNECTED, find_connection, list_connections
from tidings.connectors import Connector, Polls
from tidings.consent import Consent
from tidings.contracts import Clock, JobRequest, Strategy
from tidings.defects import Defect
from tidings.errors import NotFound, TidingsError, Unavailable
from tidings.event import UserId
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.history import History
from tidings.hooking import Hooking
from tidings.jobs import SYNC, Ended, Job, request_job
from tidings.journal import SqlJournal
from tidings.leaving import LEAVE, Leaving
from tidings.metrics import Metrics
from tidings.monitor import Monitor
from tidings.parking import WATCHING_JOBS, Parking, unpark_all
from tidings.platforms import Platforms
from tidings.provisioning import Provisioning
from tidings.reach import Reach
from tidings.recovery import Recovery
from tidings.redemptions import give_up
from tidings.refreshing import Refresher
from tidings.scheduler import Handler, Scheduler
from tidings.schema import to_stored
from tidings.syncing import Syncing
from tidings.tokens import SWEEP, Tokens
from tidings.vault import Vault
from tidings.writer import Writer

# Where refresh tokens are good for one use, a crash loses the consents whose new tokens are on their way just then.
_REFRESHES_AT_ONCE = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Upkeep:
    """The parts, at work once `start` has run."""

    writer: Writer
    clock: Clock
    connectors: Sequence[Connector]
    fanout: Fanout
    budgets: Budgets
    history: History
    parking: Parking
    refresher: Refresher
    tokens: Tokens
    platforms: Platforms
    consent: Consent
    provisioning: Provisioning
    syncing: Syncing
    hooking: Hooking
    recovery: Recovery
    common_recovery: CommonRecovery
    reach: Reach
    arrivals: Arrivals
    monitor: Monitor
    leaving: Leaving
    health: Health
    _resting: set[asyncio.Task[None]] = dataclasses.field(default_factory=set)

    def handle(self, scheduler: Scheduler) -> None:
        """Name the handlers of their jobs."""
        scheduler.handle("refresh", self.tokens.refresh, at_once=_REFRESHES_AT_ONCE, is_urgent=True)
        scheduler.handle(SWEEP.kind, self.tokens.sweep)
        scheduler.handle(COMMON_LOG, self.common_recovery.handle, is_urgent=True)
        handlers: Mapping[str, Handler] = {
            "monitor": self.monitor.handle,
            "hooks": self.hooking.handle,
            "recover": self.recovery.handle,
            REACH: self.reach.handle,
            SYNC: self.syncing.handle,
            LEAVE: self.leaving.handle,
        }
        for kind, handler in handlers.items():
            scheduler.handle(kind, self._noted(handler), is_urgent=kind == "recover")

    async def start(self) -> None:
        """Go on from where the last start was left.

        Raises:
            Unavailable: The database can't be used.
        """
        await self.provisioning.load()  # before anything asks for a client
        await self.budgets.load()
        await self.writer.run_unit(self._resume)
        await self.monitor.start()

    def tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What they do in the background, by name."""
        return {
            "budgets": self.budgets.run,
            "history": self.history.run,
            "checks": self.syncing.run,
            "arrivals": self.arrivals.run,
        }

    async def stop(self) -> None:
        """Let answers under way be saved, and write down what was noted; before the writer closes."""
        self.refresher.finish()
        await self.tokens.finish()
        await self.syncing.flush()
        await self.arrivals.flush()
        await self.budgets.flush()
        await self.history.flush()

    async def welcome(self, user_ids: Sequence[UserId]) -> None:
        """These have just opened a live page: ask for what is worth asking only while somebody watches.

        Raises:
            Unavailable: The database can't be used now.
        """
        platforms = {
            one.platform for one in self.connectors if isinstance(one, Polls) and one.follows_watchers
        }
        if not platforms:
            return

        def ask(sql: Sql) -> None:
            at = to_stored(self.clock.now())
            for user_id in user_ids:
                for connection in list_connections(sql, user_id=user_id):
                    if connection.state == CONNECTED and connection.platform in platforms:
                        job = JobRequest(
                            SYNC, connection.id, platform=connection.platform, account=connection.id
                        )
                        request_job(sql, user_id, job, at)

        await self.writer.run_unit(ask)

    def _resume(self, sql: Sql) -> None:
        unpark_all(sql)
        now = self.clock.now()
        request_job(sql, 0, SWEEP, to_stored(now))
        self.common_recovery.request_all(sql)
        reach.request_all(sql, now)

    def _noted(self, handler: Handler) -> Handler:
        """The same handler, with its runs in the connection's history."""

        async def noted(job: Job) -> Ended:
            started = self.clock.monotonic()
            try:
                ended = await handler(job)
            except TidingsError as error:
                self._note(job, "failed", str(error) or type(error).__name__, started)
                raise
            except Exception as error:
                reason = self.health.component(f"connector/{job.platform}").fails(error)
                self._note(job, "failed", reason, started)
                if isinstance(error, Defect) and job.kind in WATCHING_JOBS:
                    # It would do the same again: until it is mended, which takes a restart, or a person asks.
                    await self.writer.run_unit(partial(self._park, job, reason))
                raise
            if job.kind == SYNC:
                self.health.component(f"connector/{job.platform}").up()
            self._note(job, "done", "", started)
            return ended

        return noted

    def _park(self, job: Job, reason: str, sql: Sql) -> None:
        with suppress(NotFound):  # disconnected meanwhile
            if find_connection(sql, job.key, user_id=job.user_id).is_working:
                self.parking.park(sql, job.key, reason, user_id=job.user_id)

    def halt(self, plugin: str) -> None:
        """Don't let polls of a connector begin, nor go on, until `rest` has parked its connections; from any thread.

        Args:
            plugin: Its key, as for `rest`.
        """
        kind, _, platform = plugin.partition("/")
        if kind == "connector":
            self.syncing.halts.begin(platform)

    def rest(self, plugin: str, reason: str) -> None:
        """Park all connections of a connector that holds up everybody; called in the loop.

        Args:
            plugin: Its key: `connector/github`. What else a plugin offers can't be parked, and is only named.
            reason: What it did, for people.
        """
        kind, _, platform = plugin.partition("/")
        if kind == "connector":
            task = asyncio.get_running_loop().create_task(self._rest(platform, reason))
            self._resting.add(task)
            task.add_done_callback(self._resting.discard)

    async def _rest(self, platform: str, reason: str) -> None:
        def park(sql: Sql) -> None:
            for connection in list_connections(sql, platform=platform):
                if connection.is_working:
                    self.parking.park(sql, connection.id, reason, user_id=connection.user_id)

        try:
            await self.writer.run_unit(park)
        except Unavailable as error:
            self.health.component(f"connector/{platform}").fails(error)
        finally:
            self.syncing.halts.end(platform)

    def _note(self, job: Job, outcome: str, detail: str, started: float) -> None:
        ms = (self.clock.monotonic() - started) * 1000
        self.history.note(job.user_id, job.key, job.kind, outcome, detail, ms)


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """What the parts stand on."""

    public_url: str
    writer: Writer
    journal: SqlJournal
    fanout: Fanout
    vault: Vault
    http: Http
    clock: Clock
    log: FilteringBoundLogger
    metrics: Metrics
    health: Health
    random: Random


def build(ground: Ground, connectors: Sequence[Connector], strategies: Sequence[Strategy]) -> Upkeep:
    """Put the parts together, without starting anything."""
    writer, clock, log, fanout = ground.writer, ground.clock, ground.log, ground.fanout
    http, vault, public_url = ground.http, ground.vault, ground.public_url
    budgets = Budgets(writer, clock, ground.health, random=ground.random)
    history = History(writer, clock)
    names = {one.platform: one.display_name for one in connectors}
    parking = Parking(writer, clock, names, tell=fanout.attention.tell)
    refresher = _refresher(ground, connectors, budgets, parking, history)
    tokens = Tokens(writer, vault, clock, refresher, parking)
    platforms = Platforms(connectors, tokens=tokens, budgets=budgets, http=http, clock=clock)
    hooking = Hooking(platforms, writer, vault, clock, log, public_url=public_url)
    arrivals = Arrivals(
        writer,
        clock,
        park=lambda sql, user_id, grant_id, why, at: give_up(sql, parking, user_id, grant_id, why, at),
    )
    return Upkeep(
        writer=writer,
        clock=clock,
        connectors=connectors,
        fanout=fanout,
        budgets=budgets,
        history=history,
        parking=parking,
        refresher=refresher,
        tokens=tokens,
        platforms=platforms,
        consent=Consent(platforms, writer, vault, http, clock, log, public_url=public_url),
        provisioning=Provisioning(
            connectors, writer, vault, http, clock, log, ground.health, public_url=public_url
        ),
        syncing=Syncing(
            platforms,
            ground.journal,
            writer,
            clock,
            is_watched=fanout.attention.is_watched,
            tell=fanout.attention.tell,
            budgets=budgets,
            random=ground.random,
        ),
        hooking=hooking,
        recovery=Recovery(platforms, ground.journal, writer, clock, log),
        common_recovery=CommonRecovery(
            platforms, ground.journal, writer, clock, log, ground.health, arrivals.signal
        ),
        reach=Reach(platforms, writer, clock, log),
        arrivals=arrivals,
        monitor=Monitor(platforms, strategies, writer, clock, log, public_url=public_url),
        health=ground.health,
        leaving=Leaving(platforms, hooking, writer, vault, http, clock, log),
    )


def _refresher(
    ground: Ground, connectors: Sequence[Connector], budgets: Budgets, parking: Parking, history: History
) -> Refresher:
    connecting = []
    for one in connectors:
        if isinstance(one, Connects):
            connecting.append(one)
            budgets.limit(one.platform, one.budgets)
    return Refresher(
        ground.writer,
        ground.vault,
        ground.http,
        ground.clock,
        ground.log,
        ground.metrics,
        ground.health,
        connectors=connecting,
        listener=parking,
        note=history.note,
    )
