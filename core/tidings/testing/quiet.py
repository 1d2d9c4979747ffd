"""Noticing input and output where there must be none: in hooks, in `verify`, in `parse`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_NOISY: Final = frozenset(
    {
        "open",
        "socket.connect",
        "socket.bind",
        "socket.getaddrinfo",
        "socket.sendto",
        "subprocess.Popen",
        "os.system",
    }
)
_IMPORTED: Final = (".py", ".pyc", ".so", ".pyi")
_heard: dict[int, list[str]] = {}  # by thread; an audit hook can't be taken away, so there is one for all
_planted: list[bool] = []


@contextmanager
def listening_for_io() -> Iterator[list[str]]:
    """What this thread opens, connects to or starts meanwhile, in words; importing modules does not count."""
    if not _planted:
        _planted.append(True)
        sys.addaudithook(_hear)
    heard: list[str] = []
    thread = threading.get_ident()
    before, _heard[thread] = _heard.get(thread), heard
    try:
        yield heard
    finally:
        if before is None:
            del _heard[thread]
        else:
            _heard[thread] = before


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _NOISY or not _heard:
        return
    heard = _heard.get(threading.get_ident())
    if heard is None:
        return
    about = str(arguments[0] if event in {"open", "subprocess.Popen"} else arguments[1:])
    if event != "open" or not about.endswith(_IMPORTED):
        heard.append(f"{event} {about[:200]}")
