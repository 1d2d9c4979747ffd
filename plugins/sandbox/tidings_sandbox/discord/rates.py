"""Discord's rate limits: one for each route and channel or server, told in every answer.

https://docs.discord.com/developers/topics/rate-limits. The numbers are not published, and these are invented.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from tidings_sandbox.wire import Answer, json_answer

Header = tuple[bytes, bytes]
Key = TypeVar("Key")

_GLOBAL_PER_SECOND: Final = 50
_MOST_WINDOWS: Final = 10_000


class Window(msgspec.Struct):
    """The calls in one span of time; `ends_at` in seconds since 1970."""

    ends_at: float
    used: int = 0


class Rates:
    """Counts calls.

    Attributes:
        usual: How many calls of a route, and in how many seconds.
        of: Likewise for single routes: `messages`.
    """

    def __init__(self) -> None:
        self.usual: tuple[int, float] = (10, 5.0)
        self.of: dict[str, tuple[int, float]] = {"messages": (5, 5.0)}
        self._windows: dict[tuple[str, str, str], Window] = {}
        self._seconds: dict[str, Window] = {}

    def take(self, caller: str, route: str, major: str, now: datetime) -> tuple[list[Header], Answer | None]:
        """Charge a call: the headers of its answer, and the answer itself where it is one too many.

        Args:
            caller: Whose token.
            route: The kind of call: `messages`.
            major: Of which channel or server; "" for none.
            now: Discord's present instant.
        """
        seconds = now.timestamp()
        whole = _current(self._seconds, caller, 1.0, seconds)
        if whole.used >= _GLOBAL_PER_SECOND:
            return [], _refusal([], whole.ends_at - seconds, "global")
        whole.used += 1
        most, length = self.of.get(route, self.usual)
        window = _current(self._windows, (caller, route, major), length, seconds)
        is_over = window.used >= most
        window.used += not is_over
        left = window.ends_at - seconds
        headers = [
            (b"x-ratelimit-limit", b"%d" % most),
            (b"x-ratelimit-remaining", b"%d" % (most - window.used)),
            (b"x-ratelimit-reset", b"%.3f" % window.ends_at),
            (b"x-ratelimit-reset-after", b"%.3f" % left),
            (b"x-ratelimit-bucket", hashlib.sha256(route.encode()).hexdigest()[:32].encode()),
        ]
        return headers, _refusal(headers, left, "user") if is_over else None


def _current(windows: dict[Key, Window], key: Key, length: float, now: float) -> Window:
    """The window in which a call of now counts."""
    window = windows.get(key)
    if window is None or not 0 < window.ends_at - now <= length:
        if len(windows) >= _MOST_WINDOWS:
            windows.clear()
        window = windows[key] = Window(now + length)
    return window


def _refusal(headers: list[Header], left: float, scope: str) -> Answer:
    more = [
        *headers,
        (b"retry-after", b"%d" % max(1, math.ceil(left))),
        (b"x-ratelimit-scope", scope.encode()),
    ]
    if scope == "global":
        more.append((b"x-ratelimit-global", b"true"))
    body = {
        "message": "You are being rate limited.",
        "retry_after": round(left, 3),
        "global": scope == "global",
    }
    return json_answer(body, 429, more)
