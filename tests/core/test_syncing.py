"""How often a platform is asked: who has no news ever later, and no later than usual after something happened."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from scripted import POLL_SECONDS, Pollable, Remote, Watch, watching
from tidings_strategies.polling import Polling

pytestmark = pytest.mark.usefixtures("every_database")


class Timed(Pollable):
    """Remembers when it was asked."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(remote)
        self.asked_at: list[float] = []

    def poll(self, api, asked):  # type: ignore[no-untyped-def]  # as its base
        self.asked_at.append(asked.now.timestamp())
        return super().poll(api, asked)


def intervals(watch: Watch) -> list[float]:
    """Between its polls, in usual intervals."""
    assert isinstance(watch.connector, Timed)
    return [(late - early) / POLL_SECONDS for early, late in pairwise(watch.connector.asked_at)]


async def test_an_idle_account_is_asked_ever_later_up_to_four_times_as_late(tmp_path: Path) -> None:
    async with watching(tmp_path, Timed) as watch:
        await watch.pass_seconds(100 * POLL_SECONDS)
        assert 3.7 <= intervals(watch)[-1] <= 4.001
        assert max(intervals(watch)) <= 4.001


async def test_a_steady_cadence_is_kept_with_news_and_without(tmp_path: Path) -> None:
    async with watching(tmp_path, Timed, [Polling(steady=True)]) as watch:
        for _ in range(5):
            await watch.happen()
            await watch.pass_seconds(2 * POLL_SECONDS)
        await watch.pass_seconds(20 * POLL_SECONDS)
        assert len(await watch.entries("thing")) == 5
        assert [one for one in intervals(watch) if not 0.9 <= one <= 1.1] == []


async def test_the_next_interval_after_news_is_no_longer_than_usual(tmp_path: Path) -> None:
    async with watching(tmp_path, Timed) as watch:
        await watch.pass_seconds(100 * POLL_SECONDS)
        assert isinstance(watch.connector, Timed)
        before = len(watch.connector.asked_at)
        await watch.happen()
        await watch.pass_seconds(10 * POLL_SECONDS)
        assert len(await watch.entries("thing")) == 1
        assert intervals(watch)[before] <= 1.06


async def test_much_news_of_one_piece_is_written_by_parts_in_order_and_once(tmp_path: Path) -> None:
    async with watching(tmp_path, Pollable) as watch:
        at = watch.clock.now()
        watch.remote.happened += [(at, "a")] * 480
        parts: list[int] = []
        watch.journal.on_commit(lambda entries, _seconds: parts.append(len(entries)))
        await watch.pass_seconds(3 * POLL_SECONDS)
        assert [one for one in parts if one] == [250, 230]
        told = await watch.entries("thing")
        assert [entry.id for entry in told] == [f"scripted:thing:{number}" for number in range(480)]
