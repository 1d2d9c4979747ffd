"""The last runs for each connection, for people who want to know what tidings did and how it went."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import anyio
import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from tidings.contracts import Clock
from tidings.discretion import redact
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.rowsets import insert_rows
from tidings.schema import attempts, from_stored, to_stored
from tidings.statements import Statement
from tidings.writer import Writer

_KEPT = 20
_MOST_SURPLUS = 10  # of each connection; then they are cut to those that are kept
_FLUSH_SECONDS = 30.0
_MOST_NOTES = 500  # then they are written at once
_LONGEST_DETAIL = 500
_COLUMNS = tuple(column.name for column in attempts.columns)
_AGAIN = (
    "(user_id, connection_id, at, kind) DO UPDATE SET "
    "outcome = excluded.outcome, detail = excluded.detail, ms = excluded.ms"
)
_IS_OF = (attempts.c.user_id == bindparam("user"), attempts.c.connection_id == bindparam("connection"))
_NEWEST = select(attempts).where(*_IS_OF).order_by(attempts.c.at.desc())
_OLDEST_KEPT = (
    select(attempts.c.at).where(*_IS_OF).order_by(attempts.c.at.desc()).limit(1).offset(_KEPT - 1)
).scalar_subquery()
_CUT = Statement(delete(attempts).where(*_IS_OF, attempts.c.at < _OLDEST_KEPT))


class Attempt(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        kind: `refresh`, `sync`, ….
        outcome: `done`, or how it failed.
        detail: More, for people.
        ms: How long it took.
    """

    at: datetime
    kind: str
    outcome: str
    detail: str
    ms: int


class History:
    """Takes notes of runs, and writes them down a few seconds later, together.

    Args:
        writer: Writes, and reads beside.
        clock: All time.
        flush_seconds: How long a note waits at most; a crash forgets it.
    """

    def __init__(self, writer: Writer, clock: Clock, *, flush_seconds: float = _FLUSH_SECONDS) -> None:
        self._writer = writer
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._notes: dict[tuple[int, str, int, str], tuple[str, str, int]] = {}
        self._surplus: dict[tuple[int, str], int] = {}  # written since they were cut last
        self._noted = anyio.Event()
        self._many = anyio.Event()

    def note(
        self, user_id: UserId, connection_id: str, kind: str, outcome: str, detail: str = "", ms: float = 0
    ) -> None:
        """Take note of a run that has just ended."""
        at = to_stored(self._clock.now())
        while (user_id, connection_id, at, kind) in self._notes:
            at += 1  # of two in the same instant the order is kept
        self._notes[user_id, connection_id, at, kind] = (outcome, redact(detail)[:_LONGEST_DETAIL], round(ms))
        self._noted.set()
        if len(self._notes) >= _MOST_NOTES:
            self._many.set()

    async def run(self) -> None:
        """Write notes down from time to time, until cancelled."""
        while True:
            await self._noted.wait()
            many = self._many
            sleeping = asyncio.ensure_future(self._clock.sleep(self._flush_seconds))
            sleeping.add_done_callback(partial(_set, many))
            try:
                await many.wait()
            finally:
                sleeping.cancel()
            await self.flush()

    async def flush(self) -> None:
        """Write down what was noted since the last time; also wanted at a stop."""
        self._noted, self._many = anyio.Event(), anyio.Event()
        notes, self._notes = self._notes, {}
        if not notes:
            return
        surplus = Counter(key[:2] for key in notes)
        for one in surplus:
            surplus[one] += self._surplus.get(one, 0)
        cut = [one for one, count in surplus.items() if count >= _MOST_SURPLUS]
        rows = [(*key, *value) for key, value in notes.items()]
        try:
            await self._writer.run_unit(partial(_write, rows, cut))
        except Unavailable:
            self._keep(notes)
        else:
            self._surplus.update(surplus)
            for one in cut:
                del self._surplus[one]

    def _keep(self, notes: dict[tuple[int, str, int, str], tuple[str, str, int]]) -> None:
        """Try these again with the next ones; while the database is away, only so many."""
        kept = list((notes | self._notes).items())[-_MOST_NOTES:]
        self._notes = dict(kept)
        self._noted.set()

    async def last(self, user_id: UserId, connection_id: str) -> Sequence[Attempt]:
        """The last 20 runs for a connection, newest first.

        Raises:
            Unavailable: The database can't be read.
        """
        await self.flush()
        return await self._writer.database.read(partial(_last, user_id, connection_id), user_id=user_id)


def _set(event: anyio.Event, _sleeping: asyncio.Future[None]) -> None:
    event.set()


def _write(
    rows: Sequence[tuple[int, str, int, str, str, str, int]],
    cut: Sequence[tuple[int, str]],
    connection: Connection,
) -> None:
    insert_rows(connection, attempts, _COLUMNS, rows, on_conflict=_AGAIN)
    for user_id, connection_id in cut:
        _CUT.run(connection, user=user_id, connection=connection_id)


def _last(user_id: UserId, connection_id: str, connection: Connection) -> Sequence[Attempt]:
    rows = connection.execute(_NEWEST.limit(_KEPT), {"user": user_id, "connection": connection_id})
    return [Attempt(from_stored(row.at), row.kind, row.outcome, row.detail, row.ms) for row in rows]
