"""What has arrived for core and was not taken yet, in memory that is bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Final

from tidings.contracts import Arrival, WakeUp
from tidings.event import UserId

_MOST_FRAMES: Final = 10_000  # that wait; the oldest give way, for they are news to nobody any more


class Mailbox:
    """Keeps the newest wake-up of each user only, and everything else in order."""

    def __init__(self) -> None:
        self._newest: dict[UserId, int] = {}
        self._frames: deque[Arrival] = deque(maxlen=_MOST_FRAMES)
        self._waiting = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Something has arrived."""
        if isinstance(arrival, WakeUp):
            self._newest[arrival.user_id] = max(arrival.seq, self._newest.get(arrival.user_id, 0))
        else:
            self._frames.append(arrival)
        self._waiting.set()

    def forget(self, user_id: UserId) -> None:
        """Nobody waits for this user's wake-ups any more."""
        self._newest.pop(user_id, None)

    def disturb(self) -> None:
        """Have `wait` return, though nothing has come."""
        self._waiting.set()

    async def wait(self) -> None:
        """Until there may be something to take."""
        await self._waiting.wait()
        self._waiting.clear()

    def take(self) -> Iterator[Arrival]:
        """All there is: wake-ups first."""
        newest, self._newest = self._newest, {}
        for user_id, seq in newest.items():
            yield WakeUp(user_id, seq)
        while self._frames:
            yield self._frames.popleft()
