"""Plugins that pass their suites; each test of a suite plants a violation in one of them.

What a hook returns is looked up in `PLANTED`, so that a test can put something worse there.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tidings import (
    Account,
    Admitted,
    Answer,
    Api,
    Asked,
    Bus,
    Connector,
    Connects,
    Context,
    Device,
    Event,
    Extra,
    Fate,
    Keys,
    News,
    NotSent,
    OAuth,
    OAuthClient,
    Options,
    Parsed,
    Plugin,
    Polled,
    Polls,
    Pushed,
    Pushes,
    Receives,
    Registers,
    Rejected,
    Secret,
    Strategy,
    Target,
    Transport,
    Unavailable,
    Upstream,
    WebhookRequest,
    hookimpl,
    retry_after_seconds,
)

_LATE_SECONDS = 300


class Remote:
    """A platform that rings, and its webhooks."""

    def __init__(self) -> None:
        self.rings: list[int] = [1]
        self.hooks: dict[str, str] = {}  # the address by id


class BellApi:
    """That platform's API."""

    account_key = "acc"

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

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
        assert url == "/rings"
        return Answer(200, {}, _json(self.remote.rings))


class Bell(Connector, Receives, Connects, Polls, Registers):
    """Rings by webhook, can be asked, and makes its webhooks."""

    platform = "bell"
    display_name = "Bell"
    api_url = "https://bell.example.org"
    oauth = OAuth(
        provider="bell",
        authorize_url="https://bell.example.org/a",
        token_url="https://bell.example.org/t",
        scopes=("rings",),
    )
    clients: Sequence[OAuthClient] = ()
    shared_keys = Keys()
    poll_every_seconds = 3600.0

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.remote = Remote()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        usable = [key for key in keys.secrets if key.strip()]
        time = request.headers.get("x-time", "")
        given = request.headers.get("x-signature", "").encode()
        wanted = [_sign(key, time, request.body).encode() for key in usable]
        if not any(hmac.compare_digest(one, given) for one in wanted):
            raise Rejected("The signature is not that of any key.")
        if abs(now.timestamp() - int(time)) > _LATE_SECONDS:
            raise Rejected("It was signed at another time.")

    def parse(self, request: WebhookRequest) -> Parsed:
        try:
            number = int(json.loads(request.body)["ring"])
        except (ValueError, TypeError, LookupError, RecursionError):
            raise Rejected("It is no ring.", status=400) from None
        return Parsed([self.event(number)], delivery_id=f"d{number}", kind="ring")

    def event(self, number: int) -> Event:
        return Event(
            id=f"bell:ring:{number}",
            type="org.example.bell.ring",
            source="//bell",
            platform="bell",
            data={"title": f"It rang {number} times"},
        )

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        body, time = _json({"ring": int(serial)}), str(int(now.timestamp()))
        headers = {"x-time": time, "x-signature": _sign(keys.secrets[0], time, body)}
        return WebhookRequest("POST", "/", "", headers, body)

    async def identify(self, api: Api) -> Account:
        return Account("acc", "Ann")

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        rings = (await api.request("GET", "/rings")).json()
        if not isinstance(rings, list) or not rings or not all(isinstance(one, int) for one in rings):
            raise Unavailable("The bell does not answer as it should.")
        last = asked.checkpoint.get("last")
        fresh = [] if last is None else [self.event(number) for number in rings if number > last]
        yield Polled(events=fresh, checkpoint={"last": max(rings)})

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        return [Target("door:1", "front"), Target("door:2", "back")]

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        self.remote.hooks[callback_url] = secret
        return Upstream(id=callback_url, target=target)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        if upstream.id not in self.remote.hooks:
            raise Rejected("It is gone.", status=404)
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        self.remote.hooks.pop(upstream.id, None)


class Waiting(Bell):
    """Waits without `await`: in each poll, when it parses, or in a thread, as it may.

    Args:
        how: How it waits.
        where: In which of its methods.
    """

    def __init__(self, secret: str, how: Callable[[], object], where: str) -> None:
        super().__init__(secret)
        self._how = how
        self._where = where

    def parse(self, request: WebhookRequest) -> Parsed:
        if self._where == "parse":
            self._how()
        return super().parse(request)

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        if self._where == "poll":
            self._how()
        if self._where == "thread":
            await asyncio.to_thread(self._how)
        async for piece in super().poll(api, asked):
            yield piece


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _sign(key: bytes, time: str, body: bytes) -> str:
    return hmac.digest(key, time.encode() + b"." + body, "sha256").hex()


class Doorman(Extra):
    """An extra with a page, and something that everybody must know."""

    notice = "A doorman is on duty."
    notice_url = "/doorman"

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/doorman", self.page)]

    async def page(self, _request: Request) -> Response:
        return PlainTextResponse("Good evening.")


class Pager(Pushes):
    """Pushes by one request each."""

    name = "pager"

    def __init__(self, context: Context) -> None:
        self.context = context

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        endpoint = wish["endpoint"]
        if not endpoint.startswith("https://pager.example.org/"):
            raise Rejected("That is no pager's address.", status=400)
        return Admitted({"endpoint": endpoint}, endpoint, "pager.example.org")

    async def push(self, device: Device, news: News | None) -> Pushed:
        del news
        try:
            answer = await self.context.http.send("POST", device.address["endpoint"], body=b"!")
        except (NotSent, Unavailable):
            return Pushed(Fate.LATER, detail="It does not answer.")
        if answer.status == 410:
            return Pushed(Fate.GONE, answer.status)
        if answer.status >= 300:
            wait_seconds = retry_after_seconds(answer.headers, self.context.clock.now())
            return Pushed(
                Fate.LATER, answer.status, f"It answers {answer.status}.", retry_after_seconds=wait_seconds
            )
        return Pushed(Fate.TAKEN, answer.status)


#: What each plugin's hook returns.
PLANTED: dict[str, Callable[..., Any]] = {}


class BellOptions(Options):
    """Options of the bell.

    Attributes:
        secret: What it signs with.
    """

    secret: Secret = None


class BellPlugin(Plugin):
    options_model = BellOptions
    options: BellOptions

    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        secret = self.options.secret
        return [PLANTED["connector"]("" if secret is None else secret.get_secret_value())]


class MuteOptions(Options):
    """Options of which nobody says what they are for."""

    volume: int = 0


class MutePlugin(Plugin):
    options_model = MuteOptions

    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        return [Bell("")]


class StrategyPlugin(Plugin):
    @hookimpl
    def tidings_strategies(self) -> Iterable[Strategy]:
        return [PLANTED["strategy"]()]


class BusPlugin(Plugin):
    @hookimpl
    def tidings_buses(self) -> Iterable[Bus]:
        return [PLANTED["bus"]()]


class StreamPlugin(Plugin):
    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        return [PLANTED["stream"](context)]


class PagerPlugin(Plugin):
    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        return [PLANTED["push"](context)]


class DoormanPlugin(Plugin):
    @hookimpl
    def tidings_extras(self) -> Iterable[Extra]:
        return [PLANTED["extra"]()]


ENTRY_POINTS = """\
[tidings.connectors]
bell = contract_plants:BellPlugin
mute = contract_plants:MutePlugin
prying = prying_plant:PryingPlugin
[tidings.strategies]
calm = contract_plants:StrategyPlugin
[tidings.buses]
planted = contract_plants:BusPlugin
[tidings.transports]
stream = contract_plants:StreamPlugin
pager = contract_plants:PagerPlugin
[tidings.extras]
doorman = contract_plants:DoormanPlugin
"""
