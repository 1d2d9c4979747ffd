"""A test's clock stands while a server works, however long that takes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from tidings.contracts import JobRequest
from tidings.jobs import Ended, Job, request_job
from tidings.schema import to_stored
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server


async def request(server: LiveServer, kind: str) -> None:
    user = await server.add_user("ann")

    def work(sql: Any) -> None:
        request_job(sql, user.id, JobRequest(kind, "one"), to_stored(server.services.clock.now()))

    await server.services.writer.run_unit(work)


async def toil(clock: FakeClock, ended: list[float], turns: int, _job: Job) -> Ended:
    for _ in range(turns):
        await asyncio.sleep(0)
    ended.append(clock.monotonic())
    return Ended(10.0)


async def test_a_run_takes_none_of_the_clocks_time(tmp_path: Path) -> None:
    clock, ended = FakeClock(), list[float]()
    async with live_server(tmp_path, clock=clock) as server:
        server.services.scheduler.handle("toil", partial(toil, clock, ended, 2000))
        await request(server, "toil")
        await clock.advance(60)
        assert ended == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


async def test_a_run_that_waits_for_the_clock_does_not_stop_it(tmp_path: Path) -> None:
    clock, ended = FakeClock(), list[float]()

    async def wait(_job: Job) -> Ended:
        await clock.sleep(45)
        ended.append(clock.monotonic())
        return Ended()

    async with live_server(tmp_path, clock=clock) as server:
        server.services.scheduler.handle("wait", wait)
        await request(server, "wait")
        await clock.advance(60)
        assert ended == [45.0]
