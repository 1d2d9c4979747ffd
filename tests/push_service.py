"""A push service on a loopback socket, and the browsers that subscribe at it.

It is as strict as the strictest of the real ones (RFC 8030, 8188, 8291, 8292), keeps for each browser what a real one
would still deliver (a message replaces the undelivered one of the same topic), and answers as a test tells it to.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import secrets
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from browser_keys import BrowserKeys, base64url, from_base64url

_PATIENCE_SECONDS = 20.0
_MISMATCH = (
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create it"
)


@dataclasses.dataclass(frozen=True)
class Received:
    """One request that was well-formed, and what it said once decrypted."""

    headers: Mapping[str, str]
    claims: Mapping[str, Any]
    plaintext: bytes
    status: int  # that it was answered with

    @property
    def topic(self) -> str:
        return self.headers.get("topic", "")

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.plaintext)
        return found

    @property
    def notification(self) -> dict[str, Any]:
        found: dict[str, Any] = self.message["notification"]
        return found


@dataclasses.dataclass
class Browser:
    """A browser with one subscription."""

    service: PushService
    key: str  # `applicationServerKey`
    token: str = dataclasses.field(default_factory=lambda: f"cAnArYW{secrets.token_urlsafe(24)}")
    keys: BrowserKeys = dataclasses.field(default_factory=BrowserKeys)
    received: list[Received] = dataclasses.field(default_factory=list)
    answers: deque[tuple[int, Mapping[str, str], bytes]] = dataclasses.field(default_factory=deque)
    hold: asyncio.Event | None = None  # answer only when it is set

    @property
    def endpoint(self) -> str:
        return f"{self.service.url}/wpush/{self.token}"

    def shown(self, **more: Any) -> dict[str, Any]:
        """The subscription as `JSON.stringify` shows it."""
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": self.keys.shown(), **more}

    @property
    def taken(self) -> list[Received]:
        return [one for one in self.received if one.status in {200, 201, 202}]

    @property
    def delivered(self) -> dict[str, dict[str, Any]]:
        """The notifications that are shown in the end: of the same topic or tag, the last."""
        by_topic = {one.topic or str(number): one for number, one in enumerate(self.taken)}
        return {one.notification["tag"]: one.notification for one in by_topic.values()}

    async def wait_for(self, count: int) -> list[Received]:
        """The first `count` messages that were taken, once there are so many."""
        await until(lambda: len(self.taken) >= count, f"{count} messages, not {len(self.taken)}")
        return self.taken[:count]

    async def wait_for_tries(self, count: int) -> list[Received]:
        await until(lambda: len(self.received) >= count, f"{count} tries")
        return self.received[:count]


async def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"Waited in vain for {what}."
        await asyncio.sleep(0.005)


class PushService:
    """Takes messages; see `serving`.

    Attributes:
        refused: Why requests were malformed; a test that expects none finds it empty.
        connections: How many there have been.
        host_headers: Of every request.
    """

    def __init__(self, scheme: str = "http", host: str = "localhost") -> None:
        self.scheme, self.host = scheme, host
        self.port = 0
        self.browsers: dict[str, Browser] = {}
        self.refused: list[str] = []
        self.connections = 0
        self.host_headers: list[str] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def browser(self, key: str) -> Browser:
        """A browser that has just subscribed with this key."""
        browser = Browser(self, key)
        self.browsers[browser.token] = browser
        return browser

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, more, said = await self._answer(request, headers, body)
            fields = {"Content-Length": str(len(said)), "Connection": "close", **more}
            lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields.items())]
            writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + said)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever called has gone
        finally:
            writer.close()

    async def _answer(
        self, request: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.host_headers.append(headers.get("host", ""))
        method, target, _ = request.split(" ")
        browser = self.browsers.get(target.rpartition("/")[2])
        if method != "POST" or browser is None:
            return 404, {}, b'{"code":404,"errno":103}'
        try:
            claims = self._verify(headers, browser)
            plaintext = browser.keys.open(body)
        except PermissionError as error:
            return 403, {}, str(error).encode()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the test is told
            self.refused.append(f"{type(error).__name__}: {error}")
            return 400, {}, repr(error).encode()
        status, more, said = browser.answers.popleft() if browser.answers else (201, {}, b"")
        if status != 0:
            browser.received.append(Received(headers, claims, plaintext, status))
        if browser.hold is not None:
            await browser.hold.wait()
        return status, more, said

    def _verify(self, headers: Mapping[str, str], browser: Browser) -> Mapping[str, Any]:
        assert 0 <= int(headers["ttl"]) <= 30 * 86400
        assert headers["content-encoding"] == "aes128gcm"
        assert headers["urgency"] in {"very-low", "low", "normal", "high"}
        topic = headers.get("topic", "")
        assert len(topic) <= 32
        base64.urlsafe_b64decode(topic + "=" * (-len(topic) % 4))
        scheme, _, rest = headers["authorization"].partition(" ")
        assert scheme == "vapid"
        values = dict(part.strip().split("=", 1) for part in rest.split(","))
        point = from_base64url(values["k"])
        jwk = {"kty": "EC", "crv": "P-256", "x": base64url(point[1:33]), "y": base64url(point[33:])}
        try:
            claims = jwt.decode(values["t"], ECKey.import_key(jwk), algorithms=["ES256"]).claims
        except JoseError as error:
            raise PermissionError(f"BadJwtToken: {error}") from error
        assert claims["aud"] == self.url
        assert claims["sub"].startswith(("mailto:", "https:"))
        if values["k"] != browser.key:
            raise PermissionError(_MISMATCH)
        return claims


@asynccontextmanager
async def serving(
    service: PushService | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[PushService]:
    """A push service at work on a free port."""
    service = service or PushService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service
