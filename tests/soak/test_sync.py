"""What `kill -9` can't show: that each answer waits for the disk itself."""

import shutil
from pathlib import Path

import pytest

import campaigns

REQUESTS = 1000


@pytest.fixture
def traceable(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if not campaigns.tracing_works(tmp_path):
        pytest.skip("processes can't be traced here")
    return tmp_path


async def test_every_2xx_follows_a_sync_that_began_after_its_rows_were_written(traceable: Path) -> None:
    answered, wrong = await campaigns.unsynced_answers(traceable, synchronous="FULL", requests=REQUESTS)
    assert (answered, wrong) == (REQUESTS, [])


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_that_check_fails_with_less_durability(traceable: Path, synchronous: str) -> None:
    answered, wrong = await campaigns.unsynced_answers(traceable, synchronous=synchronous, requests=100)
    assert len(wrong) > answered // 2
