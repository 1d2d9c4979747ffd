"""The Data API's quota: units a day for the whole project, whatever its accounts do.

10 000 by default; the day begins at midnight in the Pacific time zone (developers.google.com/youtube/v3/getting-started
and …/docs/errors, 2026). The error `quotaExceeded` is final until then.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidings.contracts import Answer, Pause
from tidings_google import error_reason

DAY_SECONDS: Final = 86_400.0

_USED_UP: Final = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_LEAST_SECONDS: Final = 60.0


def used_up(answer: Answer, now: datetime) -> Pause | None:
    """The pause that an answer means where the day's units are used up; None for any other answer."""
    if answer.status != 403 or (reason := error_reason(answer)) not in _USED_UP:
        return None
    return Pause(
        seconds_to_midnight(now),
        whole_app=True,
        reason=f"{reason}: the Google project's units are used up until midnight, Pacific time.",
    )


def seconds_to_midnight(now: datetime) -> float:
    """How long the quota's day still lasts."""
    here = now.astimezone(_pacific())
    midnight = datetime(here.year, here.month, here.day, tzinfo=here.tzinfo) + timedelta(days=1)
    # Between instants of one zone Python counts what clocks on the wall show; a day there may have 23 or 25 hours.
    seconds = midnight.timestamp() - now.timestamp()
    return max(_LEAST_SECONDS, seconds)


@cache
def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except (ZoneInfoNotFoundError, OSError):  # a machine without the time zones' data
        return timezone(timedelta(hours=-8))  # in summer this waits for an hour more than need be
