from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, select, update

from stores import Store, opened
from tidings.append import request_job
from tidings.contracts import JobRequest
from tidings.errors import Unavailable
from tidings.metrics import Metrics
from tidings.scheduler import Job, Scheduler
from tidings.schema import jobs, to_stored


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = store.clock
        self.ran: list[str] = []
        self.scheduler = self.another()

    def another(self) -> Scheduler:
        log = structlog.wrap_logger(None, processors=[_drop])
        return Scheduler(self.store.database, self.store.writer, self.clock, log, Metrics())

    async def ask(self, kind: str, key: str, *, payload: dict[str, Any] | None = None) -> None:
        now = to_stored(self.clock.now())
        job = JobRequest(kind, key, payload or {})
        await self.store.write(lambda connection: request_job(connection, 1, job, now))
        self.scheduler.wake()

    async def rows(self) -> list[Any]:
        return list(await self.store.read(lambda c: c.execute(select(jobs).order_by(jobs.c.key)).all()))

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and the writer's thread do what falls due meanwhile."""
        for _ in range(20):
            await self.clock.advance(seconds / 20)
            await self.store.write(lambda _connection: None)
            await self.clock.advance(0)

    @asynccontextmanager
    async def running(self, scheduler: Scheduler | None = None) -> AsyncIterator[None]:
        task = asyncio.create_task((scheduler or self.scheduler).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as store:
        yield Scene(store)


async def test_a_due_job_runs_once_and_is_gone(scene: Scene) -> None:
    async def handler(job: Job) -> None:
        scene.ran.append(f"{job.kind}/{job.key}/{job.payload['n']}")

    scene.scheduler.handle("sync", handler)
    async with scene.running():
        await scene.ask("sync", "a", payload={"n": 1})
        await scene.pass_seconds(20)
    assert scene.ran == ["sync/a/1"]
    assert await scene.rows() == []


async def test_a_job_that_says_when_runs_again_then(scene: Scene) -> None:
    async def handler(_job: Job) -> float:
        scene.ran.append(f"{scene.clock.monotonic():.0f}")
        return 100

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(90)
        assert len(scene.ran) == 1
        await scene.pass_seconds(30)
        assert len(scene.ran) == 2


async def test_a_job_that_fails_is_tried_again_ever_more_slowly(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)  # the longest that jitter allows

    async def handler(job: Job) -> None:
        scene.ran.append(str(job.attempts))
        raise RuntimeError("not today")

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        (row,) = await scene.rows()
        assert row.attempts == 1
        assert row.last_error == "RuntimeError: not today"
        assert row.due_at - to_stored(scene.clock.now()) <= 2_000_000
        assert (row.lease, row.lease_until) == (None, None)
        for _ in range(8):
            await scene.pass_seconds(100)
    waits = [2 * 2**attempt for attempt in range(len(scene.ran))]
    assert scene.ran == [str(attempt) for attempt in range(len(waits))]
    assert 6 <= len(scene.ran) <= 9


async def test_a_failure_is_forgotten_after_a_good_run(scene: Scene) -> None:
    async def handler(job: Job) -> float:
        if job.attempts == 0 and not scene.ran:
            scene.ran.append("failed")
            raise RuntimeError("once")
        scene.ran.append("done")
        return 1000

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(30)
    (row,) = await scene.rows()
    assert scene.ran == ["failed", "done"]
    assert (row.attempts, row.last_error) == (0, None)


async def test_one_that_fails_stops_no_other(scene: Scene) -> None:
    async def handler(job: Job) -> None:
        if job.key == "b":
            raise RuntimeError("b")
        scene.ran.append(job.key)

    scene.scheduler.handle("sync", handler)
    for key in "abc":
        await scene.ask("sync", key)
    async with scene.running():
        await scene.pass_seconds(1)
    assert sorted(scene.ran) == ["a", "c"]


async def test_what_is_wanted_while_it_runs_runs_once_more(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(_job: Job) -> None:
        scene.ran.append("run")
        if len(scene.ran) == 1:
            await gate.wait()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        assert scene.ran == ["run"]
        for _ in range(3):
            await scene.ask("sync", "a")
        gate.set()
        await scene.pass_seconds(10)
    assert scene.ran == ["run", "run"]
    assert await scene.rows() == []


async def test_a_long_run_keeps_its_lease(scene: Scene) -> None:
    gate = asyncio.Event()

    async def slow(job: Job) -> None:
        scene.ran.append(job.lease)
        await gate.wait()

    other = scene.another()
    for scheduler in (scene.scheduler, other):
        scheduler.handle("sync", slow)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        async with scene.running(other):
            await scene.pass_seconds(300)
            assert len(scene.ran) == 1
            gate.set()
            await scene.pass_seconds(10)
    assert len(scene.ran) == 1
    assert await scene.rows() == []


async def test_a_dead_owners_lease_lapses_and_another_takes_over(scene: Scene) -> None:
    async def never(job: Job) -> None:
        scene.ran.append(job.lease)
        await asyncio.Event().wait()

    async def quick(job: Job) -> None:
        scene.ran.append(job.lease)

    scene.scheduler.handle("sync", never)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
    other = scene.another()
    other.handle("sync", quick)
    async with scene.running(other):
        await scene.pass_seconds(50)
        assert len(scene.ran) == 1
        await scene.pass_seconds(20)
    assert len(set(scene.ran)) == 2
    assert await scene.rows() == []


async def test_who_lost_the_lease_ends_nothing(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(_job: Job) -> None:
        await gate.wait()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.store.write(lambda connection: connection.execute(update(jobs).values(lease="another's")))
        gate.set()
        await scene.pass_seconds(1)
        (row,) = await scene.rows()
    assert row.lease == "another's"


async def test_kinds_without_a_handler_wait(scene: Scene) -> None:
    async def handler(job: Job) -> None:
        scene.ran.append(job.kind)

    scene.scheduler.handle("sync", handler)
    await scene.ask("unknown", "a")
    await scene.ask("sync", "b")
    async with scene.running():
        await scene.pass_seconds(20)
    assert scene.ran == ["sync"]
    assert [row.kind for row in await scene.rows()] == ["unknown"]


async def test_a_database_that_is_away_for_a_while_stops_nothing_for_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(job: Job) -> None:
        scene.ran.append(job.key)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    whole = Scheduler._claim
    failures = iter([True, True])

    def claim(self: Scheduler, most: int, connection: Connection) -> Any:
        if next(failures, False):
            raise Unavailable("away")
        return whole(self, most, connection)

    monkeypatch.setattr(Scheduler, "_claim", claim)
    async with scene.running():
        await scene.pass_seconds(1)
        assert scene.ran == []
        await scene.pass_seconds(30)
    assert scene.ran == ["a"]


async def test_a_slow_job_holds_up_no_other(scene: Scene) -> None:
    gate = asyncio.Event()

    async def slow(_job: Job) -> None:
        await gate.wait()

    async def quick(job: Job) -> None:
        scene.ran.append(job.key)

    scene.scheduler.handle("slow", slow)
    scene.scheduler.handle("quick", quick)
    await scene.ask("slow", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.ask("quick", "b")
        await scene.pass_seconds(10)
        assert scene.ran == ["b"]
        gate.set()
        await scene.pass_seconds(1)
    assert await scene.rows() == []


async def test_a_stop_gives_the_leases_back_so_that_the_next_start_goes_on_at_once(scene: Scene) -> None:
    async def endless(_job: Job) -> None:
        scene.ran.append("begun")
        await asyncio.Event().wait()

    scene.scheduler.handle("sync", endless)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        assert (await scene.rows())[0].lease is not None
        await scene.scheduler.stop()
        (row,) = await scene.rows()
        assert (row.lease, row.lease_until, row.attempts) == (None, None, 0)
        await scene.pass_seconds(30)
    assert scene.ran == ["begun"]
