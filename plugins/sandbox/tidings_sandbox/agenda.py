"""What the emulated world does by itself later: webhooks to send, plays that end."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

import anyio

from tidings.contracts import Clock

Action = Callable[[], Coroutine[Any, Any, None]]

_MOST_AT_ONCE: Final = 50


class Agenda:
    """Actions with their instants, on the installation's clock (an emulated platform's may be wrong).

    Nothing happens by itself: either `run` performs them for as long as it is left running, or a test calls
    `settle`.

    Args:
        clock: All time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()
        self._changed = anyio.Event()
        self._performing = 0

    @property
    def busy(self) -> int:
        """How many actions are being performed, or due."""
        now = self._clock.now()
        return self._performing + sum(due_at <= now for due_at, _, _ in self._waiting)

    def add(self, action: Action, *, in_seconds: float = 0.0) -> None:
        """Have something done in so many seconds; never waits and never performs it on the spot."""
        due_at = self._clock.now() + timedelta(seconds=in_seconds)
        heapq.heappush(self._waiting, (due_at, next(self._order), action))
        self._changed.set()

    def clear(self) -> None:
        """Forget everything that has not begun."""
        self._waiting.clear()

    async def settle(self) -> None:
        """Perform all that is due now, and what follows from it, until nothing is due."""
        while due := self._take_due():
            async with anyio.create_task_group() as group:
                for action in due:
                    group.start_soon(action)

    async def run(self) -> None:
        """Perform everything at its instant, at most 50 at once, until cancelled."""
        places = anyio.Semaphore(_MOST_AT_ONCE)

        async def perform(action: Action) -> None:
            try:
                await action()
            finally:
                self._performing -= 1
                places.release()

        async with anyio.create_task_group() as group:
            while True:
                for action in self._take_due():
                    self._performing += 1
                    await places.acquire()
                    group.start_soon(perform, action)
                await self._wait()

    def _take_due(self) -> list[Action]:
        now = self._clock.now()
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        return due

    async def _wait(self) -> None:
        self._changed = anyio.Event()
        if not self._waiting:
            await self._changed.wait()
            return
        seconds = (self._waiting[0][0] - self._clock.now()).total_seconds()
        async with anyio.create_task_group() as group:

            async def sleep() -> None:
                await self._clock.sleep(seconds)
                group.cancel_scope.cancel()

            group.start_soon(sleep)
            await self._changed.wait()
            group.cancel_scope.cancel()
