"""A month of a hundred people in virtual time, with everything that goes wrong: nothing missed, doubled or lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidings.oauth import Failed, Refused, redeem
from tidings_youtube.cards import uploaded

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DAYS = 30
LONGEST_SECONDS = 3600  # ten minutes are not enough for a slow machine that has something else to do


@pytest.mark.parametrize(("users", "platforms"), [(100, "github,spotify"), (25, "all")])
def test_in_a_month_nothing_is_missed_told_twice_or_lost(users: int, platforms: str) -> None:
    """A hundred people at two platforms, and a quarter of them at all of them."""
    command = [sys.executable, str(BENCHMARKS / "year.py"), "--days", str(DAYS), "--users", str(users)]
    command += ["--platforms", platforms]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    assert ended.returncode == 0, ended.stderr[-5000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert (told["days"], told["users"]) == (DAYS, users)
    assert told["events_happened"] >= 3 * len(told["api_calls_per_user_day"]) * DAYS * users
    wrong = ("missed", "duplicated", "connections_lost", "double_redemptions")
    assert [told[name] for name in wrong] == [0, 0, 0, 0]


def no_log(*_: object) -> Any:
    async def nothing() -> Any:
        for line in ():
            yield line

    return nothing()


async def hasty(*arguments: Any, **more: Any) -> Any:
    outcome = await redeem(*arguments, **more)
    return Refused(outcome.reason) if isinstance(outcome, Failed) else outcome


def forgotten(*_: object, redemption: Any, **__: object) -> int:
    return int(redemption.grant.version) + 1


def untold(*_: object, **__: object) -> None:
    return None


def told_again(listed: Any) -> Any:
    return msgspec.structs.replace(uploaded(listed), id=f"youtube:other:{random.random()}")


@pytest.mark.parametrize(
    ("place", "broken", "count", "platforms"),
    [
        ("tidings_github.recovery.deliveries", no_log, "missed", "github,spotify"),
        (
            "tidings_github.feed.content_id",
            lambda *_: f"github:other:{random.random()}",
            "duplicated",
            "github,spotify",
        ),
        ("tidings.refreshing.redeem", hasty, "connections_lost", "github,spotify"),
        ("tidings.refreshing.commit", forgotten, "double_redemptions", "github,spotify"),
        ("tidings_slack.poll.tell_message", untold, "missed", "slack"),
        ("tidings_youtube.parse.uploaded", told_again, "duplicated", "youtube"),
    ],
)
def test_it_would_notice_what_must_not_be(
    monkeypatch: pytest.MonkeyPatch, place: str, broken: object, count: str, platforms: str
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import year

    monkeypatch.setattr(place, broken)
    went = year.run(days=4, users=3, seed=7, platforms=frozenset(platforms.split(",")))
    assert went.summary[count] > 0
    assert went.wrongs[-1].startswith("to see it again: --seed 7")
