"""What several nodes on one PostgreSQL must not do to one another."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, select, text
from sqlalchemy.util import await_only

from postgres_server import PostgresServer, postgres_server
from tidings import postgres as postgres_module
from tidings.accounts import add_user, list_users
from tidings.clock import SystemClock
from tidings.contracts import DeliveryKey, Item, JobRequest
from tidings.database import Database
from tidings.engines import integrity_problems, open_database
from tidings.errors import Rejected, Unavailable
from tidings.event import OLDEST, Event, UserId
from tidings.facts import counted, increase
from tidings.health import Health
from tidings.jobs import database_now, listen, request_job
from tidings.journal import SqlJournal
from tidings.leases import Room, claim
from tidings.migrate import current, ensure_schema, revisions
from tidings.postgres import PostgresDatabase
from tidings.schema import events, jobs, settings
from tidings.writer import Writer

EVERYTHING = Room(1000, {"sync": 1000, "hooks": 1000}, {}, 1000)


class Node:
    """A process of tidings, as far as the database sees it."""

    def __init__(self, url: str) -> None:
        clock = SystemClock()
        self.database = open_database(url, synchronous="OFF")
        health = Health(clock, structlog.get_logger()).component("database")
        self.writer = Writer(self.database, health, clock.monotonic)
        self.journal = SqlJournal(self.database, self.writer, clock)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.drained()
        await self.database.close()


@asynccontextmanager
async def nodes(url: str, count: int) -> AsyncIterator[Sequence[Node]]:
    made = [Node(url) for _ in range(count)]
    try:
        yield made
    finally:
        for node in made:
            await node.close()


@pytest.fixture
async def three(postgres: PostgresServer) -> AsyncIterator[Sequence[Node]]:
    async with postgres.database() as url, nodes(url, 3) as made:
        yield made


def item(user: int, number: int, **more: Any) -> Item:
    event = Event(id=f"x:{number}", type="com.x", source="//x", platform="x", data={"n": number})
    return Item(UserId(user), [event], via="webhook", **more)


async def add_users(node: Node, count: int) -> list[UserId]:
    def add(connection: Connection) -> list[UserId]:
        now = SystemClock().now()
        return [
            add_user(connection, name=f"u{number}", is_admin=False, now=now).id
            for number in range(1, count + 1)
        ]

    return await node.writer.run_unit(add)


async def test_appends_of_three_nodes_for_the_same_users_keep_every_journal_dense(
    three: Sequence[Node],
) -> None:
    """The same happenings come to every node at once, and each node has some of its own."""
    users = await add_users(three[0], 7)
    items = [
        [
            item(user, number if number % 2 else number * 10 + place, jobs=[JobRequest("sync", f"c{user}")])
            for number in range(60)
            for user in (users if place % 2 else users[::-1])
        ]
        for place, _node in enumerate(three)
    ]
    appended = await asyncio.gather(
        *[node.journal.append(*mine) for node, mine in zip(three, items, strict=True)]
    )
    fresh = sum(one.fresh for of_node in appended for one in of_node)
    assert fresh == len({(one.user_id, one.events[0].id) for mine in items for one in mine})
    for user in users:
        page = await three[1].journal.read(user, OLDEST, limit=500)
        seqs = [entry.cursor.seq for entry in page.entries]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len({entry.id for entry in page.entries}) == len(seqs)
    assert await three[2].database.read(integrity_problems) == []


async def test_one_delivery_to_three_nodes_is_stored_once(three: Sequence[Node]) -> None:
    (user,) = await add_users(three[0], 1)
    for number in range(20):
        delivery = DeliveryKey("r", f"d{number}")
        results = await asyncio.gather(
            *[node.journal.append(item(user, number, delivery=delivery)) for node in three]
        )
        assert sorted(one.fresh for (one,) in results) == [0, 0, 1]


async def test_units_of_work_that_read_and_then_write_lose_nothing(three: Sequence[Node]) -> None:
    """They were written for a database in which nobody else writes meanwhile."""

    def add_one(connection: Connection) -> None:
        value = connection.execute(select(settings.c.value).where(settings.c.key == "n")).scalar()
        connection.execute(settings.delete().where(settings.c.key == "n"))
        connection.execute(settings.insert().values(key="n", value=str(int(value or 0) + 1)))

    await asyncio.gather(*[node.writer.run_unit(add_one) for node in three for _ in range(20)])
    assert await three[0].database.read(partial(counted, key="n")) == 60


async def test_of_two_who_make_the_same_thing_one_finds_the_others(three: Sequence[Node]) -> None:
    """A unique key stands in the way of the second; its unit runs again and sees the first one's row."""

    def make(connection: Connection) -> bool:
        if connection.execute(select(settings.c.key).where(settings.c.key == "made")).first():
            return False
        connection.execute(settings.insert().values(key="made", value="1"))
        return True

    for _ in range(10):
        made = await asyncio.gather(*[node.writer.run_unit(make) for node in three])
        assert sorted(made) == [False, False, True]
        await three[0].writer.run_unit(
            lambda connection: connection.execute(settings.delete().where(settings.c.key == "made"))
        )


async def test_a_text_that_postgresql_can_not_hold_is_its_callers_mistake(three: Sequence[Node]) -> None:
    with pytest.raises(Rejected, match="NUL") as caught:
        await three[0].writer.run_unit(partial(increase, key="a\0b"))
    assert caught.value.status == 400


async def test_ids_of_users_are_given_once(three: Sequence[Node]) -> None:
    async def add(node: Node, place: int, number: int) -> int:
        now = SystemClock().now()
        name = f"p{place}n{number}"
        return (await node.writer.run_unit(partial(add_user, name=name, is_admin=False, now=now))).id

    ids = await asyncio.gather(*[add(node, place, n) for place, node in enumerate(three) for n in range(10)])
    assert len(set(ids)) == 30
    assert len(await three[0].database.read(list_users)) == 30


async def test_a_job_is_claimed_by_one_node_and_an_account_runs_one_job(three: Sequence[Node]) -> None:
    def ask(connection: Connection) -> None:
        now = database_now(connection, SystemClock())
        for number in range(60):
            for kind in ("sync", "hooks"):
                request_job(connection, 1, JobRequest(kind, f"c{number}", account=f"a{number % 40}"), now)

    await three[0].writer.run_unit(ask)

    def take(name: str, connection: Connection) -> list[Any]:
        room = Room(17, EVERYTHING.kinds, {}, 1000)
        return list(claim(connection, room, name, database_now(connection, SystemClock()), 60.0).jobs)

    claimed = await asyncio.gather(
        *[
            node.writer.run_unit(partial(take, f"n{place}-{turn}"), isolated=False)
            for turn in range(3)
            for place, node in enumerate(three)
        ]
    )
    taken = [job for batch in claimed for job in batch]
    assert max(Counter((job.kind, job.key) for job in taken).values()) == 1
    assert max(Counter(job.account for job in taken).values()) == 1
    rows = await three[0].database.read(
        lambda connection: (
            connection.execute(select(jobs.c.lease).where(jobs.c.lease.is_not(None))).scalars().all()
        )
    )
    assert sorted(rows) == sorted(job.lease for job in taken)


async def test_a_claim_waits_for_nobody(three: Sequence[Node]) -> None:
    """What another transaction has locked is passed over."""

    def ask(connection: Connection) -> None:
        for number in range(4):
            request_job(connection, 1, JobRequest("sync", f"c{number}"), 0)

    await three[0].writer.run_unit(ask)
    held, go = asyncio.Event(), asyncio.Event()

    def hold(connection: Connection) -> None:
        connection.execute(text("SELECT 1 FROM jobs WHERE key IN ('c0', 'c1') FOR UPDATE"))
        held.set()
        await_only(go.wait())

    holding = asyncio.create_task(three[1].writer.run_unit(hold, isolated=False))
    await held.wait()
    try:
        taken = await three[2].writer.run_unit(
            lambda connection: list(claim(connection, EVERYTHING, "t", 1, 60.0).jobs), isolated=False
        )
        assert [job.key for job in taken] == ["c2", "c3"]
    finally:
        go.set()
        await holding


async def test_leases_are_measured_by_the_databases_clock(three: Sequence[Node]) -> None:
    class Wrong(SystemClock):
        def now(self) -> Any:
            return super().now().replace(year=2001)

    told = await three[0].database.read(lambda connection: database_now(connection, Wrong()))
    said = await three[0].database.read(
        lambda connection: connection.execute(text("SELECT extract(epoch FROM now())")).scalar_one()
    )
    assert abs(told / 1e6 - float(said)) < 60


async def test_many_nodes_may_start_at_once_on_an_empty_database(postgres: PostgresServer) -> None:
    url = postgres.url(await postgres.create())
    databases = [open_database(url, synchronous="OFF") for _ in range(5)]
    try:
        upgraded = await asyncio.gather(*[ensure_schema(database) for database in databases])
        assert sorted(upgraded) == [False] * 4 + [True]
        assert await databases[0].read(current) == revisions()[-1]
        assert await databases[0].read(lambda _connection: 1, user_id=UserId(1)) == 1
    finally:
        for database in databases:
            await database.close()


async def test_what_is_due_is_told_only_once_it_can_be_seen(three: Sequence[Node]) -> None:
    seen: list[asyncio.Task[int]] = []

    class Eager:
        def due(self, at: int) -> None:
            seen.append(asyncio.ensure_future(three[1].database.read(partial(_count, jobs))))

    eager = Eager()

    def ask(connection: Connection) -> None:
        listen(connection, eager)
        request_job(connection, 1, JobRequest("sync", "a"), 0)
        connection.execute(text("SELECT pg_sleep(0.05)"))

    await three[0].writer.run_unit(ask)
    assert [await one for one in seen] == [1]


def _count(table: Any, connection: Connection) -> int:
    return len(connection.execute(select(table)).all())


async def test_postgresql_is_away_and_all_heals_when_it_is_back() -> None:
    with postgres_server() as server:
        async with server.database() as url, nodes(url, 1) as (node,):
            (user,) = await add_users(node, 1)
            await node.journal.append(item(user, 1))
            await asyncio.gather(*[node.journal.head(user) for _ in range(8)])
            server.stop()
            for attempt in (
                partial(node.journal.append, item(user, 2)),
                partial(node.journal.head, user),
                partial(node.writer.run_unit, partial(increase, key="n")),
            ):
                with pytest.raises(Unavailable, match="The database can't be used now"):
                    await attempt()
            server.start()
            await asyncio.gather(*[node.journal.append(item(user, 2)) for _ in range(8)])
            assert (await node.journal.head(user)).seq == 2


async def test_who_is_held_up_for_too_long_is_told_to_come_again(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stops in the middle of an append keeps the others from those users' journals for some seconds."""
    monkeypatch.setitem(postgres_module._SETTINGS, "lock_timeout", "50ms")
    async with postgres.database() as url, nodes(url, 2) as (node, other):
        user, free = await add_users(node, 2)
        held, go = asyncio.Event(), asyncio.Event()

        def stop(connection: Connection) -> None:
            connection.execute(text(f"SELECT 1 FROM journals WHERE user_id = {user} FOR UPDATE"))
            held.set()
            await_only(go.wait())

        stopping = asyncio.create_task(node.writer.run_unit(stop, isolated=False))
        await held.wait()
        try:
            results = await asyncio.gather(
                other.journal.append(item(user, 1)),
                other.journal.append(item(free, 1)),
                return_exceptions=True,
            )
        finally:
            go.set()
            await stopping
        assert isinstance(results[0], Unavailable)
        await other.journal.append(item(user, 1))
        assert [(await other.journal.head(one)).seq for one in (user, free)] in ([1, 1], [1, 0])


async def test_a_node_that_hangs_in_the_middle_holds_up_others_for_less_than_a_platform_waits(
    postgres: PostgresServer,
) -> None:
    """As one whose process is stopped, or whose machine is gone from the network."""
    async with postgres.database() as url, nodes(url, 2) as (node, other):
        (user,) = await add_users(node, 1)
        held, go = asyncio.Event(), asyncio.Event()
        runs = 0

        def hang(connection: Connection) -> None:
            nonlocal runs
            runs += 1
            connection.execute(text(f"SELECT 1 FROM journals WHERE user_id = {user} FOR UPDATE"))
            increase(connection, "n")
            held.set()
            await_only(go.wait())

        hanging = asyncio.create_task(node.writer.run_unit(hang, isolated=False))
        await held.wait()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await other.journal.append(item(user, 1))
            assert loop.time() - began < 10
            assert (await other.journal.head(user)).seq == 1
        finally:
            go.set()
        await hanging  # it comes to, and does once more what was taken back
        assert (runs, await other.database.read(partial(counted, key="n"))) == (2, 1)


async def test_a_transaction_that_is_cut_off_is_not_half_done(postgres: PostgresServer) -> None:
    async with postgres.database() as url, nodes(url, 2) as (node, other):
        (user,) = await add_users(node, 1)

        def be_cut_off(connection: Connection) -> None:
            connection.execute(text("DELETE FROM journals"))
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(Unavailable):
            await node.writer.run_unit(be_cut_off)
        assert (await other.journal.head(user)).seq == 0
        await node.journal.append(item(user, 1))


async def test_who_leaves_in_the_middle_takes_no_connection_with_them(postgres: PostgresServer) -> None:
    async with postgres.database() as url:
        database: Database = PostgresDatabase(url, synchronous="OFF")
        try:
            for turns in range(40):
                reading = asyncio.create_task(
                    database.read(lambda connection: connection.execute(text("SELECT pg_sleep(0.001)")).all())
                )
                for _ in range(turns % 10):
                    await asyncio.sleep(0)
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
            async with asyncio.timeout(20):
                found = await asyncio.gather(*[database.read(partial(_count, events)) for _ in range(10)])
            assert found == [0] * 10
        finally:
            await database.close()
