"""The job `hooks`: keeps webhooks at the platform as they are wanted: made, checked, renewed, repaired, removed.

What is wanted, what the rows say and what stands at the platform are compared, and made one, as often as it takes:
each step may be the last before a crash. The row, with its secret, is on disk before the platform is asked to make
the webhook, so that none ever calls with a secret that nobody knows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection as Sql
from structlog.typing import FilteringBoundLogger

from tidings.connecting import Api
from tidings.connections import Connection, change_monitor
from tidings.connectors import Registers, Target, Upstream
from tidings.contracts import Clock
from tidings.defects import all_handed, handed
from tidings.discretion import redact, use_secrets
from tidings.errors import NotFound, Rejected, Unavailable
from tidings.jobs import Ended, Job
from tidings.platforms import Platforms
from tidings.registrations import add_registration, open_secret, remove_registration
from tidings.upstreams import (
    ACTIVE,
    FAILED,
    REMOVING,
    WANTED,
    PlatformRegistration,
    note_failure,
    note_remade,
    note_removing,
    note_upstream,
    platform_registrations,
    shares_upstream,
)
from tidings.vault import Vault
from tidings.watching import MONITOR, Watched, ask_all, callback_url, look, request
from tidings.writer import Writer

_CHECK_SECONDS = 6 * 3600.0
_LONGEST_CHECK_SECONDS = 24 * 3600.0  # where nothing was found missing for as long
# A platform that confirms by asking back (WebSub's hubs do) may take a while for it.
_CONFIRMED_WITHIN = timedelta(minutes=30)
_LEAST_SECONDS = 60.0
# How long one that was made again in doubt is left in peace, at first and at most, until it delivers something.
_PEACE_SECONDS, _LONGEST_PEACE_SECONDS = 900.0, 86_400.0
_JITTER = 0.1
_MOST_UNAVAILABLE = 3  # in one run; then the platform is down, and not only one of its things
_MOST_PROBLEMS_TOLD = 3
_GONE = 404


class Hooking:
    """Runs the jobs `hooks`.

    Args:
        platforms: The connectors and their APIs.
        writer: Writes, and reads beside.
        vault: Seals and opens the webhooks' secrets.
        clock: All time.
        log: Told what was done at the platforms.
        public_url: Where platforms reach this installation.
    """

    def __init__(
        self,
        platforms: Platforms,
        writer: Writer,
        vault: Vault,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        public_url: str,
    ) -> None:
        self.platforms = platforms
        self.writer = writer
        self.vault = vault
        self.clock = clock
        self.log = log
        self.public_url = public_url
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    def lock(self, connection: Connection, target: str) -> asyncio.Lock:
        """Held while a registration is made or removed that all connections of an account share."""
        key = (connection.platform, connection.account_key, target)
        return self._locks.setdefault(key, asyncio.Lock())

    async def handle(self, job: Job) -> Ended:
        """Bring the webhooks of one connection to what is wanted.

        Raises:
            AuthExpired, Unavailable: As the connector says; what was done before stays.
        """
        try:
            watched = await self.writer.database.read(partial(look, job.user_id, job.key))
            connector = self.platforms.connector(watched.connection.platform)
        except NotFound:
            return Ended()  # disconnected, or its plugin was taken out of the configuration
        if not watched.connection.is_working or not isinstance(connector, Registers):
            return Ended()
        return await _Run(self, watched, connector).run()

    async def unregister_all(self, connection: Connection) -> None:
        """Remove all webhooks of a connection, at the platform and here: it is being disconnected.

        Raises:
            AuthExpired: The token is dead; the webhooks can't be removed any more. Those left are still known.
            Unavailable: Try again.
        """
        connector = self.platforms.connector(connection.platform)
        if isinstance(connector, Registers):
            watched = await self.writer.database.read(partial(look, connection.user_id, connection.id))
            run = _Run(self, watched, connector)
            for row in watched.registrations:
                await run.remove(row)


class _Run:
    """One run for one connection."""

    def __init__(self, hooking: Hooking, watched: Watched, connector: Registers) -> None:
        self._to = hooking
        self._watched = watched
        self._connection = watched.connection
        self._connector = connector
        self._api: Api = hooking.platforms.api(watched.connection)
        self._problems: dict[str, str] = {}  # by target's name
        self._unavailable: list[Unavailable] = []
        self._has_fallen = False  # one that stood: what happened since then came by no way

    async def run(self) -> Ended:
        """Compare and mend everything."""
        memory = self._watched.memory
        targets: Sequence[Target] = ()
        if memory.registers:
            try:
                found = await self._connector.targets(self._api, self._connection.settings)
                targets = all_handed(found, Target, "targets")
            except Rejected as error:
                self._problems[self._connection.account_name] = redact(str(error))
        rows: dict[str, PlatformRegistration] = {}
        wanted = {target.key for target in targets}
        for row in self._watched.registrations:
            # A row that is being removed goes first, even if its target is wanted again.
            if row.state == REMOVING or (row.target not in wanted and not self._problems):
                await self._try(partial(self.remove, row), row.target)
            else:
                rows[row.target] = row
        for target in targets:
            await self._try(partial(self._keep, target, rows.get(target.key)), target.name)
        await self._conclude(len(targets))
        if self._unavailable:
            raise self._unavailable[-1]
        return Ended(await self._next_seconds())

    async def _try(self, step: Callable[[], Awaitable[None]], name: str) -> None:
        """Take a step; where the platform fails for this one thing alone, go on with the others."""
        if len(self._unavailable) >= _MOST_UNAVAILABLE:
            return
        try:
            await step()
        except Unavailable as error:
            self._problems[name] = redact(str(error))
            asks_for_patience = error.retry_after_seconds is not None  # then not one call more
            self._unavailable += [error] * (_MOST_UNAVAILABLE if asks_for_patience else 1)

    # --- one registration -----------------------------------------------------------------------------------------

    async def _keep(self, target: Target, row: PlatformRegistration | None) -> None:
        """See to it that a target has its webhook."""
        is_gone = False
        if row is None:
            row = await self._add(target)
        elif self._is_awaited(row):
            if row.state != ACTIVE:
                self._problems[target.name] = "The platform has not confirmed it yet."
            return
        elif row.upstream is not None and row.state != WANTED:
            # Also where it is made again in any case: whether it stood until now decides what is to be asked for.
            found = await self._check(row, row.upstream) if row.state == ACTIVE else None
            if found is None or found.problem:
                self._has_fallen = True
                is_gone = found is None and row.state == ACTIVE
            elif not self._must_register(row, row.upstream):
                now = self._to.clock.now()
                if not self._is_in_doubt(row, now):
                    note = partial(
                        note_upstream, registration_id=row.id, upstream=found, renewed=False, now=now
                    )
                    await self._to.writer.run_unit(note)
                    return
                await self._to.writer.run_unit(partial(note_remade, registration_id=row.id, now=now))
        is_registered = await self._register(target, row, None if is_gone else row.upstream)
        if is_registered and row.state == FAILED:
            self._has_fallen = True

    def _is_awaited(self, row: PlatformRegistration) -> bool:
        """Whether it was asked for a moment ago, and the platform will ask back, if it has not."""
        if row.upstream is None or not row.upstream.is_pending or row.checked_at is None:
            return False
        is_renewed = row.renewed_at is not None and row.renewed_at >= row.checked_at
        return not is_renewed and self._to.clock.now() < row.checked_at + _CONFIRMED_WITHIN

    def _must_register(self, row: PlatformRegistration, upstream: Upstream) -> bool:
        """Whether a webhook that stands is to be made again whatever it delivers."""
        if self._moved or upstream.problem:
            return True
        return row.expires_at is not None and self._to.clock.now() >= _half_life(row, row.expires_at)

    def _is_in_doubt(self, row: PlatformRegistration, now: datetime) -> bool:
        """Whether one that seems to stand is to be made again: once for each doubt, and ever more rarely in vain."""
        memory = self._watched.memory
        made_at, doubted_at = row.renewed_at or row.created_at, memory.doubted_at
        is_doubted = self._watched.doubts > 0 and doubted_at is not None and made_at <= doubted_at
        if not is_doubted and not memory.mends:
            return False
        if not row.remade or row.remade_at is None:
            return True
        peace_seconds = min(_LONGEST_PEACE_SECONDS, _PEACE_SECONDS * 2 ** min(row.remade - 1, 20))
        return now >= row.remade_at + timedelta(seconds=peace_seconds)

    @property
    def _moved(self) -> bool:
        """Whether the webhooks call a URL that this installation had before."""
        return self._watched.memory.callback_base not in {"", self._to.public_url}

    async def _add(self, target: Target) -> PlatformRegistration:
        connection = self._connection

        def work(sql: Sql) -> PlatformRegistration:
            registration_id, _ = add_registration(
                sql,
                self._to.vault,
                user_id=connection.user_id,
                platform=connection.platform,
                connection_id=connection.id,
                target=target.key,
                now=self._to.clock.now(),
            )
            rows = platform_registrations(sql, connection.id)
            return next(row for row in rows if row.id == registration_id)

        return await self._to.writer.run_unit(work)

    async def _check(self, row: PlatformRegistration, upstream: Upstream) -> Upstream | None:
        """How it stands at the platform; None where it is gone."""
        try:
            return handed(await self._connector.check(self._api, upstream), Upstream, "check")
        except Rejected as error:
            if error.status != _GONE:
                return upstream  # this account may not look any more; whether it delivers, deliveries show
        self._to.log.info("webhook_gone", registration=row.id, target=row.target)
        await self._note_failure(row, "It was deleted at the platform.")
        return None

    async def _register(self, target: Target, row: PlatformRegistration, former: Upstream | None) -> bool:
        """Make its webhook, or make it anew in the place of a former one; says whether that worked."""
        asked_at = self._to.clock.now()
        try:
            if self._moved and former is not None:
                await self._connector.unregister(self._api, former)
                former = None
            upstream = await self._make(target, row, former)
        except Rejected as error:
            self._problems[target.name] = redact(str(error))
            await self._note_failure(row, redact(str(error)))
            return False
        if upstream.problem:
            self._problems[target.name] = redact(upstream.problem)
        now = self._to.clock.now()
        note = partial(
            note_upstream,
            registration_id=row.id,
            upstream=upstream,
            renewed=True,
            now=asked_at if upstream.is_pending else now,
        )
        await self._to.writer.run_unit(note)
        self._to.log.info("webhook_registered", registration=row.id, target=row.target)
        return True

    async def _make(
        self, target: Target, row: PlatformRegistration, former: Upstream | None = None
    ) -> Upstream:
        secret = await self._to.writer.database.read(
            partial(open_secret, vault=self._to.vault, registration_id=row.id)
        )
        use_secrets(secret)
        url = callback_url(self._to.public_url, row.platform, row.id)
        connector, api = self._connector, self._api
        if former is None:
            name, make = "register", partial(connector.register, api, target, url, secret)
        else:
            name, make = "renew", partial(connector.renew, api, target, url, secret, former)
        if not connector.shares_upstream:
            return handed(await make(), Upstream, name)
        async with self._to.lock(self._connection, target.key):
            return handed(await make(), Upstream, name)

    async def remove(self, row: PlatformRegistration) -> None:
        """Remove a webhook, at the platform and here.

        Raises:
            AuthExpired, Unavailable: As the connector says; the row stays, to try again.
        """
        await self._to.writer.run_unit(partial(note_removing, registration_id=row.id))
        upstream = row.upstream
        try:
            if upstream is None and row.checked_at is None:
                # Its making was broken off, and nobody knows how far it came; made once more, it can be removed.
                upstream = await self._make(Target(row.target, row.target), row)
            if upstream is not None:
                await self._unregister(row, upstream)
        except Rejected as error:  # this account may not any more; what still comes is refused here
            self._to.log.info("webhook_left", registration=row.id, target=row.target, reason=str(error))
        with suppress(NotFound):  # somebody removed it meanwhile
            await self._to.writer.run_unit(partial(remove_registration, registration_id=row.id))
        self._to.log.info("webhook_removed", registration=row.id, target=row.target)

    async def _unregister(self, row: PlatformRegistration, upstream: Upstream) -> None:
        if not self._connector.shares_upstream:
            await self._connector.unregister(self._api, upstream)
            return
        async with self._to.lock(self._connection, row.target):
            shared = partial(shares_upstream, row=row, account_key=self._connection.account_key)
            if not await self._to.writer.database.read(shared):
                await self._connector.unregister(self._api, upstream)

    async def _note_failure(self, row: PlatformRegistration, problem: str) -> None:
        now = self._to.clock.now()
        await self._to.writer.run_unit(
            partial(note_failure, registration_id=row.id, problem=problem, now=now)
        )

    # --- the end --------------------------------------------------------------------------------------------------

    async def _conclude(self, targets: int) -> None:
        """Write down how it went, and have the monitor draw its conclusions where something changed."""
        before, connection = self._watched, self._connection
        problem = _spell(self._problems)
        now = self._to.clock.now()

        def work(sql: Sql) -> None:
            delivering = sum(one.delivers(now) for one in platform_registrations(sql, connection.id))
            changes: dict[str, Any] = {"targets": targets, "problem": problem}
            if not self._unavailable:
                changes["callback_base"] = self._to.public_url
                changes["mends"] = False
            change_monitor(sql, connection.user_id, connection.id, **changes)
            if self._has_fallen:
                ask_all(sql, connection, now)
            was = (before.memory.targets, before.memory.problem)
            delivered = sum(one.delivers(now) for one in before.registrations)
            if (targets, problem) != was or delivering != delivered or before.memory.mends:
                request(sql, connection, MONITOR, now)

        await self._to.writer.run_unit(work)

    async def _next_seconds(self) -> float | None:
        """When to look again; None where nothing is wanted."""
        rows = await self._to.writer.database.read(
            partial(platform_registrations, connection_id=self._connection.id)
        )
        if not rows and not self._watched.memory.registers:
            return None
        now = self._to.clock.now()
        seconds = self._check_seconds(now)
        ends = [_half_life(row, row.expires_at) for row in rows if row.expires_at is not None]
        awaited = [row for row in rows if self._is_awaited(row)]
        ends += [row.checked_at + _CONFIRMED_WITHIN for row in awaited if row.checked_at is not None]
        ends = [end for end in ends if end > now or not awaited]
        return max(_LEAST_SECONDS, min([seconds, *((end - now).total_seconds() for end in ends)]))

    def _check_seconds(self, now: datetime) -> float:
        """How soon to look whether they still stand; ever later, as polls, for as long as nothing is missing."""
        memory, calm_seconds = self._watched.memory, 0.0
        is_calm = memory.is_push and not self._problems and not self._has_fallen
        if is_calm and memory.calm_since is not None:
            calm_seconds = max(0.0, (now - memory.calm_since).total_seconds())
        seconds = min(_LONGEST_CHECK_SECONDS, _CHECK_SECONDS + calm_seconds)
        return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads the checks


def _half_life(row: PlatformRegistration, expires_at: datetime) -> datetime:
    begun = row.renewed_at or row.created_at
    return begun + max(timedelta(), (expires_at - begun) / 2)


def _spell(problems: Mapping[str, str]) -> str:
    """The problems of several things, for people."""
    told = [f"{name}: {problem}" for name, problem in list(problems.items())[:_MOST_PROBLEMS_TOLD]]
    if len(problems) > len(told):
        told.append(f"And {len(problems) - len(told)} more.")
    return " ".join(told)
