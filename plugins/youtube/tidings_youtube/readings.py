"""What registering has read of subscriptions, which the next poll need not ask for again."""

from __future__ import annotations

from typing import Final, NamedTuple

from tidings.contracts import Clock
from tidings_youtube.channels import Subscriptions

_MOST: Final = 1000


class Read(NamedTuple):
    """The subscriptions of an account as they were at the instant `at`, in seconds since 1970."""

    subscriptions: Subscriptions
    at: int


class Readings:
    """The last reading of each account, until a poll takes it; of the last thousand accounts.

    Both ask about once a day. It is only a saving: what this process forgets at its end is asked for once more.

    Args:
        clock: When it was read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reads: dict[str, Read] = {}

    def keep(self, account_key: str, subscriptions: Subscriptions) -> None:
        """Keep what was read just now."""
        self._reads.pop(account_key, None)
        if len(self._reads) >= _MOST:
            del self._reads[next(iter(self._reads))]
        self._reads[account_key] = Read(subscriptions, int(self._clock.now().timestamp()))

    def take(self, account_key: str, since: float) -> Read | None:
        """What was read at or after an instant, once; None where there is nothing, or only what is older."""
        found = self._reads.get(account_key)
        if found is None or found.at < since:
            return None
        return self._reads.pop(account_key)
