"""How much GitHub lets an account ask, read from its answers.

The order is GitHub's own (https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api):
`retry-after`, then a used-up hour, then the words "secondary rate limit"; any other 403 is about permissions. Limits
belong to the person, whichever application asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tidings.contracts import Answer, Clock, Pause, retry_after_seconds

_SECONDARY: Final = b"secondary rate limit"
_SECONDARY_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 6 * 3600.0  # the longest limit is an hour's; what asks for more is an odd clock
_SAID_WITHIN_BYTES: Final = 10_000
_WRITE_SECONDS: Final = 1.0
_MOST_ACCOUNTS: Final = 1000


def pause(answer: Answer, now: datetime) -> Pause | None:
    """What an answer says about rates; see `tidings.contracts.Connects.pause`."""
    if answer.status in {403, 429}:
        seconds = retry_after_seconds(answer.headers, now)
        if seconds is not None:
            return _pause(seconds, "GitHub asks for patience (retry-after).")
    if answer.headers.get("x-ratelimit-remaining", "").strip() == "0":
        return _pause(_until_reset(answer, now), "This account's calls to GitHub for this hour are used up.")
    if is_limited(answer):
        return _pause(_SECONDARY_SECONDS, "GitHub's secondary rate limit is reached.")
    return None


def is_limited(answer: Answer) -> bool:
    """Whether an answer refuses a call because of a limit, and not because of what it asks for."""
    headers = answer.headers
    return answer.status == 429 or (
        answer.status == 403
        and (
            "retry-after" in headers
            or headers.get("x-ratelimit-remaining", "").strip() == "0"
            or _SECONDARY in answer.body[:_SAID_WITHIN_BYTES].lower()
        )
    )


def _pause(seconds: float, reason: str) -> Pause:
    return Pause(min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS), whole_app=False, reason=reason)


def _until_reset(answer: Answer, now: datetime) -> float:
    text = answer.headers.get("x-ratelimit-reset", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text) - now.timestamp()
    return _SECONDARY_SECONDS


class Writes:
    """Keeps an account's writes a second apart, as GitHub asks.

    Args:
        clock: All time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_at: dict[str, float] = {}

    async def turn(self, account_key: str) -> None:
        """Wait until this account may write."""
        now = self._clock.monotonic()
        if len(self._next_at) >= _MOST_ACCOUNTS:
            self._next_at = {key: at for key, at in self._next_at.items() if at > now}
        at = max(now, self._next_at.get(account_key, 0.0))
        self._next_at[account_key] = at + _WRITE_SECONDS
        if at > now:
            await self._clock.sleep(at - now)
