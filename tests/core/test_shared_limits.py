"""Limits that nodes have in common: each `SharedLimiter` here stands for a node of its own, with pools of its own."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from sqlalchemy import func, select

import stores
from postgres_server import PostgresServer
from tidings.durations import Rate
from tidings.errors import Unavailable
from tidings.health import Health
from tidings.ratelimit import Decision
from tidings.retention import Policy, Retention
from tidings.schema import rates
from tidings.sharedlimits import SharedLimiter
from tidings.testing.clock import FakeClock
from tidings.writer import Writer


@dataclasses.dataclass
class Cluster:
    writers: list[Writer]
    clock: FakeClock

    def limiters(self, rate: Rate, **options: Any) -> list[SharedLimiter]:
        """One for each node."""
        return [
            SharedLimiter(rate, policy="api", writer=writer, clock=self.clock, **options)
            for writer in self.writers
        ]

    async def count(self, limiter: SharedLimiter, key: str = "anna") -> Decision:
        return await limiter.count(key, self.clock.monotonic())

    async def rows(self) -> int:
        counting = select(func.count()).select_from(rates)
        return int(await self.writers[0].database.read(lambda sql: sql.execute(counting).scalar_one()))


@pytest.fixture
async def cluster(postgres: PostgresServer) -> AsyncIterator[Cluster]:
    """Three nodes."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(postgres.database())
        writers = []
        for _ in range(3):
            database = stores.with_our_clock(url)
            stack.push_async_callback(database.close)
            health = Health(clock, structlog.get_logger()).component("database")
            writers.append(Writer(database, health, clock.monotonic))
        yield Cluster(writers, clock)
        for writer in writers:
            writer.close()
            await writer.drained()


async def test_nodes_together_let_through_what_one_would(cluster: Cluster) -> None:
    """Up to a limit of 199 each hit is counted by itself, so that nothing is refused too early either."""
    nodes = cluster.limiters(Rate(7, 60))
    decisions = [await cluster.count(nodes[number % 3]) for number in range(12)]
    assert [one.allowed for one in decisions] == [True] * 7 + [False] * 5
    assert [one.remaining for one in decisions[:8]] == [6, 5, 4, 3, 2, 1, 0, 0]
    assert {one.reset_seconds for one in decisions} == {60}
    assert (await cluster.count(nodes[0], "bert")).allowed


async def test_a_window_is_the_same_at_every_node(cluster: Cluster) -> None:
    one, two, _ = cluster.limiters(Rate(1, 60))
    assert (await cluster.count(one)).allowed
    await cluster.clock.advance(45)
    refused = await cluster.count(two)
    assert (refused.allowed, refused.reset_seconds) == (False, 15)
    await cluster.clock.advance(15)
    assert (await cluster.count(two)).allowed
    refused = await cluster.count(one)
    assert (refused.allowed, refused.reset_seconds) == (False, 60)


async def test_many_at_once_are_counted_exactly(cluster: Cluster) -> None:
    nodes = cluster.limiters(Rate(150, 60))
    decisions = await asyncio.gather(*(cluster.count(nodes[number % 3]) for number in range(400)))
    assert sum(one.allowed for one in decisions) == 150


async def test_large_limits_are_granted_by_the_hundredth_and_never_exceeded(cluster: Cluster) -> None:
    """What a node was granted and never gave out is lost: at most a hundredth for each of the others."""
    nodes = cluster.limiters(Rate(1000, 60))
    for node in nodes[1:]:
        assert (await cluster.count(node)).allowed
    passed = 2
    while (await cluster.count(nodes[0])).allowed:
        passed += 1
    assert 1000 - 2 * 10 <= passed <= 1000
    for node in nodes[1:]:
        while (await cluster.count(node)).allowed:
            passed += 1
    assert passed == 1000


async def test_a_large_limit_costs_a_transaction_for_ten(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (node, *_), asked = cluster.limiters(Rate(1000, 60)), 0
    put = cluster.writers[0].put

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return put(*arguments)

    monkeypatch.setattr(cluster.writers[0], "put", counted)
    for _ in range(100):
        assert (await cluster.count(node)).allowed
    assert asked == 10
    while (await cluster.count(node)).allowed:
        pass
    assert asked == 100
    for _ in range(1000):
        assert not (await cluster.count(node)).allowed
    assert asked == 100, "who is refused costs the database nothing until the window ends"


async def test_strangers_who_come_a_few_times_are_not_written_down(cluster: Cluster) -> None:
    nodes = cluster.limiters(Rate(1000, 60), is_for_strangers=True)
    for number in range(100):
        for _ in range(10):
            assert (await cluster.count(nodes[0], f"stranger {number}")).allowed
    assert await cluster.rows() == 0
    passed = 0
    for node in nodes:
        while (await cluster.count(node)).allowed:
            passed += 1
    assert passed == 1000 + 3 * 10
    assert await cluster.rows() == 1


async def test_who_gives_up_while_waiting_takes_nothing_from_the_others(cluster: Cluster) -> None:
    node, other, _ = cluster.limiters(Rate(3, 60))
    waiting = [asyncio.create_task(cluster.count(node)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert (await waiting[1]).allowed
    assert [(await cluster.count(one)).allowed for one in (node, node, other)] == [True, True, False]


async def test_without_the_database_nobody_is_counted_and_all_heals(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, *_ = cluster.limiters(Rate(2, 60))

    def away(*_arguments: object, **_more: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(cluster.writers[0].database, "transact", away)
        with pytest.raises(Unavailable):
            await cluster.count(node)
    assert [(await cluster.count(node)).allowed for _ in range(3)] == [True, True, False]


async def test_few_keys_are_remembered_here_and_none_is_forgotten_there(cluster: Cluster) -> None:
    node, *_ = cluster.limiters(Rate(1, 60), most_keys=3)
    for number in range(10):
        assert (await cluster.count(node, f"key {number}")).allowed
    assert len(node._shared) == 3
    assert not (await cluster.count(node, "key 0")).allowed


async def test_what_is_over_is_taken_out(cluster: Cluster) -> None:
    node, *_ = cluster.limiters(Rate(1, 60))
    retention = Retention(
        cluster.writers[0], cluster.clock, structlog.get_logger(), Policy(days=None, events_per_user=None)
    )
    await cluster.count(node)
    await retention.cut()
    assert await cluster.rows() == 1
    await cluster.clock.advance(60 + 3601)
    await retention.cut()
    assert await cluster.rows() == 0


async def test_no_key_is_stored_in_clear_text_and_nothing_is_logged_ahead(cluster: Cluster) -> None:
    """Addresses are people's; and a count that a crash may forget need not wait for the disk."""
    node, *_ = cluster.limiters(Rate(1, 60))
    await cluster.count(node, "192.0.2.7")
    (row,) = await cluster.writers[0].database.read(lambda sql: sql.execute(select(rates)).all())
    assert len(row.key_hash) == 16
    assert b"192.0.2.7" not in row.key_hash
    kept = "SELECT relpersistence FROM pg_class WHERE relname = 'rates'"
    assert await cluster.writers[0].database.read(lambda sql: sql.exec_driver_sql(kept).scalar_one()) in {
        "u",
        b"u",
    }
