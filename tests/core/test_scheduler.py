from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, event, select, update

from stores import Store, opened
from tidings.contracts import Checkpoint, Item, JobRequest
from tidings.engines import open_database
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event, UserId
from tidings.jobs import Ended, Job, LeaseLost, drop_jobs, request_job
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.scheduler import Scheduler
from tidings.schema import checkpoints, from_stored, jobs, to_stored

pytestmark = pytest.mark.usefixtures("every_database")


class Longest(Random):
    """Jitter that is always the longest."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = store.clock
        self.ran: list[str] = []
        self.metrics = Metrics()
        self.lines: list[dict[str, Any]] = []
        self.journal = SqlJournal(store.database, store.writer, store.clock)
        self.scheduler = self.another()

    def another(self, **options: Any) -> Scheduler:
        log = structlog.wrap_logger(None, processors=[self.note])
        return Scheduler(
            self.journal, self.store.writer, self.clock, log, self.metrics, random=Longest(), **options
        )

    def note(self, _logger: object, level: str, line: Any) -> Any:
        self.lines.append({"level": level, **line})
        raise structlog.DropEvent

    async def ask(
        self,
        kind: str,
        key: str,
        *,
        payload: dict[str, Any] | None = None,
        user: int = 1,
        in_seconds: float = 0,
        **limits: str,
    ) -> None:
        now = to_stored(self.clock.now())
        job = JobRequest(kind, key, payload or {}, in_seconds, **limits)
        await self.store.write(lambda connection: request_job(connection, user, job, now))

    async def rows(self) -> list[Any]:
        return list(await self.store.read(lambda c: c.execute(select(jobs).order_by(jobs.c.key)).all()))

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and the writer's thread do what falls due meanwhile."""
        for _ in range(20):
            await self.clock.advance(seconds / 20)
            with suppress(Unavailable):  # of a claim in the same transaction, where a test lets it fail
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

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What is executed meanwhile, but for what the driver is given directly."""
        seen: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
            seen.append(statement)

        writer = self.store.database._writer
        engine = getattr(writer, "sync_engine", writer)
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as store:
        await store.add_user("alice")
        yield Scene(store)


def happened(number: int) -> Event:
    return Event(id=f"x:{number}", type="com.x", source="//x", platform="x", data={})


async def test_a_due_job_runs_once_and_is_gone(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(f"{job.kind}/{job.key}/{job.payload['n']}")
        return Ended()

    scene.scheduler.handle("sync", handler)
    async with scene.running():
        await scene.ask("sync", "a", payload={"n": 1})
        await scene.pass_seconds(20)
    assert scene.ran == ["sync/a/1"]
    assert await scene.rows() == []


async def test_a_job_that_says_when_runs_again_then(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        scene.ran.append(f"{scene.clock.monotonic():.0f}")
        return Ended(100)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(90)
        assert len(scene.ran) == 1
        await scene.pass_seconds(30)
        assert len(scene.ran) == 2


async def test_a_job_that_fails_is_tried_again_ever_more_slowly(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
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
    async def handler(job: Job) -> Ended:
        if job.attempts == 0 and not scene.ran:
            scene.ran.append("failed")
            raise RuntimeError("once")
        scene.ran.append("done")
        return Ended(1000)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(30)
    (row,) = await scene.rows()
    assert scene.ran == ["failed", "done"]
    assert (row.attempts, row.last_error) == (0, None)


async def test_one_that_fails_stops_no_other(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        if job.key == "b":
            raise RuntimeError("b")
        scene.ran.append(job.key)
        return Ended()

    scene.scheduler.handle("sync", handler)
    for key in "abc":
        await scene.ask("sync", key)
    async with scene.running():
        await scene.pass_seconds(1)
    assert sorted(scene.ran) == ["a", "c"]


async def test_what_is_wanted_while_it_runs_runs_once_more(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(_job: Job) -> Ended:
        scene.ran.append("run")
        if len(scene.ran) == 1:
            await gate.wait()
        return Ended()

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

    async def slow(job: Job) -> Ended:
        scene.ran.append(job.lease)
        await gate.wait()
        return Ended()

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
    async def never(job: Job) -> Ended:
        scene.ran.append(job.lease)
        await asyncio.Event().wait()
        raise AssertionError

    async def quick(job: Job) -> Ended:
        scene.ran.append(job.lease)
        return Ended()

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

    async def handler(_job: Job) -> Ended:
        await gate.wait()
        return Ended()

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
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.kind)
        return Ended()

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
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        return Ended()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    whole = Scheduler._claim
    failures = iter([True, True])

    def claim(self: Scheduler, room: Any, connection: Connection) -> Any:
        if next(failures, False):
            raise Unavailable("away")
        return whole(self, room, connection)

    monkeypatch.setattr(Scheduler, "_claim", claim)
    async with scene.running():
        await scene.pass_seconds(1)
        assert scene.ran == []
        await scene.pass_seconds(30)
    assert scene.ran == ["a"]


async def test_a_slow_job_holds_up_no_other(scene: Scene) -> None:
    gate = asyncio.Event()

    async def slow(_job: Job) -> Ended:
        await gate.wait()
        return Ended()

    async def quick(job: Job) -> Ended:
        scene.ran.append(job.key)
        return Ended()

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
    async def endless(_job: Job) -> Ended:
        scene.ran.append("begun")
        await asyncio.Event().wait()
        raise AssertionError

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


async def test_what_a_platform_asks_for_is_waited_for(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        scene.ran.append(f"{scene.clock.monotonic():.0f}")
        raise Unavailable("busy", retry_after_seconds=40)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
        (row,) = await scene.rows()
        assert row.due_at - to_stored(scene.clock.now()) == 44_000_000  # a tenth of jitter on top, never less
        await scene.clock.advance(43)
        await scene.scheduler.idle()
        assert len(scene.ran) == 1
        await scene.clock.advance(2)
        await scene.scheduler.idle()
        assert len(scene.ran) == 2


async def test_a_dead_token_lets_the_job_rest_but_not_a_request_that_came_meanwhile(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        await gate.wait()
        if len(scene.ran) <= 2:
            raise AuthExpired("revoked")
        return Ended()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "healed")
    await scene.ask("sync", "dead")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.ask("sync", "healed")
        gate.set()
        await scene.pass_seconds(1)
        await scene.scheduler.idle()
    assert sorted(scene.ran) == ["dead", "healed", "healed"]
    assert await scene.rows() == []


async def test_what_is_refused_is_tried_again_much_later_and_says_why(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        raise Rejected("This account may not.", status=403)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
    (row,) = await scene.rows()
    assert row.due_at - to_stored(scene.clock.now()) >= 3600e6
    assert (row.last_error, row.attempts) == ("This account may not.", 1)


def _checkpoints(connection: Connection) -> list[str]:
    return list(connection.execute(select(checkpoints.c.value)).scalars())


async def test_what_a_run_brought_is_committed_with_its_end(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        more = JobRequest("hooks", job.key, in_seconds=5)
        last = Item(
            job.user_id, [happened(1)], via="polling", checkpoint=Checkpoint("a", {"n": 1}), jobs=[more]
        )
        return Ended(100, [Item(job.user_id, [happened(2)], via="polling"), last])

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
    rows = {row.kind: row for row in await scene.rows()}
    now = to_stored(scene.clock.now())
    assert {kind: row.due_at - now for kind, row in rows.items()} == {"sync": 100_000_000, "hooks": 5_000_000}
    assert rows["sync"].lease is None
    assert await scene.store.read(_checkpoints) == ['{"n":1}']
    assert (await scene.journal.head(UserId(1))).seq == 2


async def test_a_handler_can_commit_the_end_itself(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        await scene.journal.append(
            Item(job.user_id, [happened(1)], via="polling", lease=job.held, job_end=job.end(50))
        )
        return Ended.committed()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
        assert scene.scheduler.next_due() == (await scene.store.read(_first_due))
        await scene.clock.advance(50)
        await scene.scheduler.idle()
    assert scene.ran == ["a", "a"]


def _first_due(connection: Connection) -> Any:
    return from_stored(connection.execute(select(jobs.c.due_at)).scalar_one())


async def test_nothing_is_committed_under_a_lost_lease(scene: Scene) -> None:
    gate = asyncio.Event()
    raised: list[Exception] = []

    async def handler(job: Job) -> Ended:
        await gate.wait()
        page = Item(
            job.user_id, [happened(1)], via="polling", checkpoint=Checkpoint("a", {"n": 1}), lease=job.held
        )
        try:
            await scene.journal.append(page)
        except LeaseLost as lost:
            raised.append(lost)
        return Ended(10, [Item(job.user_id, [happened(2)], via="polling")])

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.store.write(lambda connection: connection.execute(update(jobs).values(lease="another's")))
        gate.set()
        await scene.pass_seconds(1)
    assert len(raised) == 1
    assert (await scene.journal.head(UserId(1))).seq == 0
    assert await scene.store.read(_checkpoints) == []
    assert (await scene.rows())[0].lease == "another's"
    assert scene.lines[-1]["outcome"] == "lost"


async def test_an_item_that_cannot_be_stored_is_the_runs_failure(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        return Ended(10, [Item(UserId(77), [happened(1)], via="polling")])

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
    (row,) = await scene.rows()
    assert row.attempts == 1
    assert "no user with id 77" in row.last_error


async def test_many_due_jobs_are_claimed_and_ended_with_a_few_statements(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        return Ended(1000)

    scene.scheduler.handle("sync", handler)
    async with scene.running():
        await scene.scheduler.idle()
        now = to_stored(scene.clock.now())
        wanted = [JobRequest("sync", f"c{number:02}") for number in range(64)]

        def ask(connection: Connection) -> None:
            for job in wanted:
                request_job(connection, 1, job, now)

        with scene.statements() as statements:
            await scene.store.write(ask)
            await scene.scheduler.idle()
        assert len([one for one in statements if not one.startswith("INSERT")]) <= 20
    assert {row.due_at for row in await scene.rows()} == {now + 1_000_000_000}


async def test_limits_of_kind_platform_and_account_hold_and_hold_up_no_other(scene: Scene) -> None:
    gate = asyncio.Event()
    now: dict[str, int] = {}
    most: dict[str, int] = {}

    async def handler(job: Job) -> Ended:
        names = [job.kind, *filter(None, (job.platform, job.account))]
        for name in names:
            now[name] = now.get(name, 0) + 1
            most[name] = max(most.get(name, 0), now[name])
        scene.ran.append(f"{job.kind}/{job.key}")
        await gate.wait()
        for name in names:
            now[name] -= 1
        return Ended()

    scheduler = scene.another(at_once=12, per_platform=3)
    scheduler.handle("sync", handler)
    scheduler.handle("hooks", handler)
    scheduler.handle("rare", handler, at_once=2)
    for number in range(20):
        await scene.ask("sync", f"g{number:02}", platform="github")
    for number in range(4):
        await scene.ask("rare", f"r{number}")
    for kind in ("sync", "hooks"):
        await scene.ask(kind, "one", platform="spotify", account="one")
    await scene.ask("sync", "two", platform="spotify", account="two")
    async with scene.running(scheduler):
        await scene.pass_seconds(1)
        assert len(scene.ran) == 3 + 2 + 2
        assert now == {"sync": 5, "github": 3, "rare": 2, "spotify": 2, "one": 1, "two": 1} | (
            {"hooks": 0} if "hooks" in now else {}
        )
        gate.set()
        await scene.pass_seconds(5)
        await scheduler.idle()
    assert len(scene.ran) == len(set(scene.ran)) == 27
    assert (most["github"], most["rare"], most["one"], most["spotify"]) == (3, 2, 1, 2)
    assert await scene.rows() == []


async def test_jobs_of_one_account_never_overlap_even_in_two_processes(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(job: Job) -> Ended:
        scene.ran.append(job.kind)
        await gate.wait()
        return Ended()

    other = scene.another()
    for scheduler in (scene.scheduler, other):
        scheduler.handle("sync", handler)
        scheduler.handle("hooks", handler)
    await scene.ask("sync", "a", account="a")
    async with scene.running(), scene.running(other):
        await scene.pass_seconds(1)
        await scene.ask("hooks", "a", account="a")
        await scene.pass_seconds(30)
        assert scene.ran == ["sync"]
        gate.set()
        await scene.pass_seconds(10)
    assert scene.ran == ["sync", "hooks"]


async def test_a_request_for_later_that_comes_while_it_runs_is_kept(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(_job: Job) -> Ended:
        scene.ran.append(f"{scene.clock.monotonic():.0f}")
        await gate.wait()
        return Ended(1000)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.ask("sync", "a", in_seconds=30)
        gate.set()
        await scene.pass_seconds(1)
        assert len(scene.ran) == 1
        await scene.pass_seconds(40)
        assert len(scene.ran) == 2
        (row,) = await scene.rows()
        assert row.due_at > to_stored(scene.clock.now()) + 900_000_000


async def test_what_was_asked_for_during_a_run_is_due_with_its_end(scene: Scene) -> None:
    gates = {"now": asyncio.Event(), "later": asyncio.Event()}

    async def handler(job: Job) -> Ended:
        scene.ran.append(f"{job.key}@{scene.clock.monotonic():g}")
        await gates[job.key].wait()
        return Ended()

    scheduler = scene.another(longest_rest_seconds=1e6)  # so that nothing is found by chance
    scheduler.handle("sync", handler)
    await scene.ask("sync", "now")
    await scene.ask("sync", "later")
    async with scene.running(scheduler):
        await scene.pass_seconds(1)
        scene.ran.clear()
        await scene.ask("sync", "now")
        await scene.ask("sync", "later", in_seconds=3)
        await scene.pass_seconds(1)
        gates["now"].set()
        await scene.pass_seconds(1)
        assert len(scene.ran) == 1
        assert scene.ran[0].startswith("now@2")
        await scene.pass_seconds(7)
        gates["later"].set()
        await scene.pass_seconds(1)
        await scheduler.idle()
    assert len(scene.ran) == 2
    assert scene.ran[1].startswith("later@10")
    assert await scene.rows() == []


async def test_it_sleeps_until_the_next_job_is_due_and_is_woken_by_requests(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(f"{job.key}@{scene.clock.monotonic():g}")
        return Ended()

    scheduler = scene.another(longest_rest_seconds=1e6)
    scheduler.handle("sync", handler)
    async with scene.running(scheduler):
        await scheduler.idle()
        assert scheduler.next_due() is None
        await scene.ask("sync", "later", in_seconds=20.5)
        await scene.ask("sync", "soon", in_seconds=10.25)
        await scheduler.idle()
        assert scheduler.next_due() is not None
        await scene.clock.advance(10.25)
        await scheduler.idle()
        await scene.clock.advance(4.75)
        await scene.journal.append(Item(UserId(1), [], via="webhook", jobs=[JobRequest("sync", "hint")]))
        await scheduler.idle()
        await scene.clock.advance(5.5)
        await scheduler.idle()
        await scene.clock.advance(80)
        await scheduler.idle()
    assert scene.ran == ["soon@10.25", "hint@15", "later@20.5"]


async def test_jobs_that_other_processes_ask_for_are_found_after_a_while(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        return Ended()

    scene.scheduler.handle("sync", handler)
    async with scene.running():
        await scene.scheduler.idle()
        async with opened_beside(scene.store) as beside:
            now = to_stored(scene.clock.now())
            await beside.write(lambda connection: request_job(connection, 1, JobRequest("sync", "a"), now))
        await scene.pass_seconds(1)
        assert scene.ran == []
        await scene.pass_seconds(5)
        assert scene.ran == ["a"]


@asynccontextmanager
async def opened_beside(store: Store) -> AsyncIterator[Any]:
    """The same database, as another process has it."""
    database = open_database(store.database.url.render_as_string(hide_password=False), synchronous="OFF")
    try:
        yield database
    finally:
        await database.close()


async def test_what_was_due_for_long_is_spread_and_the_most_important_comes_first(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append("fresh" if job.key == "fresh" else job.kind)
        return Ended()

    scene.scheduler.handle("sync", handler)
    scene.scheduler.handle("refresh", handler, is_urgent=True)
    for number in range(100):
        await scene.ask("sync", f"s{number}")
    for number in range(10):
        await scene.ask("refresh", f"r{number}")
    await scene.clock.advance(3600)
    await scene.ask("sync", "fresh")
    async with scene.running():
        await scene.pass_seconds(2.5)
        assert "fresh" in scene.ran[:2]  # it waits for nobody
        assert "refresh" in scene.ran[:2]
        assert scene.ran.count("refresh") == 10
        assert 10 < len(scene.ran) < 40
        await scene.pass_seconds(10)
    assert len(scene.ran) == 111
    assert {"event": "jobs_spread", "jobs": 110, "level": "info"} in scene.lines


async def test_a_run_that_hangs_is_broken_off_and_has_failed(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(str(job.attempts))
        await asyncio.Event().wait()
        raise AssertionError

    scene.scheduler.handle("sync", handler, longest_seconds=100)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(90)
        assert scene.ran == ["0"]
        await scene.pass_seconds(60)
    assert scene.ran == ["0", "1"]
    assert "broken off" in str((await scene.rows())[0].last_error)


async def test_a_job_taken_out_while_it_runs_is_broken_off_and_does_not_come_back(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        await asyncio.Event().wait()
        raise AssertionError

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        await scene.store.write(lambda connection: drop_jobs(connection, 1, "a", ["sync"]))
        await scene.pass_seconds(30)
        await scene.scheduler.idle()
    assert scene.ran == ["a"]
    assert await scene.rows() == []
    assert scene.lines[-1]["outcome"] == "lost"


async def test_the_same_failure_is_logged_once_until_it_changes(scene: Scene) -> None:
    texts = iter(["down", "down", "down", "up in flames"])

    async def handler(_job: Job) -> Ended:
        text = next(texts, "")
        if text:
            raise Unavailable(text, retry_after_seconds=1)
        return Ended()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(20)
    lines = [(line["level"], line.get("error"), line["outcome"]) for line in scene.lines]
    assert lines == [
        ("warning", "down", "unavailable"),
        ("warning", "up in flames", "unavailable"),
        ("info", None, "done"),
    ]
    assert {line["connection"] for line in scene.lines} == {"a"}


async def test_a_defect_is_logged_with_where_it_is(scene: Scene) -> None:
    async def handler(_job: Job) -> Ended:
        raise KeyError("x")

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.scheduler.idle()
    (line,) = scene.lines
    assert (line["level"], line["outcome"]) == ("error", "failed")
    assert isinstance(line["exc_info"], KeyError)


async def test_a_stop_ends_what_has_just_finished_and_claims_nothing_more(scene: Scene) -> None:
    async def handler(job: Job) -> Ended:
        scene.ran.append(job.key)
        return Ended(500)

    scene.scheduler.handle("sync", handler)
    for key in "abc":
        await scene.ask("sync", key)
    task = asyncio.create_task(scene.scheduler.run())
    while not scene.ran:
        await asyncio.sleep(0)
    await scene.scheduler.stop()
    await task
    assert {row.lease for row in await scene.rows()} == {None}
    await scene.ask("sync", "d")
    await scene.scheduler.run()  # returns at once
    assert sorted(scene.ran) == ["a", "b", "c"]


async def test_clocks_that_jump_ahead_start_no_second_run(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(job: Job) -> Ended:
        scene.ran.append(job.lease)
        await gate.wait()
        return Ended(1000)

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    async with scene.running():
        await scene.pass_seconds(1)
        scene.clock._start = scene.clock._start.replace(hour=13)  # the wall clock alone
        await scene.pass_seconds(10)
        assert len(scene.ran) == 1
        gate.set()
        await scene.pass_seconds(1)
    (row,) = await scene.rows()
    assert (row.lease, row.attempts) == (None, 0)


async def test_what_runs_and_how_late_is_measured(scene: Scene) -> None:
    gate = asyncio.Event()

    async def handler(_job: Job) -> Ended:
        await gate.wait()
        return Ended()

    scene.scheduler.handle("sync", handler)
    await scene.ask("sync", "a")
    await scene.clock.advance(30)
    async with scene.running():
        await scene.pass_seconds(1)
        text = scene.metrics.expose().decode()
        assert "tidings_jobs_running 1.0" in text
        (late,) = re.findall(r"^tidings_jobs_late_seconds (\S+)$", text, re.MULTILINE)
        assert 30 <= float(late) <= 31
        gate.set()
        await scene.pass_seconds(1)
        text = scene.metrics.expose().decode()
        assert "tidings_jobs_running 0.0" in text
        assert 'tidings_jobs_total{kind="sync",outcome="done"} 1.0' in text
