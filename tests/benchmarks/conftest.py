"""Minutes, so these tests run when asked for, by `make test-benchmarks`."""

from __future__ import annotations

from pathlib import Path

import pytest

import asking


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return asking.ignores(Path(__file__).parent, collection_path, config)
