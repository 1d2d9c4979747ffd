"""Rate limits, and the headers that tell of them.

The library `limits` is not used: its memory storage reads `time.time()` where tidings has one `Clock`, starts
a thread, keeps every key it ever saw until it expires (addresses come from attackers), and costs 16 MB. This
counts in fixed windows: a key's window starts with its first hit, so `reset_seconds` is exact. Where nodes share a
database they share counts too: see `sharedlimits`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tidings.contracts import Principal
from tidings.durations import Rate

MOST_KEYS: Final = 50_000
_IPV6_PREFIX = 64  # what one subscriber is given; each of its 2^64 addresses costs nothing


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """Whether one more is within the limit.

    Attributes:
        policy: The limit's name: `api`.
        limit: How many a window takes.
        window_seconds: How long it is.
        remaining: How many it still takes.
        reset_seconds: When it ends.
    """

    policy: str
    limit: int
    window_seconds: float
    allowed: bool
    remaining: int
    reset_seconds: float

    @property
    def refusal(self) -> str:
        """What to tell who is refused."""
        return f"More than {self.limit} requests. Try again in {self.reset_seconds:.0f} s."

    def headers(self) -> dict[str, str]:
        """For the answer: draft-ietf-httpapi-ratelimit-headers, and `Retry-After` where it is refused."""
        reset = math.ceil(self.reset_seconds)
        headers = {
            "RateLimit-Policy": f'"{self.policy}";q={self.limit};w={math.ceil(self.window_seconds)}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={reset}',
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, reset))
        return headers


class Limiter:
    """Counts hits of each key. Bounded: the key that was quiet longest is forgotten first.

    Args:
        rate: How many in how long.
        policy: The limit's name in headers.
        most_keys: How many keys are remembered.
        is_for_strangers: Whether keys are of their making; to nodes that share a limit it makes a difference.
    """

    def __init__(
        self, rate: Rate, *, policy: str, most_keys: int = MOST_KEYS, is_for_strangers: bool = False
    ) -> None:
        self._rate = rate
        self._policy = policy
        self._most_keys = most_keys
        self.is_for_strangers = is_for_strangers
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def hit(self, key: str, now: float) -> Decision:
        """Count one more for `key`; what is refused does not count.

        Args:
            key: Who.
            now: `Clock.monotonic()`.
        """
        ends_at, count = self._windows.get(key, (0.0, 0))
        if count == 0 or now >= ends_at:
            ends_at, count = now + self._rate.seconds, 0
        allowed = count < self._rate.amount
        if allowed:
            count += 1
            self._windows[key] = (ends_at, count)
        self._windows.move_to_end(key)
        if len(self._windows) > self._most_keys:
            self._windows.popitem(last=False)
        return Decision(
            policy=self._policy,
            limit=self._rate.amount,
            window_seconds=self._rate.seconds,
            allowed=allowed,
            remaining=self._rate.amount - count,
            reset_seconds=min(self._rate.seconds, ends_at - now),
        )

    async def count(self, key: str, now: float) -> Decision:
        """What `hit` does; where nodes share their limits, for all of them.

        Raises:
            Unavailable: The database that they share can't be used now.
        """
        return self.hit(key, now)


class RequestLimits:
    """How often a principal may use the API; opening a stream is free and never asks here.

    Args:
        api: For each API token, and for each user with JWTs (whoever mints them mints as many as wanted).
        sessions: For each browser session.
        limiter: Makes what counts, given a rate and a `policy`.
    """

    def __init__(
        self, *, api: Rate | None, sessions: Rate | None, limiter: Callable[..., Limiter] = Limiter
    ) -> None:
        self._api = None if api is None else limiter(api, policy="api")
        self._sessions = None if sessions is None else limiter(sessions, policy="sessions")

    async def hit(self, principal: Principal, now: float) -> Decision | None:
        """Count a request; None where nothing limits it.

        Args:
            principal: Who asks.
            now: `Clock.monotonic()`.

        Raises:
            Unavailable: The database by which nodes share their limits can't be used now.
        """
        limiter = self._sessions if principal.kind == "session" else self._api
        if limiter is None:
            return None
        key = f"jwt:{principal.user_id}" if principal.kind == "jwt" else principal.key
        return await limiter.count(key, now)


async def exceeded(limiter: Limiter | None, key: str, now: float) -> Decision | None:
    """Count one more for `key`, where there is a limit; the decision if that is beyond it.

    Raises:
        Unavailable: See `Limiter.count`.
    """
    if limiter is None:
        return None
    decision = await limiter.count(key, now)
    return None if decision.allowed else decision


def address_key(address: str) -> str:
    """Under which key a client's address is counted: an IPv6 address by its /64, anything else by itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
