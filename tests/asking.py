"""Tests that take minutes, and run only where somebody asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest


def ignores(folder: Path, collection_path: Path, config: pytest.Config) -> bool | None:
    """What `pytest_ignore_collect` says of a path in that folder, which is collected if its path is given alone."""
    asked = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    if any(folder == path or folder in path.parents for path in asked):
        return None
    return True if folder in collection_path.parents else None
