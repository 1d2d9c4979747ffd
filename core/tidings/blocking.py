"""Hears of calls that wait: for time, a connection, a name or another program, in a thread that must not wait.

What is heard of are calls, not how long they take, so that it is the same on every machine. Who is told may raise; then
the call is not made.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, SupportsIndex

#: Told what a call does, for people, and from where it is made.
Listener = Callable[[str, FrameType], None]

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
# With the thread that they listen to. An audit hook can't be taken away, so there is one for all.
_listeners: list[tuple[int, Listener]] = []
_planted: list[bool] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell of each such call that this thread makes meanwhile, before it is made."""
    if not _planted:
        _planted.append(True)
        sys.addaudithook(_hear)
    mine = (threading.get_ident(), listener)
    _listeners.append(mine)
    if not _IS_TOLD_OF_SLEEP:
        time.sleep = _slept
    try:
        yield
    finally:
        _listeners.remove(mine)
        if not _listeners:
            time.sleep = _sleep


def _slept(seconds: float | SupportsIndex, /) -> None:
    _tell(_SLEEPS, sys._getframe(1))
    _sleep(seconds)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if (
        _listeners
        and event in _WAITS
        and not (event == "socket.connect" and arguments[0].gettimeout() == 0)  # it does not wait
    ):
        _tell(_WAITS[event], sys._getframe(1))


def _tell(what: str, frame: FrameType) -> None:
    # Whoever waits in a thread of its own does so on purpose.
    thread = threading.get_ident()
    for listened_to, listener in _listeners.copy():
        if listened_to == thread:
            listener(what, frame)
