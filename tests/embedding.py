"""Somebody's own web application, at an origin of its own, whose pages follow tidings by the JavaScript client."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from joserfc import jwt
from joserfc.jwk import OctKey
from playwright.async_api import BrowserContext, Page

from browsing import Person

CLIENT = Path(__file__).parents[1] / "clients" / "javascript"
SECRET = "the application and tidings know this"
# Of the transports that the client speaks, those of this installation.
TRANSPORTS = sorted({"sse", "websocket"} & {one.name for one in entry_points(group="tidings.transports")})
# Without braces of its own, since the port comes in by `str.format`.
CONFIG = """\
server:
  port: {port}
  allowed_origins: [ORIGIN]
database: sqlite+aiosqlite:///tidings.db
limits:
  api: unlimited
  sessions: unlimited
  webhooks: unlimited
log:
  format: json
auth:
  jwt:
    secret: SECRET
    issuer: app
    audience: tidings
    create_users: true
plugins:
  connectors:
    github:
CONNECTORS  bus:
    local:
  extras:
    dashboard:
EXTRAS  transports:
"""
_OPTIONS = {
    "sse": "    sse:\n      heartbeat: 300ms\n      retry: 100ms\n",
    "websocket": "    websocket:\n      heartbeat: 300ms\n",
}
_MEDIA_TYPES = {".js": "text/javascript", ".html": "text/html"}
_JWT_SECONDS = 600

FOLLOW = """async ({ url, user, options }) => {
  const { connect } = await import("/src/index.js");
  const getToken = async ({ reason }) => {
    window.reasons.push(reason);
    return (await fetch(`/tidings-token?user=${user}`)).text();
  };
  Object.assign(window, { seen: [], statuses: [], gaps: [], reasons: [] });
  const own = user ? { getToken } : {};
  window.client = connect({ url, backoffMs: 50, maxBackoffMs: 500, silenceMs: 5000, ...own, ...options });
  client.on("event", (event) => seen.push(event.id));
  client.on("gap", (gap) => gaps.push(gap));
  client.on("status", (status) => statuses.push(status));
}"""


class Application:
    """Serves the client as it is, pages of its own, and JWTs for whoever is named.

    Attributes:
        pages: What to answer at which path, besides the client's files.
        subject: Whom a JWT is for, where the page does not say.
    """

    subject = ""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {"/": b"<!doctype html><title>An application</title>"}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def config(self, *, sandbox: bool = False) -> str:
        """A configuration of a server that lets its pages in, to be formatted with a port."""
        config = CONFIG.replace("ORIGIN", self.origin).replace("SECRET", SECRET)
        config = config.replace("EXTRAS", "    sandbox:\n      lively: false\n" if sandbox else "")
        config = config.replace("CONNECTORS", "    spotify:\n" if sandbox else "")
        return config + "".join(_OPTIONS[name] for name in TRANSPORTS)

    @contextmanager
    def running(self) -> Iterator[Application]:
        thread = Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def add_program(self, path: str, source: str) -> None:
        """Answer at this path with a program of the client's folder, built as a bundler does."""
        esbuild = CLIENT / "node_modules" / ".bin" / "esbuild"
        mode = '--define:process.env.NODE_ENV="development"'  # where React says what is wrong
        command = [esbuild, source, "--bundle", "--format=esm", "--jsx=automatic", mode]
        done = subprocess.run(command, cwd=CLIENT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        self.pages[path] = done.stdout

    def answer(self, address: str) -> tuple[bytes, str] | None:
        """The body for this address and its media type, None where there is nothing."""
        parts = urlsplit(address)
        if parts.path == "/tidings-token":
            (user,) = parse_qs(parts.query).get("user", [self.subject])
            return sign(user).encode(), "text/plain"
        if parts.path in self.pages:
            suffix = Path(parts.path).suffix or ".html"
            return self.pages[parts.path], _MEDIA_TYPES[suffix]
        file = (CLIENT / parts.path.lstrip("/")).resolve()
        if file.is_relative_to(CLIENT) and file.is_file() and file.suffix in _MEDIA_TYPES:
            return file.read_bytes(), _MEDIA_TYPES[file.suffix]
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = application.answer(self.path)
                body, media_type = found or (b"", "text/plain")
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", f"{media_type}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


def sign(user: str) -> str:
    """A JWT, as the application makes them."""
    now = int(time.time())
    claims = {"iss": "app", "aud": "tidings", "sub": user, "exp": now + _JWT_SECONDS, "scope": "read send"}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


class Tab:
    """A page of the application with a client.

    Attributes:
        page: It.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    async def seen(self) -> list[str]:
        """The ids of the events that it was told, in their order."""
        return await self.get("seen")

    async def get(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Until this JavaScript says so."""
        with anyio.fail_after(20):  # not wait_for_function, which a page's policy may forbid
            while not await self.page.evaluate(expression):
                await anyio.sleep(0.02)


async def open_tab(
    context: BrowserContext, application: Application, person: Person, options: Mapping[str, Any]
) -> Tab:
    """A page that follows this person's stream from its oldest event on, unless the options say otherwise."""
    page = await context.new_page()
    await page.goto(f"{application.origin}/")
    given = {"after": "0", **options}
    await page.evaluate(FOLLOW, {"url": person.url, "user": person.name, "options": given})
    return Tab(page)
