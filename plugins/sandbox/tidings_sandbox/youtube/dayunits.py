"""The day's units of a Google project: a day begins at midnight in California.

https://developers.google.com/youtube/v3/getting-started#quota (2026).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class DayUnits:
    """Counts the units of all clients together: they belong to one project.

    Args:
        limit: So many units are in a day; may be changed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._day: date | None = None
        self._used = 0

    def take(self, at: datetime) -> bool:
        """Take a unit, if there is one."""
        if self.used(at) >= self.limit:
            return False
        self._used += 1
        return True

    def used(self, at: datetime) -> int:
        """How many were taken on that day."""
        day = at.astimezone(_pacific()).date()
        if day != self._day:
            self._day, self._used = day, 0
        return self._used


@cache
def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except (ZoneInfoNotFoundError, OSError):  # a machine without the time zones' data
        return timezone(timedelta(hours=-8))
