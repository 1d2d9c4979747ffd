from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tidings.testing.clock import FakeClock
from tidings_sandbox.google import CLIENT_ID, SCOPE, GoogleAccounts, GoogleService, google_options
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, json_answer, read_call, write_answer
from tidings_sandbox.world import World

URL = "http://127.0.0.1:8080"
LETTERS = f"{SCOPE}letters.readonly"
DIARY = f"{SCOPE}diary.readonly"


class _Service(GoogleService):
    """A service of one path."""

    title = "Service"
    kinds: ClassVar[Mapping[str, str]] = {}
    small = ()

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        return google_options(base, seed)

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        raise LookupError(kind)

    def serve(self, call: Call) -> Answer:
        access = self.admit(call, self.scopes)
        return json_answer({"of": access.person.key}) if isinstance(access, Access) else access


class Letters(_Service):
    name = "gmail"
    scopes = frozenset({LETTERS})


class Diary(_Service):
    name = "calendar"
    scopes = frozenset({DIARY})


@dataclasses.dataclass
class Google:
    """Two services of one Google, and an app that is led there."""

    stage: Stage
    services: dict[str, GoogleService]
    http: httpx.AsyncClient
    options: Mapping[str, Any]

    @property
    def accounts(self) -> GoogleAccounts:
        return self.stage.part(GoogleAccounts)

    async def consent(self, person: str, *scopes: str, at: str = "gmail", **asked: str) -> dict[str, str]:
        """The person accepts; what comes back to the app."""
        parameters = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": f"{URL}/api/oauth/{at}/callback",
            "scope": " ".join(scopes),
            "state": "the-state",
            **asked,
        }
        answer = await self.http.post(
            f"/{at}/o/oauth2/v2/auth", params=parameters, data={"person": person, "decision": "accept"}
        )
        assert answer.status_code == 302, answer.text
        return dict(httpx.URL(answer.headers["location"]).params)

    async def ask(self, at: str = "gmail", **form: str) -> httpx.Response:
        app = {"client_id": CLIENT_ID, "client_secret": self.options["client_secret"]}
        return await self.http.post(f"/{at}/token", data={**app, **form})

    async def connect(self, person: str, *scopes: str, at: str = "gmail", **asked: str) -> dict[str, Any]:
        """Tokens, by the whole dance; offline unless `asked` says otherwise."""
        back = await self.consent(person, *scopes, at=at, **{"access_type": "offline", **asked})
        answer = await self.ask(
            at,
            grant_type="authorization_code",
            code=back["code"],
            redirect_uri=f"{URL}/api/oauth/{at}/callback",
        )
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def refresh(self, tokens: Mapping[str, Any], at: str = "gmail") -> httpx.Response:
        return await self.ask(at, grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    async def get(self, path: str, tokens: Mapping[str, Any]) -> httpx.Response:
        return await self.http.get(path, headers={"authorization": f"Bearer {tokens['access_token']}"})


@pytest.fixture
async def google(clock: FakeClock) -> AsyncIterator[Google]:
    stage = World(clock, seed=7, public_url=URL).stage
    services: dict[str, GoogleService] = {kind.name: kind(stage) for kind in (Letters, Diary)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope["path"].strip("/").partition("/")
        call = await read_call(scope, receive, f"/{rest}")
        assert call is not None
        await write_answer(send, services[name].answer(call))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http:
        yield Google(stage, services, http, Letters.options(f"{URL}/gmail", 7, lively=False))
