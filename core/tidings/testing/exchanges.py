"""A platform written down: an HTTP client that answers from a record, and what can be the matter with it.

    http = RecordedHttp({"GET https://api.example.org/me": answer({"id": 5})})
    http.say("GET https://api.example.org/me", answer(status=503), answer({"id": 5}))

What nobody wrote down is never answered: a test that asks for it fails, with a list of what is there.
"""

from __future__ import annotations

import dataclasses
import json as jsonlib
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidings.connecting import Answer, Connects, retry_after_seconds
from tidings.errors import AuthExpired, NotSent, Rejected, Unavailable
from tidings.testing.clock import FakeClock


@dataclasses.dataclass(frozen=True, slots=True)
class Asking:
    """A request that was made.

    Attributes:
        url: In full, with its query.
        headers: Names in lower case.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


Said = Answer | Exception | Callable[[Asking], Answer]


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    """What a platform answers: bytes as they are, anything else as JSON; names of headers with `_` for `-`."""
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Answer(status, given, body if isinstance(body, bytes) else jsonlib.dumps(body).encode())


class RecordedHttp:
    """Fulfils `tidings.contracts.Http` from a record: answers by `METHOD url`; of several the last stays.

    Attributes:
        asked: Every request that was made.
        fault: What befalls every request, whatever the record says; see `Faults`.
    """

    def __init__(self, record: Mapping[str, Said] | None = None) -> None:
        self.asked: list[Asking] = []
        self.fault: Said | None = None
        self._record: dict[str, list[Said]] = {key: [said] for key, said in (record or {}).items()}

    def say(self, key: str, *said: Said) -> None:
        """From now on these are the answers to `METHOD url`, one after the other."""
        self._record[key] = list(said)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """See `Http.send`.

        Raises:
            AssertionError: The record has no such request.
        """
        asking = Asking(method, url, {name.lower(): value for name, value in (headers or {}).items()}, body)
        self.asked.append(asking)
        if self.fault is not None:
            return _told(self.fault, asking)
        answers = self._record.get(str(asking)) or self._record.get(f"{method} {url.partition('?')[0]}")
        if not answers:
            known = ", ".join(self._record) or "nothing"
            raise AssertionError(f"The record has no answer to {asking}. It has: {known}.")
        return _told(answers.pop(0) if len(answers) > 1 else answers[0], asking)


def _told(said: Said, asking: Asking) -> Answer:
    if isinstance(said, Exception):
        raise said
    return said if isinstance(said, Answer) else said(asking)


class Faults:
    """Switches: what can be the matter with a platform. Give one to `RecordedHttp.fault`.

    Attributes:
        OFF: Nothing is.
        UNREACHABLE: No connection comes about, so nothing was sent.
        SILENT: No answer comes in time.
        BROKEN: 502, with a page in HTML.
        LIMITED: 429, with `Retry-After: 120`.
        SIGNED_OUT: 401.
        GARBLED: 200, with bytes that are no JSON.
    """

    OFF = None
    UNREACHABLE = NotSent("No connection came about.")
    SILENT = Unavailable("No answer came in time.")
    BROKEN = answer(b"<html>Bad gateway</html>", 502, content_type="text/html")
    LIMITED = answer({"message": "slow down"}, 429, retry_after="120")
    SIGNED_OUT = answer({"message": "bad token"}, 401)
    GARBLED = answer(b"\xff\x00 this is no JSON", 200)


class RecordedApi:
    """Fulfils `tidings.contracts.Api` for a connector, on a `RecordedHttp`, with a token that never ends.

    Args:
        of: The connector; `Api.request` adds its address and its headers.
        http: Answers.
        account_key: As `identify` gave it.
    """

    def __init__(self, of: Connects, http: RecordedHttp, account_key: str = "account-1") -> None:
        self._connector = of
        self._http = http
        self._account_key = account_key
        self._clock = FakeClock()

    @property
    def account_key(self) -> str:
        """See `Api.account_key`."""
        return self._account_key

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """See `Api.request`."""
        url = url if "://" in url else self._connector.api_url.rstrip("/") + url
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        sent = {**self._connector.headers, **(headers or {}), "authorization": "Bearer recorded"}
        body = b"" if json is None else msgspec.json.encode(json)
        given = await self._http.send(method, url, headers=sent, body=body)
        if 200 <= given.status < 300 or given.status == 304 or given.status in accept:
            return given
        if self._connector.is_refused(given):
            raise AuthExpired("The platform refuses the token.")
        if given.status == 429 or given.status >= 500:
            wait_seconds = retry_after_seconds(given.headers, self._clock.now())
            raise Unavailable(f"The platform answers {given.status}.", wait_seconds)
        raise Rejected(f"The platform answers {given.status}.", status=given.status)
