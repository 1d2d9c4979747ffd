"""Durable before 2xx. `tests/soak` does the same for longer."""

from pathlib import Path

import campaigns


async def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path) -> None:
    toll = await campaigns.kill_again_and_again(tmp_path, kills=3, seed=1)
    assert len(toll.acknowledged) > 20
    assert (toll.lost, toll.doubled) == (set(), set())


async def test_every_2xx_follows_a_sync_that_began_after_its_rows_were_written(tmp_path: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(tmp_path, synchronous="FULL", requests=40)
    assert (answered, wrong) == (40, [])


async def test_that_check_fails_where_nothing_is_synced(tmp_path: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(tmp_path, synchronous="OFF", requests=40)
    assert len(wrong) == answered
