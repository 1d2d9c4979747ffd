"""What `kill -9` can't show: that each answer waits for the disk itself."""

from pathlib import Path

import pytest

import campaigns

REQUESTS = 1000


async def test_every_2xx_follows_a_sync_that_began_after_its_rows_were_written(tmp_path: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(tmp_path, synchronous="FULL", requests=REQUESTS)
    assert (answered, wrong) == (REQUESTS, [])


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_that_check_fails_with_less_durability(tmp_path: Path, synchronous: str) -> None:
    answered, wrong = await campaigns.unsynced_answers(tmp_path, synchronous=synchronous, requests=100)
    assert len(wrong) > answered // 2
