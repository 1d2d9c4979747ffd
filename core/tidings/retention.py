"""Forgetting: events beyond the configured age or count are cut, in chunks, oldest first.

What was cut leaves two traces: the journal's floor, so that a reader who comes back too late is told of the
gap, and the event's id in `seen`, so that a re-sync can't bring it back.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection, delete, select, tuple_, update
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock
from tidings.database import Insert
from tidings.rows import id_hash
from tidings.schema import deliveries, events, journals, login_links, seen, sessions, tickets, to_stored
from tidings.writer import Writer

_CHUNK_ROWS = 500
_USERS_AT_ONCE = 500
# Longer than any platform shows its past, so that what was cut can't come back by a re-sync.
_SEEN_DAYS = 400
# GitHub offers redelivery for 3 days, Slack retries for one.
_DELIVERY_DAYS = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """How much is kept; None means for ever."""

    days: float | None
    events_per_user: int | None


class Retention:
    """Cuts what the policy no longer keeps."""

    def __init__(self, writer: Writer, clock: Clock, log: FilteringBoundLogger, policy: Policy) -> None:
        self._writer = writer
        self._clock = clock
        self._log = log
        self._policy = policy

    async def cut(self) -> int:
        """Cut everything that is due, chunk by chunk, so that other writes get their turn in between.

        Returns:
            How many events were cut.

        Raises:
            Unavailable: The database can't be used now; what was cut before stays cut.
        """
        total = 0
        after = -1
        while True:
            users = await self._writer.run_unit(partial(_journals, after))
            for user_id in users:
                while cut := await self._writer.run_unit(partial(self._cut_chunk, user_id)):
                    total += cut
            if len(users) < _USERS_AT_ONCE:
                break
            after = users[-1]
        while await self._writer.run_unit(self._cut_traces):
            pass
        if total:
            self._log.info("retention", events=total)
        return total

    def _cut_chunk(self, user_id: int, connection: Connection) -> int:
        row = connection.execute(
            select(journals.c.head, journals.c.floor).where(journals.c.user_id == user_id)
        ).one_or_none()
        if row is None:
            return 0
        keep_from = row.floor + 1
        if self._policy.events_per_user is not None:
            keep_from = max(keep_from, row.head - self._policy.events_per_user + 1)
        oldest = connection.execute(
            select(events.c.seq, events.c.id, events.c.recorded_at)
            .where(events.c.user_id == user_id, events.c.seq > row.floor)
            .order_by(events.c.seq)
            .limit(_CHUNK_ROWS)
        ).all()
        too_old = -1
        if self._policy.days is not None:
            too_old = to_stored(self._clock.now() - timedelta(days=self._policy.days))
        cut = []
        for event in oldest:  # a run from the oldest on: a journal has no holes
            if event.seq >= keep_from and event.recorded_at >= too_old:
                break
            cut.append(event)
        if not cut:
            return 0
        now = to_stored(self._clock.now())
        remember = Insert(seen)
        connection.execute(
            remember.on_conflict_do_nothing(),
            [{"user_id": user_id, "id_hash": id_hash(event.id), "at": now} for event in cut],
        )
        floor = cut[-1].seq
        connection.execute(delete(events).where(events.c.user_id == user_id, events.c.seq <= floor))
        connection.execute(update(journals).where(journals.c.user_id == user_id).values(floor=floor))
        return len(cut)

    def _cut_traces(self, connection: Connection) -> int:
        now = self._clock.now()
        cut = 0
        for table, column, cutoff in (
            (seen, seen.c.at, now - timedelta(days=_SEEN_DAYS)),
            (deliveries, deliveries.c.received_at, now - timedelta(days=_DELIVERY_DAYS)),
            (sessions, sessions.c.expires_at, now),
            (login_links, login_links.c.expires_at, now),
            (tickets, tickets.c.valid_until, now),
        ):
            key = tuple_(*table.primary_key.columns)
            oldest = select(*table.primary_key.columns).where(column < to_stored(cutoff)).limit(_CHUNK_ROWS)
            cut += connection.execute(delete(table).where(key.in_(oldest))).rowcount
        return cut


def _journals(after: int, connection: Connection) -> list[int]:
    statement = (
        select(journals.c.user_id)
        .where(journals.c.user_id > after)
        .order_by(journals.c.user_id)
        .limit(_USERS_AT_ONCE)
    )
    return list(connection.execute(statement).scalars())
