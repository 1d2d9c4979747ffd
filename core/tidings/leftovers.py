"""Tasks that a plugin's work leaves behind: they are ended with it, and it is said whose they are.

Nobody waits for them any more, and a plugin that leaves one at each poll would fill the memory in time. What a plugin
wants to do for long it does in `run`, whose tasks end with that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from structlog.typing import FilteringBoundLogger

from tidings.blame import Blame

_Tasks = WeakSet["asyncio.Future[Any]"]

# Copied into every task, so that it reaches those that were started by others.
_STARTED: ContextVar[_Tasks | None] = ContextVar("started", default=None)


class Leftovers:
    """Ends them.

    Args:
        blame: Knows whose code a task is: core's own may outlive the work in which they were started.
        log: Told once of each line that leaves tasks.
    """

    def __init__(self, blame: Blame, log: FilteringBoundLogger) -> None:
        self._blame = blame
        self._log = log
        self._told: set[str] = set()

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the tasks of plugins that were started meanwhile and still run."""
        _account_for_tasks()
        started: _Tasks = WeakSet()
        token = _STARTED.set(started)
        try:
            yield
        finally:
            _STARTED.reset(token)
            for task in [one for one in started if not one.done()]:
                self._end(task)

    def during(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The same work, after which its tasks are ended."""

        async def tidy() -> None:
            with self.ended():
                await work()

        return tidy

    def _end(self, task: asyncio.Future[Any]) -> None:
        coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
        found = self._blame.at(getattr(coroutine, "cr_frame", None))
        if found is None:
            return
        task.cancel()
        plugin, where = found
        if where not in self._told:
            self._told.add(where)
            self._log.warning(
                "plugin_left_tasks",
                plugin=plugin.key,
                reason=f"A task still ran when the work that started it was over ({where}), and was ended. Wait for "
                f"it, or start it in run. {self._blame.signed(plugin)}.",
            )


def _account_for_tasks() -> None:
    """Have the loop put every task it starts on the list of the work that starts it, if that keeps one."""
    loop = asyncio.get_running_loop()
    former = loop.get_task_factory()
    if getattr(former, "accounts", False):
        return

    def start(loop: Any, work: Any, **more: Any) -> Any:
        task = asyncio.Task(work, loop=loop, **more) if former is None else former(loop, work, **more)
        started = _STARTED.get()
        if started is not None:
            started.add(task)
        return task

    start.accounts = True  # type: ignore[attr-defined]  # by which it is known again
    loop.set_task_factory(start)
