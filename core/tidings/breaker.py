"""A circuit breaker: while a platform is down, it is asked only now and then whether it is back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tidings.errors import Unavailable

_MOST_FAILURES = 5
_FIRST_SECONDS = 30.0
_LONGEST_SECONDS = 600.0
_TRIAL_SECONDS = 60.0  # then the call that tries is taken for lost, and another may try
_WAIT_FOR_TRIAL_SECONDS = 5.0


class Breaker:
    """Opens after some failures in a row, for a time that grows; then one call tries, and decides.

    Args:
        name: What it protects, for people.
        monotonic: Seconds.
        random: For jitter.
    """

    def __init__(self, name: str, monotonic: Callable[[], float], random: Random) -> None:
        self._name = name
        self._monotonic = monotonic
        self._random = random
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None  # None while it is closed
        self._open_seconds = 0.0
        self._trial_until = 0.0
        self._reason = ""

    @property
    def state(self) -> str:
        """`closed` (calls pass), `open` (none does), or `half-open` (one may try)."""
        if self._open_until is None:
            return "closed"
        return "open" if self._monotonic() < self._open_until else "half-open"

    @property
    def reason(self) -> str:
        """The last failure; "" while it is closed."""
        return "" if self._open_until is None else self._reason

    def spread_seconds(self) -> float:
        """How much later than one may try another should come: whoever has much to wait for need not come at once."""
        return self._random.uniform(0, self._open_seconds)

    def check(self) -> None:
        """Let a call pass; in half-open state the first to ask is the one that tries.

        Raises:
            Unavailable: Not now.
        """
        if self._open_until is None:
            return
        now = self._monotonic()
        wait_seconds = self._open_until - now
        if wait_seconds <= 0 and now >= self._trial_until:
            self._trial_until = now + _TRIAL_SECONDS
            return
        raise Unavailable(
            f"{self._name} is not called for now, for it failed {_MOST_FAILURES} times in a row: {self._reason}",
            retry_after_seconds=max(wait_seconds, _WAIT_FOR_TRIAL_SECONDS),
        )

    def failed(self, reason: str) -> None:
        """A call failed for the platform's sake."""
        self._failures += 1
        self._reason = reason
        now = self._monotonic()
        is_trial = self._open_until is not None and self._open_until <= now
        if is_trial or (self._open_until is None and self._failures >= _MOST_FAILURES):
            longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**self._openings)
            self._open_seconds = self._random.uniform(longest / 2, longest)
            self._open_until = now + self._open_seconds
            self._openings = min(self._openings + 1, 10)
            self._trial_until = 0.0

    def worked(self) -> None:
        """A call came through."""
        self._failures = self._openings = 0
        self._open_until = None
        self._trial_until = 0.0
