"""One append transaction, for any number of users."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from tidings.contracts import Appended, Checkpoint, Item, JobEnd, JobRequest
from tidings.errors import NotFound
from tidings.event import Cursor, Entry
from tidings.jobs import LeaseLost, request_jobs
from tidings.leases import LEASE_KEY, Ending, end_held
from tidings.rows import Row, entry, id_hash
from tidings.rowsets import LookUp, insert_rows, look_up
from tidings.schema import checkpoints, deliveries, events, jobs, journals, seen, to_stored

_EVENT_COLUMNS = tuple(column.name for column in events.columns)
_EVENT_KEY = ("user_id", "id")
_HEAD_COLUMNS = ("user_id", "epoch", "head", "floor")
_POSITION_COLUMNS = tuple(column.name for column in checkpoints.columns)
_MOVED_ON = "(user_id, connection_id) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
_DELIVERY_COLUMNS = tuple(column.name for column in deliveries.columns)
_DELIVERY_KEY = ("user_id", "registration_id", "delivery_id")
_SEEN_KEY = ("user_id", "id_hash")


@dataclasses.dataclass(slots=True, eq=False)
class Prepared:
    """An item with its rows encoded, so that nothing can fail for its content any more."""

    item: Item
    rows: Sequence[Row]


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of an item, and the entries it added."""

    appended: Appended
    entries: Sequence[Entry] = ()


@dataclasses.dataclass(slots=True)
class _Head:
    epoch: str
    seq: int


class Batch:
    """Gives the items of one transaction their places, then writes them."""

    def __init__(
        self,
        now: datetime,
        heads: dict[int, _Head],
        known: dict[tuple[int, str], int | None],
        taken: set[tuple[int, str, str]],
        held: set[tuple[int, str, str, str]],
    ) -> None:
        self._now = now
        self._at = to_stored(now)
        self._heads = heads
        self._known = known  # event -> its seq; None where retention has cut it
        self._taken = taken  # deliveries
        self._held = held  # leases of jobs
        self._moved: set[int] = set()
        self._events: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._checkpoints: dict[tuple[int, str], Checkpoint] = {}
        self._jobs: list[tuple[int, JobRequest]] = []
        self._endings: list[Ending] = []

    @classmethod
    def begin(cls, connection: Connection, payloads: Sequence[Prepared], now: datetime) -> Batch:
        """Read what is known already of these items, and their users' heads."""
        event_keys = [(payload.item.user_id, row.id) for payload in payloads for row in payload.rows]
        hashes = {(user_id, id_hash(event_id)): event_id for user_id, event_id in event_keys}
        delivery_keys = [
            (payload.item.user_id, delivery.registration_id, delivery.delivery_id)
            for payload in payloads
            if (delivery := payload.item.delivery) is not None
        ]
        # In order of user: two nodes that append for the same users can't block one another for ever.
        users = [(user_id,) for user_id in sorted({payload.item.user_id for payload in payloads})]
        leases = [key for payload in payloads for key in _leases(payload.item)]
        heads, kept, cut, taken, held = look_up(
            connection,
            (
                LookUp(journals, ("user_id",), ("user_id", "epoch", "head"), users, lock=True),
                LookUp(events, _EVENT_KEY, (*_EVENT_KEY, "seq"), event_keys),
                LookUp(seen, _SEEN_KEY, _SEEN_KEY, list(hashes)),
                LookUp(deliveries, _DELIVERY_KEY, _DELIVERY_KEY, delivery_keys),
                LookUp(jobs, LEASE_KEY, LEASE_KEY, leases, lock=True),
            ),
        )
        known: dict[tuple[int, str], int | None] = {
            (user_id, hashes[user_id, bytes.fromhex(hashed)]): None for user_id, hashed in cut
        }
        known.update({(user_id, event_id): seq for user_id, event_id, seq in kept})
        return cls(
            now,
            {user_id: _Head(epoch, seq) for user_id, epoch, seq in heads},
            known,
            {(user_id, registration_id, delivery_id) for user_id, registration_id, delivery_id in taken},
            {(user_id, kind, key, lease) for user_id, kind, key, lease in held},
        )

    def add(self, payload: Prepared) -> Outcome | Exception:
        """Give an item its places."""
        item = payload.item
        head = self._heads.get(item.user_id)
        if head is None:
            return NotFound(f"There is no user with id {item.user_id}.")
        for run in _leases(item):
            if run not in self._held:
                return LeaseLost(run[1], run[2])
        if item.job_end is not None:
            self._end(item, item.job_end)
        repeated = False
        if item.delivery is not None:
            delivery = (item.user_id, item.delivery.registration_id, item.delivery.delivery_id)
            repeated = delivery in self._taken
            if not repeated:
                self._taken.add(delivery)
                self._deliveries.append((*delivery, self._at))
        if repeated:
            return Outcome(
                Appended(tuple([self._cursor(item, head, row) for row in payload.rows]), 0, repeated)
            )
        if item.checkpoint is not None:
            self._checkpoints[item.user_id, item.checkpoint.connection_id] = item.checkpoint
        self._jobs.extend((item.user_id, job) for job in item.jobs)
        return self._place(item, head, payload.rows)

    def _place(self, item: Item, head: _Head, rows: Iterable[Row]) -> Outcome:
        user_id, connection_id, via = item.user_id, item.connection_id, item.via
        cursors: list[Cursor | None] = []
        fresh: list[Entry] = []
        for row in rows:
            if (user_id, row.id) in self._known:
                cursors.append(self._cursor(item, head, row))
                continue
            head.seq += 1
            self._moved.add(user_id)
            self._known[user_id, row.id] = head.seq
            self._events.append(
                (
                    user_id,
                    head.seq,
                    row.id,
                    connection_id,
                    row.type,
                    row.source,
                    row.subject,
                    row.time,
                    self._at,
                    row.platform,
                    via,
                    row.data,
                )
            )
            cursor = Cursor(head.epoch, head.seq)
            cursors.append(cursor)
            fresh.append(entry(user_id, cursor, row, connection_id=connection_id, via=via, at=self._now))
        return Outcome(Appended(tuple(cursors), len(fresh)), fresh)

    def _end(self, item: Item, job: JobEnd) -> None:
        self._held.discard((item.user_id, job.kind, job.key, job.lease))  # nothing comes after the end
        self._endings.append(Ending(item.user_id, job.kind, job.key, job.lease, job.again_seconds))

    def _cursor(self, item: Item, head: _Head, row: Row) -> Cursor | None:
        seq = self._known.get((item.user_id, row.id))
        return None if seq is None else Cursor(head.epoch, seq)

    def write(self, connection: Connection) -> None:
        """Write everything that `add` placed."""
        if self._moved:
            heads = [
                (user_id, self._heads[user_id].epoch, self._heads[user_id].seq, 0)
                for user_id in sorted(self._moved)
            ]
            insert_rows(
                connection,
                journals,
                _HEAD_COLUMNS,
                heads,
                on_conflict="(user_id) DO UPDATE SET head = excluded.head",
            )
            insert_rows(connection, events, _EVENT_COLUMNS, self._events)
        if self._deliveries:
            insert_rows(connection, deliveries, _DELIVERY_COLUMNS, self._deliveries)
        if self._checkpoints:
            positions = [
                (*key, msgspec.json.encode(one.value).decode(), self._at)
                for key, one in self._checkpoints.items()
            ]
            insert_rows(connection, checkpoints, _POSITION_COLUMNS, positions, on_conflict=_MOVED_ON)
        if self._jobs:
            request_jobs(connection, self._jobs, self._at)
        if self._endings:
            end_held(connection, self._endings, self._at)


def _leases(item: Item) -> Sequence[tuple[int, str, str, str]]:
    """The leases that must be held for the item."""
    if item.lease is None and item.job_end is None:
        return ()
    return [
        (item.user_id, lease.kind, lease.key, lease.lease)
        for lease in (item.lease, item.job_end)
        if lease is not None
    ]
