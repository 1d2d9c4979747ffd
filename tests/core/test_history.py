from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from stores import Store, opened
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.history import History
from tidings.schema import attempts

pytestmark = pytest.mark.usefixtures("every_database")

ALICE = UserId(1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


def _count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(attempts)).scalar_one())


async def test_the_last_runs_are_shown_newest_first(store: Store) -> None:
    history = History(store.writer, store.clock)
    history.note(ALICE, "c1", "refresh", "done", ms=41.7)
    await store.clock.advance(10)
    history.note(ALICE, "c1", "sync", "unavailable", "it answers 503", 7)
    history.note(ALICE, "c2", "sync", "done")
    last = await history.last(ALICE, "c1")
    assert [(one.kind, one.outcome, one.detail, one.ms) for one in last] == [
        ("sync", "unavailable", "it answers 503", 7),
        ("refresh", "done", "", 42),
    ]
    assert last[0].at == store.clock.now()
    assert await history.last(UserId(2), "c1") == []


async def test_twenty_are_shown_of_each_connection_and_hardly_more_are_kept(store: Store) -> None:
    history = History(store.writer, store.clock)
    for number in range(50):
        history.note(ALICE, "c1", "sync", "done", str(number))
        if number % 7 == 0:
            await history.flush()
        await store.clock.advance(1)
    history.note(ALICE, "c2", "sync", "done", "other")
    assert [one.detail for one in await history.last(ALICE, "c1")] == [str(n) for n in range(49, 29, -1)]
    assert await store.read(_count) <= 20 + 10 + 1


async def test_notes_of_one_instant_are_all_kept_in_order(store: Store) -> None:
    history = History(store.writer, store.clock)
    for number in range(3):
        history.note(ALICE, "c1", "sync", "done", str(number))
    assert [one.detail for one in await history.last(ALICE, "c1")] == ["2", "1", "0"]


async def test_notes_are_written_down_together_after_half_a_minute(store: Store) -> None:
    history = History(store.writer, store.clock)
    running = asyncio.create_task(history.run())
    try:
        for number in range(10):
            history.note(ALICE, f"c{number}", "sync", "done")
        await store.clock.advance(29)
        assert await store.read(_count) == 0
        await store.clock.advance(1)
        await store.write(lambda _connection: None)
        assert await store.read(_count) == 10
        for number in range(500):
            history.note(ALICE, f"d{number}", "sync", "done")
        await store.clock.advance(0)
        await store.write(lambda _connection: None)
        assert await store.read(_count) == 510
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_notes_outlive_a_database_that_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_work: Any) -> None:
        raise Unavailable("away")

    history = History(store.writer, store.clock)
    history.note(ALICE, "c1", "sync", "done", "before")
    with monkeypatch.context() as patch:
        patch.setattr(store.writer, "run_unit", away)
        for _ in range(2):
            await history.flush()
    history.note(ALICE, "c1", "sync", "done", "after")
    assert [one.detail for one in await history.last(ALICE, "c1")] == ["after", "before"]


async def test_while_the_database_is_away_only_so_many_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_work: Any) -> None:
        raise Unavailable("away")

    history = History(store.writer, store.clock)
    with monkeypatch.context() as patch:
        patch.setattr(store.writer, "run_unit", away)
        for number in range(1200):
            history.note(ALICE, f"c{number}", "sync", "done")
            if number % 100 == 99:
                await history.flush()
    assert len(await history.last(ALICE, "c1199")) == 1
    assert await store.read(_count) == 500


async def test_a_long_detail_is_cut(store: Store) -> None:
    history = History(store.writer, store.clock)
    history.note(ALICE, "c1", "sync", "failed", "x" * 10_000)
    (one,) = await history.last(ALICE, "c1")
    assert len(one.detail) == 500


async def test_a_note_costs_next_to_nothing(store: Store) -> None:
    history = History(store.writer, store.clock)
    best = 1.0
    for turn in range(20):
        started = time.perf_counter()
        for number in range(100):
            history.note(ALICE, f"c{turn}.{number}", "sync", "done")
        best = min(best, (time.perf_counter() - started) / 100)
    assert best < 30e-6
