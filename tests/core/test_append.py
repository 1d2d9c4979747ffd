from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from stores import Store, opened
from tidings.contracts import Checkpoint, DeliveryKey, Item, JobRequest
from tidings.event import Event, UserId
from tidings.jobs import request_job
from tidings.journal import SqlJournal
from tidings.schema import checkpoints, deliveries, jobs, to_stored

pytestmark = pytest.mark.usefixtures("every_database")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        await store.add_user("alice")
        await store.add_user("bob")
        yield store


ALICE, BOB = UserId(1), UserId(2)


def event(number: int) -> Event:
    return Event(id=f"x:{number}", type="com.x", source="//x", platform="x", data={})


def journal(store: Store) -> SqlJournal:
    return SqlJournal(store.database, store.writer, store.clock)


def _checkpoints(connection: Connection) -> dict[str, object]:
    rows = connection.execute(select(checkpoints.c.connection_id, checkpoints.c.value))
    return {row.connection_id: json.loads(row.value) for row in rows}


def _jobs(connection: Connection) -> list[tuple[int, str, str, int, int]]:
    columns = (jobs.c.user_id, jobs.c.kind, jobs.c.key, jobs.c.wanted, jobs.c.due_at)
    return [tuple(row) for row in connection.execute(select(*columns).order_by(jobs.c.key))]


async def test_events_checkpoint_and_jobs_are_committed_together(store: Store) -> None:
    item = Item(
        ALICE,
        [event(1)],
        via="polling",
        checkpoint=Checkpoint("c1", {"history": 7}),
        jobs=[JobRequest("sync", "c1", {"why": "hint"})],
    )
    await journal(store).append(item)
    assert await store.read(_checkpoints) == {"c1": {"history": 7}}
    assert await store.read(_jobs) == [(1, "sync", "c1", 1, to_stored(store.clock.now()))]


@pytest.mark.parametrize("table", ["events", "checkpoints", "jobs", "deliveries"])
async def test_if_any_part_can_not_be_stored_no_part_is(store: Store, table: str) -> None:
    await store.refuse(table, "user_id = 1")

    def item(user: UserId) -> Item:
        return Item(
            user,
            [event(1)],
            via="polling",
            checkpoint=Checkpoint(f"c{user}", {}),
            jobs=[JobRequest("sync", f"c{user}")],
            delivery=DeliveryKey("r", "d"),
        )

    results = await asyncio.gather(
        journal(store).append(item(ALICE)), journal(store).append(item(BOB)), return_exceptions=True
    )
    assert isinstance(results[0], Exception)
    assert not isinstance(results[1], BaseException)
    assert [(await journal(store).head(user)).seq for user in (ALICE, BOB)] == [0, 1]
    assert await store.read(_checkpoints) == {"c2": {}}
    assert [key for _, _, key, _, _ in await store.read(_jobs)] == ["c2"]
    taken = await store.read(
        lambda connection: connection.execute(select(deliveries.c.user_id)).scalars().all()
    )
    assert taken == [2]


async def test_a_repeated_delivery_changes_nothing_at_all(store: Store) -> None:
    def item(number: int) -> Item:
        return Item(
            ALICE,
            [event(number)],
            via="webhook",
            delivery=DeliveryKey("r", "d"),
            checkpoint=Checkpoint("c", {"n": number}),
            jobs=[JobRequest("sync", "c")],
        )

    results = await journal(store).append(item(1), item(2), item(3))
    assert [(one.fresh, one.repeated) for one in results] == [(1, False), (0, True), (0, True)]
    (later,) = await journal(store).append(item(4))
    assert (later.fresh, later.repeated) == (0, True)
    assert await store.read(_checkpoints) == {"c": {"n": 1}}
    assert [wanted for *_, wanted, _ in await store.read(_jobs)] == [1]


async def test_a_delivery_is_known_by_registration_and_user(store: Store) -> None:
    keys = [(ALICE, "r1"), (ALICE, "r2"), (BOB, "r1")]
    results = await journal(store).append(
        *[
            Item(user, [event(number)], via="webhook", delivery=DeliveryKey(registration, "d"))
            for number, (user, registration) in enumerate(keys)
        ]
    )
    assert [one.fresh for one in results] == [1, 1, 1]


async def test_the_last_checkpoint_of_a_batch_counts(store: Store) -> None:
    await journal(store).append(
        *[Item(ALICE, [], via="polling", checkpoint=Checkpoint("c", {"n": number})) for number in range(5)]
    )
    assert await store.read(_checkpoints) == {"c": {"n": 4}}


async def test_asking_for_a_job_again_wants_it_once_more_and_sooner(store: Store) -> None:
    await store.write(lambda connection: request_job(connection, 1, JobRequest("sync", "c", {"a": 1}), 500))
    await store.write(lambda connection: request_job(connection, 1, JobRequest("sync", "c", {"a": 2}), 200))
    assert await store.read(_jobs) == [(1, "sync", "c", 2, 200)]
    payload = await store.read(lambda connection: connection.execute(select(jobs.c.payload)).scalar_one())
    assert json.loads(payload) == {"a": 1}
