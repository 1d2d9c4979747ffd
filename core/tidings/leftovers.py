"""Tasks that a plugin's work leaves behind: they are ended with it, and it is said whose they are.

Nobody waits for them any more, and a plugin that leaves one at each poll would fill the memory in time. What a plugin
wants to do for long it does in `run`, whose tasks end with that.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

from structlog.typing import FilteringBoundLogger

from tidings.blame import Blame

#: Each task with the module, the file and the line that started it.
_Tasks = WeakKeyDictionary["asyncio.Future[Any]", tuple[str, str, int]]

# What stands between a line and the loop that starts its task.
_LIBRARIES: Final = frozenset({"asyncio", "anyio"})

# Copied into every task, so that it reaches those that were started by others.
_STARTED: ContextVar[_Tasks | None] = ContextVar("started", default=None)


class Leftovers:
    """Ends them.

    Args:
        blame: Knows whose code started a task: what core started may outlive the work in which it did.
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
        started: _Tasks = WeakKeyDictionary()
        token = _STARTED.set(started)
        try:
            yield
        finally:
            _STARTED.reset(token)
            for task, place in [one for one in started.items() if not one[0].done()]:
                self._end(task, *place)

    def during(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The same work, after which its tasks are ended."""

        async def tidy() -> None:
            with self.ended():
                await work()

        return tidy

    def _end(self, task: asyncio.Future[Any], module: str, file: str, line: int) -> None:
        plugin = self._blame.owner(module)
        if plugin is None:
            return
        task.cancel()
        where = f"{file}, line {line}"
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
            started[task] = _starter()
        return task

    start.accounts = True  # type: ignore[attr-defined]  # by which it is known again
    loop.set_task_factory(start)


def _starter() -> tuple[str, str, int]:
    frame = sys._getframe(2)
    while frame.f_back is not None and _module(frame).partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    return _module(frame), frame.f_code.co_filename, frame.f_lineno


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
