"""Google's quotas: so many units in any so many seconds, for each user of a project, or for the project."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime


class Units:
    """Counts units over a sliding window.

    Args:
        limit: So many units may be taken in any window; may be changed.
        window_seconds: How long that is.
    """

    def __init__(self, limit: int, window_seconds: float) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self._taken: dict[str, deque[tuple[float, int]]] = {}
        self._used: dict[str, int] = {}

    def take(self, who: str, at: datetime, units: int = 1) -> int | None:
        """Take units: None where there are as many; else how many seconds later there will be, and none is taken."""
        now = at.timestamp()
        self._forget(who, now)
        used = self._used.get(who, 0)
        if used + units > self.limit:
            return self._wait_seconds(who, now, used + units - self.limit)
        self._taken.setdefault(who, deque()).append((now, units))
        self._used[who] = used + units
        return None

    def used(self, who: str, at: datetime) -> int:
        """How many units were taken in the window that ends now."""
        self._forget(who, at.timestamp())
        return self._used.get(who, 0)

    def _forget(self, who: str, now: float) -> None:
        taken = self._taken.get(who)
        while taken and taken[0][0] <= now - self.window_seconds:
            self._used[who] -= taken.popleft()[1]

    def _wait_seconds(self, who: str, now: float, missing: int) -> int:
        for instant, units in self._taken.get(who, ()):
            missing -= units
            if missing <= 0:
                return max(1, math.ceil(instant + self.window_seconds - now))
        return math.ceil(self.window_seconds)
