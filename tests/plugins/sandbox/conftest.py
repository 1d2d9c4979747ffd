import base64
import dataclasses
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tidings.testing.clock import FakeClock
from tidings_sandbox.world import World

PUBLIC_URL = "http://127.0.0.1:8080"
PEOPLE = ["ottilie-otterbourne", "bram-quillfeather", "juno-larkspur"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=12)


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url=PUBLIC_URL) as client:
        yield client


@dataclasses.dataclass
class App:
    """An app that was led to one of the emulators, as a connector is."""

    platform: str
    client_id: str
    secret: str
    http: httpx.AsyncClient

    @property
    def redirect_uri(self) -> str:
        return f"{PUBLIC_URL}/api/oauth/{self.platform}/callback"

    @property
    def authorize_path(self) -> str:
        return (
            "/sandbox/spotify/authorize"
            if self.platform == "spotify"
            else "/sandbox/github/login/oauth/authorize"
        )

    @property
    def token_path(self) -> str:
        if self.platform == "spotify":
            return "/sandbox/spotify/api/token"
        return "/sandbox/github/login/oauth/access_token"

    async def consent(self, person: str, scope: str = "", **asked: str) -> dict[str, str]:
        """The person accepts; what comes back to the app."""
        parameters = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": scope,
            "state": "the-state",
            **asked,
        }
        form = {"person": person, "decision": "accept"}
        answer = await self.http.post(self.authorize_path, params=parameters, data=form)
        assert answer.status_code == 302, answer.text
        return came_back(answer)

    async def ask(self, *, with_secret: bool = True, **form: str) -> httpx.Response:
        """A request to the token endpoint."""
        auth = None
        if self.platform == "github":
            form |= {"client_id": self.client_id, **({"client_secret": self.secret} if with_secret else {})}
        elif with_secret:
            auth = httpx.BasicAuth(self.client_id, self.secret)
        else:
            form["client_id"] = self.client_id
        headers = {"accept": "application/json"}
        return await self.http.post(self.token_path, data=form, auth=auth, headers=headers)

    async def exchange(self, code: str, **more: str) -> httpx.Response:
        return await self.ask(
            grant_type="authorization_code", code=code, redirect_uri=self.redirect_uri, **more
        )

    async def refresh(self, refresh_token: str, *, with_secret: bool = True) -> httpx.Response:
        return await self.ask(
            with_secret=with_secret, grant_type="refresh_token", refresh_token=refresh_token
        )

    async def connect(self, person: str = PEOPLE[0], scope: str = "") -> dict[str, Any]:
        """Tokens, by the whole dance."""
        answer = await self.exchange((await self.consent(person, scope))["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@pytest.fixture
def spotify(world: World, http: httpx.AsyncClient) -> App:
    return _app(world, http, "spotify", "sandbox-spotify-1")


@pytest.fixture
def github(world: World, http: httpx.AsyncClient) -> App:
    return _app(world, http, "github", "sandbox-github")


@pytest.fixture
def apps(spotify: App, github: App) -> dict[str, App]:
    return {"spotify": spotify, "github": github}


def _app(world: World, http: httpx.AsyncClient, platform: str, client_id: str) -> App:
    app = world.emulators[platform].consents.app(client_id)
    assert app is not None
    return App(platform, client_id, app.client_secret, http)


def came_back(answer: httpx.Response) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest.fixture
def pkce() -> tuple[str, str]:
    """A verifier and its challenge."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).decode().rstrip("=")
