from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, select

import stores
from stores import Store, opened
from tidings.budgets import Budgets, Usage
from tidings.connecting import Budget, Pause
from tidings.errors import Unavailable
from tidings.health import Health
from tidings.schema import budgets as table

pytestmark = pytest.mark.usefixtures("every_database")

DAY = 86_400.0


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = store.clock
        self.health = Health(store.clock, structlog.wrap_logger(None, processors=[_drop]))
        self.budgets = self.another()

    def another(self, *limits: Budget) -> Budgets:
        budgets = Budgets(self.store.writer, self.clock, self.health, random=Random(1))
        budgets.limit("spotify", limits or (Budget(500, DAY),))
        return budgets

    def wait_seconds(self, account: str = "alice", *, client: str = "c1", platform: str = "spotify") -> float:
        """What `check` says; 0 for go on."""
        try:
            self.budgets.check(platform, client, account)
        except Unavailable as error:
            return error.retry_after_seconds or -1
        return 0

    async def rows(self) -> list[Any]:
        def read(connection: Connection) -> list[Any]:
            return list(connection.execute(select(table).order_by(table.c.account_key)))

        return await self.store.read(read)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as store:
        yield Scene(store)


async def test_a_budget_that_is_used_up_says_when_the_next_call_may_be_made(scene: Scene) -> None:
    scene.budgets.spent("spotify", "c1", calls=300)
    await scene.clock.advance(3600)
    scene.budgets.spent("spotify", "c1", calls=199)
    assert scene.wait_seconds() == 0
    scene.budgets.spent("spotify", "c1")
    wait = scene.wait_seconds()
    assert DAY - 3600 <= wait <= DAY - 3600 + DAY / 96
    assert scene.wait_seconds(client="c2") == 0
    await scene.clock.advance(wait - 1)
    assert scene.wait_seconds() > 0
    await scene.clock.advance(1)
    assert scene.wait_seconds() == 0
    assert scene.budgets.report("spotify", "c1").budgets == [Usage(500, DAY, 200)]


async def test_no_window_ever_holds_more_calls_than_the_budget(scene: Scene) -> None:
    scene.budgets = scene.another(Budget(50, 1000.0))
    random = Random(5)
    made: list[float] = []
    for _ in range(3000):
        await asyncio.sleep(0)
        scene.clock._elapsed += timedelta(seconds=random.expovariate(0.2))
        if scene.wait_seconds() == 0:
            scene.budgets.spent("spotify", "c1")
            made.append(scene.clock.monotonic())
    most = max(sum(1 for one in made if at - 1000 < one <= at) for at in made)
    assert most == 50
    assert len(made) > 0.9 * 50 * made[-1] / 1000  # and hardly fewer than allowed


async def test_of_several_budgets_the_tightest_rules(scene: Scene) -> None:
    scene.budgets = scene.another(Budget(10, 30.0), Budget(15, DAY))
    scene.budgets.spent("spotify", "c1", calls=10)
    assert 0 < scene.wait_seconds() <= 31
    await scene.clock.advance(31)
    assert scene.wait_seconds() == 0
    scene.budgets.spent("spotify", "c1", calls=5)
    assert scene.wait_seconds() > DAY - 60


async def test_nodes_share_what_they_have_used_and_who_must_pause(scene: Scene) -> None:
    """Each counts by itself, and knows of the other's a little later."""
    other = scene.another()
    scene.budgets.spent("spotify", "c1", calls=300)
    other.spent("spotify", "c1", calls=150)
    for one in (scene.budgets, other, scene.budgets):
        await one.flush()
    await other.pause("spotify", "c1", "anna", Pause(600, False, "too much of anna"))
    await scene.budgets.pause("spotify", "c1", "", Pause(30, True, "too much"))
    await other.pause("spotify", "c1", "", Pause(10, True, "less"))
    scene.budgets.spent("spotify", "c1", calls=7)  # not written down yet
    for one in (scene.budgets, other):
        await one.load()
    assert scene.budgets.report("spotify", "c1").budgets == [Usage(500, DAY, 457)]
    assert other.report("spotify", "c1").budgets == [Usage(500, DAY, 450)]
    for one in (scene.budgets, other):
        with pytest.raises(Unavailable, match=r"^too much$"):
            one.check("spotify", "c1", "bert")
    await scene.clock.advance(31)
    for one in (scene.budgets, other):
        one.check("spotify", "c1", "bert")
        with pytest.raises(Unavailable, match="too much of anna"):
            one.check("spotify", "c1", "anna")


async def test_counts_survive_a_restart(scene: Scene) -> None:
    running = asyncio.create_task(scene.budgets.run())
    scene.budgets.spent("spotify", "c1", calls=400)
    await scene.clock.advance(119 if stores.server is None else 9)  # nodes share every ten seconds
    assert await scene.rows() == []
    await scene.clock.advance(2)
    await scene.store.write(lambda _connection: None)
    assert len(await scene.rows()) == 1
    await scene.clock.advance(7200)
    scene.budgets.spent("spotify", "c1", calls=50)
    await scene.budgets.flush()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    before = scene.budgets.report("spotify", "c1")
    scene.budgets = scene.another()
    await scene.budgets.load()
    assert scene.budgets.report("spotify", "c1") == before
    assert before.budgets[0].used == 450
    await scene.clock.advance(DAY - 7200 + DAY / 96)
    assert scene.budgets.report("spotify", "c1").budgets[0].used == 50


async def test_a_pause_is_on_disk_at_once_and_survives_a_restart(scene: Scene) -> None:
    await scene.budgets.pause("spotify", "c1", "", Pause(43_200, whole_app=True, reason="QUOTA_EXCEEDED"))
    scene.budgets = scene.another()
    await scene.budgets.load()
    assert scene.wait_seconds("anybody") == 43_200
    report = scene.budgets.report("spotify", "c1")
    assert (report.reason, report.paused_until) == (
        "QUOTA_EXCEEDED",
        scene.clock.now() + timedelta(seconds=43_200),
    )
    await scene.clock.advance(43_200)
    assert scene.wait_seconds("anybody") == 0
    assert scene.budgets.report("spotify", "c1").paused_until is None


async def test_a_pause_of_one_account_leaves_the_others_alone(scene: Scene) -> None:
    await scene.budgets.pause("spotify", "c1", "alice", Pause(60, whole_app=False, reason="429"))
    assert (scene.wait_seconds("alice"), scene.wait_seconds("bob")) == (60, 0)
    assert scene.budgets.report("spotify", "c1").paused_until is None
    assert scene.budgets.report("spotify", "c1", "alice").reason == "429"
    scene.budgets = scene.another()
    await scene.budgets.load()
    assert (scene.wait_seconds("alice"), scene.wait_seconds("bob")) == (60, 0)


async def test_a_pause_is_never_shortened_and_leaves_when_it_is_over(scene: Scene) -> None:
    await scene.budgets.pause("spotify", "c1", "alice", Pause(60, whole_app=False, reason="long"))
    await scene.budgets.pause("spotify", "c1", "alice", Pause(5, whole_app=False, reason="short"))
    assert scene.wait_seconds("alice") == 60
    assert [row.reason for row in await scene.rows()] == ["long"]
    await scene.clock.advance(100)
    await scene.budgets.pause("spotify", "c1", "bob", Pause(5, whole_app=False, reason="429"))
    assert [row.account_key for row in await scene.rows()] == ["bob"]


async def test_a_pause_holds_even_when_the_disk_refuses_it_and_is_written_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_work: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.writer, "run_unit", away)
        await scene.budgets.pause("spotify", "c1", "alice", Pause(600, whole_app=False, reason="429"))
        scene.budgets.spent("spotify", "c1")
        await scene.budgets.flush()
    assert scene.wait_seconds("alice") == 600
    await scene.budgets.flush()
    assert [(row.account_key, row.reason) for row in await scene.rows()] == [("", ""), ("alice", "429")]


async def test_a_platform_that_is_down_is_left_alone_and_shown(scene: Scene) -> None:
    for _ in range(5):
        assert scene.wait_seconds() == 0
        scene.budgets.failed("spotify", "c1", "it answers 503")
    wait = scene.wait_seconds()
    assert 15 <= wait <= 60
    assert scene.wait_seconds() != wait  # they don't all come at once
    assert scene.wait_seconds(platform="github") == 0
    assert scene.budgets.report("spotify", "c1").circuit == "open"
    assert scene.health.report()["platform/spotify"]["reason"] == "it answers 503"
    await scene.clock.advance(wait)
    assert scene.wait_seconds() == 0
    scene.budgets.worked("spotify", "c1")
    assert scene.wait_seconds() == 0
    assert scene.budgets.report("spotify", "c1").circuit == "closed"
    assert scene.health.report()["platform/spotify"]["status"] == "up"


async def test_fair_shares_stretch_with_the_accounts_and_keep_something_back(scene: Scene) -> None:
    assert scene.budgets.share_seconds("spotify", "c1", 5) == 864
    assert scene.budgets.share_seconds("spotify", "c1", 1) == pytest.approx(172.8)
    assert scene.budgets.share_seconds("github", "c1", 5) == 0
    scene.budgets.spent("spotify", "c1", calls=451)
    assert scene.budgets.share_seconds("spotify", "c1", 5) == 2 * 864


async def test_accounts_that_keep_to_their_share_never_use_the_budget_up(scene: Scene) -> None:
    due = {f"account{number}": 0.0 for number in range(5)}
    refused = 0
    while scene.clock.monotonic() < 3 * DAY:
        account = min(due, key=lambda one: due[one])
        scene.clock._elapsed = timedelta(seconds=due[account])
        refused += scene.wait_seconds(account) > 0
        scene.budgets.spent("spotify", "c1", calls=2)
        due[account] += 2 * scene.budgets.share_seconds("spotify", "c1", 5)
    assert refused == 0
    assert 430 <= scene.budgets.report("spotify", "c1").budgets[0].used <= 470


async def test_all_clients_are_reported(scene: Scene) -> None:
    scene.budgets.spent("spotify", "c2")
    scene.budgets.spent("github", "c1")
    reports = scene.budgets.reports()
    assert [(one.platform, one.client_id) for one in reports] == [("github", "c1"), ("spotify", "c2")]


async def test_a_check_costs_next_to_nothing(scene: Scene) -> None:
    scene.budgets.spent("spotify", "c1", calls=10)
    best = 1.0
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(100):
            scene.budgets.check("spotify", "c1", "alice")
        best = min(best, (time.perf_counter() - started) / 100)
    assert best < 20e-6


async def test_what_each_account_has_for_itself_is_counted_by_what_calls_cost(scene: Scene) -> None:
    scene.budgets = scene.another(Budget(100, 60, per_account=True), Budget(1000, DAY))
    scene.budgets.spent("spotify", "c1", "alice", calls=100)
    assert 0 < scene.wait_seconds("alice") <= 62
    assert scene.wait_seconds("bob") == 0
    assert scene.budgets.report("spotify", "c1").budgets == [Usage(1000, DAY, 100)]
    await scene.clock.advance(62)
    assert scene.wait_seconds("alice") == 0
