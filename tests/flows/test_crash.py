"""Durable before 2xx. `tests/soak` does the same for longer."""

import shutil
from pathlib import Path

import pytest

import campaigns


async def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path) -> None:
    toll = await campaigns.kill_again_and_again(tmp_path, kills=3, seed=1)
    assert len(toll.acknowledged) > 20
    assert (toll.lost, toll.doubled) == (set(), set())


@pytest.fixture
def traceable(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if not campaigns.tracing_works(tmp_path):
        pytest.skip("processes can't be traced here")
    return tmp_path


async def test_every_2xx_follows_a_sync_that_began_after_its_rows_were_written(traceable: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(traceable, synchronous="FULL", requests=40)
    assert (answered, wrong) == (40, [])


async def test_that_check_fails_where_nothing_is_synced(traceable: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(traceable, synchronous="OFF", requests=40)
    assert len(wrong) == answered
