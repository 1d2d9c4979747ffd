"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

_START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
# How often other tasks get their turn after each step, so that what a wake-up sets off has happened too.
_TURNS = 50
# Enough where companions say when that is done.
_FEW_TURNS = 10


class FakeClock:
    """A clock for tests: `advance` moves it and wakes those who sleep.

    Args:
        start: The first instant, aware UTC.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._elapsed = timedelta()
        self._sleepers: list[tuple[timedelta, int, asyncio.Event]] = []
        self._order = itertools.count()
        self._companions: list[Callable[[], Awaitable[None]]] = []

    def join(self, at_rest: Callable[[], Awaitable[None]]) -> None:
        """Have `advance` wait before each step until `at_rest` comes back: work takes none of this clock's time."""
        self._companions.append(at_rest)

    def leave(self, at_rest: Callable[[], Awaitable[None]]) -> None:
        """Wait for this one no more."""
        self._companions.remove(at_rest)

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed.total_seconds()

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait until `advance` has moved the clock by `seconds`; at most 0 only lets others run.

        It counts from this call, not from when the task begins that may be made of it.
        """
        if seconds <= 0:
            return asyncio.sleep(0)
        sleeper = (self._elapsed + timedelta(seconds=seconds), next(self._order), asyncio.Event())
        heapq.heappush(self._sleepers, sleeper)
        return self._sleep(sleeper)

    async def _sleep(self, sleeper: tuple[timedelta, int, asyncio.Event]) -> None:
        try:
            await sleeper[2].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the clock on; whoever wakes on the way runs at its own instant, in order."""
        await self._let_others_run()
        target = self._elapsed + timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= target:
            wake_at, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = wake_at
            woken.set()
            await self._let_others_run()
        self._elapsed = target
        await self._let_others_run()

    async def _let_others_run(self) -> None:
        for _ in range(_FEW_TURNS if self._companions else _TURNS):
            await asyncio.sleep(0)
        for at_rest in list(self._companions):
            await at_rest()
