"""Notices that a plugin holds up everybody: by blocking the event loop, or by starting tasks without end.

Code that waits without `await` stops every stream and every webhook of the process. Nothing can be done about it from
outside but to say whose code it is, in which line.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from structlog.typing import FilteringBoundLogger

from tidings.blame import Blame
from tidings.health import Health
from tidings.plugins import LoadedPlugin

_BLOCKED_SECONDS: Final = 1.0
_BEAT_SECONDS: Final = 0.2
_FORGIVEN_SECONDS: Final = 300.0
_MOST_TASKS: Final = 10_000
_TASKS_EVERY_SECONDS: Final = 30.0


class Watchdog:
    """Watches the loop it is started in, from a thread of its own, in the machine's own time.

    Args:
        plugins: Those at work.
        blocked_seconds: How long the loop may stand still.
        most_tasks: How many tasks a plugin may have at a time.
    """

    def __init__(
        self,
        plugins: Sequence[LoadedPlugin],
        health: Health,
        log: FilteringBoundLogger,
        *,
        blocked_seconds: float = _BLOCKED_SECONDS,
        most_tasks: int = _MOST_TASKS,
    ) -> None:
        self._blame = Blame(plugins)
        self._health = health
        self._log = log
        self._blocked_seconds = blocked_seconds
        self._most_tasks = most_tasks
        self._beat_at = time.monotonic()
        self._stopped = threading.Event()
        self._forgiving: dict[str, asyncio.TimerHandle] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch meanwhile."""
        loop = asyncio.get_running_loop()
        beating = asyncio.create_task(self._beat())
        arguments = (loop, threading.get_ident())
        thread = threading.Thread(target=self._watch, args=arguments, name="watchdog", daemon=True)
        self._beat_at = time.monotonic()
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            beating.cancel()
            await asyncio.wait([beating])
            await asyncio.to_thread(thread.join)
            for handle in self._forgiving.values():
                handle.cancel()

    async def _beat(self) -> None:
        looked_at = time.monotonic()
        while True:
            self._beat_at = time.monotonic()
            if self._beat_at - looked_at >= _TASKS_EVERY_SECONDS:
                looked_at = self._beat_at
                self.count_tasks()
            await asyncio.sleep(_BEAT_SECONDS)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        told_of = 0.0
        while not self._stopped.wait(_BEAT_SECONDS):
            beat_at = self._beat_at
            if time.monotonic() - beat_at < self._blocked_seconds or beat_at == told_of:
                continue
            told_of = beat_at  # once for each time it stands still
            found = self._blame.at(sys._current_frames().get(thread))
            if found is not None and not loop.is_closed():
                plugin, where = found
                loop.call_soon_threadsafe(self._tell, plugin, f"It blocks the event loop ({where}).")

    def count_tasks(self) -> None:
        """Report plugins that have started more tasks than they may have."""
        counted: Counter[str] = Counter()
        owners: dict[str, LoadedPlugin] = {}
        for task in asyncio.all_tasks():
            frames = task.get_stack(limit=1)
            found = self._blame.at(frames[0]) if frames else None
            if found is not None:
                counted[found[0].key] += 1
                owners[found[0].key] = found[0]
        for key, count in counted.items():
            if count > self._most_tasks:
                self._tell(owners[key], f"It has {count} tasks at a time, and starts more than it ends.")

    def _tell(self, plugin: LoadedPlugin, what: str) -> None:
        reason = f"{what} {self._blame.signed(plugin)}."
        self._log.error("plugin_holds_up", plugin=plugin.key, reason=reason)
        component = self._health.component(plugin.key)
        component.down(reason)
        former = self._forgiving.pop(plugin.key, None)
        if former is not None:
            former.cancel()
        loop = asyncio.get_running_loop()
        self._forgiving[plugin.key] = loop.call_later(_FORGIVEN_SECONDS, component.up)
