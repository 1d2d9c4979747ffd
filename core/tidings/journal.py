"""The journal: each user's events, in order, durable before anyone is told.

One transaction appends for any number of users. It locks their heads, drops what is known already, gives the
rest dense numbers and writes heads and rows. So per user the order of commits is the order of `seq`, without
holes, and a reader that stands at `seq` n has seen everything up to n.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, cast

from sqlalchemy import Connection, bindparam, select

from tidings.append import Batch, Outcome, Prepared
from tidings.contracts import Appended, Clock, Item, Page, Selection
from tidings.database import Database
from tidings.errors import NotFound
from tidings.event import Cursor, Entry, Gap, UserId
from tidings.rows import StoredEvent, prepare, stored_entry
from tidings.schema import events, journals
from tidings.writer import Writer, announce

T = TypeVar("T")

_SCAN_ROWS = 500  # read at a time
_LONGEST_SCAN_ROWS = 20_000  # then the page is given as it is, so that no request runs for long

_JOURNAL = select(journals.c.epoch, journals.c.head, journals.c.floor).where(
    journals.c.user_id == bindparam("user")
)
_HEADS = select(journals.c.user_id, journals.c.head).where(
    journals.c.user_id.in_(bindparam("users", expanding=True))
)
_BEHIND = (
    select(events)
    .where(events.c.user_id == bindparam("user"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("rows"))
)


class SqlJournal:
    """The journal in the database."""

    def __init__(self, database: Database, writer: Writer, clock: Clock) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._listeners: list[Callable[[Sequence[Entry], float], None]] = []
        writer.announce_to(self)

    def on_commit(self, listener: Callable[[Sequence[Entry], float], None]) -> None:
        """Call `listener` after each commit with the new entries and the seconds the transaction took.

        It runs in the writer's task: it must be quick and must not raise.
        """
        self._listeners.append(listener)

    def enqueue(self, item: Item) -> Awaitable[Outcome]:
        """Queue one item; the awaitable ends when it is on disk.

        Raises:
            Unavailable: Too much is waiting already, or the server is shutting down.
        """
        return self._writer.put(self, Prepared(item, [prepare(event) for event in item.events]))

    async def commit(self, work: Callable[[Connection], tuple[T, Sequence[Item]]]) -> T:
        """Run a unit of work, and append the items that it returns in the same transaction.

        Args:
            work: Writes on the connection, and returns a result and the items. It runs in another thread, and may
                run again after a rollback, so it must do nothing else.

        Returns:
            The result, once all of it is on disk.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """

        def unit(connection: Connection) -> T:
            result, items = work(connection)
            for item in items:
                announce(connection, item)
            return result

        return await self._writer.run_unit(unit)

    async def append(self, *items: Item) -> Sequence[Appended]:
        """See `tidings.contracts.Journal.append`."""
        outcomes = await asyncio.gather(*[self.enqueue(item) for item in items])
        return [outcome.appended for outcome in outcomes]

    def execute(self, connection: Connection, payloads: Sequence[Prepared]) -> Sequence[Outcome | Exception]:
        """Append a batch; called by the writer."""
        batch = Batch.begin(connection, payloads, self._clock.now())
        results = [batch.add(payload) for payload in payloads]
        batch.write(connection)
        return results

    def execute_items(self, connection: Connection, items: Sequence[Item]) -> Sequence[Outcome | Exception]:
        """Append what units of work announced; called by the writer."""
        outcomes = self.execute(
            connection, [Prepared(item, [prepare(event) for event in item.events]) for item in items]
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome  # and the unit's own writes are taken back
        return outcomes

    def committed(self, results: Sequence[Outcome | Exception], seconds: float) -> None:
        """Pass on what is new; called by the writer."""
        entries = list(
            itertools.chain.from_iterable(
                outcome.entries for outcome in results if isinstance(outcome, Outcome)
            )
        )
        if entries:
            for listener in self._listeners:
                listener(entries, seconds)

    async def head(self, user_id: UserId) -> Cursor:
        """See `tidings.contracts.Journal.head`.

        Raises:
            NotFound: There is no such user.
        """
        head, _floor = await self._database.read(
            lambda connection: _bounds(connection, user_id), user_id=user_id
        )
        return head

    async def heads(self, users: Sequence[UserId]) -> Mapping[UserId, int]:
        """The seq of the newest entry of each of these users who exist; at most 1,000 at once."""
        rows = await self._database.read(
            lambda connection: connection.execute(_HEADS, {"users": users}).all()
        )
        return {UserId(row.user_id): row.head for row in rows}

    async def read(
        self, user_id: UserId, after: Cursor, *, limit: int, selection: Selection | None = None
    ) -> Page:
        """See `tidings.contracts.Journal.read`.

        A page may hold fewer entries than `limit`, even none, and yet not be the last: `at_head` tells.

        Raises:
            NotFound: There is no such user.
        """
        return await self._database.read(
            lambda connection: _read(connection, user_id, after, limit, selection), user_id=user_id
        )

    async def last(self, user_id: UserId, limit: int, before: Cursor | None = None) -> Page:
        """The newest `limit` entries, or the newest of those before a cursor; oldest first.

        Raises:
            NotFound: There is no such user.
        """
        return await self._database.read(
            lambda connection: _last(connection, user_id, limit, before), user_id=user_id
        )


def _read(
    connection: Connection, user_id: UserId, after: Cursor, limit: int, selection: Selection | None
) -> Page:
    head, floor = _bounds(connection, user_id)
    gap, position = _start(after, head, floor)
    entries: list[Entry] = []
    scanned = 0
    while position < head.seq and len(entries) < limit and scanned < _LONGEST_SCAN_ROWS:
        size = min(_SCAN_ROWS, limit - len(entries)) if selection is None else _SCAN_ROWS
        rows = _behind(connection, user_id, position, size)
        scanned += len(rows)
        for row in rows:
            position = row.seq
            if selection is None or selection.matches(row.type, row.platform):
                entries.append(stored_entry(row, head.epoch))
                if len(entries) == limit:
                    break
    return Page(gap, entries, Cursor(head.epoch, position), position >= head.seq)


def _last(connection: Connection, user_id: UserId, limit: int, before: Cursor | None) -> Page:
    head, floor = _bounds(connection, user_id)
    gap, end = (None, head.seq + 1) if before is None else _start(before, head, floor)
    if gap is not None:
        return Page(gap, [], head, at_head=True)
    start = max(floor, end - 1 - limit)
    rows = _behind(connection, user_id, start, max(0, end - 1 - start))
    reached = Cursor(head.epoch, max(floor, end - 1))
    return Page(None, [stored_entry(row, head.epoch) for row in rows], reached, reached.seq >= head.seq)


def _behind(connection: Connection, user_id: UserId, after: int, rows: int) -> Sequence[StoredEvent]:
    result = connection.execute(_BEHIND, {"user": user_id, "after": after, "rows": rows})
    return cast("Sequence[StoredEvent]", result.all())


def _bounds(connection: Connection, user_id: UserId) -> tuple[Cursor, int]:
    row = connection.execute(_JOURNAL, {"user": user_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no user with id {user_id}.")
    return Cursor(row.epoch, row.head), row.floor


def _start(after: Cursor, head: Cursor, floor: int) -> tuple[Gap | None, int]:
    """Where reading begins, and what a reader that stood at `after` has missed for good."""
    if after.epoch == "":  # the oldest kept, whatever that is
        return None, max(after.seq, floor)
    if after.epoch != head.epoch or after.seq > head.seq:
        # Nobody can say what lay between that cursor and this journal; what is kept is told again.
        return Gap(from_seq=1, to_seq=floor, count=floor, reason="restored"), floor
    if after.seq < floor:
        return Gap(after.seq + 1, floor, floor - after.seq, "retention"), floor
    return None, after.seq
