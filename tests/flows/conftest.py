"""Flows run on real sockets, on the event loop that a server runs on."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import stores
from tidings.testing.server import LiveServer, live_server

CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
limits: {api: unlimited, sessions: unlimited}
plugins:
  connectors: {github: {}}
  transports: {sse: {heartbeat: 90ms}, websocket: {heartbeat: 90ms}}
  bus: {local: {}}
"""


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def config() -> str:
    """All that is needed, with a quick heartbeat and no limits."""
    return CONFIG


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with stores.live(tmp_path, CONFIG) as running:
        yield running
        assert _defects(running) == []


@pytest.fixture(scope="module")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """One server for all tests of a module that asks for it; each brings users of its own."""
    async with live_server(tmp_path_factory.mktemp("shared"), CONFIG) as running:
        yield running
        assert _defects(running) == []


def _defects(server: LiveServer) -> list[Mapping[str, Any]]:
    kinds = {"request_failed", "task_failed", "stream_failed", "plugin_failed"}
    return [line for line in server.logged if line["event"] in kinds]
