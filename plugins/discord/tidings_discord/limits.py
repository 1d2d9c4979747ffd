"""How much Discord lets a caller ask, read from its answers.

Numbers are not to be built in: what holds is in the headers (https://docs.discord.com/developers/topics/rate-limits,
2026). One number matters all the same: an address from which 10,000 calls within ten minutes are answered 401, 403 or
429 is shut out. So nothing here is tried again in a loop.
"""

from __future__ import annotations

import math
from typing import Final

from tidings.contracts import Answer, Pause
from tidings.errors import Unavailable
from tidings.fields import Object, as_object, number

_UNSAID_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 0.05
_MOST_SECONDS: Final = 86_400.0
_SHUT_OUT_SECONDS: Final = 3600.0
_MOST_REMEMBERED: Final = 10_000
_SAID_WITHIN_BYTES: Final = 4096
# Discord's own code for "Cloudflare is blocking your request" (Opcodes and Status Codes).
_BLOCKED: Final = 40333
_REFUSED_CLIENT: Final = (
    "Discord's doorkeeper (Cloudflare) refuses this client: error 1010. It does not like the User-Agent, or a proxy "
    "between here and Discord changes it. Nobody's token is to blame."
)
_SHUT_OUT: Final = (
    "Discord's doorkeeper (Cloudflare) shuts out this server's address, because too many calls from it were refused. "
    "It lets it in again by itself; until then nothing is asked."
)


def pause(answer: Answer) -> Pause | None:
    """What an answer says about rates; see `tidings.contracts.Connects.pause`.

    A limit that is used up, but was not exceeded, pauses nothing: it is that of one route, and the account's other
    calls go elsewhere.
    """
    if answer.status == 403 and is_refused_client(answer):
        return Pause(_SHUT_OUT_SECONDS, whole_app=True, reason=_REFUSED_CLIENT)
    if answer.status != 429:
        return None
    if is_shut_out(answer):
        return Pause(max(wait_seconds(answer), _UNSAID_SECONDS), whole_app=True, reason=_SHUT_OUT)
    return Pause(wait_seconds(answer), whole_app=False, reason="Discord's rate limit is reached.")


def is_refused_client(answer: Answer) -> bool:
    """Whether a 403 is Cloudflare's, and about the client itself."""
    said = answer.body[:_SAID_WITHIN_BYTES]
    return b"error code: 1010" in said or number(_json(answer), "code") == _BLOCKED


def is_shut_out(answer: Answer) -> bool:
    """Whether a 429 is Cloudflare's: Discord's own say in a header or in their JSON whose limit it is."""
    return "x-ratelimit-scope" not in answer.headers and "retry_after" not in _json(answer)


def wait_seconds(answer: Answer) -> float:
    """How long a 429 wants us to wait."""
    told = as_seconds(_json(answer).get("retry_after"))
    if told is None:
        told = as_seconds(answer.headers.get("retry-after"))
    return min(max(_UNSAID_SECONDS if told is None else told, _LEAST_SECONDS), _MOST_SECONDS)


def as_seconds(value: object) -> float | None:
    """A finite, positive number of seconds, also as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _json(answer: Answer) -> Object:
    try:
        return as_object(answer.json())
    except Unavailable:
        return {}


class RouteLimits:
    """Until when which routes rest.

    Routes whose answers name one bucket share its limit, for each server or channel by itself.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, str] = {}
        self._until: dict[str, float] = {}
        self._all_until = 0.0

    def wait_seconds(self, route: str, now: float) -> float:
        """How long to wait before a call of this route."""
        until = self._until.get(self._key(route), 0.0)
        return max(until, self._all_until) - now

    def rest(self, until: float) -> None:
        """Nothing is asked until then."""
        self._all_until = max(self._all_until, until)

    def learn(self, route: str, answer: Answer, now: float) -> None:
        """Read what an answer says of its route's limit, or of that for everything."""
        headers = answer.headers
        if bucket := headers.get("x-ratelimit-bucket", "")[:100]:
            self._buckets[route] = bucket
        if answer.status == 429:
            until = now + wait_seconds(answer)
            if headers.get("x-ratelimit-scope") == "global" or headers.get("x-ratelimit-global") == "true":
                self.rest(until)
            else:
                self._note(route, until, now)
        elif headers.get("x-ratelimit-remaining", "").strip() == "0":
            self._note(route, now + (as_seconds(headers.get("x-ratelimit-reset-after")) or 0.0), now)

    def _note(self, route: str, until: float, now: float) -> None:
        if len(self._until) >= _MOST_REMEMBERED:
            self._until = {key: one for key, one in self._until.items() if one > now}
        self._until[self._key(route)] = until

    def _key(self, route: str) -> str:
        bucket = self._buckets.get(route)
        return route if bucket is None else f"{bucket}/{route.partition('/')[2]}"
