"""The job `recover`: compares a platform's own log of deliveries with what arrived, and fetches what did not."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection as Sql
from sqlalchemy import select
from structlog.typing import FilteringBoundLogger

from tidings import feed
from tidings.connecting import Api
from tidings.connections import change_monitor, note_events, read_again
from tidings.connectors import LoggedDelivery, Receives, Recovers
from tidings.contracts import Clock, DeliveryKey, Item, Journal
from tidings.database import Database
from tidings.defects import parsed_by
from tidings.discretion import redact
from tidings.durations import format_duration
from tidings.errors import AuthExpired, NotFound, Rejected, Unavailable
from tidings.event import Event, rfc3339
from tidings.jobs import Ended, Job
from tidings.platforms import Platforms
from tidings.schema import deliveries
from tidings.upstreams import PlatformRegistration
from tidings.watching import HOOKS, MONITOR, Watched, ask_all, look, recall, request
from tidings.writer import Writer

#: How long from one comparison to the next: from the first, twice as long each time while nothing is missing.
FIRST_SECONDS: Final = 900.0
LONGEST_SECONDS: Final = 6 * 3600.0
JITTER: Final = 0.1
#: Lines may come into the log late, and a delivery may still be on its way to us.
OVERLAP: Final = timedelta(minutes=10)
_ON_ITS_WAY = timedelta(minutes=1)
_MOST_IDS = 500  # in one statement
_GONE = 404


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """A platform's log of deliveries to one registration beside what arrived.

    Attributes:
        sent: How many deliveries the platform says it sent.
        missing: Those of them that did not arrive here, oldest first.
    """

    sent: int
    missing: Sequence[LoggedDelivery]

    @property
    def held(self) -> int:
        """How many of them arrived here."""
        return self.sent - len(self.missing)


async def compare(
    connector: Recovers,
    api: Api,
    row: PlatformRegistration,
    since: datetime,
    until: datetime,
    database: Database,
) -> Comparison:
    """Compare a stretch of the log; of a delivery that was sent several times, the newest line counts.

    Raises:
        AuthExpired, Unavailable: As the connector says.
        Rejected: The webhook is gone there, and its log with it (404), or this account may not look.
    """
    logged: dict[str, LoggedDelivery] = {}
    if row.upstream is not None:
        async for line in connector.deliveries(api, row.upstream, since):
            if since <= line.delivered_at <= until:
                logged.setdefault(line.delivery_id, line)
    held = await database.read(partial(_held, row=row, delivery_ids=list(logged)))
    missing = [line for delivery_id, line in logged.items() if delivery_id not in held]
    return Comparison(len(logged), missing[::-1])


def settled(now: datetime) -> datetime:
    """Up to when every delivery in the log has arrived, if it ever will by itself."""
    return now - _ON_ITS_WAY


class Recovery:
    """Runs the jobs `recover`.

    Args:
        platforms: The connectors and their APIs.
        journal: Where events go.
        writer: Writes, and reads beside.
        clock: All time.
        log: Told what was recovered.
    """

    def __init__(
        self, platforms: Platforms, journal: Journal, writer: Writer, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self.platforms = platforms
        self.journal = journal
        self.writer = writer
        self.clock = clock
        self.log = log

    async def handle(self, job: Job) -> Ended:
        """Compare the logs of one connection's registrations, and take in what is missing.

        Raises:
            AuthExpired, Unavailable: As the connector says; what was taken in before stays.
        """
        try:
            watched = await self.writer.database.read(partial(look, job.user_id, job.key))
            connector = self.platforms.connector(watched.connection.platform)
        except NotFound:
            return Ended()  # disconnected, or its plugin was taken out of the configuration
        if not isinstance(connector, Recovers) or not isinstance(connector, Receives):
            return Ended()
        rows = [row for row in watched.registrations if row.upstream is not None]
        if not watched.connection.is_working or not rows:
            return Ended()
        run = _Run(self, watched, connector, connector, connector.display_name)
        try:
            await run.run(rows)
        except (AuthExpired, Unavailable):
            await run.conclude(complete=False)
            raise
        return Ended(await run.conclude(complete=True))


class _Run:
    """One run for one connection."""

    def __init__(
        self, recovery: Recovery, watched: Watched, recovers: Recovers, receives: Receives, display_name: str
    ) -> None:
        self._to = recovery
        self._memory = watched.memory
        self._connection = watched.connection
        self._recovers = recovers
        self._receives = receives
        self._display_name = display_name
        self._api = recovery.platforms.api(watched.connection)
        self._now = recovery.clock.now()
        self._found = 0
        self._gone = False

    async def run(self, rows: Sequence[PlatformRegistration]) -> None:
        """Compare everything since the last complete comparison, as far as the log reaches."""
        reach = self._now - timedelta(seconds=self._recovers.log_seconds)
        compared_at = self._memory.compared_at
        if compared_at is not None and compared_at < reach:
            await self._was_away(compared_at)
        for row in rows:
            since = max(reach, row.created_at, (compared_at or row.created_at) - OVERLAP)
            try:
                comparison = await compare(
                    self._recovers, self._api, row, since, settled(self._now), self._to.writer.database
                )
            except Rejected as error:
                self._gone = self._gone or error.status == _GONE
                self._to.log.info("log_refused", registration=row.id, reason=str(error))
                continue
            for line in comparison.missing:
                await self._take(row, line)

    async def _was_away(self, compared_at: datetime) -> None:
        """The log no longer shows all of it: tell so, and have polls ask for everything for a while."""
        connection = self._connection
        reason = (
            f"The last look at {self._display_name}'s log of deliveries was on {compared_at:%d %B %Y}, and the log "
            f"reaches back {format_duration(self._recovers.log_seconds)}. What else can be had is asked for now."
        )
        gap = feed.gap(
            connection, self._display_name, reason=reason, once=f"log:{rfc3339(compared_at)}", now=self._now
        )
        await self._append((gap,), None)

        def work(sql: Sql) -> None:
            change_monitor(sql, connection.user_id, connection.id, gap_at=self._now)
            ask_all(sql, connection, self._now)

        await self._to.writer.run_unit(work)

    async def _take(self, row: PlatformRegistration, line: LoggedDelivery) -> None:
        """Take in a delivery that did not arrive, exactly as if it came now."""
        assert row.upstream is not None
        fields = {"registration": row.id, "delivery": line.delivery_id, "kind": line.kind}
        try:
            request_ = await self._recovers.fetch_delivery(self._api, row.upstream, line)
        except Rejected as error:
            said = redact(str(error))
            reason = f"{self._display_name} lists a delivery ({line.kind}) that it no longer shows: {said}"
            once = f"{row.id}:{line.delivery_id}"
            gap = feed.gap(self._connection, self._display_name, reason=reason, once=once, now=self._now)
            await self._append((gap,), DeliveryKey(row.id, line.delivery_id))
            return
        try:
            parsed = parsed_by(self._receives, request_)
        except Rejected as error:  # as it would have been refused on arrival
            self._to.log.info("recovery_refused", reason=str(error), **fields)
            await self._append((), DeliveryKey(row.id, line.delivery_id))
            return
        except Exception as error:  # a plugin's defect; the other deliveries are not to suffer
            self._to.log.error("recovery_failed", exc_info=error, **fields)
            return
        await self._append(parsed.events, DeliveryKey(row.id, parsed.delivery_id or line.delivery_id))
        self._found += 1
        self._to.log.info("recovered", **fields)

    async def _append(self, events: Sequence[Event], delivery: DeliveryKey | None) -> None:
        connection = self._connection
        await self._to.journal.append(
            Item(
                user_id=connection.user_id,
                events=events,
                via="recovery",
                connection_id=connection.id,
                delivery=delivery,
            )
        )

    async def conclude(self, *, complete: bool) -> float:
        """Write down how it went; returns in how many seconds to compare again."""
        connection, found = self._connection, self._found
        seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._memory.recover_seconds))
        if found:
            seconds = FIRST_SECONDS

        def work(sql: Sql) -> None:
            changes: dict[str, Any] = {"recover_seconds": seconds}
            if complete:
                changes["compared_at"] = settled(self._now)
            if found:
                changes["missed"] = recall(read_again(sql, connection)).missed + found
                note_events(sql, {(connection.user_id, connection.id): self._now})
                request(sql, connection, MONITOR, self._now)
            if self._gone:
                request(sql, connection, HOOKS, self._now)
            change_monitor(sql, connection.user_id, connection.id, **changes)

        await self._to.writer.run_unit(work)
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads the comparisons


def _held(sql: Sql, *, row: PlatformRegistration, delivery_ids: Sequence[str]) -> Collection[str]:
    held: set[str] = set()
    for start in range(0, len(delivery_ids), _MOST_IDS):
        held.update(
            sql.execute(
                select(deliveries.c.delivery_id).where(
                    deliveries.c.user_id == row.user_id,
                    deliveries.c.registration_id == row.id,
                    deliveries.c.delivery_id.in_(delivery_ids[start : start + _MOST_IDS]),
                )
            ).scalars()
        )
    return held
