"""Kill the server at random instants, hundreds of times: every acknowledged webhook is in the journal once."""

import os
from pathlib import Path

import campaigns

KILLS = int(os.environ.get("TIDINGS_SOAK_KILLS", "200"))
SEED = int(os.environ.get("TIDINGS_SOAK_SEED", "20261123"))


async def test_every_2xx_is_in_the_journal_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    toll = await campaigns.kill_again_and_again(tmp_path, kills=KILLS, seed=SEED)
    print(f"{KILLS} kills, {len(toll.acknowledged)} acknowledged, {sum(toll.stored.values())} stored")
    assert len(toll.acknowledged) > KILLS * 5
    assert (toll.lost, toll.doubled) == (set(), set())
