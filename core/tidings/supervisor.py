"""Background work that must go on: a task that fails is reported and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock
from tidings.health import Component

_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 60.0
_PROBATION_SECONDS = 5.0


async def keep_running(
    work: Callable[[], Awaitable[None]], component: Component, clock: Clock, log: FilteringBoundLogger
) -> None:
    """Run `work` until it returns; if it raises, say so once and run it again, ever more slowly.

    It counts as recovered when it has run for longer than the wait before.
    """
    wait_seconds = _RESTART_SECONDS
    while True:
        started = clock.monotonic()
        recovery = asyncio.create_task(_recover(component, clock, wait_seconds + _PROBATION_SECONDS))
        try:
            await work()
        except Exception as error:
            if clock.monotonic() - started > _LONGEST_RESTART_SECONDS:
                wait_seconds = _RESTART_SECONDS
            if not component.reason:
                log.error("task_failed", task=component.name, reason=component.told(error), exc_info=error)
            component.fails(error)
            recovery.cancel()
            await clock.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_RESTART_SECONDS)
        else:
            return
        finally:
            recovery.cancel()


async def _recover(component: Component, clock: Clock, seconds: float) -> None:
    if component.reason:
        await clock.sleep(seconds)
        component.up()
