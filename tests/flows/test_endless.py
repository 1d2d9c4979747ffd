"""A plugin whose code never comes to an end, in the server that people run: it is broken off, and the others go on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import Commands, installed

CONFIG = """
server: {port: 0}
plugins:
  connectors: {endless: {}}
  transports: {sse: {}}
  extras: {busy: {}}
"""
ENDLESS = """
from tidings import Account, Connector, Follows, Keys, Parsed, Plugin, Polls, Receives, hookimpl


class Endless(Follows, Polls, Receives):
    platform = "endless"
    display_name = "Endless"
    asks_for = "Anything"
    poll_every_seconds = 3600.0
    shared_keys = Keys((b"key",))

    def verify(self, request, keys, now):
        return

    def parse(self, request):
        return self.compute()

    def sample(self, keys, now, serial):
        raise NotImplementedError

    def compute(self):
        while True:
            sorted(range(1000), key=lambda number: -number)

    async def follow(self, address):
        return Account(key=address, name=address)

    async def poll(self, api, asked):
        yield self.compute()


class EndlessPlugin(Plugin):
    @hookimpl
    def tidings_connectors(self):
        return [Endless()]
"""
BUSY = """
from tidings import Extra, Plugin, hookimpl


class Busy(Extra):
    async def run(self):
        while True:
            pass


class BusyPlugin(Plugin):
    @hookimpl
    def tidings_extras(self):
        return [Busy()]
"""
ENTRY_POINTS = (
    "[tidings.connectors]\nendless = endless:EndlessPlugin\n[tidings.extras]\nbusy = busy:BusyPlugin\n"
)
DEADLINE_SECONDS = 60.0


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "endless.py").write_text(ENDLESS)
    (tmp_path / "busy.py").write_text(BUSY)
    return installed(tmp_path, CONFIG)


@pytest.fixture
def client(commands: Commands) -> Iterator[httpx.Client]:
    """A client of a running server, for somebody there."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(commands.folder), *sys.path])}
    tidings = [sys.executable, "-m", "tidings", "--config", str(commands.config)]

    def done(*arguments: str) -> str:
        return subprocess.run(
            [*tidings, *arguments], env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    done("user", "add", "ann", "--admin")
    token = done("token", "create", "ann", "--scope", "read", "--scope", "send", "--scope", "admin")
    with (commands.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*tidings, "serve"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://127[.\d]+:\d+", line)))
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=DEADLINE_SECONDS) as client:
            yield client
    finally:
        process.terminate()
        code = process.wait(DEADLINE_SECONDS)
        process.stdout.close()
    assert code == 0


def _until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_what_never_ends_is_broken_off_and_named(client: httpx.Client, commands: Commands) -> None:
    def down() -> dict[str, str]:
        components = client.get("/api/health").json()["components"]
        return {name: one["reason"] for name, one in components.items() if one["status"] == "down"}

    # Before anybody is served, in the work of an extra. It is started again later, like any that fails.
    reasons = down()
    assert "and was broken off. Compute in a thread" in reasons["extra/Busy"]
    assert re.search(r"busy\.py, line \d+; extra/busy of acme 1\.2", reasons["extra/Busy"])
    assert "It blocks the event loop (" in reasons["loop/extra/busy"]

    made = client.post("/api/connections", json={"platform": "endless", "address": "x"})
    assert made.status_code == 201, made.text
    path = f"/api/connections/{made.json()['id']}"
    parked = _until(lambda: (shown := client.get(path).json())["state"] == "parked" and shown)
    assert re.search(r"It blocked the event loop for \d+ seconds in all", parked["reason"])
    assert "endless.py, line " in parked["reason"] and "connector/endless of acme 1.2" in parked["reason"]

    assert client.post("/api/webhooks/endless/ann", content=b"{}").status_code == 500
    assert "and was broken off" in down()["connector/endless"]
    assert "Exception in callback" not in (commands.folder / "log").read_text()
