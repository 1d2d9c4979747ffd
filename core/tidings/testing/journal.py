"""A journal that forgets all when it is let go: the twin of the durable one, for tests of what writes and reads it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tidings.contracts import Appended, Checkpoint, Clock, DeliveryKey, Item, JobRequest, Page, Selection
from tidings.errors import NotFound
from tidings.event import Cursor, Entry, Event, Gap, UserId
from tidings.rows import entry, prepare

_lives = itertools.count(1)  # no two journals have an epoch in common


@dataclasses.dataclass(slots=True)
class _Book:
    """One user's events."""

    epoch: str
    entries: list[Entry] = dataclasses.field(default_factory=list)  # those kept
    places: dict[str, Cursor | None] = dataclasses.field(default_factory=dict)  # None where it was cut
    deliveries: set[DeliveryKey] = dataclasses.field(default_factory=set)
    head: int = 0
    floor: int = 0

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.head)


class MemoryJournal:
    """Fulfils `tidings.contracts.Journal`, and passes the same suite as the one in the database.

    Attributes:
        checkpoints: What was committed last, by connection.
        jobs: What was asked for, by user, in order; nobody does it.
    """

    def __init__(self, clock: Clock) -> None:
        self.checkpoints: dict[str, Checkpoint] = {}
        self.jobs: list[tuple[UserId, JobRequest]] = []
        self._clock = clock
        self._epoch = f"m{next(_lives)}"
        self._books: dict[UserId, _Book] = {}

    def add_user(self) -> UserId:
        """A user with an empty journal."""
        user_id = UserId(len(self._books) + 1)
        self._books[user_id] = _Book(f"{self._epoch}u{user_id}")
        return user_id

    async def append(self, *items: Item) -> Sequence[Appended]:
        """See `tidings.contracts.Journal.append`.

        Raises:
            NotFound: An item is for nobody; the others are stored.
        """
        known = [item for item in items if item.user_id in self._books]
        appended = [self._add(self._books[item.user_id], item) for item in known]
        if len(known) < len(items):
            stranger = next(item.user_id for item in items if item.user_id not in self._books)
            raise NotFound(f"There is no user with id {stranger}.")
        return appended

    def _add(self, book: _Book, item: Item) -> Appended:
        ids = [prepare(event).id for event in item.events]
        if item.delivery is not None:
            if item.delivery in book.deliveries:
                return Appended(tuple(book.places.get(id_) for id_ in ids), 0, repeated=True)
            book.deliveries.add(item.delivery)
        if item.checkpoint is not None:
            self.checkpoints[item.checkpoint.connection_id] = item.checkpoint
        self.jobs += [(item.user_id, job) for job in item.jobs]
        fresh = sum(self._place(book, item, event) for event in item.events)
        return Appended(tuple(book.places[id_] for id_ in ids), fresh)

    def _place(self, book: _Book, item: Item, event: Event) -> bool:
        row = prepare(event)
        if row.id in book.places:
            return False
        book.head += 1
        book.places[row.id] = cursor = book.cursor
        now = self._clock.now()
        book.entries.append(
            entry(item.user_id, cursor, row, connection_id=item.connection_id, via=item.via, at=now)
        )
        return True

    def cut(self, user_id: UserId, keep: int) -> None:
        """Forget all but the newest `keep` events of a user, as retention does."""
        book = self._book(user_id)
        cut, book.entries = book.entries[: len(book.entries) - keep], book.entries[len(book.entries) - keep :]
        book.places.update({one.id: None for one in cut})
        book.floor = max(book.floor, *[one.cursor.seq for one in cut], 0)

    async def head(self, user_id: UserId) -> Cursor:
        """See `tidings.contracts.Journal.head`.

        Raises:
            NotFound: There is no such user.
        """
        return self._book(user_id).cursor

    async def read(
        self, user_id: UserId, after: Cursor, *, limit: int, selection: Selection | None = None
    ) -> Page:
        """See `tidings.contracts.Journal.read`.

        Raises:
            NotFound: There is no such user.
        """
        book = self._book(user_id)
        gap, position = _start(book, after)
        found: list[Entry] = []
        for one in book.entries:
            if one.cursor.seq <= position:
                continue
            if len(found) == limit:
                break
            position = one.cursor.seq
            if selection is None or selection.matches(one.type, one.platform):
                found.append(one)
        return Page(gap, found, Cursor(book.epoch, position), at_head=position >= book.head)

    def _book(self, user_id: UserId) -> _Book:
        if user_id not in self._books:
            raise NotFound(f"There is no user with id {user_id}.")
        return self._books[user_id]


def _start(book: _Book, after: Cursor) -> tuple[Gap | None, int]:
    if not after.epoch:
        return None, max(after.seq, book.floor)
    if after.epoch != book.epoch or after.seq > book.head:
        return Gap(1, book.floor, book.floor, "restored"), book.floor
    if after.seq < book.floor:
        return Gap(after.seq + 1, book.floor, book.floor - after.seq, "retention"), book.floor
    return None, after.seq
