"""Connecting accounts at a live server, as a browser does it: click, consent at the sandbox, come back."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx

from tidings.accounts import User
from tidings.sessions import add_login_link
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer
from tidings_sandbox import SandboxExtra
from tidings_sandbox.world import World

SANDBOX = """\
database: sqlite+aiosqlite:///tidings.db
limits: {api: unlimited, sessions: unlimited}
plugins:
  connectors: {github: {}, spotify: {}}
  transports: {sse: {}}
  extras: {sandbox: {lively: false}}
"""


@dataclasses.dataclass(frozen=True)
class Browser:
    """A signed-in browser."""

    client: httpx.AsyncClient
    csrf: str

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, method: str, path: str, json: Any = None) -> httpx.Response:
        return await self.client.request(method, path, json=json, headers={"x-csrf-token": self.csrf})

    async def leave(self, platform: str, connection: str = "") -> str:
        """Click Connect; returns the address of the platform's consent page."""
        query = f"?connection={connection}" if connection else ""
        answer = await self.client.get(f"/api/oauth/{platform}/start{query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def decide(self, consent_url: str, person: str, decision: str = "accept") -> str:
        """Answer the consent page; returns the address to come back to."""
        page = await self.client.get(consent_url)
        assert page.status_code == 200, page.text
        scopes = [line.split('"')[0] for line in page.text.split('name="scope:')[1:]]
        form = {f"scope:{scope}": "on" for scope in scopes}
        answer = await self.client.post(consent_url, data={"person": person, "decision": decision, **form})
        assert answer.status_code in {302, 303}, answer.text
        return answer.headers["location"]

    async def connect(self, platform: str, person: str, connection: str = "") -> str:
        """The whole way; returns the connection's id."""
        back = await self.decide(await self.leave(platform, connection), person)
        answer = await self.client.get(back)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].rpartition("/")[2]

    async def until(
        self,
        path: str,
        is_so: Callable[[Any], bool],
        *,
        patience_seconds: float = 60.0,
        clock: FakeClock | None = None,
        step_seconds: float = 5.0,
    ) -> Any:
        """Ask again until the answer is as wanted; where time stands still, move it on each time.

        Raises:
            AssertionError: It never was; says what it was at last.
        """
        answer: Any = None
        try:
            async with asyncio.timeout(patience_seconds):
                while not is_so(answer := await self.get(path)):
                    if clock is None:
                        await asyncio.sleep(0.02)  # a real server works in its own time
                    else:
                        await clock.advance(step_seconds)
        except TimeoutError:
            raise AssertionError(f"{path} was never as wanted, but at last: {answer}") from None
        return answer


@asynccontextmanager
async def browser(server: LiveServer, user: User) -> AsyncIterator[Browser]:
    now = server.services.clock.now()
    link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    headers = {"accept": "text/html,*/*;q=0.8"}  # as a browser asks
    async with httpx.AsyncClient(
        base_url=server.url, timeout=30, trust_env=False, verify=False, headers=headers
    ) as client:
        answer = await client.get(f"/login/{link}")
        assert answer.status_code == 303, answer.text
        yield Browser(client, (await client.get("/api/me")).json()["csrf_token"])


def world(server: LiveServer) -> World:
    """The emulated platforms of a server."""
    (sandbox,) = [extra for extra in server.services.extras if isinstance(extra, SandboxExtra)]
    return sandbox.world


async def events(viewer: Browser, types: str = "") -> list[dict[str, Any]]:
    """All events of the signed-in user, oldest first."""
    found: list[dict[str, Any]] = []
    after = "0"
    while True:
        page = await viewer.get(f"/api/events?after={after}&limit=500&types={types}")
        found += page["events"]
        if page["next"] is None:
            return found
        after = page["next"]
