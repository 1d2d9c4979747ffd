from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from stores import Store, opened
from tidings.contracts import Checkpoint, DeliveryKey, Item, JobLease, JobRequest
from tidings.event import Event
from tidings.jobs import NEVER, Job, LeaseLost, drop_jobs, listen, request_job, request_jobs, reschedule
from tidings.journal import SqlJournal
from tidings.leases import Ending, Room, claim, end, extend, release, spread
from tidings.schema import jobs, to_stored

pytestmark = pytest.mark.usefixtures("every_database")

SECOND = 1_000_000
EVERYTHING = Room(1000, {"sync": 1000, "refresh": 1000}, {}, 1000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


def ask(connection: Connection, key: str = "a", *, at: int = 0, kind: str = "sync", **options: Any) -> None:
    request_job(connection, 1, JobRequest(kind, key, **options), at)


def row(connection: Connection, key: str = "a") -> Any:
    return connection.execute(select(jobs).where(jobs.c.key == key)).one_or_none()


def begin(connection: Connection, now: int, room: Room = EVERYTHING) -> list[Job]:
    return list(claim(connection, room, f"token{now}", now, 60.0).jobs)


def finish(connection: Connection, job: Job, now: int, again: float | None, error: str = "") -> bool:
    return end(connection, [Ending(job.user_id, job.kind, job.key, job.lease, again, error)], now)[0]


async def test_a_request_for_later_neither_counts_nor_pushes_back(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection, at=0, in_seconds=10)
        assert (row(connection).wanted, row(connection).due_at) == (0, 10 * SECOND)
        ask(connection, at=0, in_seconds=30)
        assert row(connection).due_at == 10 * SECOND
        ask(connection, at=5, payload={"late": True})
        assert (row(connection).wanted, row(connection).due_at, row(connection).payload) == (1, 5, "{}")

    await store.write(work)


async def test_requests_for_one_job_in_one_batch_are_one_job(store: Store) -> None:
    def work(connection: Connection) -> None:
        many = [(1, JobRequest("sync", "a", in_seconds=seconds)) for seconds in (7, 0, 0, 3)]
        request_jobs(connection, [*many, (2, JobRequest("sync", "a"))], 100)
        found = connection.execute(select(jobs.c.user_id, jobs.c.wanted, jobs.c.due_at).order_by("user_id"))
        assert [tuple(one) for one in found] == [(1, 2, 100), (2, 1, 100)]

    await store.write(work)


async def test_who_listens_is_told_of_the_earliest(store: Store) -> None:
    class Ear:
        def __init__(self) -> None:
            self.heard: list[int] = []

        def due(self, at: int) -> None:
            self.heard.append(at)

    ear, gone = Ear(), Ear()

    def work(connection: Connection) -> None:
        listen(connection, ear)
        listen(connection, gone)
        request_jobs(connection, [(1, JobRequest("sync", "a", in_seconds=n)) for n in (2, 1)], 0)
        ask(connection, at=0)
        reschedule(connection, 1, "sync", "a", 70)
        (job,) = begin(connection, SECOND)
        finish(connection, job, SECOND, 5)

    await store.write(work)
    assert ear.heard == [SECOND, 0, 70, 6 * SECOND]


async def test_rescheduling_moves_a_job_either_way_but_not_one_that_is_wanted_now(store: Store) -> None:
    def work(connection: Connection) -> None:
        assert not reschedule(connection, 1, "sync", "a", 5)
        ask(connection, in_seconds=10)
        for due_at in (50, 20):
            assert reschedule(connection, 1, "sync", "a", due_at)
            assert row(connection).due_at == due_at
        ask(connection, at=10)
        reschedule(connection, 1, "sync", "a", 9000)
        assert row(connection).due_at == 10
        (job,) = begin(connection, 15)
        finish(connection, job, 15, 1)
        reschedule(connection, 1, "sync", "a", 9000)  # the request is answered
        assert row(connection).due_at == 9000

    await store.write(work)


async def test_rescheduling_a_job_that_runs_counts_unless_the_run_says_sooner(store: Store) -> None:
    def work(connection: Connection) -> None:
        for again, due_at in ((100, 20 * SECOND), (10, 10 * SECOND), (None, 20 * SECOND)):
            ask(connection)
            (job,) = begin(connection, 0)
            assert row(connection).due_at == NEVER
            reschedule(connection, 1, "sync", "a", 20 * SECOND)
            assert finish(connection, job, 0, again)
            assert row(connection).due_at == due_at
            drop_jobs(connection, 1, "a", ["sync"])

    await store.write(work)


async def test_a_request_at_once_during_a_run_outlives_a_later_reschedule(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection)
        (job,) = begin(connection, 0)
        ask(connection, at=3)
        reschedule(connection, 1, "sync", "a", 500 * SECOND)
        assert finish(connection, job, 7, 100)
        assert row(connection).due_at <= 7

    await store.write(work)


async def test_a_failed_run_waits_for_its_retry_whoever_asked_meanwhile(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection)
        (job,) = begin(connection, 0)
        ask(connection, at=3)
        assert finish(connection, job, 7, 100, "busy")
        assert (row(connection).due_at, row(connection).attempts) == (7 + 100 * SECOND, 1)

    await store.write(work)


async def test_dropping_takes_only_the_kinds_named_and_the_lease_with_them(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection)
        ask(connection, "a", kind="refresh")
        ask(connection, "b")
        claimed = begin(connection, 0)
        drop_jobs(connection, 1, "a", ["sync", "hooks"])
        left = {(job.kind, job.key) for job in claimed if finish(connection, job, 0, 5)}
        assert left == {("refresh", "a"), ("sync", "b")}

    await store.write(work)


async def test_a_lease_lapses_and_its_owner_can_neither_extend_nor_end_it(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection)
        (first,) = begin(connection, 0)
        assert begin(connection, 60 * SECOND) == []
        assert extend(connection, [first], 100 * SECOND) == {first.lease}
        assert begin(connection, 100 * SECOND) == []
        (second,) = begin(connection, 100 * SECOND + 1)
        assert second.attempts == 1
        assert "did not end" in second.last_error
        assert extend(connection, [first, second], 200 * SECOND) == {second.lease}
        assert not finish(connection, first, 101 * SECOND, None)
        assert finish(connection, second, 101 * SECOND, None)
        assert row(connection) is None

    await store.write(work)


async def test_what_is_given_back_is_due_at_once_and_has_not_failed(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection)
        (job,) = begin(connection, 0)
        release(connection, [job], 9)
        assert (row(connection).due_at, row(connection).attempts, row(connection).lease) == (9, 0, None)
        reschedule(connection, 1, "sync", "a", 9000)  # what it was wanted for is not answered
        assert row(connection).due_at == 9

    await store.write(work)


async def test_ends_of_many_are_told_apart_by_their_leases(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number in range(70):
            ask(connection, f"k{number:02}")
        claimed = begin(connection, 0)
        endings = [
            Ending(job.user_id, job.kind, job.key, job.lease if place % 7 else "stolen", place % 3 or None)
            for place, job in enumerate(claimed)
        ]
        ours = end(connection, endings, 0)
        assert list(ours) == [place % 7 != 0 for place in range(70)]
        left = connection.execute(select(jobs.c.key, jobs.c.due_at).where(jobs.c.lease.is_(None))).all()
        wanted = {
            one.key: (one.again_seconds or 0) * SECOND
            for one, is_ours in zip(endings, ours, strict=True)
            if is_ours and one.again_seconds
        }
        assert dict(map(tuple, left)) == wanted
        held = connection.execute(select(jobs.c.key).where(jobs.c.lease.is_not(None))).scalars().all()
        assert len(held) == 10

    await store.write(work)


async def test_a_claim_says_when_to_look_again_and_whether_more_waits(store: Store) -> None:
    def work(connection: Connection) -> None:
        ask(connection, "now")
        ask(connection, "soon", in_seconds=5)
        ask(connection, "unknown", kind="unknown")
        first = claim(connection, EVERYTHING, "t", 0, 60.0)
        assert ([job.key for job in first.jobs], first.is_more, first.next_at) == (["now"], False, 5 * SECOND)
        tight = Room(1, {"sync": 0, "refresh": 1}, {}, 10)
        second = claim(connection, tight, "u", 10 * SECOND, 60.0)
        assert (second.jobs, second.is_more, second.next_at) == ([], True, 60 * SECOND + 1)

    await store.write(work)


async def test_a_crowd_of_one_platform_does_not_hide_the_others(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number in range(50):
            ask(connection, f"g{number}", platform="github")
            ask(connection, f"s{number}", kind="refresh", platform="slack", account="one")
        ask(connection, "last", at=1, platform="spotify")
        room = Room(10, {"sync": 100, "refresh": 100}, {"github": 2}, 4)
        claimed = begin(connection, 5, room)
        assert sorted(job.platform for job in claimed) == ["github", "github", "slack", "spotify"]

    await store.write(work)


async def test_spreading_keeps_a_steady_pace_within_the_longest_time(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number in range(10):
            ask(connection, f"k{number}", at=number)
        ask(connection, "fresh", at=1000 * SECOND)
        limits = {"late_seconds": 300.0, "longest_seconds": 1.0}
        now = 1000 * SECOND
        assert spread(connection, ["sync"], [], now, each_seconds=0.05, **limits) == 10
        due = [row(connection, f"k{number}").due_at - now for number in range(10)]
        assert due == [number * 50_000 for number in range(10)]
        now = 2000 * SECOND
        assert spread(connection, ["sync"], [], now, each_seconds=10.0, **limits) == 11
        latest = max(connection.execute(select(jobs.c.due_at)).scalars())
        assert latest - now == pytest.approx(10 / 11 * SECOND, abs=20)
        assert spread(connection, ["sync"], [], now, each_seconds=10.0, **limits) == 0

    await store.write(work)


@pytest.mark.usefixtures("sqlite_alone")
async def test_claims_and_ends_find_their_rows_by_an_index(store: Store) -> None:
    statements: list[str] = []

    def work(connection: Connection) -> list[str]:
        for number in range(20):
            ask(connection, f"k{number}", account=f"a{number}")
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(statements.append)
        for job in begin(connection, 0):
            finish(connection, job, 0, None)
        driver.set_trace_callback(None)
        return [
            str(line[3])
            for statement in statements
            for line in driver.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]

    plan = await store.write(work)
    assert len(statements) > 5
    assert [line for line in plan if line in {"SCAN jobs", "SCAN held"}] == []
    assert [line for line in plan if "TEMP B-TREE" in line] == []


def happened(number: int) -> Event:
    return Event(id=f"x:{number}", type="com.x", source="//x", platform="x", data={})


async def test_an_item_is_stored_only_under_the_lease_it_names_and_nothing_after_the_end(
    store: Store,
) -> None:
    user = (await store.add_user("alice")).id
    journal = SqlJournal(store.database, store.writer, store.clock)
    now = to_stored(store.clock.now())
    await store.write(lambda connection: ask(connection, at=now))
    (job,) = await store.write(lambda connection: begin(connection, now))

    def item(number: int, **options: Any) -> Item:
        return Item(user, [happened(number)], via="polling", **options)

    foreign = JobLease("sync", "a", "another's")
    results = await asyncio.gather(
        *[
            journal.enqueue(one)
            for one in (
                item(1, lease=job.held),
                item(2, lease=foreign, checkpoint=Checkpoint("a", {}), jobs=[JobRequest("hooks", "a")]),
                item(3, job_end=job.end(60)),
                item(4, lease=job.held),
                item(5),
            )
        ],
        return_exceptions=True,
    )
    assert [isinstance(one, LeaseLost) for one in results] == [False, True, False, True, False]
    page = await journal.last(user, 10)
    assert [entry.id for entry in page.entries] == ["x:1", "x:3", "x:5"]
    rows = await store.read(lambda connection: connection.execute(select(jobs)).all())
    assert [(one.kind, one.lease, one.due_at) for one in rows] == [("sync", None, now + 60 * SECOND)]


async def test_a_run_ends_also_with_a_delivery_that_was_known_before(store: Store) -> None:
    user = (await store.add_user("alice")).id
    journal = SqlJournal(store.database, store.writer, store.clock)
    now = to_stored(store.clock.now())
    await store.write(lambda connection: ask(connection, at=now))
    (job,) = await store.write(lambda connection: begin(connection, now))
    known = Item(user, [happened(1)], via="recovery", delivery=DeliveryKey("r", "d"))
    await journal.append(known)
    (again,) = await journal.append(msgspec.structs.replace(known, job_end=job.end(None)))
    assert again.repeated
    assert await store.read(row) is None
