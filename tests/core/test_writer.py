from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from stores import Store, opened
from tidings import writer as writer_module
from tidings.errors import Unavailable


class Counted:
    """A sort of writes that notes how they were put together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.told: list[int] = []

    def execute(self, connection: Connection, payloads: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(payloads))
        for payload in payloads:
            if payload < 0:
                raise ValueError(f"culprit {payload}")
            connection.exec_driver_sql("INSERT INTO written VALUES (?)", (payload,))
        return [KeyError(payload) if payload == 1313 else payload for payload in payloads]

    def committed(self, results: Sequence[int | Exception], seconds: float) -> None:
        self.told += [result for result in results if isinstance(result, int)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        await store.write(lambda connection: connection.exec_driver_sql("CREATE TABLE written (n INTEGER)"))
        yield store


def _written(connection: Connection) -> list[int]:
    return [row[0] for row in connection.exec_driver_sql("SELECT n FROM written ORDER BY rowid")]


async def test_what_waits_is_committed_together(store: Store) -> None:
    sort = Counted()
    results = await asyncio.gather(*[store.writer.put(sort, number) for number in range(600)])
    assert results == list(range(600))
    assert [len(batch) for batch in sort.batches] == [256, 256, 88]
    assert sort.told == list(range(600))


async def test_of_much_that_waits_half_is_committed_while_the_loop_has_the_rest(store: Store) -> None:
    sort, gate = Counted(), threading.Event()
    busy = asyncio.create_task(store.writer.run_unit(lambda _connection: gate.wait(5)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [store.writer.put(sort, number) for number in range(100)]
    gate.set()
    assert await busy
    assert await asyncio.gather(*waiting) == list(range(100))
    assert [len(batch) for batch in sort.batches] == [50, 50]
    assert sort.told == list(range(100))


async def test_what_is_on_disk_is_told_although_the_next_write_takes_long(store: Store) -> None:
    loop, told, queued = asyncio.get_running_loop(), threading.Event(), threading.Event()
    seen: list[bool] = []
    later: list[asyncio.Future[int]] = []

    class Long(Counted):
        def execute(self, connection: Connection, payloads: Sequence[int]) -> Sequence[int | Exception]:
            seen.append(told.wait(5))
            return super().execute(connection, payloads)

    def queue_another() -> None:
        later.append(store.writer.put(Long(), 2))
        queued.set()

    class First(Counted):
        def execute(self, connection: Connection, payloads: Sequence[int]) -> Sequence[int | Exception]:
            loop.call_soon_threadsafe(queue_another)
            queued.wait(5)
            return super().execute(connection, payloads)

        def committed(self, results: Sequence[int | Exception], seconds: float) -> None:
            told.set()

    assert await store.writer.put(First(), 1) == 1
    assert await later[0] == 2
    assert seen == [True]


async def test_a_lone_write_does_not_wait(store: Store) -> None:
    sort = Counted()
    assert await store.writer.put(sort, 1) == 1
    assert sort.batches == [[1]]


async def test_a_culprit_fails_alone_and_the_rest_is_written_once(store: Store) -> None:
    sort = Counted()
    numbers = [1, 2, -3, 4, -5, 6]
    results = await asyncio.gather(
        *[store.writer.put(sort, number) for number in numbers], return_exceptions=True
    )
    assert [result for result in results if isinstance(result, int)] == [1, 2, 4, 6]
    assert [str(result) for result in results if isinstance(result, ValueError)] == [
        "culprit -3",
        "culprit -5",
    ]
    assert await store.read(_written) == [1, 2, 4, 6]
    assert sort.told == [1, 2, 4, 6]


async def test_a_refusal_fails_its_caller_alone(store: Store) -> None:
    sort = Counted()
    results = await asyncio.gather(
        *[store.writer.put(sort, number) for number in (12, 1313, 14)], return_exceptions=True
    )
    assert results[0] == 12
    assert isinstance(results[1], KeyError)
    assert results[2] == 14
    assert len(sort.batches) == 1


async def test_a_unit_that_raises_stores_nothing(store: Store) -> None:
    def half(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO written VALUES (1)")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await store.write(half)
    assert await store.read(_written) == []


async def test_what_was_written_stays_when_its_caller_has_gone(store: Store) -> None:
    sort = Counted()
    gone = store.writer.put(sort, 1)
    kept = store.writer.put(sort, 2)
    gone.cancel()
    assert await kept == 2
    assert await store.read(_written) == [1, 2]


async def test_a_listener_that_raises_makes_nothing_be_written_twice(store: Store) -> None:
    class Broken(Counted):
        def committed(self, results: Sequence[int | Exception], seconds: float) -> None:
            raise RuntimeError("a defect")

    caught: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: caught.append(str(context["exception"]))
    )
    try:
        results = await asyncio.gather(*[store.writer.put(Broken(), number) for number in (1, 2)])
        assert await store.write(_written) == [1, 2]
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert results == [1, 2]
    assert caught == ["a defect", "a defect"]


async def test_a_database_that_is_away_fails_all_and_heals(store: Store, tmp_path: Path) -> None:
    pages = await store.write(_pages)
    await store.write(lambda connection: _limit(connection, pages))
    sort = Counted()
    big = "x" * 100_000

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO written VALUES (?)", (big,))

    units = [store.writer.put(sort, 1), store.writer.put(writer_module._ISOLATED, fill)]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert "full" in str(results[0])
    assert store.writer._health.reason
    # The connection that failed is replaced, and with it the limit.
    assert await store.writer.put(sort, 2) == 2
    assert store.writer._health.reason == ""
    assert await store.read(_written) == [2]


def _pages(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


def _limit(connection: Connection, pages: int) -> None:
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")


async def test_beyond_a_queue_that_is_too_long_writes_are_refused_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_QUEUE", 10)
    sort = Counted()
    taken = [store.writer.put(sort, number) for number in range(10)]
    with pytest.raises(Unavailable, match="Too many writes"):
        store.writer.put(sort, 11)
    assert await asyncio.gather(*taken) == list(range(10))


async def test_closing_writes_what_waits_and_takes_nothing_more(store: Store) -> None:
    sort = Counted()
    waiting = [store.writer.put(sort, number) for number in range(300)]
    store.writer.close()
    with pytest.raises(Unavailable, match="shutting down"):
        store.writer.put(sort, 1)
    await store.writer.drained()
    assert [future.result() for future in waiting] == list(range(300))


class Watching(Counted):
    """Sees whether the loop goes on while statements run."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.went_on: list[bool] = []

    def look(self) -> None:
        went_on = threading.Event()
        self.loop.call_soon_threadsafe(went_on.set)
        self.went_on.append(went_on.wait(0.1 if writer_module._LONGEST_GIVEN_SECONDS else 20))

    def execute(self, connection: Connection, payloads: Sequence[int]) -> Sequence[int | Exception]:
        self.look()
        return super().execute(connection, payloads)


async def test_the_loop_gives_way_until_the_statements_have_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_GIVEN_SECONDS", 20)
    sort = Watching()
    assert await store.writer.put(sort, 1) == 1
    assert sort.went_on == [False]


async def test_the_loop_gives_way_for_a_moment_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_GIVEN_SECONDS", 0)
    sort = Watching()
    assert await store.writer.put(sort, 1) == 1
    assert sort.went_on == [True]


async def test_the_loop_does_not_give_way_to_units(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_GIVEN_SECONDS", 20)
    loop, went_on = asyncio.get_running_loop(), threading.Event()

    def look(_connection: Connection) -> bool:
        loop.call_soon_threadsafe(went_on.set)
        return went_on.wait(10)

    assert await store.write(look)


async def test_the_loop_does_not_wait_for_another_process(store: Store) -> None:
    sort = Counted()
    with sqlite3.connect(store.database.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        began = asyncio.get_running_loop().time()
        write = store.writer.put(sort, 8)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the loop is free, although the write can't begin
        assert not write.done()
        assert asyncio.get_running_loop().time() - began < 5  # the thread would wait for ten
        other.execute("COMMIT")
        assert await write == 8
    other.close()
