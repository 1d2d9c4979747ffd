"""One append transaction, for any number of users."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from tidings.contracts import Appended, Checkpoint, Item, JobRequest
from tidings.database import Insert, LookUp, insert_rows, look_up
from tidings.errors import NotFound
from tidings.event import Cursor, Entry, UserId
from tidings.rows import Row, entry, id_hash
from tidings.schema import checkpoints, deliveries, events, jobs, journals, seen, to_stored

_EVENT_COLUMNS = tuple(column.name for column in events.columns)
_EVENT_KEY = ("user_id", "id")
_HEAD_COLUMNS = ("user_id", "epoch", "head", "floor")
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
    ) -> None:
        self._now = now
        self._at = to_stored(now)
        self._heads = heads
        self._known = known  # event -> its seq; None where retention has cut it
        self._taken = taken  # deliveries
        self._moved: set[int] = set()
        self._events: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._checkpoints: dict[tuple[int, str], Checkpoint] = {}
        self._jobs: list[tuple[int, JobRequest]] = []

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
        heads, kept, cut, taken = look_up(
            connection,
            (
                LookUp(journals, ("user_id",), ("user_id", "epoch", "head"), users),
                LookUp(events, _EVENT_KEY, (*_EVENT_KEY, "seq"), event_keys),
                LookUp(seen, _SEEN_KEY, _SEEN_KEY, list(hashes)),
                LookUp(deliveries, _DELIVERY_KEY, _DELIVERY_KEY, delivery_keys),
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
        )

    def add(self, payload: Prepared) -> Outcome | Exception:
        """Give an item its places."""
        item = payload.item
        head = self._heads.get(item.user_id)
        if head is None:
            return NotFound(f"There is no user with id {item.user_id}.")
        repeated = False
        if item.delivery is not None:
            delivery = (item.user_id, item.delivery.registration_id, item.delivery.delivery_id)
            repeated = delivery in self._taken
            if not repeated:
                self._taken.add(delivery)
                self._deliveries.append((*delivery, self._at))
        fresh = [] if repeated else self._place(item, head, payload.rows)
        if not repeated:
            if item.checkpoint is not None:
                self._checkpoints[item.user_id, item.checkpoint.connection_id] = item.checkpoint
            self._jobs.extend((item.user_id, job) for job in item.jobs)
        cursors = tuple([self._cursor(item.user_id, head, row) for row in payload.rows])
        return Outcome(Appended(cursors, len(fresh), repeated), fresh)

    def _place(self, item: Item, head: _Head, rows: Iterable[Row]) -> list[Entry]:
        fresh = []
        for row in rows:
            if (item.user_id, row.id) in self._known:
                continue
            head.seq += 1
            self._moved.add(item.user_id)
            self._known[item.user_id, row.id] = head.seq
            self._events.append(
                (
                    item.user_id,
                    head.seq,
                    row.id,
                    item.connection_id,
                    row.type,
                    row.source,
                    row.subject,
                    row.time,
                    self._at,
                    row.platform,
                    item.via,
                    row.data,
                )
            )
            fresh.append(
                entry(
                    item.user_id,
                    Cursor(head.epoch, head.seq),
                    row,
                    connection_id=item.connection_id,
                    via=item.via,
                    at=self._now,
                )
            )
        return fresh

    def _cursor(self, user_id: UserId, head: _Head, row: Row) -> Cursor | None:
        seq = self._known.get((user_id, row.id))
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
        for (user_id, connection_id), checkpoint in self._checkpoints.items():
            _write_checkpoint(connection, user_id, connection_id, checkpoint, self._at)
        for user_id, job in self._jobs:
            request_job(connection, user_id, job, self._at)


def _write_checkpoint(
    connection: Connection, user_id: int, connection_id: str, checkpoint: Checkpoint, at: int
) -> None:
    upsert = Insert(checkpoints).values(
        user_id=user_id,
        connection_id=connection_id,
        value=msgspec.json.encode(checkpoint.value).decode(),
        updated_at=at,
    )
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["user_id", "connection_id"],
            set_={"value": upsert.excluded.value, "updated_at": upsert.excluded.updated_at},
        )
    )


def request_job(connection: Connection, user_id: int, job: JobRequest, at: int) -> None:
    """Make a job due at `at` (microseconds), or sooner than it was; asking while it runs makes it due again."""
    upsert = Insert(jobs).values(
        user_id=user_id,
        kind=job.kind,
        key=job.key,
        payload=msgspec.json.encode(job.payload).decode(),
        due_at=at,
        wanted=1,
        claimed=0,
        attempts=0,
    )
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["user_id", "kind", "key"],
            set_={"wanted": jobs.c.wanted + 1, "due_at": at},
        )
    )
