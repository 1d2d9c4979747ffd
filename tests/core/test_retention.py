from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from stores import Store, opened
from tidings import retention as retention_module
from tidings.contracts import DeliveryKey, Item
from tidings.event import OLDEST, Event, UserId
from tidings.journal import SqlJournal
from tidings.retention import Policy, Retention
from tidings.schema import deliveries, events, seen
from tidings.sessions import add_login_link, sign_in

pytestmark = pytest.mark.usefixtures("every_database")

DAY = 86_400


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


class Scene:
    def __init__(self, store: Store, users: list[UserId]) -> None:
        self.store = store
        self.users = users
        self.journal = SqlJournal(store.database, store.writer, store.clock)
        self.log = Log()
        self._number = 0

    async def append(self, user: UserId, count: int) -> None:
        numbers = range(self._number, self._number + count)
        self._number += count
        await self.journal.append(
            Item(
                user,
                [Event(id=f"x:{n}", type="t", source="s", platform="x", data={}) for n in numbers],
                via="webhook",
                delivery=DeliveryKey("r", f"d{self._number}"),
            )
        )

    async def cut(self, *, days: float | None = None, events_per_user: int | None = None) -> int:
        policy = Policy(days, events_per_user)
        return await Retention(self.store.writer, self.store.clock, self.log, policy).cut()

    async def seqs(self, user: UserId) -> list[int]:
        page = await self.journal.read(user, OLDEST, limit=10_000)
        return [entry.cursor.seq for entry in page.entries]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as store:
        yield Scene(store, [(await store.add_user(name)).id for name in ("alice", "bob")])


def _count(table: Any) -> Any:
    return lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()


async def test_what_is_too_old_is_cut(scene: Scene) -> None:
    alice, _ = scene.users
    for _ in range(4):
        await scene.append(alice, 2)
        await scene.store.clock.advance(DAY)
    assert await scene.cut(days=2.5) == 4
    assert await scene.seqs(alice) == [5, 6, 7, 8]
    assert scene.log.lines == [("retention", {"events": 4})]


async def test_what_is_too_much_is_cut_for_each_user_by_itself(scene: Scene) -> None:
    alice, bob = scene.users
    await scene.append(alice, 10)
    await scene.append(bob, 3)
    assert await scene.cut(events_per_user=4) == 6
    assert await scene.seqs(alice) == [7, 8, 9, 10]
    assert await scene.seqs(bob) == [1, 2, 3]


async def test_forever_is_for_ever(scene: Scene) -> None:
    await scene.append(scene.users[0], 10)
    await scene.store.clock.advance(36_500 * DAY)
    assert await scene.cut() == 0
    assert scene.log.lines == []


async def test_much_is_cut_in_chunks_between_which_others_write(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_CHUNK_ROWS", 7)
    alice, _ = scene.users
    await scene.append(alice, 100)
    sizes = []
    whole = Retention._cut_chunk

    def watched(self: Retention, user_id: int, connection: Connection) -> int:
        sizes.append(whole(self, user_id, connection))
        return sizes[-1]

    monkeypatch.setattr(Retention, "_cut_chunk", watched)
    assert await scene.cut(events_per_user=10) == 90
    assert max(sizes) == 7
    assert await scene.seqs(alice) == list(range(91, 101))


async def test_many_users_are_walked_through(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "_USERS_AT_ONCE", 2)
    users = [*scene.users, *[(await scene.store.add_user(f"u{number}")).id for number in range(5)]]
    for user in users:
        await scene.append(user, 3)
    assert await scene.cut(events_per_user=1) == 2 * len(users)
    assert [await scene.seqs(user) for user in users] == [[3]] * len(users)


async def test_numbers_go_on_after_everything_was_cut(scene: Scene) -> None:
    alice, _ = scene.users
    await scene.append(alice, 5)
    await scene.store.clock.advance(10 * DAY)
    assert await scene.cut(days=1) == 5
    await scene.append(alice, 1)
    assert await scene.seqs(alice) == [6]


async def test_cutting_again_cuts_nothing_more(scene: Scene) -> None:
    await scene.append(scene.users[0], 10)
    assert await scene.cut(events_per_user=4) == 6
    assert await scene.cut(events_per_user=4) == 0


async def test_traces_are_kept_long_and_then_cut(scene: Scene) -> None:
    await scene.append(scene.users[0], 10)
    await scene.cut(events_per_user=4)
    await scene.store.clock.advance(29 * DAY)
    await scene.cut(events_per_user=4)
    assert await scene.store.read(_count(deliveries)) == 1
    assert await scene.store.read(_count(seen)) == 6
    await scene.store.clock.advance(2 * DAY)
    await scene.cut(events_per_user=4)
    assert await scene.store.read(_count(deliveries)) == 0
    assert await scene.store.read(_count(seen)) == 6
    await scene.store.clock.advance(400 * DAY)
    await scene.cut(events_per_user=4)
    assert await scene.store.read(_count(seen)) == 0
    assert await scene.store.read(_count(events)) == 4


async def test_sessions_and_links_that_have_expired_are_cut(scene: Scene) -> None:
    now = scene.store.clock.now()
    alice, _ = scene.users
    used = await scene.store.write(lambda connection: add_login_link(connection, alice, now=now))
    await scene.store.write(lambda connection: add_login_link(connection, alice, now=now))
    await scene.store.write(lambda connection: sign_in(connection, used, now=now))
    tables = ("login_links", "sessions")

    def counts(connection: Connection) -> list[int]:
        return [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in tables]

    await scene.cut()
    assert await scene.store.read(counts) == [1, 1]
    await scene.store.clock.advance(timedelta(hours=25).total_seconds())
    await scene.cut()
    assert await scene.store.read(counts) == [0, 1]
    await scene.store.clock.advance(30 * DAY)
    await scene.cut()
    assert await scene.store.read(counts) == [0, 0]
