"""Waiting until a server has done what is due, so that a standing clock may move on."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, runtime_checkable

from tidings.services import Services

# How often to look at something that does not end: it may itself wait for the clock to move. Counted rather than timed,
# so that patience grows with the machine's load.
_LOOKS: Final = 250
_PAUSE_SECONDS: Final = 0.001


@runtime_checkable
class Busy(Protocol):
    """An extra that does things by itself, of which a test's clock should await the end."""

    @property
    def busy(self) -> int:
        """How many things are being done, or due."""


class Rest:
    """Comes back once nothing runs at a server and nothing is due; give it to `FakeClock.join`.

    A machine under load needs longer for the same work. Were the clock to move meanwhile, a second of work would look
    like minutes of delay.

    Args:
        services: The server's parts.
    """

    def __init__(self, services: Services) -> None:
        self._scheduler = services.scheduler
        self._others = [extra for extra in services.extras if isinstance(extra, Busy)]
        self._waiting: tuple[frozenset[str], int] | None = (
            None  # what did not end when it was last waited for
        )

    async def __call__(self) -> None:
        """Wait; not for what did not end the last time either."""
        for _ in range(_LOOKS):
            if self._is_at_rest():
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        self._waiting = self._unfinished()

    def _is_at_rest(self) -> bool:
        if not self._scheduler.is_resting:
            return False
        unfinished = self._unfinished()
        return unfinished in {(frozenset(), 0), self._waiting}

    def _unfinished(self) -> tuple[frozenset[str], int]:
        return self._scheduler.running, sum(other.busy for other in self._others)
