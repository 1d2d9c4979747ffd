"""Notices that a plugin holds up everybody: by blocking the event loop, or by starting tasks without end.

Code that computes, or waits without `await`, stops every stream and every webhook of the process. It is named, with its
line. A plugin that has held up everybody for some seconds in all is broken off, and rests.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from structlog.typing import FilteringBoundLogger

from tidings.blame import Blame
from tidings.health import Health
from tidings.interruption import Interruption
from tidings.plugins import LoadedPlugin

_BLOCKED_SECONDS: Final = 1.0
_BEAT_SECONDS: Final = 0.2
_FORGIVEN_SECONDS: Final = 300.0
_MOST_HELD_SECONDS: Final = 3.0
_MOST_TASKS: Final = 10_000
_TASKS_EVERY_SECONDS: Final = 30.0


class Watchdog:
    """Watches the loop it is started in, from a thread of its own, in the machine's own time.

    Args:
        plugins: Those at work.
        blocked_seconds: How long the loop may stand still.
        most_tasks: How many tasks a plugin may have at a time.
        most_held_seconds: How long a plugin may block the loop in all, within five minutes.
        halt: Called at once, in the watchdog's thread, with the key of a plugin that has done so for longer: much that
            was begun may follow before the loop gets round to anything else.
        rest: Called in the loop after that, with the key and why.
    """

    def __init__(
        self,
        plugins: Sequence[LoadedPlugin],
        health: Health,
        log: FilteringBoundLogger,
        *,
        blocked_seconds: float = _BLOCKED_SECONDS,
        most_tasks: int = _MOST_TASKS,
        most_held_seconds: float = _MOST_HELD_SECONDS,
        halt: Callable[[str], None] = lambda key: None,
        rest: Callable[[str, str], None] = lambda key, reason: None,
    ) -> None:
        self._blame = Blame(plugins)
        self._interruption = Interruption(self._blame)
        self._health = health
        self._log = log
        self._blocked_seconds = blocked_seconds
        self._most_tasks = most_tasks
        self._most_held_seconds = most_held_seconds
        self._halt = halt
        self._rest = rest
        # Of the thread alone: when and how long, by plugin; the call under way, and for how long it has been seen; and
        # the last call that was one too many.
        self._held: dict[str, deque[tuple[float, float]]] = {}
        self._call, self._seen_seconds = (0.0, 0), 0.0
        self._last = (0.0, 0)
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
            with self._interruption.ready():
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
        told_of, looked_at = 0.0, time.monotonic()
        while not self._stopped.wait(_BEAT_SECONDS):
            beat_at, now = self._beat_at, time.monotonic()
            # Where the machine stands still, or has too much to do, this thread is late too.
            seconds, looked_at = min(now - looked_at, 2 * _BEAT_SECONDS), now
            if now - beat_at < 1.25 * _BEAT_SECONDS:
                continue
            frame = sys._current_frames().get(thread)
            found = self._blame.at(frame)
            if found is None or loop.is_closed():
                continue
            plugin, where = found
            if beat_at != told_of and now - beat_at >= self._blocked_seconds:
                told_of = beat_at  # once for each time it stands still
                loop.call_soon_threadsafe(self._tell, plugin, f"It blocks the event loop ({where}).")
            held = self._has_held(plugin.key, (beat_at, self._blame.call(frame, plugin)), now, seconds)
            if held >= self._most_held_seconds:
                reason = f"It blocked the event loop for {held:.0f} seconds in all"
                if self._last != self._call:
                    self._last = self._call
                    self._halt(plugin.key)
                    told = f"{reason} ({where}; {self._blame.signed(plugin)})."
                    loop.call_soon_threadsafe(self._rest, plugin.key, told)
                self._interruption.break_off(thread, plugin.key, reason)

    def _has_held(self, key: str, call: tuple[float, int], now: float, seconds: float) -> float:
        """How long a plugin has blocked the loop of late, as far as one and the same call was seen time after time.

        Returns 0 while this call has not done so for long enough to count.
        """
        former = self._seen_seconds if call == self._call else 0.0
        self._call, self._seen_seconds = call, former + seconds
        if self._seen_seconds < self._blocked_seconds:
            return 0.0
        held = self._held.setdefault(key, deque())
        held.append((now, seconds if former >= self._blocked_seconds else self._seen_seconds))
        while now - held[0][0] > _FORGIVEN_SECONDS:
            held.popleft()
        return sum(each for _, each in held)

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
        # Not the plugin's own, which its next success brings up again: of many accounts' polls there always is one.
        component = self._health.component(f"loop/{plugin.key}")
        component.down(reason)
        former = self._forgiving.pop(plugin.key, None)
        if former is not None:
            former.cancel()
        loop = asyncio.get_running_loop()
        self._forgiving[plugin.key] = loop.call_later(_FORGIVEN_SECONDS, component.up)
