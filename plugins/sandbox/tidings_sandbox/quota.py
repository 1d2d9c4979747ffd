"""How often an app may call: Spotify's rolling rate limit and its quota of development mode.

Neither number is published. https://developer.spotify.com/documentation/web-api/concepts/rate-limits
"""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Final

_DAY_SECONDS: Final = 86_400.0


class Quota:
    """Counts the calls of one app.

    Args:
        per_window: How many calls a rolling window takes.
        window_seconds: How long that is.
        per_day: How many calls rolling 24 hours take.
    """

    def __init__(self, *, per_window: int, window_seconds: float, per_day: int) -> None:
        self.per_window = per_window
        self.window_seconds = window_seconds
        self.per_day = per_day
        self._window: deque[float] = deque()
        self._day: deque[float] = deque()
        self._closed_until = 0.0

    def used(self, at: datetime) -> int:
        """How many calls were taken in the 24 hours before."""
        _forget(self._day, at.timestamp() - _DAY_SECONDS)
        return len(self._day)

    def take(self, at: datetime) -> tuple[int, bool] | None:
        """Count a call.

        Returns:
            None where it is taken; else the seconds after which another may be, and whether the daily quota is
            used up (then it is long: until half of the quota is free again).
        """
        now = at.timestamp()
        if now < self._closed_until:
            return math.ceil(self._closed_until - now), True
        _forget(self._window, now - self.window_seconds)
        if len(self._window) >= self.per_window:
            return max(1, math.ceil(self._window[0] + self.window_seconds - now)), False
        _forget(self._day, now - _DAY_SECONDS)
        if len(self._day) >= self.per_day:
            self._closed_until = self._day[len(self._day) // 2] + _DAY_SECONDS
            return max(1, math.ceil(self._closed_until - now)), True
        self._window.append(now)
        self._day.append(now)
        return None


def _forget(calls: deque[float], until: float) -> None:
    while calls and calls[0] <= until:
        calls.popleft()
