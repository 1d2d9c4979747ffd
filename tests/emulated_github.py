"""The sandbox's GitHub as an app and a receiver of webhooks see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import msgspec

PUBLIC_URL = "http://127.0.0.1:8080"
API = f"{PUBLIC_URL}/sandbox/github/api"
SCOPES = "repo admin:repo_hook admin:org_hook read:org notifications"
SINK = "http://127.0.0.1:9/api/webhooks/github/opaque"


@dataclasses.dataclass
class Sent:
    """A webhook that left the sandbox."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return self.headers["X-GitHub-Event"]

    @property
    def payload(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded


@dataclasses.dataclass
class Receiver:
    """Where webhooks arrive."""

    sent: list[Sent] = dataclasses.field(default_factory=list)
    status: int = 200
    broken: bool = False

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        if self.broken:
            raise OSError("connection refused")
        self.sent.append(Sent(url, headers, body))
        return self.status

    def events(self) -> list[str]:
        return [each.event for each in self.sent]


@dataclasses.dataclass
class Caller:
    """Somebody's token at work."""

    http: httpx.AsyncClient
    token: str
    login: str

    async def __call__(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given.setdefault("authorization", f"Bearer {self.token}")
        return await self.http.request(method, f"{API}{path}", json=json, headers=given)

    async def hook(self, place: str = "", **more: Any) -> dict[str, Any]:
        """Make a hook that wants everything."""
        asked = {
            "name": "web",
            "events": ["*"],
            "config": {"url": SINK, "content_type": "json", "secret": "a secret"},
            **more,
        }
        answer = await self("POST", f"{place or f'/repos/{self.login}/garden'}/hooks", asked)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


Connect = Callable[..., Awaitable[Caller]]
