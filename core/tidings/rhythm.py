"""The rhythm of what is asked again and again: ever later while nothing comes, and not right after something did."""

from __future__ import annotations

from typing import Final

#: How much longer than its cadence a pause becomes at most.
MOST_PACE: Final = 4.0
#: For so long after something happened, a pause is no longer than its cadence.
ACTIVE_SECONDS: Final = 2 * 3600
_IDLE: Final = 2.0


def slower(pace: float) -> float:
    """The pace after a look that found nothing: the next pause in cadences, from 1 to `MOST_PACE`."""
    return min(MOST_PACE, max(1.0, pace * _IDLE))
