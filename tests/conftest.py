"""What every test stands on."""

from __future__ import annotations

import gc
import itertools
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import canaries
import stores
from broker import Broker, broker_in, nats_bus
from postgres_server import PostgresServer, postgres_server
from tidings.bus import Bus
from tidings.clock import SystemClock
from tidings_buses.local import LocalBus

_subjects = itertools.count()

# While modules and tests are gathered there is next to no garbage to look for; see `pytest_collection_finish`.
gc.disable()

# A change is judged by what it changes: the same examples each time. `make soak` looks for new ones. How long one takes
# depends on what else the machine does, so there is no deadline.
settings.register_profile("repeatable", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("searching", max_examples=300, derandomize=False, print_blob=True, deadline=None)
settings.load_profile("repeatable")


# What stands on these needs PostgreSQL or NATS, and runs by `make test-cluster`.
_CLUSTER_FIXTURES = {"postgres", "broker", "mortal"}
_CLUSTER_PARAMETERS = {"postgresql", "nats"}


# Files that take long, for what they compute or wait for, in the order of how long. They begin first: the worker that
# took one last would keep all others waiting for it.
_LONG = (
    "tests/flows/test_year.py", "tests/flows/test_google_consent.py", "tests/docs/test_examples.py",
    "tests/properties/", "tests/contracts/test_connectors.py", "tests/flows/",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster", action="store_true", help="run what stands on PostgreSQL and NATS, and nothing else"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = bool(config.getoption("--cluster"))
    others = [item for item in items if _is_of_clusters(item) != wanted]
    items[:] = [item for item in items if _is_of_clusters(item) == wanted]
    config.hook.pytest_deselected(items=others)
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Look for garbage again, but not in what stays until the end: thousands of tests and all modules."""
    gc.freeze()
    gc.enable()


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, begin in enumerate(_LONG) if item.nodeid.startswith(begin)), len(_LONG))


def _is_of_clusters(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    parameters = [one for one in callspec.params.values() if isinstance(one, str)] if callspec else []
    return bool(
        _CLUSTER_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        or _CLUSTER_PARAMETERS.intersection(parameters)
    )


def pytest_configure() -> None:
    canaries.begin()
    # httpcore looks for it at each step of a request; tidings' own client has the same said once, and so have others.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # so an import is told that there is none
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what runs in its background, and the servers and commands of the tests would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on plain asyncio."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; each test makes a database of its own on it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def every_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs twice: what `stores` opens is SQLite's, with the local bus, then PostgreSQL's, with NATS."""
    is_many = request.param == "postgresql"
    monkeypatch.setattr(stores, "server", request.getfixturevalue("postgres") if is_many else None)
    monkeypatch.setattr(stores, "broker", request.getfixturevalue("broker") if is_many else None)


@pytest.fixture
def sqlite_alone(every_database: None) -> None:
    """What the test says is of SQLite alone; PostgreSQL has a test of its own for it."""
    if stores.server is not None:
        pytest.skip("of SQLite alone")


@pytest.fixture(autouse=True)
def chance(request: pytest.FixtureRequest) -> None:
    """What is left to chance, such as jitter, is the same for a test each time."""
    random.seed(request.node.nodeid)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A NATS server for all tests that don't stop it; each has a `subject` of its own there."""
    with broker_in(tmp_path_factory.mktemp("nats")) as broker:
        yield broker


@pytest.fixture
def bus(every_database: None) -> Bus:
    """The bus that belongs to the database."""
    if stores.broker is None:
        return LocalBus()
    return nats_bus(stores.broker, SystemClock(), subject=f"test.{next(_subjects)}")


@pytest.fixture(autouse=True)
def no_secret_leaves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing that a test makes tidings say or store may hold a secret in clear text."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if isinstance(folder, Path):
        canaries.watch.scan_folder(folder)
    found = canaries.watch.take()
    assert not found, "\n".join(dict.fromkeys(found))
