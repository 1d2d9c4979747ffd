"""Some simulated days of a few people: what the soak test does for a month and a hundred."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DAYS, USERS, SEED = 2, 3, 7
PLATFORMS = frozenset({"github", "gmail", "calendar", "youtube", "spotify"})


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    chance = random.getstate()

    def simulate() -> Any:
        import year

        random.seed(SEED)
        return year.run(days=DAYS, users=USERS, seed=SEED, platforms=PLATFORMS)

    yield simulate
    random.setstate(chance)


def test_in_days_full_of_misfortune_nothing_is_missed_told_twice_or_lost(
    simulated: Callable[[], Any],
) -> None:
    year = simulated()
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
    assert summary["events_happened"] >= 3 * 2 * DAYS * USERS
    wrong = ("missed", "duplicated", "connections_lost", "double_redemptions")
    assert [summary[name] for name in wrong] == [0, 0, 0, 0]
    assert summary["jobs"] > 500
    assert 10 < summary["api_calls_per_user_day"]["spotify"] < 100
