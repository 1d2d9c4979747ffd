from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from tidings.health import Health
from tidings.supervisor import keep_running
from tidings.testing.clock import FakeClock


class Scene:
    def __init__(self) -> None:
        def note(_logger: object, method: str, event: Any) -> Any:
            self.logged.append(event["event"])
            raise structlog.DropEvent

        self.logged: list[str] = []
        self.clock = FakeClock()
        self.log = structlog.wrap_logger(None, processors=[note])
        self.health = Health(self.clock, self.log)
        self.component = self.health.component("worker")
        self.starts: list[float] = []

    @asynccontextmanager
    async def running(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
        async def counted() -> None:
            self.starts.append(self.clock.monotonic())
            await work()

        task = asyncio.create_task(keep_running(counted, self.component, self.clock, self.log))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_returns_is_done() -> None:
    scene = Scene()

    async def work() -> None:
        return

    async with scene.running(work) as task:
        await task
    assert (scene.starts, scene.health.status, scene.logged) == ([0], "ok", [])


async def test_what_fails_is_started_again_ever_more_slowly_and_told_once() -> None:
    scene = Scene()

    async def work() -> None:
        raise RuntimeError("a defect")

    async with scene.running(work):
        await scene.clock.advance(200)
    assert scene.starts == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert scene.health.status == "degraded"
    assert scene.logged == ["task_failed", "component_down"]


async def test_what_works_again_counts_as_recovered() -> None:
    scene = Scene()

    async def work() -> None:
        if len(scene.starts) < 3:
            raise RuntimeError("a defect")
        await asyncio.Event().wait()

    async with scene.running(work):
        await scene.clock.advance(3)
        assert scene.health.status == "degraded"
        await scene.clock.advance(20)
        assert scene.health.status == "ok"
    assert scene.logged == ["task_failed", "component_down", "component_recovered"]


async def test_what_fails_each_time_after_a_little_does_not_flap() -> None:
    scene = Scene()

    async def work() -> None:
        await scene.clock.sleep(2)
        raise RuntimeError("a defect")

    async with scene.running(work):
        await scene.clock.advance(300)
    assert scene.logged == ["task_failed", "component_down"]
