"""Minutes, so these tests run when asked for, by `make test-benchmarks`."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    here = Path(__file__).parent
    asked = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    if any(here == path or here in path.parents for path in asked):
        return None
    return True if here in collection_path.parents else None
