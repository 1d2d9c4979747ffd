from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stores import Store, opened
from tidings.contracts import Item
from tidings.errors import NotFound
from tidings.event import OLDEST, Cursor, Entry, Event, UserId
from tidings.journal import SqlJournal
from tidings.retention import Policy, Retention
from tidings.selection import TypeSelection

pytestmark = pytest.mark.usefixtures("every_database")


def event(number: int, *, type_: str = "com.x.a", platform: str = "x") -> Event:
    return Event(id=f"x:{number}", type=type_, source="//x", platform=platform, data={"title": f"{number}"})


def item(user: UserId, *numbers: int, via: str = "webhook") -> Item:
    return Item(user, [event(number) for number in numbers], via=via)


class Scene:
    def __init__(self, store: Store, user: UserId, other: UserId) -> None:
        self.store = store
        self.user = user
        self.other = other
        self.journal = SqlJournal(store.database, store.writer, store.clock)
        self.told: list[Entry] = []
        self.journal.on_commit(lambda entries, _seconds: self.told.extend(entries))

    async def seqs(self, after: Cursor = OLDEST, *, limit: int = 1000) -> list[int]:
        page = await self.journal.read(self.user, after, limit=limit)
        return [entry.cursor.seq for entry in page.entries]

    async def keep(self, newest: int) -> None:
        policy = Policy(days=None, events_per_user=newest)
        await Retention(self.store.writer, self.store.clock, _Silent(), policy).cut()


class _Silent:
    def info(self, *_arguments: object, **_fields: object) -> None:
        return


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as store:
        users = [(await store.add_user(name)).id for name in ("alice", "bob")]
        yield Scene(store, *users)


async def test_events_get_dense_numbers_in_order_of_arrival(scene: Scene) -> None:
    first, second = await scene.journal.append(item(scene.user, 1, 2), item(scene.user, 3))
    assert [cursor.seq for cursor in first.cursors if cursor] == [1, 2]
    assert [cursor.seq for cursor in second.cursors if cursor] == [3]
    page = await scene.journal.read(scene.user, OLDEST, limit=10)
    assert [entry.id for entry in page.entries] == ["x:1", "x:2", "x:3"]
    assert page.cursor == await scene.journal.head(scene.user)
    assert page.at_head


async def test_what_listeners_are_told_is_what_readers_read(scene: Scene) -> None:
    await asyncio.gather(*[scene.journal.append(item(scene.user, number)) for number in range(30)])
    page = await scene.journal.read(scene.user, OLDEST, limit=100)
    assert [one.cloudevent() for one in scene.told] == [one.cloudevent() for one in page.entries]


async def test_an_event_known_already_keeps_its_place_and_is_not_told_again(scene: Scene) -> None:
    (first,) = await scene.journal.append(item(scene.user, 1, 2))
    (again,) = await scene.journal.append(item(scene.user, 2, 1, 1, 3))
    assert (first.fresh, again.fresh) == (2, 1)
    assert [cursor.seq for cursor in again.cursors if cursor] == [2, 1, 1, 3]
    assert [entry.id for entry in scene.told] == ["x:1", "x:2", "x:3"]


async def test_duplicates_inside_one_batch_are_one_event(scene: Scene) -> None:
    results = await scene.journal.append(*[item(scene.user, 1, 1) for _ in range(50)])
    assert sum(result.fresh for result in results) == 1
    assert await scene.seqs() == [1]


async def test_users_have_journals_of_their_own(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, 1), item(scene.other, 1), item(scene.other, 2))
    mine, theirs = await scene.journal.head(scene.user), await scene.journal.head(scene.other)
    assert (mine.seq, theirs.seq) == (1, 2)
    assert mine.epoch != theirs.epoch


async def test_an_item_for_nobody_fails_alone(scene: Scene) -> None:
    items = [item(scene.user, 1), item(UserId(999), 1), item(scene.user, 2)]
    results = await asyncio.gather(*[scene.journal.append(one) for one in items], return_exceptions=True)
    assert isinstance(results[1], NotFound)
    assert await scene.seqs() == [1, 2]


async def test_an_item_that_the_database_refuses_fails_alone(scene: Scene) -> None:
    await scene.store.refuse("events", "id = 'x:13'")
    results = await asyncio.gather(
        *[scene.journal.append(item(scene.user, number)) for number in range(10, 17)], return_exceptions=True
    )
    assert [number for number, one in enumerate(results, 10) if isinstance(one, Exception)] == [13]
    page = await scene.journal.read(scene.user, OLDEST, limit=10)
    assert [entry.id for entry in page.entries] == [f"x:{number}" for number in (10, 11, 12, 14, 15, 16)]
    assert [entry.cursor.seq for entry in page.entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.id for entry in scene.told] == [entry.id for entry in page.entries]


async def test_reading_goes_on_page_by_page(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, *range(1, 26)))
    after, seqs, pages = OLDEST, [], 0
    while True:
        page = await scene.journal.read(scene.user, after, limit=10)
        seqs += [entry.cursor.seq for entry in page.entries]
        pages += 1
        after = page.cursor
        if page.at_head:
            break
    assert seqs == list(range(1, 26))
    assert pages == 3


async def test_an_empty_journal_is_at_its_head(scene: Scene) -> None:
    page = await scene.journal.read(scene.user, OLDEST, limit=10)
    assert (list(page.entries), page.gap, page.at_head) == ([], None, True)
    assert page.cursor == await scene.journal.head(scene.user)


async def test_a_selection_moves_the_cursor_past_what_it_withholds(scene: Scene) -> None:
    events = [event(number, type_="com.x.b" if number % 100 == 0 else "com.x.a") for number in range(1, 1201)]
    await scene.journal.append(Item(scene.user, events, via="webhook"))
    rare = TypeSelection(["com.x.b"])
    page = await scene.journal.read(scene.user, OLDEST, limit=5, selection=rare)
    assert [entry.cursor.seq for entry in page.entries] == [100, 200, 300, 400, 500]
    assert (page.cursor.seq, page.at_head) == (500, False)
    page = await scene.journal.read(scene.user, page.cursor, limit=100, selection=rare)
    assert [entry.cursor.seq for entry in page.entries] == list(range(600, 1201, 100))
    assert (page.cursor.seq, page.at_head) == (1200, True)


async def test_a_long_search_is_cut_and_can_be_continued(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.journal._SCAN_ROWS", 10)
    monkeypatch.setattr("tidings.journal._LONGEST_SCAN_ROWS", 30)
    await scene.journal.append(item(scene.user, *range(1, 101)))
    page = await scene.journal.read(scene.user, OLDEST, limit=5, selection=TypeSelection(["none"]))
    assert (list(page.entries), page.cursor.seq, page.at_head) == ([], 30, False)


async def test_a_cut_range_is_a_gap_and_the_oldest_kept_is_none(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, *range(1, 11)))
    epoch = (await scene.journal.head(scene.user)).epoch
    await scene.keep(4)
    page = await scene.journal.read(scene.user, Cursor(epoch, 2), limit=10)
    assert page.gap is not None
    assert json.loads(page.gap.encode()) == {"from": 3, "to": 6, "count": 4, "reason": "retention"}
    assert [entry.cursor.seq for entry in page.entries] == [7, 8, 9, 10]
    for after in (OLDEST, Cursor(epoch, 6), Cursor(epoch, 8)):
        assert (await scene.journal.read(scene.user, after, limit=10)).gap is None


async def test_a_cursor_that_this_journal_never_gave_starts_over(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, *range(1, 6)))
    epoch = (await scene.journal.head(scene.user)).epoch
    for after in (Cursor("other", 3), Cursor("other", 0), Cursor(epoch, 6), Cursor(epoch, 2**62)):
        page = await scene.journal.read(scene.user, after, limit=10)
        assert page.gap is not None
        assert page.gap.reason == "restored"
        assert [entry.cursor.seq for entry in page.entries] == [1, 2, 3, 4, 5]


async def test_what_retention_has_cut_never_comes_back(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, *range(1, 6)))
    await scene.keep(2)
    (again,) = await scene.journal.append(item(scene.user, 1, 2, 5, 6))
    assert again.fresh == 1
    assert [cursor and cursor.seq for cursor in again.cursors] == [None, None, 5, 6]
    assert await scene.seqs() == [4, 5, 6]


async def test_the_newest_few_come_oldest_first(scene: Scene) -> None:
    await scene.journal.append(item(scene.user, *range(1, 11)))
    page = await scene.journal.last(scene.user, 3)
    assert [entry.cursor.seq for entry in page.entries] == [8, 9, 10]
    await scene.keep(2)
    page = await scene.journal.last(scene.user, 5)
    assert [entry.cursor.seq for entry in page.entries] == [9, 10]


async def test_a_stranger_has_no_journal(scene: Scene) -> None:
    for reading in (
        scene.journal.head(UserId(999)),
        scene.journal.read(UserId(999), OLDEST, limit=1),
        scene.journal.last(UserId(999), 1),
    ):
        with pytest.raises(NotFound):
            await reading


async def test_an_item_without_events_is_fine(scene: Scene) -> None:
    (done,) = await scene.journal.append(item(scene.user))
    assert (done.cursors, done.fresh) == ((), 0)
    assert scene.told == []


async def test_odd_ids_are_found_again(scene: Scene) -> None:
    odd = [
        "x:\"quote'",
        "x:back\\slash",
        "x:😀",
        "x:\u2028",
        "x:\x1f\x7f",
        "x:%s?:a",
        "x:" + "y" * 2000,
        "x:\0\ud800",
    ]
    events = [Event(id=id_, type="t", source="s", platform="x", data={}) for id_ in odd]
    first = await scene.journal.append(*[Item(scene.user, [one], via="a") for one in events])
    again = await scene.journal.append(*[Item(scene.user, [one], via="b") for one in events])
    assert [one.fresh for one in first] == [1] * len(odd)
    assert [one.fresh for one in again] == [0] * len(odd)
    assert [one.cursors for one in first] == [one.cursors for one in again]
