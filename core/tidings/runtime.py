"""Puts a server's parts together, runs them, and takes them apart in reverse."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.abc
from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from tidings.access import Gate
from tidings.append import request_job
from tidings.clock import SystemClock
from tidings.config import Settings
from tidings.context import Context
from tidings.contracts import Bus, Clock, Connector, Extra, JobRequest, Transport
from tidings.database import Database, ServerLock
from tidings.durations import Rate
from tidings.errors import ConfigError, Unavailable
from tidings.event import Entry
from tidings.facts import REGISTRATIONS_CHANGED, counted
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.keys import load_session_key, load_vault_keys
from tidings.lookups import Lookups
from tidings.metrics import Metrics
from tidings.migrate import ensure_schema
from tidings.origins import Origins
from tidings.plugins import Loaded, LoadedPlugin, collect
from tidings.ratelimit import Limiter, RequestLimits
from tidings.registrations import Target, find_targets, secrets_exist
from tidings.retention import Policy, Retention
from tidings.rights import RightsWatch
from tidings.scheduler import Job, Scheduler
from tidings.schema import to_stored
from tidings.services import Services
from tidings.supervisor import keep_running
from tidings.tickets import TicketPrincipal, extend_tickets
from tidings.vault import Vault
from tidings.webhooks import Webhooks
from tidings.writer import Writer

_RIGHTS_SECONDS = 1.0
_CHECKPOINT_SECONDS = 1.0
_TICKET_SECONDS = 60.0
_RETENTION_SECONDS = 3600.0
_RETENTION = JobRequest("retention", "all")


async def open_vault(settings: Settings, database: Database) -> Vault:
    """The vault of this installation; its key is made if nothing was sealed yet.

    Raises:
        ConfigError: The key can't be used, or is missing while the database holds secrets.
    """
    keys = load_vault_keys(
        settings.database_path,
        environment=os.environ,
        secrets_exist=await database.read(secrets_exist),
    )
    return Vault(keys)


@asynccontextmanager
async def running(
    settings: Settings,
    loaded: Loaded,
    log: FilteringBoundLogger,
    *,
    clock: Clock | None = None,
    synchronous: str = "FULL",
) -> AsyncIterator[Services]:
    """A server's parts, at work, without its HTTP side.

    Raises:
        Conflict: Another server uses the database, or a newer tidings wrote it.
        ConfigError: Keys or plugins can't be used.
        Unavailable: The database can't be used.
    """
    clock = clock or SystemClock()
    lock = ServerLock(settings.database_path)
    lock.acquire(url=settings.server.local_url, public_url=settings.server.public_url)
    try:
        database = Database(settings.database, synchronous=synchronous)
        try:
            if await ensure_schema(database):
                log.info("schema_migrated", database=str(settings.database_path))
            services = await _assemble(settings, loaded, log, clock, database)
            async with anyio.create_task_group() as group:
                await _start(services, group)
                try:
                    yield services
                finally:
                    await services.scheduler.stop()
                    services.writer.close()
                    await services.writer.drained()
                    group.cancel_scope.cancel()
        finally:
            await database.close()
    finally:
        lock.release()


async def _assemble(
    settings: Settings, loaded: Loaded, log: FilteringBoundLogger, clock: Clock, database: Database
) -> Services:
    metrics, health = Metrics(), Health(clock, log)
    writer = Writer(database, health.component("database"), clock.monotonic)
    vault = await open_vault(settings, database)
    gate = _gate(settings, database, writer, clock)
    journal = SqlJournal(database, writer, clock)
    fanout = Fanout(journal, clock, log, metrics, health, most_streams=settings.limits.streams)
    journal.on_commit(fanout.committed)
    journal.on_commit(partial(_account, metrics, log))

    def context(plugin: LoadedPlugin) -> Context:
        return Context(
            plugin=plugin.key,
            public_url=settings.server.public_url,
            clock=clock,
            log=log.bind(plugin=plugin.key),
            journal=journal,
            streams=fanout,
            access=gate,
        )

    buses = collect(loaded, "tidings_buses", context, Bus)  # type: ignore[type-abstract]  # asked for, never called
    fanout.use(_one_bus(loaded, buses))
    connectors = [one for _, one in collect(loaded, "tidings_connectors", context, Connector)]
    transports = [one for _, one in collect(loaded, "tidings_transports", context, Transport)]
    extras = [one for _, one in collect(loaded, "tidings_extras", context, Extra)]
    for failure in loaded.failures:
        health.component(failure.key).down(failure.reason)
        log.error(
            "plugin_failed", plugin=failure.key, reason=failure.reason, distribution=failure.distribution
        )

    def find(connection: Connection, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Target]:
        return find_targets(connection, vault, keys)

    limits = settings.limits
    return Services(
        settings=settings,
        clock=clock,
        log=log,
        metrics=metrics,
        health=health,
        database=database,
        writer=writer,
        journal=journal,
        fanout=fanout,
        scheduler=Scheduler(database, writer, clock, log, metrics),
        vault=vault,
        gate=gate,
        limits=RequestLimits(api=limits.api, sessions=limits.sessions),
        loaded=loaded,
        connectors=connectors,
        transports=transports,
        extras=extras,
        webhooks=Webhooks(
            {connector.platform: connector for connector in connectors},
            Lookups(database, find),
            journal,
            clock,
            log,
            metrics,
            health,
            most_bytes=limits.max_body,
            failures=_limiter(limits.webhooks, "webhooks"),
            registration_limits=_limiter(limits.webhooks_per_registration, "registration"),
        ),
    )


def _gate(settings: Settings, database: Database, writer: Writer, clock: Clock) -> Gate:
    jwt = None
    if settings.auth.jwt is not None:
        from tidings.jwt import JwtVerifier  # noqa: PLC0415 - its library costs memory that few need

        jwt = JwtVerifier(settings.auth.jwt)
    return Gate(
        database,
        writer,
        clock,
        origins=Origins(settings.server.public_url, settings.server.allowed_origins),
        session_key=load_session_key(settings.database_path),
        jwt=jwt,
        create_users=settings.auth.jwt is not None and settings.auth.jwt.create_users,
    )


def _limiter(rate: Rate | None, policy: str) -> Limiter | None:
    return None if rate is None else Limiter(rate, policy=policy)


def _one_bus(loaded: Loaded, offers: Sequence[tuple[LoadedPlugin, Bus]]) -> Bus:
    if len(offers) != 1:
        reasons = "; ".join(failure.reason for failure in loaded.failures) or "none was offered"
        raise ConfigError(f"plugins.bus: one bus is needed, and there are {len(offers)} ({reasons}).")
    return offers[0][1]


def _account(metrics: Metrics, log: FilteringBoundLogger, entries: Sequence[Entry], seconds: float) -> None:
    """Count and log one append."""
    metrics.append_seconds.observe(seconds)
    for (platform, via), count in Counter((entry.platform, entry.via) for entry in entries).items():
        metrics.events.labels(platform, via).inc(count)
    users = {entry.user_id for entry in entries}
    log.info("append", events=len(entries), users=len(users), ms=round(seconds * 1000, 2))


async def _start(services: Services, group: anyio.abc.TaskGroup) -> None:
    retention = Retention(
        services.writer,
        services.clock,
        services.log,
        Policy(services.settings.retention.days, services.settings.retention.events_per_user),
    )

    async def cut(_job: Job) -> float:
        await retention.cut()
        return _RETENTION_SECONDS

    services.scheduler.handle(_RETENTION.kind, cut)
    tasks: dict[str, Callable[[], Awaitable[None]]] = {
        "fanout": services.fanout.run,
        "jobs": services.scheduler.run,
        "rights": partial(_watch_rights, services),
        "checkpoint": partial(_checkpoint, services),
        **{f"transport/{transport.name}": transport.run for transport in services.transports},
    }
    group.start_soon(services.writer.run)
    for name, work in tasks.items():
        component = services.health.component(name)
        group.start_soon(keep_running, work, component, services.clock, services.log)
    now = to_stored(services.clock.now())
    await services.writer.run_unit(lambda connection: request_job(connection, 0, _RETENTION, now))


async def _checkpoint(services: Services) -> None:
    while True:
        await services.clock.sleep(_CHECKPOINT_SECONDS)
        with suppress(Unavailable):  # the writer says so; the log grows until the disk is back
            await services.database.checkpoint()


async def _watch_rights(services: Services) -> None:
    """Close what lives by ended rights, keep the tickets of open streams, and notice changed registrations.

    Other processes make such changes too (the CLI beside the server), so this looks once a second.
    """
    watch = RightsWatch(services.database, services.clock)
    changes: int | None = None
    tickets: dict[bytes, TicketPrincipal] = {}
    extended_at = services.clock.monotonic()
    while True:
        await services.clock.sleep(_RIGHTS_SECONDS)
        connected = [subscription.principal for subscription in services.fanout.subscriptions()]
        before = tickets
        tickets = {one.ticket_hash: one for one in connected if isinstance(one, TicketPrincipal)}
        now = services.clock.monotonic()
        due = now - extended_at >= _TICKET_SECONDS
        extend = [one for key, one in before.items() if due or key not in tickets]
        try:
            if ended := await watch.ended(connected):
                await services.fanout.end(ended)
            changed = await services.database.read(
                lambda connection: counted(connection, REGISTRATIONS_CHANGED)
            )
            if changed != changes:
                services.webhooks.forget_targets()
                changes = changed
            if extend:
                at = services.clock.now()
                await services.writer.run_unit(partial(extend_tickets, principals=extend, now=at))
            if due:
                extended_at = now
        except Unavailable:
            tickets = before | tickets  # what could not be extended now is extended when the database is back
