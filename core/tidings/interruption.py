"""Breaks off a plugin's code that computes in the event loop, from outside."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from tidings.blame import Blame
from tidings.defects import Defect

#: What to do instead, for authors.
_INSTEAD: Final = (
    "Compute in a thread (`asyncio.to_thread`), or in pieces with `await asyncio.sleep(0)` between them"
)
# Ignored where nobody listens, so that one that comes too late harms nobody. Go interrupts its own threads by it.
_SIGNAL: Final = signal.SIGURG
# Where a failure amid their work would leave what others rely on half done.
_UNTOUCHED: Final = frozenset(
    {"tidings", "asyncio", "anyio", "uvloop", "concurrent", "threading", "logging", "importlib"}
)


class Interruption:
    """Has `Defect` raised in a plugin's code that the main thread is in.

    Python runs a signal's handler between two steps of the main thread, with the frame that it is in. So the handler
    sees whether that is still the plugin's, and what it raises there comes out of the plugin as any failure does.

    Args:
        blame: Whose code it is.
    """

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._wanted = ("", "")

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Meanwhile `break_off` works, if this is the main thread; in another it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.signal(_SIGNAL, self._interrupt)
        try:
            yield
        finally:
            signal.signal(_SIGNAL, former)

    def break_off(self, thread: int, plugin: str, reason: str) -> None:
        """Break off what a thread does, if it is this plugin's code or what that has called of libraries.

        Args:
            thread: Its identity; nothing happens unless it is the main thread.
            plugin: The plugin's key.
            reason: What the failure says, without what to do instead.
        """
        if thread == threading.main_thread().ident:
            self._wanted = (plugin, reason)
            signal.pthread_kill(thread, _SIGNAL)

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        (wanted, reason), self._wanted = self._wanted, ("", "")
        plugin = self._blame.within(frame, _UNTOUCHED)
        if plugin is not None and plugin.key == wanted:
            raise Defect(f"{reason}, and was broken off. {_INSTEAD}.")
