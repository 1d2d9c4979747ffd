from __future__ import annotations

import dataclasses
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tidings.testing.clock import FakeClock
from tidings_sandbox.gmail import TOPIC, Gmail
from tidings_sandbox.google import CLIENT_ID, SCOPE
from tidings_sandbox.happenings import Happening
from tidings_sandbox.world import World

URL = "http://127.0.0.1:8080"
OTTILIE = "ottilie-otterbourne"
READONLY = f"{SCOPE}gmail.readonly"


@dataclasses.dataclass
class Inlet:
    """Takes pushes; answers `status`."""

    status: int = 204
    pushes: list[tuple[str, Mapping[str, str], Any]] = dataclasses.field(default_factory=list)

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.pushes.append((url, headers, json.loads(body)))
        return self.status

    def said(self) -> list[tuple[str, int]]:
        """What the pushes said, each: address and history id."""
        datas = [json.loads(b64decode(body["message"]["data"])) for _, _, body in self.pushes]
        return [(data["emailAddress"], data["historyId"]) for data in datas]


@dataclasses.dataclass
class Caller:
    """Calls the Gmail API for a person."""

    world: World
    http: httpx.AsyncClient
    token: str
    inlet: Inlet
    clock: FakeClock
    person: str = OTTILIE

    @property
    def gmail(self) -> Gmail:
        return self.world.one(Gmail)

    def act(self, kind: str = "mail", **details: Any) -> Happening:
        return self.world.act("gmail", kind, self.person, **details)

    def mail(self, **details: Any) -> str:
        """A mail arrives; its id."""
        return self.act("mail", **details).key.rpartition(":")[2]

    async def call(self, method: str, path: str, json: Any = None, **params: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        url = f"{URL}/sandbox/gmail/gmail/v1/users/me/{path}"
        return await self.http.request(method, url, params=params, json=json, headers=headers)

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def position(self) -> str:
        profile = await self.get("profile")
        assert isinstance(profile["historyId"], str)
        return profile["historyId"]

    async def watch(self, **asked: Any) -> Any:
        answer = await self.call("POST", "watch", {"topicName": TOPIC, "labelIds": ["INBOX"], **asked})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def settle(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and be sent what is due."""
        await self.clock.advance(seconds)
        await self.world.settle()


@pytest.fixture
def inlet() -> Inlet:
    return Inlet()


@pytest.fixture
def world(clock: FakeClock, inlet: Inlet) -> World:
    world = World(clock, seed=7, public_url=URL, send=inlet)
    world.one(Gmail).consents.dialect.access_seconds = 10_000_000  # what is not at issue here shall not end
    return world


def token(world: World, person: str = OTTILIE, *scopes: str) -> str:
    consents = world.one(Gmail).consents
    app = consents.app(CLIENT_ID)
    assert app is not None
    code = consents.take_code(consents.grant_code(app, world.person(person), scopes or (READONLY,), URL))
    assert code is not None
    return str(consents.open(code)["access_token"])


@pytest.fixture
async def caller(
    world: World, http: httpx.AsyncClient, inlet: Inlet, clock: FakeClock
) -> AsyncIterator[Caller]:
    yield Caller(world, http, token(world), inlet, clock)
