"""Some simulated days of a few people: what the soak test does for a month and a hundred."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DAYS, USERS, SEED = 2, 3, 7
ALL = frozenset({"github", "spotify", "gmail", "calendar", "youtube", "slack", "discord"})


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[frozenset[str]], Any]]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    chance = random.getstate()

    def simulate(platforms: frozenset[str]) -> Any:
        import year

        random.seed(SEED)
        return year.run(days=DAYS, users=USERS, seed=SEED, platforms=platforms)

    yield simulate
    random.setstate(chance)


@pytest.mark.parametrize(
    "platforms", [ALL, frozenset({"discord"}), frozenset({"youtube", "slack"})], ids=lambda one: f"{len(one)}"
)
def test_in_days_full_of_misfortune_nothing_is_missed_told_twice_or_lost(
    simulated: Callable[[frozenset[str]], Any], platforms: frozenset[str]
) -> None:
    year = simulated(platforms)
    assert year.wrongs == []
    summary = year.summary
    assert list(summary) == [
        "days",
        "users",
        "events_happened",
        "missed",
        "duplicated",
        "connections_lost",
        "crash_lost",
        "double_redemptions",
        "jobs",
        "ms_per_job",
        "api_calls_per_user_day",
    ]
    assert summary["events_happened"] >= 3 * len(platforms) * DAYS * USERS
    wrong = ("missed", "duplicated", "connections_lost", "double_redemptions")
    assert [summary[name] for name in wrong] == [0, 0, 0, 0]
    assert summary["jobs"] > 50 * len(platforms)
    calls = summary["api_calls_per_user_day"]
    assert set(calls) == platforms
    assert all(1 < each < 400 for each in calls.values())
