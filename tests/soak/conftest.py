"""These tests take minutes: they run when they are asked for, by `make soak` or by their path."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    here = Path(__file__).parent
    asked = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    if any(here == path or here in path.parents for path in asked):
        return None
    return True if here in collection_path.parents else None
