"""What a failed run means for when its job runs again."""

from __future__ import annotations

import dataclasses
import math
from random import Random

from tidings.discretion import redact
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.jobs import LeaseLost

_FIRST_SECONDS = 2.0
_LONGEST_SECONDS = 600.0
_MANY_ATTEMPTS = 10
_LAST_SECONDS = 3600.0  # after many attempts, and of what was refused
_MOST_DOUBLINGS = 20
# Of what a platform asked for, on top: those whom it told the same don't all come back at once.
_JITTER, _MOST_JITTER_SECONDS = 0.1, 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What became of a run.

    Attributes:
        outcome: `done`, `lost` (its lease), or how it failed.
        again_seconds: When to run again; None to rest.
        error: Why it failed; "" where it did not.
        defect: The exception of a handler that raised what it must not.
    """

    outcome: str
    again_seconds: float | None = None
    error: str = ""
    defect: Exception | None = None


class Retries:
    """Judges failures.

    Args:
        random: For jitter.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def judge(self, failure: Exception, attempts: int) -> Result:
        """What becomes of a run that raised `failure` after so many failed attempts before."""
        text = redact(str(failure))
        match failure:
            case LeaseLost():
                return Result("lost")
            case AuthExpired():
                return Result("auth_expired", None, text or "The token is no longer accepted.")
            case Unavailable(retry_after_seconds=float() | int() as seconds):
                jitter = self._random.uniform(0, min(abs(seconds) * _JITTER, _MOST_JITTER_SECONDS))
                return Result("unavailable", max(0.0, seconds) + jitter, text or "It is not available.")
            case Unavailable():
                seconds = self._back_off_seconds(attempts)
                return Result("unavailable", seconds, text or "It is not available.")
            case Rejected():
                jitter = self._random.uniform(0, _LAST_SECONDS * _JITTER)
                return Result("rejected", _LAST_SECONDS + jitter, text or "It was refused.")
        error = f"{type(failure).__name__}: {text}"
        return Result("failed", self._back_off_seconds(attempts), error, failure)

    def _back_off_seconds(self, attempts: int) -> float:
        """Full jitter: anything up to a bound that doubles with each failure."""
        longest = _LONGEST_SECONDS if attempts < _MANY_ATTEMPTS else _LAST_SECONDS
        bound = math.ldexp(_FIRST_SECONDS, min(attempts, _MOST_DOUBLINGS))
        return self._random.uniform(0, min(longest, bound))
