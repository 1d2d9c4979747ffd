"""The job `common_log`: compares the log of what a platform sent to the common address with what arrived.

What did not arrive is fetched, and taken in for all whom it names. It is a job of the installation, one for each
platform: under its lease one server does it at a time. How a registration's own log is compared stands in `recovery`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection as Sql
from structlog.typing import FilteringBoundLogger

from tidings import feed
from tidings.addressing import REACH, Reached, items_for, reached, request_comparison
from tidings.commoncomparison import (
    NO_LOG,
    Compared,
    application_api,
    compare,
    recall_compared,
    remember_compared,
)
from tidings.commonlog import AddressedDelivery, RecoversCommon
from tidings.connecting import Api
from tidings.connections import Connection, change_monitor, find_connection, note_events
from tidings.connectors import Receives
from tidings.contracts import Appended, Clock, Item, Journal, Parsed
from tidings.defects import parsed_by
from tidings.discretion import redact
from tidings.durations import format_duration
from tidings.errors import NotFound, Rejected, Unavailable
from tidings.event import UserId, rfc3339
from tidings.health import Health
from tidings.jobs import Ended, Job
from tidings.platforms import Platforms
from tidings.recovery import FIRST_SECONDS, JITTER, LONGEST_SECONDS, OVERLAP, settled
from tidings.watching import MONITOR, ask_all, recall, request
from tidings.writer import Writer

Signal = Callable[[str, Mapping[str, UserId], str], Awaitable[None]]


class CommonRecovery:
    """Runs the jobs `common_log`.

    Args:
        platforms: The connectors and their APIs.
        journal: Where events go.
        writer: Writes, and reads beside.
        clock: All time.
        log: Told what was recovered.
        health: Told where a log can't be read until the operator mends something, as `deliveries/{platform}`.
        signal: Acts upon what a delivery says about what accounts reach; see `tidings.arrivals`.
    """

    def __init__(
        self,
        platforms: Platforms,
        journal: Journal,
        writer: Writer,
        clock: Clock,
        log: FilteringBoundLogger,
        health: Health,
        signal: Signal,
    ) -> None:
        self.platforms = platforms
        self.journal = journal
        self.writer = writer
        self.clock = clock
        self.log = log
        self.health = health
        self.signal = signal

    def request_all(self, sql: Sql) -> None:
        """Have every platform's log compared now: the server was away."""
        for platform, connector in self.platforms.items():
            if isinstance(connector, RecoversCommon):
                request_comparison(sql, platform, self.clock.now())

    async def handle(self, job: Job) -> Ended:
        """Compare one platform's log, and take in what is missing.

        Raises:
            Unavailable: As the connector says; what was taken in before stays.
        """
        try:
            connector = self.platforms.connector(job.key)
        except NotFound:
            return Ended()  # its plugin was taken out of the configuration
        if not isinstance(connector, RecoversCommon) or not isinstance(connector, Receives):
            return Ended()
        api = application_api(self.platforms, job.key, connector, self.clock)
        known = await self.writer.database.read(partial(reached, platform=job.key))
        if api is None or not known:
            return Ended()  # a consent asks again
        before = await self.writer.database.read(partial(recall_compared, platform=job.key))
        run = _Run(self, job.key, connector.display_name, connector, connector, api, before)
        try:
            await run.run(known)
        except Unavailable:
            await run.conclude(complete=False)
            raise
        except Rejected as error:
            return Ended(await run.refused(error))
        self.health.component(f"deliveries/{job.key}").up()
        return Ended(await run.conclude(complete=True))


class _Run:
    """One run for one platform."""

    def __init__(
        self,
        recovery: CommonRecovery,
        platform: str,
        display_name: str,
        recovers: RecoversCommon,
        receives: Receives,
        api: Api,
        before: Compared,
    ) -> None:
        self._to = recovery
        self._platform = platform
        self._display_name = display_name
        self._recovers = recovers
        self._receives = receives
        self._api = api
        self._before = before
        self._now = recovery.clock.now()
        self._found: Counter[tuple[UserId, str]] = Counter()  # by user and connection

    async def run(self, known: Mapping[str, Sequence[Reached]]) -> None:
        """Compare everything since the last complete comparison, as far as the log reaches."""
        reach = self._now - timedelta(seconds=self._recovers.common_log_seconds)
        compared_at = self._before.at
        if compared_at is not None and compared_at < reach:
            away = {
                (one.user_id, one.connection_id)
                for ones in known.values()
                for one in ones
                if one.since < reach
            }
            await self._was_away(sorted(away), compared_at)
        since = reach if compared_at is None else max(reach, compared_at - OVERLAP)
        if self._before.again_since is not None:
            since = min(since, max(reach, self._before.again_since))
        comparison = await compare(
            self._recovers,
            self._receives,
            self._api,
            self._platform,
            since,
            settled(self._now),
            self._to.writer.database,
        )
        for line in comparison.missing:
            await self._take(line)

    async def _was_away(self, concerned: Sequence[tuple[UserId, str]], compared_at: datetime) -> None:
        """The log no longer shows all of it: tell so, and have polls ask for everything for a while."""
        reason = (
            f"The last look at {self._display_name}'s log of deliveries was on {compared_at:%d %B %Y}, and the log "
            f"reaches back {format_duration(self._recovers.common_log_seconds)}. What else can be had is asked for now."
        )
        once = f"common_log:{rfc3339(compared_at)}"
        told = [one for one in await self._connections(concerned) if one.is_working]
        await self._tell_gap(told, reason, once)

        def work(sql: Sql) -> None:
            for connection in told:
                change_monitor(sql, connection.user_id, connection.id, gap_at=self._now)
                ask_all(sql, connection, self._now)

        await self._to.writer.run_unit(work)

    async def _take(self, line: AddressedDelivery) -> None:
        """Take in a delivery that did not arrive, exactly as if it came now to the common address."""
        fields = {"platform": self._platform, "delivery": line.delivery_id, "kind": line.kind}
        unread = Parsed((), line.delivery_id, line.kind, line.addresses)
        try:
            request_ = await self._recovers.fetch_common_delivery(self._api, line)
        except Rejected as error:
            said = redact(str(error))
            reason = f"{self._display_name} lists a delivery ({line.kind}) that it no longer shows: {said}"
            taken = await self._append(unread, line)
            told = await self._connections([(item.user_id, item.connection_id) for item, _ in taken])
            await self._tell_gap(told, reason, f"common:{line.delivery_id}")
            return
        try:
            parsed = parsed_by(self._receives, request_)
        except Rejected as error:  # as it would have been refused on arrival
            self._to.log.info("recovery_refused", reason=str(error), **fields)
            await self._append(unread, line)
            return
        except Exception as error:  # a plugin's defect; the other deliveries are not to suffer
            self._to.log.error("recovery_failed", exc_info=error, **fields)
            return
        taken = await self._append(parsed, line)
        self._found.update(
            (item.user_id, item.connection_id) for item, appended in taken if not appended.repeated
        )
        if parsed.signal == REACH:
            concerned = {item.connection_id: item.user_id for item, _ in taken}
            await self._to.signal(parsed.signal, concerned, "")
        self._to.log.info("recovered", connections=len(taken), **fields)

    async def _append(self, parsed: Parsed, line: AddressedDelivery) -> Sequence[tuple[Item, Appended]]:
        known = await self._to.writer.database.read(partial(reached, platform=self._platform))
        left_out = {one.connection_id for address in parsed.apart_from for one in known.get(address, ())}
        found = {
            one.connection_id: one.user_id
            for address in parsed.addresses or line.addresses
            for one in known.get(address, ())
            if one.connection_id not in left_out
        }
        items = items_for(self._platform, parsed, found, "recovery", delivery_id=line.delivery_id)
        return list(zip(items, await self._to.journal.append(*items), strict=True))

    async def _tell_gap(self, told: Sequence[Connection], reason: str, once: str) -> None:
        await self._to.journal.append(
            *[
                Item(
                    user_id=one.user_id,
                    events=[feed.gap(one, self._display_name, reason=reason, once=once, now=self._now)],
                    via="recovery",
                    connection_id=one.id,
                )
                for one in told
            ]
        )

    async def _connections(self, wanted: Iterable[tuple[UserId, str]]) -> list[Connection]:
        def find(sql: Sql) -> list[Connection]:
            found = []
            for user_id, connection_id in wanted:
                try:
                    found.append(find_connection(sql, connection_id, user_id=user_id))
                except NotFound:
                    continue  # disconnected a moment ago
            return found

        return await self._to.writer.database.read(find)

    async def refused(self, error: Rejected) -> float:
        """The platform shows no log; returns in how many seconds to try again."""
        self._to.log.info("log_refused", platform=self._platform, reason=redact(str(error)))
        component = self._to.health.component(f"deliveries/{self._platform}")
        if error.status == NO_LOG:
            component.up()  # an application without a webhook has none; there is nothing to mend
        else:
            component.down(
                f"{self._display_name}'s log of deliveries can't be read, so lost ones are not found: "
                f"{redact(str(error))}"
            )
        await self.conclude(complete=False)
        return LONGEST_SECONDS

    async def conclude(self, *, complete: bool) -> float:
        """Write down how it went; returns in how many seconds to compare again."""
        seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._before.seconds))
        if self._found:
            seconds = FIRST_SECONDS

        def work(sql: Sql) -> None:
            present = recall_compared(sql, self._platform)
            again_since = present.again_since
            if complete and again_since == self._before.again_since:  # else it was wished for meanwhile
                again_since = None
            at = settled(self._now) if complete else present.at
            remember_compared(sql, self._platform, Compared(at, seconds, again_since))
            for (user_id, connection_id), count in self._found.items():
                try:
                    connection = find_connection(sql, connection_id, user_id=user_id)
                except NotFound:
                    continue  # disconnected a moment ago
                change_monitor(sql, user_id, connection_id, missed=recall(connection).missed + count)
                note_events(sql, {(user_id, connection_id): self._now})
                request(sql, connection, MONITOR, self._now)

        await self._to.writer.run_unit(work)
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads the comparisons
