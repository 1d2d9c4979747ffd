"""Refuses plugins what would have everybody wait: calls that wait, in the thread of the event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from tidings.blame import Blame
from tidings.blocking import listening
from tidings.defects import Defect
from tidings.plugins import LoadedPlugin

#: What to do instead, for authors.
INSTEAD = "Use `await` and what is asynchronous (`asyncio.sleep`, `Context.http`), or a thread (`asyncio.to_thread`)"


@contextmanager
def guarding(plugins: Sequence[LoadedPlugin]) -> Iterator[None]:
    """Have such calls of plugins raise `Defect` meanwhile, in this thread, instead of waiting.

    What only computes for long can't be refused; the watchdog finds it.
    """
    blame = Blame(plugins)

    def refuse(what: str, frame: FrameType) -> None:
        if blame.at(frame) is not None:
            raise Defect(f"It {what} in the event loop, where everybody would wait with it. {INSTEAD}.")

    with listening(refuse):
        yield
