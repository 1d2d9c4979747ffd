from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tidings.testing.clock import FakeClock
from tidings_sandbox.google import CLIENT_ID, SCOPE
from tidings_sandbox.happenings import Happening
from tidings_sandbox.world import World
from tidings_sandbox.youtube import YouTube

URL = "http://127.0.0.1:8080"
OTTILIE = "ottilie-otterbourne"
READONLY = f"{SCOPE}youtube.readonly"
CALLBACK = f"{URL}/api/webhooks/youtube/whkabc"


@dataclasses.dataclass
class Address:
    """What the hub calls: it confirms what it is asked, and takes what it is sent.

    Attributes:
        status: Of the answers to deliveries.
        confirms: Whether it gives challenges back.
        questions: The parameters of each question.
        deliveries: Headers and body of each.
    """

    status: int = 200
    confirms: bool = True
    questions: list[dict[str, str]] = dataclasses.field(default_factory=list)
    deliveries: list[tuple[Mapping[str, str], bytes]] = dataclasses.field(default_factory=list)

    async def ask(self, url: str) -> tuple[int, bytes]:
        asked = dict(parse_qsl(urlsplit(url).query))
        self.questions.append(asked)
        return (200, asked.get("hub.challenge", "").encode()) if self.confirms else (404, b"")

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == CALLBACK
        self.deliveries.append((headers, body))
        return self.status


@dataclasses.dataclass
class Caller:
    """Calls the Data API for a person, and the hub for an address."""

    world: World
    http: httpx.AsyncClient
    clock: FakeClock
    address: Address
    token: str = ""

    @property
    def youtube(self) -> YouTube:
        return self.world.youtube

    @property
    def channels(self) -> list[str]:
        """The channels that Ottilie subscribes to."""
        return list(self.youtube.place.member(self.world.person(OTTILIE)).subscriptions)

    def be(self, person: str, *scopes: str) -> None:
        """Call as this person, who agreed to these scopes."""
        consents = self.youtube.consents
        app = consents.app(CLIENT_ID)
        assert app is not None
        consents.dialect.access_seconds = 30 * 86_400
        code = consents.take_code(consents.grant_code(app, self.world.person(person), scopes, f"{URL}/x"))
        assert code is not None
        self.token = str(consents.open(code)["access_token"])

    def act(self, kind: str = "upload", **details: Any) -> Happening:
        return self.world.act("youtube", kind, OTTILIE, **details)

    def upload(self, **details: Any) -> str:
        """A video is uploaded; its id."""
        return self.act("upload", **{"channel": self.channels[0], **details}).key.rpartition(":")[2]

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self.http.get(f"/sandbox/youtube/v3{path}", params=parameters, headers=headers)

    async def page(self, path: str, **parameters: Any) -> Any:
        answer = await self.get(path, **{"part": "snippet,contentDetails", **parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, playlist: str, **parameters: Any) -> list[str]:
        """The videos on a page of a playlist."""
        page = await self.page("/playlistItems", playlistId=playlist, **parameters)
        return [item["contentDetails"]["videoId"] for item in page.get("items", [])]

    async def subscribe(self, **changes: str | None) -> httpx.Response:
        """Ask the hub for the news of Ottilie's first channel; it asks back at once."""
        form: dict[str, str | None] = {
            "hub.mode": "subscribe",
            "hub.topic": f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={self.channels[0]}",
            "hub.callback": CALLBACK,
            "hub.secret": "s3cr3t",
            "hub.lease_seconds": "864000",
            **{f"hub.{name}": value for name, value in changes.items()},
        }
        sent = {name: value for name, value in form.items() if value is not None}
        answer = await self.http.post("/sandbox/youtube/hub", data=sent)
        await self.world.settle()
        return answer


@pytest.fixture
async def caller(clock: FakeClock) -> AsyncIterator[Caller]:
    address = Address()
    world = World(clock, seed=7, public_url=URL, people=4, send=address.send, ask=address.ask)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url=URL) as http:
        caller = Caller(world, http, clock, address)
        caller.be(OTTILIE, READONLY)
        yield caller
