"""The two examples, from wheels beside tidings' own: their tests, their size, and both at work end to end."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from anyio import to_thread
from playwright.async_api import async_playwright, expect

import browsing
from environments import EXAMPLES, ROOT, Environment

MOST_LINES = 150
_PATIENCE_SECONDS = 90.0


def own_lines(source: str) -> int:
    """Lines that do something: no blank ones, comments or docstrings."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                skipped |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(text.strip()) and not text.strip().startswith("#") and at not in skipped for at, text in lines
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short(name: str) -> None:
    sources = (ROOT / "examples" / name / f"tidings_{name}").glob("*.py")
    assert sum(own_lines(path.read_text("utf-8")) for path in sources) < MOST_LINES


def test_lines_are_counted_as_one_reads_them() -> None:
    assert (
        own_lines('"""Doc."""\n\n# why\nx = 1\n\ndef f():\n    """Doc,\n    and more."""\n    return x\n')
        == 3
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_outside_the_tree(environment: Environment, tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    shutil.copytree(ROOT / "examples" / name, project)
    shutil.rmtree(project / f"tidings_{name}")  # what is tested is the wheel
    assert " passed" in environment.run("python", "-m", "pytest", "-q", cwd=project)
    assert "0 failed" in environment.run("tidings", "plugin", "check", ".", cwd=project)


class World:
    """A blog with a hub, and an ntfy server, on one loopback port."""

    def __init__(self) -> None:
        self.entries = [1]
        self.leases: dict[str, str] = {}  # secret by callback
        self.pushed: list[dict[str, Any]] = []
        self.asked = 0
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.asked += 1
                self._say(200, world.feed(), "application/atom+xml")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/hub":
                    world.subscribe(dict(parse_qsl(body.decode())))
                    self._say(202)
                else:
                    world.pushed.append(json.loads(body))
                    self._say(200, b"{}")

            def _say(self, status: int, body: bytes = b"", kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def feed(self) -> bytes:
        entry = "<entry><id>urn:blog:{0}</id><title>Entry {0}</title><link href='https://blog.example.org/{0}'/></entry>"
        links = f"<link rel='hub' href='{self.url}/hub'/><link rel='self' href='{self.url}/feed'/>"
        entries = "".join(entry.format(number) for number in reversed(self.entries))
        head = "<feed xmlns='http://www.w3.org/2005/Atom'><id>urn:blog</id><title>The blog</title>"
        return f"{head}{links}{entries}</feed>".encode()

    def subscribe(self, form: dict[str, str]) -> None:
        """Ask the address back a moment later, as hubs do."""
        threading.Thread(target=self._verify, args=(form,), daemon=True).start()

    def _verify(self, form: dict[str, str]) -> None:
        question = {name: form[name] for name in ("hub.mode", "hub.topic")} | {
            "hub.challenge": "c",
            "hub.lease_seconds": "3600",
        }
        for _ in range(50):
            answer = httpx.get(form["hub.callback"], params=question, trust_env=False)
            if answer.status_code == 200:
                assert answer.text == "c"
                self.leases[form["hub.callback"]] = form["hub.secret"]
                return
            time.sleep(0.2)

    def publish(self, number: int) -> None:
        """Add an entry, and tell whoever subscribed."""
        self.entries.append(number)
        body = self.feed()
        for callback, secret in self.leases.items():
            signature = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
            headers = {"x-hub-signature": signature, "content-type": "application/atom+xml"}
            assert httpx.post(callback, content=body, headers=headers, trust_env=False).status_code == 200

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(is_so: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


@contextmanager
def serving(environment: Environment, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [str(environment.bin / "tidings"), "serve"], cwd=folder, env=environment.variables,
            stdout=log, stderr=log, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_a_feed_s_new_entry_is_on_the_phone(environment: Environment, tmp_path: Path, free_port: int) -> None:
    """A blog publishes; its hub tells tidings; ntfy has it a moment later, once."""
    world = World()
    (tmp_path / "config.yaml").write_text(
        f"server: {{port: {free_port}}}\n"
        "plugins:\n"
        "  connectors: {rss: {allow_private: true}}\n"
        f"  transports: {{sse: {{}}, webpush: {{}}, ntfy: {{servers: ['{world.url}']}}}}\n"
    )
    base = f"http://127.0.0.1:{free_port}"
    try:
        listed = environment.run("tidings", "plugins", cwd=tmp_path)
        assert "tidings-rss 0.1.0" in listed
        assert "connector/rss" in listed and "WebSub signs no time" in listed
        with serving(environment, tmp_path):
            until(lambda: _answers(f"{base}/api/health"), (tmp_path / "log.txt").read_text())
            environment.run("tidings", "user", "add", "ann", cwd=tmp_path)
            token = environment.run(
                "tidings", "token", "create", "ann", "--scope", "read", "--scope", "send", cwd=tmp_path
            ).split()[0]
            with httpx.Client(
                base_url=base,
                headers={"authorization": f"Bearer {token}"},
                trust_env=False,
                timeout=_PATIENCE_SECONDS,
            ) as client:
                _follow_and_notify(client, world)
                _publishes_and_arrives(client, world)
    finally:
        world.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture
def link(environment: Environment, tmp_path: Path, free_port: int) -> Iterator[str]:
    """Where somebody signs in to a server that has the example and the dashboard."""
    (tmp_path / "config.yaml").write_text(
        f"server: {{port: {free_port}}}\n"
        "plugins:\n"
        "  connectors: {rss: {allow_private: true}}\n"
        "  transports: {sse: {}}\n"
        "  extras: {dashboard: {}}\n"
    )
    with serving(environment, tmp_path):
        health = f"http://127.0.0.1:{free_port}/api/health"
        until(lambda: _answers(health), (tmp_path / "log.txt").read_text())
        said = environment.run("tidings", "user", "add", "ann", cwd=tmp_path)
        yield next(word for word in said.split() if "/login/" in word)


async def test_a_feed_is_followed_on_the_page_and_its_new_entry_is_in_sight_there(
    world: World, link: str
) -> None:
    """Nobody has an account, and the page knows nothing of this connector but what the API says."""
    expect.set_options(timeout=_PATIENCE_SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browsing.chromium_path(), args=browsing.ARGUMENTS
        )
        async with browsing.visiting(browser, link.partition("/login/")[0]) as visitor:
            page = await visitor.open(link)
            await browsing.is_live(page)
            await page.locator("#empty").get_by_role("link", name="Follow: Feeds").click()
            await page.get_by_label("The address of a feed, or of a page that has one").fill(
                f"{world.url}/feed"
            )
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="The blog")).to_be_visible()
            await to_thread.run_sync(until, lambda: world.leases, "nobody subscribed at the hub")
            await expect(page.locator(".facts strong")).to_have_text("webhook")
            await to_thread.run_sync(world.publish, 2)
            await page.locator("#to-feed").click()
            card = browsing.cards(page).filter(has_text="Entry 2")
            await expect(card.get_by_role("link", name="Entry 2")).to_have_attribute(
                "href", "https://blog.example.org/2"
            )
            await expect(browsing.cards(page).filter(has_text="Entry 1")).to_have_count(0)  # was there before
        await browser.close()


def _follow_and_notify(client: httpx.Client, world: World) -> None:
    made = client.post("/api/connections", json={"platform": "rss", "address": f"{world.url}/feed"})
    assert made.status_code == 201, made.text
    path = f"/api/connections/{made.json()['id']}"
    until(lambda: client.get(path).json()["last_checked_at"], "the feed was never asked")
    until(lambda: world.leases, "nobody subscribed at the hub")
    phone = {"endpoint": f"{world.url}/a-topic-nobody-can-guess", "keys": {}, "label": "My phone"}
    subscribed = client.post("/api/push/subscriptions", json=phone)
    assert subscribed.status_code == 201, subscribed.text


def _publishes_and_arrives(client: httpx.Client, world: World) -> None:
    asked = world.asked
    world.publish(2)
    events = until(
        lambda: client.get("/api/events?types=org.rssboard.*").json()["events"], "the entry never came"
    )
    assert [(one["data"]["title"], one["via"]) for one in events] == [("Entry 2", "polling")]
    assert world.asked == asked + 1  # the hub told, and the feed was asked once
    until(lambda: [one for one in world.pushed if "Entry 2" in json.dumps(one)], "the phone never rang")
    assert [one["topic"] for one in world.pushed][-1] == "a-topic-nobody-can-guess"


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
