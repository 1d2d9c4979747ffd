"""Noticing what waits without `await`, and where that was called from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from tidings.blocking import listening


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


@contextmanager
def noticing_blocks() -> Iterator[list[Block]]:
    """What this thread calls meanwhile that waits. In a server, that of the event loop calls it."""
    found: list[Block] = []
    with listening(lambda what, frame: found.append(Block(what, list(_stack(frame))))):
        yield found


def _stack(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        yield name, f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
