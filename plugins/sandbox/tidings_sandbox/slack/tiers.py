"""How often methods may be called: by method, workspace and app (https://docs.slack.dev/apis/web-api/rate-limits)."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from datetime import datetime
from typing import Final

TIER_2: Final = 20
TIER_3: Final = 50
TIER_4: Final = 100
_SPECIAL: Final = 600  # "hundreds of requests per minute"
_LIFTED: Final = 1_000_000
_MINUTE_SECONDS: Final = 60.0


class Tiers:
    """Counts the calls of the one app in the one workspace.

    Attributes:
        per_minute: How many calls of each method any minute takes; may be changed in place.
        refused: How many calls were one too many.
    """

    def __init__(self) -> None:
        self.per_minute = {
            "auth.test": _SPECIAL,
            "auth.revoke": TIER_3,
            "apps.uninstall": TIER_2,
            "conversations.history": TIER_3,
            "conversations.info": TIER_3,
            "conversations.replies": TIER_3,
            "team.info": TIER_3,
            "users.conversations": TIER_3,
            "users.info": TIER_4,
            "users.list": TIER_2,
        }
        self.refused = 0
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)

    def lift(self) -> None:
        """Take as many calls as anybody may make."""
        self.per_minute = dict.fromkeys(self.per_minute, _LIFTED)

    def take(self, method: str, at: datetime) -> int | None:
        """Count a call; None where it is taken, else the seconds after which another may be."""
        now, calls = at.timestamp(), self._calls[method]
        while calls and calls[0] <= now - _MINUTE_SECONDS:
            calls.popleft()
        if len(calls) >= self.per_minute[method]:
            self.refused += 1
            return max(1, math.ceil(calls[0] + _MINUTE_SECONDS - now))
        calls.append(now)
        return None
