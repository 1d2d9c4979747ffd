"""Public keys of platforms and applications (JSON Web Key Sets, RFC 7517), kept at hand to verify what they sign."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from tidings.connecting import Answer, Http
from tidings.contracts import Clock
from tidings.errors import Unavailable

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.ASCII)
_LEAST_SECONDS: Final = 300.0
_USUAL_SECONDS: Final = 3600.0
_MOST_SECONDS: Final = 86_400.0
# Who invents key ids must not have us ask with each of them.
_AGAIN_SECONDS: Final = 60.0


class KeySets:
    """Reads key sets, and keeps them for as long as their `Cache-Control` says (5 minutes to a day).

    Args:
        http: Reads them.
        clock: All time.
    """

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._fresh_until: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def get(self, url: str) -> Mapping[str, Any]:
        """The key set at `url`; an old one where no new one can be had.

        Raises:
            Unavailable: None can be had now, and none was read before.
        """
        if self._clock.monotonic() < self._fresh_until.get(url, 0.0):
            return self._kept[url]
        return await self._read(url, self._kept.get(url))

    async def renew(self, url: str) -> Mapping[str, Any]:
        """The key set read anew, for a key that the last one lacks; at most once a minute.

        Raises:
            Unavailable: As `get`.
        """
        return await self._read(url, self._kept.get(url))

    async def _read(self, url: str, known: Mapping[str, Any] | None) -> Mapping[str, Any]:
        async with self._lock:
            kept = self._kept.get(url)
            if kept is not None and kept is not known:
                return kept  # read while this waited
            now = self._clock.monotonic()
            asked_at = self._asked_at.get(url)
            if asked_at is not None and now - asked_at < _AGAIN_SECONDS:
                return self._old(
                    url, f"The keys at {url} were asked for a moment ago, and are tried again soon."
                )
            self._asked_at[url] = now
            try:
                answer = await self._http.send("GET", url)
                found = _keys(url, answer)
            except Unavailable as error:
                return self._old(url, str(error))
            self._kept[url] = found
            self._fresh_until[url] = now + _life_seconds(answer)
            return found

    def _old(self, url: str, reason: str) -> Mapping[str, Any]:
        kept = self._kept.get(url)
        if kept is None:
            raise Unavailable(reason, retry_after_seconds=_AGAIN_SECONDS)
        return kept


def _keys(url: str, answer: Answer) -> Mapping[str, Any]:
    if answer.status != 200:
        raise Unavailable(f"The keys at {url} can't be read: the answer is {answer.status}.")
    found = answer.json()
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise Unavailable(f"The keys at {url} can't be read: the answer is no JSON Web Key Set.")
    return found


def _life_seconds(answer: Answer) -> float:
    said = _MAX_AGE.search(answer.headers.get("cache-control", "").lower())
    return _USUAL_SECONDS if said is None else min(_MOST_SECONDS, max(_LEAST_SECONDS, float(said[1])))
