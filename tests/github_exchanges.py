"""GitHub's API as a test writes it down, or as the sandbox emulates it, behind the contract `Api`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx

from tidings.contracts import Answer, Asked, OAuthClient, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event
from tidings_github.connector import GitHubConnector, Setup
from tidings_github.site import Site

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLIENT = OAuthClient("Iv1.client", "the-client-secret")


class JumpClock:
    """A clock that sleeps by moving on."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds


def connector(*, clock: Any = None, **setup: Any) -> GitHubConnector:
    """A connector of an OAuth App at github.com, or as the set-up says."""
    return GitHubConnector(Setup(**{"client": CLIENT, **setup}), clock or JumpClock())


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    """What GitHub answers; names of headers with `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, given, body if isinstance(body, bytes) else json.dumps(body).encode())


@dataclasses.dataclass(frozen=True)
class Asking:
    """A request that was made."""

    method: str
    url: str
    headers: Mapping[str, str]
    json: Any

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


Scripted = Answer | Exception | Callable[[Asking], Answer]


class ScriptedApi:
    """Answers by a script: `{"GET /user": answer(…)}`; of several answers the last stays. `since` need not be named."""

    def __init__(
        self, script: Mapping[str, Scripted | Sequence[Scripted]] | None = None, account_key: str = "583231"
    ) -> None:
        self.script = {key: self._several(value) for key, value in (script or {}).items()}
        self.asked: list[Asking] = []
        self._account_key = account_key

    @staticmethod
    def _several(value: Scripted | Sequence[Scripted]) -> list[Scripted]:
        return list(value) if isinstance(value, list | tuple) else [value]  # type: ignore[list-item]  # told apart

    def say(self, key: str, *answers: Scripted) -> None:
        self.script[key] = list(answers)

    @property
    def calls(self) -> list[str]:
        """What was asked since `forget`."""
        return [str(each) for each in self.asked]

    def forget(self) -> None:
        self.asked.clear()

    @property
    def account_key(self) -> str:
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
        url = url.removeprefix("https://api.github.com") + (f"?{urlencode(params)}" if params else "")
        asking = Asking(method, url, dict(headers or {}), json)
        self.asked.append(asking)
        answers = self.script.get(str(asking)) or self.script.get(str(asking).partition("&since=")[0])
        if answers is None:
            raise AssertionError(f"The script has no answer to {asking}. It has: {', '.join(self.script)}")
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(said, Exception):
            raise said
        return judged(said if isinstance(said, Answer) else said(asking), accept)


def judged(said: Answer, accept: Collection[int]) -> Answer:
    """As `Api.request` promises: an answer, or one of the three errors."""
    if 200 <= said.status < 300 or said.status == 304 or said.status in accept:
        return said
    if said.status == 401:
        raise AuthExpired("refused")
    pause = GitHubConnector(Setup(), JumpClock()).pause(said, NOW)
    if pause is not None:
        raise Unavailable(pause.reason, pause.seconds)
    if said.status >= 500:
        raise Unavailable(f"GitHub answers {said.status}.")
    raise Rejected(f"GitHub answers {said.status}.", status=said.status)


class HttpxHttp:
    """The contract `Http` on an httpx client."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        given = await self._client.request(
            method, url, headers={"user-agent": "tidings/test", **(headers or {})}, content=body
        )
        return Answer(given.status_code, dict(given.headers.items()), given.content)


class EmulatedApi:
    """The sandbox's GitHub with somebody's token."""

    def __init__(self, client: httpx.AsyncClient, of: GitHubConnector, token: str, account_key: str) -> None:
        self._http = HttpxHttp(client)
        self._connector = of
        self._token = token
        self._account_key = account_key
        self.calls: list[str] = []
        self.statuses: list[int] = []

    @property
    def account_key(self) -> str:
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
        base = self._connector.api_url
        url = (url if "://" in url else base + url) + (f"?{urlencode(params)}" if params else "")
        given = {**self._connector.headers, **(headers or {}), "authorization": f"Bearer {self._token}"}
        body = b"" if json is None else _encode(json)
        for _ in range(3):
            assert url.startswith(base), "the token would leave its home"
            said = await self._http.send(method, url, headers=given, body=body)
            self.calls.append(f"{method} {url.removeprefix(base)}")
            self.statuses.append(said.status)
            if said.status not in {301, 302, 307, 308}:
                break
            url = urljoin(url, said.headers["location"])
        return judged(said, accept)


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def emulated_site(api: str) -> Site:
    """The sandbox's addresses, from that of its API."""
    base = api.removesuffix("/api")
    return Site(f"{base}/login/oauth/authorize", f"{base}/login/oauth/access_token", api)


def asked(
    checkpoint: Mapping[str, Any] | None = None,
    *,
    at: datetime = NOW,
    every_seconds: float = 21_600.0,
    pushed: Mapping[str, frozenset[str]] | None = None,
    **settings: Any,
) -> Asked:
    """What core asks a connector for."""
    return Asked(
        checkpoint=checkpoint or {},
        now=at,
        every_seconds=every_seconds,
        pushed=pushed or {},
        settings=settings,
    )


async def polled(of: GitHubConnector, api: Any, given: Asked) -> list[Polled]:
    """All pieces of one poll."""
    return [piece async for piece in of.poll(api, given)]


def told(pieces: Sequence[Polled]) -> list[Event]:
    """The events in them."""
    return [event for piece in pieces for event in piece.events]
