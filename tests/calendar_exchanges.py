"""Google's Calendar API as a test writes it down, or as the sandbox emulates it, behind the contract `Api`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

import httpx

from tidings.contracts import Answer, Asked, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings_calendar import CalendarOptions, CalendarPlugin
from tidings_calendar.connector import CalendarConnector

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LIST = "/users/me/calendarList"


@dataclasses.dataclass
class FakeContext:
    """What the plugin takes of a context."""

    clock: Any
    http: Any = None


def connector(clock: Any = None, **options: Any) -> CalendarConnector:
    """A connector with these options."""
    plugin = CalendarPlugin(CalendarOptions(**options))
    (found,) = plugin.tidings_connectors(cast("Any", FakeContext(clock or FakeClock(NOW))))
    assert isinstance(found, CalendarConnector)
    return found


def answer(body: Any = None, status: int = 200) -> Answer:
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(status: int, reason: str, message: str = "It says no.") -> Answer:
    """A refusal in Google's form."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return answer({"error": error}, status)


@dataclasses.dataclass(frozen=True)
class Asking:
    """A request that was made."""

    method: str
    path: str
    params: Mapping[str, str]
    json: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Said = Answer | Exception | Callable[[Asking], Answer]


class ScriptedApi:
    """Answers by a script, `{"GET /users/me/calendarList": answer(…)}`; of several answers the last stays."""

    account_key = "10769150350006150715113082367"

    def __init__(self, script: Mapping[str, Said | Sequence[Said]] | None = None) -> None:
        self._script: dict[str, list[Said]] = {}
        for key, said in (script or {}).items():
            self.say(key, *(said if isinstance(said, list | tuple) else [cast("Said", said)]))
        self.asked: list[Asking] = []

    def say(self, key: str, *said: Said) -> None:
        """From now on these are the answers."""
        self._script[key] = list(said)

    @property
    def calls(self) -> list[str]:
        return [str(each) for each in self.asked]

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
        assert headers is None
        asking = Asking(method, url, dict(params or {}), json)
        self.asked.append(asking)
        answers = self._script.get(str(asking))
        assert answers, f"The script has no answer to {asking}. It has: {', '.join(self._script)}"
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(said, Exception):
            raise said
        return judged(said if isinstance(said, Answer) else said(asking), accept)


def judged(said: Answer, accept: Collection[int]) -> Answer:
    """As `Api.request` promises: an answer, or one of the three errors."""
    of = connector()
    pause = of.pause(said, NOW)
    if pause is not None:
        raise Unavailable(pause.reason, pause.seconds)
    if 200 <= said.status < 300 or said.status in accept:
        return said
    if of.is_refused(said):
        raise AuthExpired("refused")
    if said.status >= 500:
        raise Unavailable(f"The platform answers {said.status}.")
    message = json.loads(said.body)["error"]["message"] if said.body.startswith(b"{") else "(no reason given)"
    raise Rejected(f"The platform answers {said.status}: {message}", status=said.status)


class EmulatedApi:
    """The sandbox's Google Calendar with somebody's token."""

    def __init__(self, client: httpx.AsyncClient, base: str, token: str, account_key: str) -> None:
        self._client = client
        self._base = base
        self.token = token
        self.account_key = account_key
        self.calls: list[str] = []

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
        url = (url if "://" in url else self._base + url) + (f"?{urlencode(params)}" if params else "")
        given = {"authorization": f"Bearer {self.token}", **(headers or {})}
        said = await self._client.request(method, url, headers=given, json=json)
        self.calls.append(f"{method} {url.removeprefix(self._base).partition('?')[0]}")
        return judged(Answer(said.status_code, dict(said.headers), said.content), accept)


def asked(
    checkpoint: Mapping[str, Any] | None = None,
    *,
    at: datetime = NOW,
    hinted: Collection[str] = (),
    every_seconds: float = 7200.0,
    is_urgent: bool = False,
    **settings: Any,
) -> Asked:
    """What core asks a connector for."""
    return Asked(
        checkpoint=checkpoint or {},
        now=at,
        every_seconds=every_seconds,
        is_urgent=is_urgent,
        hinted=frozenset(hinted),
        settings=settings,
    )


async def polled(of: CalendarConnector, api: Any, given: Asked) -> list[Polled]:
    """All pieces of one poll."""
    return [piece async for piece in of.poll(api, given)]


def told(pieces: Sequence[Polled]) -> list[Event]:
    """The events in them."""
    return [event for piece in pieces for event in piece.events]


def later(**span: float) -> datetime:
    """Some time after `NOW`."""
    return NOW + timedelta(**span)
