"""Wheels in an environment of their own: minutes, so these tests run when asked for, by `make test-plugins`."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import asking
from environments import EXAMPLES, ROOT, Environment


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return asking.ignores(Path(__file__).parent, collection_path, config)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tidings and the examples, built."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [ROOT, *[ROOT / "examples" / name for name in EXAMPLES]]
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run([*build, *map(str, sources)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions that this clone pins."""
    pinned = re.findall(
        r"^([a-z0-9-]+==\S+(?: ; [^\\\n]*)?)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE
    )
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text("\n".join(pinned))
    return path


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: Path, constraints: Path) -> Environment:
    """An environment with these wheels, pytest, and what they need."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    built = sorted(map(str, wheels.glob("*.whl")))
    made.install("-c", str(constraints), *built, "pytest", "hatchling", "editables")
    return made


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    yield port
