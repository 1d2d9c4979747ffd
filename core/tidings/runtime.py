"""Puts a server's parts together, runs them, and takes them apart in reverse."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from random import Random

import anyio
import anyio.abc
from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from tidings.access import Gate
from tidings.arrivals import Arrivals
from tidings.blame import Blame
from tidings.clock import SystemClock
from tidings.config import Settings
from tidings.context import Context
from tidings.contracts import Bus, Clock, Connector, Extra, Http, JobRequest, Strategy, Transport
from tidings.database import Database
from tidings.devices import Pushes
from tidings.engines import configured
from tidings.errors import ConfigError, Unavailable
from tidings.event import Entry
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.jobs import Ended, Job, request_jobs
from tidings.journal import SqlJournal
from tidings.keys import load_push_keys, load_session_key, load_vault_keys, vault_key_file
from tidings.keysets import KeySets
from tidings.leftovers import Leftovers
from tidings.lookups import Lookups
from tidings.metrics import Metrics
from tidings.migrate import ensure_schema
from tidings.nodekeys import compare_keys, note_keys
from tidings.origins import Origins
from tidings.others import watch_others
from tidings.outbound import Internet, Outbound
from tidings.plugins import Loaded, LoadedPlugin, collect
from tidings.pulling import PULL, Pulling
from tidings.pushers import Pushers
from tidings.pushing import Pushing
from tidings.ratelimit import Limiter, RequestLimits
from tidings.registrations import Target, find_addressed, find_targets
from tidings.retention import Policy, Retention
from tidings.scheduler import Scheduler
from tidings.schema import to_stored
from tidings.sealed import secrets_exist
from tidings.serverlock import ServerLock
from tidings.services import Services
from tidings.sharedlimits import SharedLimiter
from tidings.supervisor import keep_running
from tidings.upkeep import Ground
from tidings.upkeep import build as build_upkeep
from tidings.vault import Vault
from tidings.webhooks import Webhooks
from tidings.wishes import Wishes
from tidings.writer import Writer

#: How often a server looks for what other processes changed.
LOOK_SECONDS = 1.0
_REST_LOOKS = 5  # jobs that other processes ask for are in less of a hurry than rights that they end
_RETENTION_SECONDS = 3600.0
_LONGEST_CUT_SECONDS = 6 * 3600.0
_RETENTION = JobRequest("retention", "all")


async def open_vault(settings: Settings, database: Database) -> Vault:
    """The vault of this installation; its key is made if nothing was sealed yet.

    Raises:
        ConfigError: The key can't be used, or is missing while the database holds secrets.
    """
    path = settings.database_path
    file = vault_key_file(path, os.environ)
    sealed = await database.read(secrets_exist)
    return Vault(load_vault_keys(path, environment=os.environ, secrets_exist=sealed), file)


@asynccontextmanager
async def running(
    settings: Settings,
    loaded: Loaded,
    log: FilteringBoundLogger,
    *,
    clock: Clock | None = None,
    synchronous: str = "FULL",
    http: Http | None = None,
    random: Random | None = None,
    open_database: Callable[..., Database] = configured,
    look_seconds: float = LOOK_SECONDS,
    contained: Callable[[Services], AbstractAsyncContextManager[object]] = nullcontext,
) -> AsyncIterator[Services]:
    """A server's parts, at work, without its HTTP side.

    `synchronous` is SQLite's durability: anything but FULL gives up the promise that a 2xx means on disk. Every
    `look_seconds` SQLite's log is moved into its file, and what other processes changed is looked for. A simulation
    brings its own time, chance, way to the platforms and, to be called as `engines.configured` is, `open_database`.
    `contained` is entered before plugins are at work.

    Raises:
        Conflict: Another server uses the database, or a newer tidings wrote it.
        ConfigError: Keys or plugins can't be used.
        Unavailable: The database can't be used.
    """
    keeps_time = clock is None
    clock = clock or SystemClock()
    lock = ServerLock(settings.database_path)
    if settings.is_sqlite:  # of PostgreSQL any number may be the servers
        lock.acquire(url=settings.server.local_url, public_url=settings.server.public_url)
    try:
        database = open_database(settings, synchronous=synchronous, keeps_time=keeps_time)
        try:
            if await ensure_schema(database):
                log.info("schema_migrated", database=database.place)
            await compare_keys(settings, database, log)
            outbound, internet = Outbound(settings.server.public_url), Internet(settings.server.public_url)
            services = await _assemble(
                settings,
                loaded,
                log,
                clock,
                database,
                *((outbound, internet) if http is None else (http, http)),
                random or Random(),  # noqa: S311 - jitter
                look_seconds,
            )
            async with contained(services), _tasks() as group:
                await _start(services, group, look_seconds)
                try:
                    yield services
                finally:
                    await _stop(services, outbound, internet)
                    group.cancel_scope.cancel()
        finally:
            await database.close()
    finally:
        lock.release()


@asynccontextmanager
async def _tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
    """A task group that raises a single error as it is, not as a group of one."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) > 1:
            raise
        (alone,) = errors.exceptions
    else:
        return
    raise alone  # out here, so that it keeps its own context


async def _assemble(
    settings: Settings,
    loaded: Loaded,
    log: FilteringBoundLogger,
    clock: Clock,
    database: Database,
    http: Http,
    internet: Http,
    random: Random,
    look_seconds: float,
) -> Services:
    blame = Blame(loaded.plugins)
    metrics, health, leftovers = Metrics(), Health(clock, log, blame), Leftovers(blame, log)
    writer = Writer(database, health.component("database"), clock.monotonic)
    vault = await open_vault(settings, database)
    key_sets = KeySets(http, clock)
    gate = _gate(settings, database, writer, clock, key_sets)
    journal = SqlJournal(database, writer, clock)
    fanout = Fanout(journal, clock, log, metrics, health, most_streams=settings.limits.streams)
    journal.on_commit(fanout.committed)
    journal.on_commit(partial(_account, metrics, log))
    public_url = settings.server.public_url
    ground = Ground(public_url, writer, journal, fanout, vault, http, clock, log, metrics, health, random)
    scheduler = _scheduler(ground, look_seconds, leftovers)
    limiter = _limiter(writer, clock)
    limits = RequestLimits(api=settings.limits.api, sessions=settings.limits.sessions, limiter=limiter)
    wishes = Wishes(writer, clock, limits, wake=scheduler.wake)
    offers = _collect(loaded, _context(ground, gate, wishes, internet))
    fanout.use(offers.bus)
    for failure in loaded.failures:
        health.component(failure.key).down(failure.reason)
        about = {"distribution": failure.distribution, "report_at": failure.bugs}
        log.error("plugin_failed", plugin=failure.key, reason=failure.reason, **about)
    upkeep = build_upkeep(ground, offers.connectors, offers.strategies)
    return Services(
        settings=settings,
        clock=clock,
        log=log,
        metrics=metrics,
        health=health,
        leftovers=leftovers,
        database=database,
        writer=writer,
        journal=journal,
        fanout=fanout,
        scheduler=scheduler,
        upkeep=upkeep,
        vault=vault,
        gate=gate,
        limits=limits,
        wishes=wishes,
        loaded=loaded,
        connectors=offers.connectors,
        transports=offers.transports,
        extras=offers.extras,
        webhooks=_webhooks(settings, offers.connectors, ground, upkeep.arrivals, key_sets, limiter),
        pushing=_pushing(settings, offers, ground),
    )


def _context(ground: Ground, gate: Gate, wishes: Wishes, internet: Http) -> Context:
    return Context(
        plugin="",
        public_url=ground.public_url,
        clock=ground.clock,
        log=ground.log,
        journal=ground.journal,
        streams=ground.fanout,
        access=gate,
        requests=wishes,
        http=ground.http,
        internet=internet,
    )


def _pushing(settings: Settings, offers: _Offers, ground: Ground) -> Pushing | None:
    pushes = [one for one in offers.transports if isinstance(one, Pushes)]
    if not pushes:
        return None
    keys = load_push_keys(settings.database_path).keys
    for one in pushes:
        one.use_keys(keys)
    return Pushing(
        Pushers(pushes),
        {one.platform: one.display_name for one in offers.connectors},
        ground.journal,
        ground.writer,
        ground.fanout,
        ground.vault,
        ground.clock,
        ground.log,
        ground.metrics,
        ground.health.component("push"),
        ground.random,
    )


def _scheduler(ground: Ground, look_seconds: float, leftovers: Leftovers) -> Scheduler:
    return Scheduler(
        ground.journal,
        ground.writer,
        ground.clock,
        ground.log,
        ground.metrics,
        random=ground.random,
        longest_rest_seconds=_REST_LOOKS * look_seconds,
        leftovers=leftovers,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Offers:
    """What the plugins offer."""

    bus: Bus
    connectors: Sequence[Connector]
    strategies: Sequence[Strategy]
    transports: Sequence[Transport]
    extras: Sequence[Extra]


def _collect(loaded: Loaded, context: Context) -> _Offers:
    def own(plugin: LoadedPlugin) -> Context:
        return dataclasses.replace(context, plugin=plugin.key, log=context.log.bind(plugin=plugin.key))

    # The contracts are asked for, never called.
    buses = collect(loaded, "tidings_buses", own, Bus)  # type: ignore[type-abstract]  # see above
    strategies = collect(loaded, "tidings_strategies", own, Strategy)  # type: ignore[type-abstract]  # see above
    return _Offers(
        _one_bus(loaded, buses),
        [one for _, one in collect(loaded, "tidings_connectors", own, Connector)],
        [one for _, one in strategies],
        [one for _, one in collect(loaded, "tidings_transports", own, Transport)],
        [one for _, one in collect(loaded, "tidings_extras", own, Extra)],
    )


def _webhooks(
    settings: Settings,
    connectors: Sequence[Connector],
    ground: Ground,
    arrivals: Arrivals,
    key_sets: KeySets,
    limiter: Callable[..., Limiter],
) -> Webhooks:
    limits = settings.limits

    def find(connection: Connection, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Target]:
        return find_targets(connection, ground.vault, keys)

    return Webhooks(
        {connector.platform: connector for connector in connectors},
        Lookups(ground.writer.database, find),
        Lookups(ground.writer.database, find_addressed),
        arrivals,
        key_sets,
        ground.journal,
        ground.clock,
        ground.log,
        ground.metrics,
        ground.health,
        most_bytes=limits.max_body,
        failures=limiter(limits.webhooks, policy="webhooks", is_for_strangers=True)
        if limits.webhooks is not None
        else None,
        registration_limits=limiter(limits.webhooks_per_registration, policy="registration")
        if limits.webhooks_per_registration is not None
        else None,
    )


def _gate(settings: Settings, database: Database, writer: Writer, clock: Clock, key_sets: KeySets) -> Gate:
    jwt = None
    if settings.auth.jwt is not None:
        from tidings.jwt import JwtVerifier  # noqa: PLC0415 - its library costs memory that few need

        jwt = JwtVerifier(settings.auth.jwt, key_sets)
    return Gate(
        database,
        writer,
        clock,
        origins=Origins(settings.server.public_url, settings.server.allowed_origins),
        session_key=load_session_key(settings.database_path),
        jwt=jwt,
        create_users=settings.auth.jwt is not None and settings.auth.jwt.create_users,
    )


def _limiter(writer: Writer, clock: Clock) -> Callable[..., Limiter]:
    """What makes limiters: such as share their counts, where other nodes may use the database."""
    if writer.database.units_at_once > 1:
        return partial(SharedLimiter, writer=writer, clock=clock)
    return Limiter


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


async def _start(services: Services, group: anyio.abc.TaskGroup, look_seconds: float) -> None:
    retention = Retention(
        services.writer,
        services.clock,
        services.log,
        Policy(services.settings.retention.days, services.settings.retention.events_per_user),
    )

    async def cut(_job: Job) -> Ended:
        await retention.cut()
        return Ended(_RETENTION_SECONDS)

    services.scheduler.handle(_RETENTION.kind, cut, longest_seconds=_LONGEST_CUT_SECONDS)
    services.upkeep.handle(services.scheduler)
    await note_keys(services.settings, services.database)
    pulling = Pulling(services.connectors, services.webhooks, services.clock, services.log, services.health)
    services.scheduler.handle(PULL, pulling.handle)
    if services.pushing is not None:
        services.pushing.register(services.scheduler)
    tasks: dict[str, Callable[[], Awaitable[None]]] = {
        "fanout": services.fanout.run,
        "jobs": services.scheduler.run,
        "rights": partial(watch_others, services, look_seconds),
        "checkpoint": partial(_checkpoint, services, look_seconds),
        **services.upkeep.tasks(),
        **({} if services.pushing is None else {"push": services.pushing.run}),
        **{
            f"transport/{transport.name}": services.leftovers.during(transport.run)
            for transport in services.transports
        },
        **{
            f"extra/{type(extra).__name__}": services.leftovers.during(extra.run)
            for extra in services.extras
            if type(extra).run is not Extra.run
        },
    }
    for name, work in tasks.items():
        component = services.health.component(name)
        group.start_soon(keep_running, work, component, services.clock, services.log)
    now = to_stored(services.clock.now())
    jobs = [(0, job) for job in (_RETENTION, *pulling.jobs())]
    await services.writer.run_unit(lambda connection: request_jobs(connection, jobs, now))
    if services.pushing is not None:
        await services.pushing.start()
    await services.upkeep.start()


async def _stop(services: Services, *clients: Outbound | Internet) -> None:
    await services.scheduler.stop()
    await services.upkeep.stop()
    await asyncio.gather(*[client.close() for client in clients])
    services.writer.close()
    await services.writer.drained()


async def _checkpoint(services: Services, every_seconds: float) -> None:
    while True:
        await services.clock.sleep(every_seconds)
        with suppress(Unavailable):  # the writer says so; the log grows until the disk is back
            await services.database.checkpoint()
