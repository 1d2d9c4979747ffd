"""Every benchmark still runs, with as little as it takes: what it measures then means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
TINY = {
    "bus": ["--users", "200"],
    "day": ["--users", "1", "--platforms", "spotify", "--regimes", "tidings"],
    "fanout": ["--subscribers", "20", "--per-second", "20", "--rounds", "2", "--seconds", "1"],
    "intake": ["--seconds", "0.5", "--connections", "2", "--users", "3"],
    "isolation": [
        "--users",
        "3",
        "--accounts",
        "2",
        "--per-second",
        "20",
        "--seconds",
        "1",
        "--does",
        "leaks",
        "waits",
    ],
    "job": ["--jobs", "50"],
    "live": ["--users", "5", "--per-second", "20", "--seconds", "1"],
    "page": ["--events", "50"],
    "resume": ["--events", "2000"],
    "year": ["--days", "2", "--users", "1", "--platforms", "spotify"],
}
# One regime of several gives no verdict.
_SILENT = {"day"}


def test_none_is_forgotten() -> None:
    measuring = {
        path.stem for path in FOLDER.glob("*.py") if "argparse.ArgumentParser" in path.read_text("utf-8")
    }
    assert measuring == set(TINY)


@pytest.mark.parametrize("name", sorted(TINY))
def test_it_runs_and_its_last_line_is_json(name: str) -> None:
    run = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *TINY[name]], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert name in _SILENT or isinstance(json.loads(run.stdout.strip().splitlines()[-1]), dict)
