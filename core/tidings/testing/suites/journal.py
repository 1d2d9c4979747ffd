"""What a journal must be."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from tidings.contracts import DeliveryKey, Item, Journal, Page
from tidings.errors import NotFound
from tidings.event import OLDEST, Cursor, Event, UserId
from tidings.selection import TypeSelection
from tidings.testing.suite import Suite, fail, require, standard

_PAGE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Shelf:
    """A journal with two users, and nothing in it.

    Attributes:
        cut: Forgets all but the newest so many events of a user, as retention does.
    """

    journal: Journal
    user: UserId
    other: UserId
    cut: Callable[[UserId, int], Awaitable[None]]

    async def add(self, *numbers: int, user: UserId | None = None, type_: str = "org.example.a") -> None:
        """Append these events, in one item."""
        await self.journal.append(
            Item(user or self.user, [event(one, type_) for one in numbers], via="webhook")
        )

    async def seqs(self, after: Cursor = OLDEST) -> list[int]:
        """The places of the events behind `after`."""
        page = await self.journal.read(self.user, after, limit=_PAGE)
        return [entry.cursor.seq for entry in page.entries]


def event(number: int, type_: str = "org.example.a") -> Event:
    """The same happening each time it is asked for."""
    return Event(id=f"x:{number}", type=type_, source="//x", platform="x", data={"title": f"No {number}"})


class JournalSuite(Suite):
    """What a journal must be. Implement `shelf`."""

    def shelf(self) -> AbstractAsyncContextManager[Shelf]:
        """A new journal, for one test."""
        raise NotImplementedError

    @standard
    async def test_numbers_events_densely_in_their_order(self) -> None:
        """Per user: 1, 2, 3, … in the order of commits."""
        async with self.shelf() as shelf:
            await shelf.add(1, 2)
            await asyncio.gather(*[shelf.add(number) for number in range(3, 20)])
            seqs = await shelf.seqs()
            require(seqs == list(range(1, 20)), f"19 events have the places {seqs}, not 1 to 19.")

    @standard
    async def test_keeps_an_event_once(self) -> None:
        """An event that is known keeps its place, within an item, between items, and when both come at once."""
        async with self.shelf() as shelf:
            await shelf.add(1, 1, 2)
            results = await asyncio.gather(
                *[
                    shelf.journal.append(Item(shelf.user, [event(3), event(1)], via="polling"))
                    for _ in range(9)
                ]
            )
            require(await shelf.seqs() == [1, 2, 3], "An event that was known already was stored again.")
            require(
                sum(one.fresh for (one,) in results) == 1, "Appended.fresh counts events that were known."
            )
            told = [cursor and cursor.seq for cursor in results[0][0].cursors]
            require(told == [3, 1], f"The places told of a new and a known event are {told}, not 3 and 1.")

    @standard
    async def test_takes_a_delivery_once(self) -> None:
        """A delivery that is known changes nothing, whatever it holds."""
        async with self.shelf() as shelf:
            key = DeliveryKey("whk", "d1")
            await shelf.journal.append(Item(shelf.user, [event(1)], via="webhook", delivery=key))
            (again,) = await shelf.journal.append(
                Item(shelf.user, [event(1), event(2)], via="webhook", delivery=key)
            )
            require(again.repeated, "Appended.repeated does not say that the delivery was known.")
            require(await shelf.seqs() == [1], "What a delivery held that was known already was stored.")

    @standard
    async def test_keeps_users_apart(self) -> None:
        """Each user has numbers, events and an epoch of their own."""
        async with self.shelf() as shelf:
            await shelf.add(1)
            await shelf.add(1, 2, user=shelf.other)
            mine, theirs = await shelf.journal.head(shelf.user), await shelf.journal.head(shelf.other)
            require((mine.seq, theirs.seq) == (1, 2), "Two users share their numbers or their events.")
            require(
                mine.epoch != theirs.epoch, "Two users have the same epoch: cursors of one open the other."
            )

    @standard
    async def test_knows_no_strangers(self) -> None:
        """A user that there is not has no journal; the others' items are not held up by it."""
        async with self.shelf() as shelf:
            stranger = UserId(999_999)
            attempts = await asyncio.gather(
                shelf.journal.append(Item(stranger, [event(1)], via="api")),
                shelf.add(1),
                shelf.journal.head(stranger),
                shelf.journal.read(stranger, OLDEST, limit=1),
                return_exceptions=True,
            )
            for number in (0, 2, 3):
                require(isinstance(attempts[number], NotFound), "A user that there is not is no NotFound.")
            require(await shelf.seqs() == [1], "What came beside an item for nobody was not stored.")

    @standard
    async def test_reads_on_page_by_page(self) -> None:
        """Each page goes on where the last one ended, and the last one says so."""
        async with self.shelf() as shelf:
            await shelf.add(*range(1, 26))
            after, seqs, pages = OLDEST, list[int](), 0
            while True:
                page = await shelf.journal.read(shelf.user, after, limit=10)
                pages += 1
                seqs += [entry.cursor.seq for entry in page.entries]
                after = page.cursor
                if page.at_head or pages > 25:
                    break
            require(seqs == list(range(1, 26)), f"Pages of ten of 25 events have the places {seqs}.")
            require(after == await shelf.journal.head(shelf.user), "The last page's cursor is not the head.")

    @standard
    async def test_moves_past_what_a_selection_withholds(self) -> None:
        """A reader who wants little stands where one stands who wants all."""
        async with self.shelf() as shelf:
            await shelf.add(1, 2)
            await shelf.add(3, type_="org.example.b")
            await shelf.add(4, 5)
            wanted = TypeSelection(["org.example.b"])
            page = await shelf.journal.read(shelf.user, OLDEST, limit=10, selection=wanted)
            require(
                [one.cursor.seq for one in page.entries] == [3], "A selection lets the wrong entries through."
            )
            require(page.cursor.seq == 5 and page.at_head, "The position stays before what was withheld.")

    @standard
    async def test_tells_what_was_stored(self) -> None:
        """An entry has all that its event had."""
        async with self.shelf() as shelf:
            await shelf.journal.append(Item(shelf.user, [event(1)], via="polling", connection_id="con"))
            ((entry,), given) = (await shelf.journal.read(shelf.user, OLDEST, limit=1)).entries, event(1)
            told = (entry.id, entry.type, entry.source, entry.platform, entry.via, entry.connection_id)
            wanted = (given.id, given.type, given.source, given.platform, "polling", "con")
            require(told == wanted, f"{wanted} was stored, and {told} is read.")
            require(msgspec.json.decode(entry.data) == given.data, "An entry's data is not its event's.")

    @standard
    async def test_tells_of_what_was_cut(self) -> None:
        """Who stood before what retention has cut is told how much is missing; who asks for the oldest is not."""
        async with self.shelf() as shelf:
            await shelf.add(*range(1, 11))
            epoch = (await shelf.journal.head(shelf.user)).epoch
            await shelf.cut(shelf.user, 4)
            gap = (await shelf.journal.read(shelf.user, Cursor(epoch, 2), limit=_PAGE)).gap
            if gap is None:
                fail("Who stood at 2 is not told that 3 to 6 were cut.")
            told = (gap.from_seq, gap.to_seq, gap.count, gap.reason)
            require(told == (3, 6, 4, "retention"), f"The gap from 3 to 6 is told as {told}.")
            oldest = await shelf.journal.read(shelf.user, OLDEST, limit=_PAGE)
            require(oldest.gap is None, "Who asks for the oldest kept is told of a gap.")
            require(
                [one.cursor.seq for one in oldest.entries] == [7, 8, 9, 10], "The wrong events were kept."
            )

    @standard
    async def test_never_brings_back_what_was_cut(self) -> None:
        """An event that was cut and comes again stays away."""
        async with self.shelf() as shelf:
            await shelf.add(*range(1, 6))
            await shelf.cut(shelf.user, 2)
            (again,) = await shelf.journal.append(Item(shelf.user, [event(1), event(5)], via="polling"))
            require(again.fresh == 0 and await shelf.seqs() == [4, 5], "What was cut came back.")
            require(again.cursors[0] is None, "An event that was cut is told to have a place.")

    @standard
    async def test_starts_over_for_a_cursor_of_another_life(self) -> None:
        """A cursor of another epoch, or beyond the head, is answered with all that is kept, and says so."""
        async with self.shelf() as shelf:
            await shelf.add(1, 2, 3)
            epoch = (await shelf.journal.head(shelf.user)).epoch
            for after in (Cursor("other", 2), Cursor(epoch, 4)):
                page: Page = await shelf.journal.read(shelf.user, after, limit=_PAGE)
                if page.gap is None or page.gap.reason != "restored":
                    fail(f"The cursor {after} of another life is taken for one of this journal.")
                require(len(page.entries) == 3, f"Behind the cursor {after} not all is told that is kept.")
