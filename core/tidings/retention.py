"""Forgetting: events beyond the configured age or count are cut, in chunks, oldest first.

What was cut leaves two traces: the journal's floor, so that a reader who comes back too late is told of the
gap, and the event's id in `seen`, so that a re-sync can't bring it back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, bindparam, delete, select, update
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock
from tidings.database import Insert
from tidings.rows import id_hash
from tidings.schema import (
    deliveries,
    events,
    journals,
    login_links,
    rates,
    seen,
    sessions,
    tickets,
    to_stored,
)
from tidings.writer import Writer

_CHUNK_ROWS = 500
_USERS_AT_ONCE = 500
# Longer than any platform shows its past, so that what was cut can't come back by a re-sync.
_SEEN_DAYS = 400
# GitHub offers redelivery for 3 days, Slack retries for one.
_DELIVERY_DAYS = 30
# So that none is taken out that begins anew just now.
_RATES_HOURS = 1


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
        after: int | None = -1
        while after is not None:
            due, after = await self._writer.database.read(partial(self._due, after))
            for user_id in due:
                while cut := await self._writer.run_unit(partial(self._cut_chunk, user_id)):
                    total += cut
        now = self._clock.now()
        for table, column, cutoff in (
            (seen, seen.c.at, now - timedelta(days=_SEEN_DAYS)),
            (deliveries, deliveries.c.received_at, now - timedelta(days=_DELIVERY_DAYS)),
            (sessions, sessions.c.expires_at, now),
            (login_links, login_links.c.expires_at, now),
            (tickets, tickets.c.valid_until, now),
            (rates, rates.c.ends_at, now - timedelta(hours=_RATES_HOURS)),
        ):
            while traces := await self._writer.database.read(
                partial(_traces, table, column < to_stored(cutoff))
            ):
                await self._writer.run_unit(partial(_remove, table, traces))
        if total:
            self._log.info("retention", events=total)
        return total

    @property
    def _too_old(self) -> int:
        """Before when an event was recorded that is cut for its age."""
        if self._policy.days is None:
            return -1
        return to_stored(self._clock.now() - timedelta(days=self._policy.days))

    def _due(self, after: int, connection: Connection) -> tuple[list[int], int | None]:
        """Some users behind `after` of whom something must go, and behind whom to go on; None at the end.

        Read apart from the cut, so that looking at everybody does not fill the writer's page cache.
        """
        oldest = (
            select(events.c.recorded_at)
            .where(events.c.user_id == journals.c.user_id, events.c.seq > journals.c.floor)
            .order_by(events.c.seq)
            .limit(1)
            .scalar_subquery()
        )
        rows = connection.execute(
            select(journals.c.user_id, journals.c.head, journals.c.floor, oldest.label("oldest"))
            .where(journals.c.user_id > after)
            .order_by(journals.c.user_id)
            .limit(_USERS_AT_ONCE)
        ).all()
        most, too_old = self._policy.events_per_user, self._too_old
        due = [
            row.user_id
            for row in rows
            if (most is not None and row.head - row.floor > most)
            or (row.oldest is not None and row.oldest < too_old)
        ]
        return due, rows[-1].user_id if len(rows) == _USERS_AT_ONCE else None

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
        too_old = self._too_old
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


def _traces(table: Table, cut: ColumnElement[bool], connection: Connection) -> Sequence[RowMapping]:
    """The keys of some rows that are of no more use."""
    return (
        connection.execute(select(*table.primary_key.columns).where(cut).limit(_CHUNK_ROWS)).mappings().all()
    )


def _remove(table: Table, keys: Sequence[RowMapping], connection: Connection) -> None:
    same = and_(*[column == bindparam(f"key_{column.name}") for column in table.primary_key.columns])
    connection.execute(
        delete(table).where(same), [{f"key_{name}": key[name] for name in key} for key in keys]
    )
