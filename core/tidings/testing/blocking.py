"""Noticing what blocks the event loop: waiting for time, a connection or a name without `await`.

What is noticed are calls, not how long they take, so that it is the same on every machine.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple, SupportsIndex

_SLEEPS: Final = "waits by time.sleep"
_IS_TOLD_OF_SLEEP: Final = sys.version_info >= (3, 13)
# Of Python's audit events, https://docs.python.org/3/library/audit_events.html (3.13, 2025), those that wait.
_WAITS: Final = {
    "socket.connect": "waits for a connection",
    "socket.getaddrinfo": "waits for a name to be resolved",
    "socket.gethostbyname": "waits for a name to be resolved",
    "os.system": "waits for another program",
    "time.sleep": _SLEEPS,
}
_sleep: Final = time.sleep


class Block(NamedTuple):
    """A call that waits, and where it was made.

    Attributes:
        what: What it does, for people.
        stack: Modules, with file and line, from the innermost outwards.
    """

    what: str
    stack: list[tuple[str, str]]

    def place_in(self, module: str) -> str | None:
        """The file and line in the package of that module from which it was called; None where it was not."""
        package = module.partition(".")[0]
        return next((place for name, place in self.stack if name.partition(".")[0] == package), None)


# With the thread that listens. An audit hook can't be taken away, so there is one for all.
_noticed: list[tuple[int, list[Block]]] = []
_planted: list[bool] = []


@contextmanager
def noticing_blocks() -> Iterator[list[Block]]:
    """What this thread calls meanwhile that waits. In a server, that of the event loop calls it."""
    if not _planted:
        _planted.append(True)
        sys.addaudithook(_hear)
    found: list[Block] = []
    mine = (threading.get_ident(), found)
    _noticed.append(mine)
    if not _IS_TOLD_OF_SLEEP:
        time.sleep = _slept
    try:
        yield found
    finally:
        _noticed.remove(mine)
        if not _noticed:
            time.sleep = _sleep


def _slept(seconds: float | SupportsIndex, /) -> None:
    _note(_SLEEPS)
    _sleep(seconds)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _noticed and event in _WAITS and not (event == "socket.connect" and arguments[0].gettimeout() == 0):
        _note(_WAITS[event])


def _note(what: str) -> None:
    # Whoever waits in a thread of its own does so on purpose.
    listeners = [found for thread, found in _noticed if thread == threading.get_ident()]
    if listeners:
        block = Block(what, list(_stack(sys._getframe(2))))
        for found in listeners:
            found.append(block)


def _stack(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        yield name, f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
