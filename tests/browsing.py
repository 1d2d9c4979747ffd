"""The page in a real browser, against `tidings serve` in a process of its own."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Route, expect

import deliveries
from commands import installed
from tidings.testing.server import Hook

CONFIG = """\
server: {{port: {port}}}
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited, sessions: unlimited, webhooks: unlimited}}
log: {{format: json}}
plugins:
  connectors: {{github: {{}}}}
  transports: {{sse: {{heartbeat: 300ms}}}}
  bus: {{local: {{}}}}
  extras: {{dashboard: {{}}}}
"""
ARGUMENTS = [
    "--headless",
    "--no-sandbox",  # containers and root can't have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-site-isolation-trials",  # all pages are of one site; else each navigation starts a process
]
FACE = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2">
<path fill="#7a5cc4" d="M0 0h2v2H0z"/><circle fill="#f2c14e" cx="1" cy="1" r=".6"/></svg>"""
FORESEEN = [
    re.compile("Service Worker registration blocked by Playwright"),
    re.compile(
        r"404 \(Not Found\) \(http://[^/]+/favicon\.ico\)"
    ),  # where an answer is no page, nobody names an icon
]
DEFECTS = {"request_failed", "task_failed", "stream_failed", "plugin_failed"}

# Goes through the feed window by window, and back to where it was. An id that came twice would be there twice.
READ = """async () => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const [began, ids] = [scrollY, []];
  scrollTo(0, 0);
  for (let last = -1; scrollY !== last; scrollBy(0, innerHeight)) {
    last = scrollY;
    await drawn();
    await drawn();
    const rows = [...document.querySelectorAll("#feed li")].map((row) => row.dataset.id);
    const known = ids.length ? rows.indexOf(ids.at(-1)) : -1;
    if (ids.length && known < 0) throw new Error("Rows are missing between two windows.");
    ids.push(...rows.slice(known + 1));
  }
  scrollTo(0, began);
  return ids;
}"""

names = (f"person-{number}" for number in itertools.count(1))


def chromium_path() -> str:
    """The path of a Chromium; where there is none, the test fails and says what to type."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        pytest.fail(
            "There is no Chromium here. Type: sudo apt-get install --no-install-recommends chromium",
            pytrace=False,
        )
    return path


@dataclasses.dataclass
class Person:
    """An account, with what it takes to sign in, to send it webhooks and to use the API as it.

    Attributes:
        link: A login link, not used yet.
    """

    name: str
    link: str
    token: str
    hook: Hook
    url: str

    def client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=20, trust_env=False, verify=False
        )

    async def deliver(self, *issues: int) -> None:
        """A signed webhook for each of these."""
        async with self.client() as client:
            for issue in issues:
                answer = await deliveries.send(
                    client, self.hook, deliveries.issue(issue), event="issues", delivery=f"issue-{issue}"
                )
                answer.raise_for_status()

    async def say(self, title: str, **fields: str) -> None:
        """A message to oneself."""
        async with self.client() as client:
            answer = await client.post("/api/sse/send", json={"message": {"title": title, **fields}})
            answer.raise_for_status()

    async def journal(self) -> list[str]:
        """The ids of all events, newest first."""
        ids: list[str] = []
        after: str | None = "0"
        async with self.client() as client:
            while after is not None:
                answer = await client.get("/api/events", params={"after": after, "limit": 500})
                answer.raise_for_status()
                ids += [event["id"] for event in answer.json()["events"]]
                after = answer.json()["next"]
        return ids[::-1]

    async def cursors(self) -> list[str]:
        """Of all events, oldest first."""
        async with self.client() as client:
            answer = await client.get("/api/events", params={"after": "0"})
        return [event["cursor"] for event in answer.json()["events"]]


class Serving:
    """`tidings serve` on a folder; it can be killed, and started again at the same port.

    Attributes:
        link: The login link that the first start printed.
    """

    def __init__(self, folder: Path, config: str = CONFIG, package: Path | None = None) -> None:
        self._environment = os.environ | ({"PYTHONPATH": str(package)} if package else {})
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._commands = installed(folder, config.format(port=port))
        self._log = folder / "server.log"
        self.start()
        said = itertools.takewhile(bool, iter(self._stdout.readline, ""))
        self.link = next(line.strip() for line in said if "/login/" in line)

    def start(self) -> None:
        """Start it, and wait until it takes requests."""
        command = [sys.executable, "-m", "tidings", "--config", str(self._commands.config), "serve"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        said = self._stdout.readline()
        assert said.startswith("tidings "), self._log.read_text()[-3000:]

    def stop(self, how: signal.Signals) -> int:
        """Send it this signal, unless it has ended; its exit code."""
        self._process.send_signal(how)
        code = self._process.wait(60)
        self._stdout.close()
        return code

    def command(self, *args: str) -> str:
        """What a `tidings` command prints beside the running server; not to be called in an event loop."""
        return self._commands.done(*args)

    def add_person(self) -> Person:
        """A new account; not to be called in an event loop."""
        name = next(names)
        link = _after("link: ", self.command("user", "add", name))
        token = self.command("token", "create", name, "--scope", "read", "--scope", "send").strip()
        made = self.command("webhook", "add", "github", name)
        path = _after("url: ", made).removeprefix(self.url)
        hook = Hook(path.rpartition("/")[2], path, _after("secret: ", made))
        return Person(name, link, token, hook, self.url)

    def defects(self) -> list[Any]:
        lines = (json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] in DEFECTS]


@contextmanager
def serving(folder: Path, config: str = CONFIG, package: Path | None = None) -> Iterator[Serving]:
    """A server until the end, when it must stop in good order and have failed nowhere.

    Args:
        package: A folder with packages that it uses instead of those installed.
    """
    server = Serving(folder, config, package)
    try:
        yield server
    finally:
        code = server.stop(signal.SIGTERM)
    assert code == 0
    assert server.defects() == []


class Visitor:
    """A browser profile.

    Attributes:
        problems: What the browser complained of: errors, warnings, violations of the page's policy.
        strangers: The addresses beyond the server that pages asked for since `meet_strangers`.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.problems: list[str] = []
        self.strangers: list[str] = []
        self._url = url
        self._blank: Page | None = None
        self._foreseen = list(FORESEEN)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._note(f"uncaught: {error.error}"))
        context.on("page", lambda page: page.on("crash", lambda _: self._note("crashed")))

    def foresee(self, pattern: str) -> None:
        """Not a problem from now on: what the browser itself logs where a test makes requests fail."""
        self._foreseen.append(re.compile(pattern))

    async def leave(self) -> None:
        """Forget who was signed in, and leave one blank tab, as at the beginning: a new one costs as much as a test.

        What the browser has complained of fails the test.
        """
        self._blank, *others = [*self.context.pages, None]
        for page in others:
            if page is not None:
                await page.close()
        await self.context.unroute_all(behavior="ignoreErrors")
        if self._blank is not None:
            await self._blank.unroute_all(behavior="ignoreErrors")
            await self._blank.goto("about:blank")
            await self._blank.set_viewport_size({"width": 1280, "height": 720})
            await self._blank.emulate_media(color_scheme="null", reduced_motion="null")
        await self.context.clear_cookies()
        problems, self.problems = self.problems, []
        self.strangers.clear()
        self._foreseen = list(FORESEEN)
        assert problems == [], problems

    async def open(self, address: str = "/") -> Page:
        page, self._blank = self._blank or await self.context.new_page(), None
        await page.goto(address)
        return page

    async def sign_in(self, person: Person) -> Page:
        """The live page of this person, by their login link."""
        page = await self.open(person.link)
        await is_live(page)
        return page

    def is_foreign(self, url: str) -> bool:
        return not url.startswith(f"{self._url}/")

    async def meet_strangers(self) -> None:
        """Have somebody stand in for the hosts of pictures. Without it, asking anybody but the server is a problem.

        A page that may meet strangers costs more: the browser keeps none of its files.
        """
        await self.context.route(self.is_foreign, self._answer)

    async def _answer(self, route: Route) -> None:
        self.strangers.append(route.request.url)
        if route.request.resource_type == "image":
            await route.fulfill(body=FACE, content_type="image/svg+xml")
        else:
            await route.abort()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"{message.type}: {message.text} ({message.location['url']})")

    def _note(self, problem: str) -> None:
        if not any(pattern.search(problem) for pattern in self._foreseen):
            self.problems.append(problem)


def _zone() -> str:
    """A zone in which no new day is about to begin: it would begin a list of its own in the feed, amid a test."""
    hour = datetime.now(ZoneInfo("Europe/Berlin")).hour
    return "Europe/Berlin" if 1 <= hour < 23 else "Asia/Kolkata"


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, *, worker: bool = False, **options: Any
) -> AsyncIterator[Visitor]:
    """A fresh profile, whose pages must give the browser nothing to complain of.

    Args:
        worker: Whether pages get their service worker. What it asks for, a test can't answer in the server's place.
    """
    context = await browser.new_context(
        base_url=url,
        locale="en-GB",
        timezone_id=_zone(),
        service_workers="allow" if worker else "block",
        **options,
    )
    visitor = Visitor(context, url)
    try:
        yield visitor
    finally:
        await context.close()
    assert visitor.problems == [], visitor.problems


async def is_live(page: Page) -> None:
    await expect(page.locator("#state-words")).to_have_text("Live")


def cards(page: Page) -> Locator:
    """The events near the window, newest first; of a long feed the others are not on the page just now."""
    return page.locator("#feed li")


async def holds(page: Page, least: int) -> None:
    """The feed has so many events at least, near the window or not: rows say of how many they are one, day by day."""
    await page.wait_for_function(
        """least => [...document.querySelectorAll("#feed li:first-child")]
          .reduce((sum, row) => sum + Number(row.getAttribute("aria-setsize")), 0) >= least""",
        arg=least,
        timeout=60_000,
    )


async def rows(page: Page) -> list[str]:
    """The ids of the events near the window, newest first: of a short feed all."""
    ids: list[str] = await cards(page).evaluate_all("rows => rows.map((row) => row.dataset.id)")
    return ids


async def shown(page: Page) -> list[str]:
    """The ids of the events in the feed, newest first, as who reads from its beginning to its end sees them."""
    ids: list[str] = await page.evaluate(READ)
    return ids


async def overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    wider: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wider


def _after(label: str, said: str) -> str:
    return next(line.removeprefix(label) for line in said.splitlines() if line.startswith(label))


def _free_port() -> int:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
