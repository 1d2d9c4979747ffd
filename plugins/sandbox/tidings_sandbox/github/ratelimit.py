"""How much a caller may ask: the hourly limit that every answer shows, and the one that nobody sees coming."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Final, Literal

from tidings_sandbox.github.requests import Header, Problem

PER_HOUR: Final = 5000
PER_HOUR_FOR_NOBODY: Final = 60
_POINTS_PER_MINUTE: Final = 900
_HOUR_SECONDS: Final = 3600
_SECONDARY: Final = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
)

Style = Literal["retry-after", "text"]


@dataclasses.dataclass(slots=True, eq=False)
class Budget:
    """One caller's.

    Attributes:
        resets_at: Epoch seconds.
        minute: The minute since the epoch in which `points` were spent.
    """

    limit: int
    resets_at: int = 0
    used: int = 0
    minute: int = 0
    points: int = 0


class RateLimits:
    """The budgets of all callers: one a person, whichever app asks, and one for all who show no token.

    Attributes:
        secondary_status: What a secondary limit is answered with: 403 or 429.
        secondary_style: Whether it comes with `retry-after`, or says so in its text alone.
        secondary_until: Until when everybody is refused by a secondary limit; None for not at all.
    """

    def __init__(self) -> None:
        self._budgets: dict[int, Budget] = {}
        self.secondary_status = 403
        self.secondary_style: Style = "retry-after"
        self.secondary_until: datetime | None = None

    def budget(self, account_id: int) -> Budget:
        """The budget of an account; 0 for those who show no token."""
        budget = self._budgets.get(account_id)
        if budget is None:
            budget = self._budgets[account_id] = Budget(PER_HOUR if account_id else PER_HOUR_FOR_NOBODY)
        return budget

    def exhaust(self, account_id: int, now: datetime) -> None:
        """Let an account have nothing left until its hour is over."""
        budget = self._turned(account_id, int(now.timestamp()))
        budget.used = budget.limit

    def take(self, account_id: int, now: datetime, *, writes: bool) -> Budget:
        """Charge a call.

        Raises:
            Problem: The limit is reached: 403 for the hour's, 403 or 429 for the secondary one.
        """
        seconds = int(now.timestamp())
        budget = self._turned(account_id, seconds)
        if budget.used >= budget.limit:
            raise Problem(403, f"API rate limit exceeded for user ID {account_id}.", headers=headers(budget))
        budget.used += 1
        if budget.minute != seconds // 60:
            budget.minute, budget.points = seconds // 60, 0
        budget.points += 5 if writes else 1
        if self.secondary_until is not None:
            if now < self.secondary_until:
                raise self._secondary(budget, self.secondary_until - now)
            self.secondary_until = None
        if budget.points > _POINTS_PER_MINUTE:
            raise self._secondary(budget, timedelta(seconds=60 - seconds % 60))
        return budget

    def give_back(self, budget: Budget) -> None:
        """A call that was answered 304 counts for nothing."""
        budget.used = max(budget.used - 1, 0)

    def _turned(self, account_id: int, seconds: int) -> Budget:
        budget = self.budget(account_id)
        # A clock set back by more than the hour would otherwise leave nothing for as long as it was set back.
        if not 0 < budget.resets_at - seconds <= _HOUR_SECONDS:
            budget.resets_at, budget.used = seconds + _HOUR_SECONDS, 0
        return budget

    def _secondary(self, budget: Budget, left: timedelta) -> Problem:
        more = headers(budget)
        if self.secondary_style == "retry-after":
            more.append((b"retry-after", str(max(int(left.total_seconds()), 1)).encode()))
        return Problem(self.secondary_status, _SECONDARY, headers=more)


def headers(budget: Budget) -> list[Header]:
    """What every answer says of its caller's budget."""
    return [
        (b"x-ratelimit-limit", b"%d" % budget.limit),
        (b"x-ratelimit-remaining", b"%d" % max(budget.limit - budget.used, 0)),
        (b"x-ratelimit-used", b"%d" % budget.used),
        (b"x-ratelimit-reset", b"%d" % budget.resets_at),
        (b"x-ratelimit-resource", b"core"),
    ]
