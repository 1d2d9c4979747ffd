"""Killed at any instant, a server tells each device of each thing once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx

import server_process
from push_service import Browser, PushService, serving, until

CONFIG = """\
server: {{port: {port}, public_url: "https://tidings.example.org"}}
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited}}
log: {{format: json}}
plugins:
  connectors: {{github: {{}}}}
  transports:
    sse: {{}}
    webpush: {{services: ["localhost:{service}"], allow_private: true, gather: 0s, pace: 0s}}
  bus: {{local: {{}}}}
"""
#: When it is killed: once it has accepted a message, once it has sent a push but has no answer yet (so it can't know),
#: and once the push service has one, whatever it does just then.
MOMENTS = ["sent", "accepted", "raced"]


def told(browser: Browser) -> list[tuple[int, int]]:
    """From which event to which each notification tells that is shown in the end, in order."""
    return sorted(
        (int(tag.rpartition("-")[2]), int(one["data"]["cursor"].rpartition("-")[2]))
        for tag, one in browser.delivered.items()
    )


def count(ranges: list[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _lapse(database: Path) -> None:
    """What a killed server was about to do is another's once its lease has lapsed, a minute later: let it be later."""
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE jobs SET lease_until = 0 WHERE lease_until IS NOT NULL")
    connection.close()


async def _send(running: server_process.ServerProcess, number: int) -> None:
    headers = {"authorization": f"Bearer {running.token}", "idempotency-key": f"m{number}"}
    async with running.client() as client:
        try:
            body: dict[str, Any] = {"message": {"title": f"Message {number}"}}
            await client.post("/api/sse/send", json=body, headers=headers)
        except httpx.HTTPError:
            return  # it was killed; whether it has the message, its journal says


async def _run_and_kill(
    folder: Path, service: PushService, browser: Browser | None, sent: int, moment: str
) -> Browser:
    """Start a server, send it twenty messages, and kill it at that moment."""
    running = await anyio.to_thread.run_sync(partial(server_process.start, folder))
    try:
        if browser is None:
            async with running.client() as client:
                client.headers["authorization"] = f"Bearer {running.token}"
                browser = service.browser((await client.get("/api/push/key")).json()["key"])
                made = await client.post("/api/push/subscriptions", json=browser.shown())
                assert made.status_code == 201, made.text
        tries = len(browser.received)
        browser.hold = asyncio.Event() if moment == "sent" else None
        async with asyncio.TaskGroup() as group:
            sending = [group.create_task(_send(running, number)) for number in range(sent, sent + 20)]
            if moment == "accepted":
                await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            else:
                await browser.wait_for_tries(tries + 1)
            os.kill(running.pid, signal.SIGKILL)
        if browser.hold is not None:
            browser.hold.set()
    finally:
        running.close()
    return browser


async def test_each_thing_is_told_once_whenever_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    async with serving() as service:
        server_process.write_config(folder)
        port = int((folder / "config.yaml").read_text().partition("port: ")[2].partition("}")[0])
        (folder / "config.yaml").write_text(CONFIG.format(port=port, service=service.port))
        browser = None
        for kill, moment in enumerate(MOMENTS):
            browser = await _run_and_kill(folder, service, browser, kill * 20, moment)
            _lapse(folder / "tidings.db")
        assert browser is not None
        running = await anyio.to_thread.run_sync(partial(server_process.start, folder))
        try:
            await _send(running, len(MOMENTS) * 20)
            head = len(await running.events())
            assert head > len(MOMENTS)
            shown = browser
            await until(lambda: count(told(shown)) >= head, f"{head} events, not {told(shown)}")
        finally:
            await anyio.to_thread.run_sync(running.stop)
        ranges = told(browser)
        # One behind the other, without a hole and without an overlap.
        assert ranges[0][0] == 1
        assert [first for first, _ in ranges[1:]] == [last + 1 for _, last in ranges[:-1]]
        assert ranges[-1][1] == head
        assert service.refused == []
