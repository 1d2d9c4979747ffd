"""The service worker: pushes shown, clicks that lead somewhere, the page without a server, and newer versions of it."""

import json
import shutil
import signal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from playwright.async_api import Browser, Page, expect

import browsing
from browsing import Person, Visitor
from tidings_dashboard.assets import client_folder
from workers import AWAY, Pushes, is_controlled

PUSHED: dict[str, Any] = {
    "web_push": 8030,
    "notification": {
        "title": "Issue #2 opened",
        "body": "octocat · octo/repo",
        "navigate": "https://tidings.example.org/?event=k3fz7q2m-2",
        "lang": "en",
        "dir": "auto",
        "tag": "tidings-k3fz7q2m-2",
        "silent": False,
        "data": {"cursor": "k3fz7q2m-2", "count": 1, "platform": "github"},
    },
}
# A click on a notification as its browser tells of it. What only a real click may do is noted instead.
CLICK = """async (tag) => {
  const done = [];
  clients.openWindow = async (address) => void done.push(["opened", address]);
  WindowClient.prototype.focus = async function () { done.push(["focused", new URL(this.url).pathname]); };
  const [notification] = await registration.getNotifications({ tag });
  const event = new NotificationEvent("notificationclick", { notification });
  const working = [];
  Object.defineProperty(event, "waitUntil", { value: (work) => working.push(work) });
  dispatchEvent(event);
  await Promise.all(working);
  return { done, left: (await registration.getNotifications({ tag })).length };
}"""


# --- pushes -----------------------------------------------------------------------------------------------------


async def test_what_is_pushed_is_shown_whatever_it_is(guest: Visitor, person: Person) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    pushes = Pushes(guest.context, page)
    (shown,) = await pushes.deliver(json.dumps(PUSHED))
    wanted = PUSHED["notification"]
    assert [shown["title"], shown["body"], shown["tag"]] == [wanted["title"], wanted["body"], wanted["tag"]]
    assert shown["data"] == {**wanted["data"], "navigate": wanted["navigate"]}
    assert shown["icon"].endswith("/static/dashboard/icon-192.png")
    for odd in ("", "not JSON", "[]", "null", '{"notification": null}', '{"notification": {"title": 7}}'):
        await pushes.deliver(odd)
    titles = [one["title"] for one in await pushes.shown()]
    assert set(titles) == {"Issue #2 opened", "7", "tidings"}
    assert len(titles) >= 7


@pytest.mark.parametrize("place", ["event", "since"])
async def test_a_click_shows_the_news_on_the_page_that_is_open(
    guest: Visitor, person: Person, place: str
) -> None:
    await person.deliver(*range(1, 31))
    page = await guest.sign_in(person)
    await is_controlled(page)
    await page.goto("/#connections")
    told = (await person.cursors())[4]
    await push_and_click(guest, page, f"https://elsewhere.example/?{place}={told}", [["focused", "/"]])
    asked = page.locator("#feed .asked")
    await expect(asked).to_have_count(1 if place == "event" else 26)
    await expect(asked.first).to_be_focused()
    await expect(asked.first).to_be_in_viewport()
    if place == "event":
        await expect(asked.get_by_role("heading")).to_have_text("Issue #5 opened in octo/repo: Issue 5")
    await expect(page.get_by_role("link", name="Feed", exact=True)).to_have_attribute("aria-current", "page")


async def push_and_click(guest: Visitor, page: Page, navigate: str, done: list[list[str]]) -> None:
    pushes = Pushes(guest.context, page)
    await pushes.deliver(json.dumps({"notification": {"title": "News", "tag": "news", "navigate": navigate}}))
    (worker,) = guest.context.service_workers
    assert await worker.evaluate(CLICK, "news") == {"done": done, "left": 0}


async def test_a_click_opens_the_page_where_none_is_open(guest: Visitor, person: Person) -> None:
    await person.deliver(1, 2, 3)
    page = await guest.sign_in(person)
    await is_controlled(page)
    told = (await person.cursors())[1]
    other = await guest.open("/static/dashboard/favicon.svg")  # of the same origin, and not the page
    await page.close()
    await push_and_click(guest, other, f"{person.url}/?event={told}", [["opened", f"/?event={told}"]])

    page = await guest.open(f"/?event={told}")
    await expect(page.locator("#feed .asked").get_by_role("heading")).to_have_text(
        "Issue #2 opened in octo/repo: Issue 2"
    )
    assert page.url == f"{person.url}/#feed"


async def test_news_that_is_too_old_for_the_page_is_said_to_be(guest: Visitor, person: Person) -> None:
    page = await guest.sign_in(person)
    await page.goto("/?event=gone-1")
    await expect(page.locator("#hint")).to_contain_text("further back than this page goes")


# --- newer versions ---------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with the dashboard as a wheel has it, to be changed."""
    folder = tmp_path / "newer"
    with resources.as_file(resources.files("tidings_dashboard")) as installed:
        shutil.copytree(installed, folder / "tidings_dashboard")
    client = folder / "tidings_dashboard" / "client"
    client.mkdir()
    for file in client_folder().iterdir():
        (client / file.name).write_bytes(file.read_bytes())
    return folder


async def test_a_newer_version_is_offered_and_comes_with_a_click(
    chromium: str, browser: Browser, package: Path, tmp_path: Path
) -> None:
    with browsing.serving(tmp_path, package=package) as server:
        person = await to_thread.run_sync(server.add_person)
        async with browsing.visiting(browser, server.url, worker=True) as visitor:
            visitor.foresee(AWAY)
            page = await visitor.sign_in(person)
            await is_controlled(page)
            other = await visitor.open()
            await browsing.is_live(other)
            await to_thread.run_sync(server.stop, signal.SIGTERM)
            words = package / "tidings_dashboard" / "static" / "words.js"
            words.write_text(words.read_text().replace("Nothing has happened yet", "Nothing new yet"))
            await to_thread.run_sync(server.start)

            for one in (page, other):
                await expect(one.get_by_text("There is a new version of this page.")).to_be_visible(
                    timeout=30_000
                )
            await other.reload()  # is still the old one: a page and its files belong together
            await expect(other.get_by_role("heading", name="Nothing has happened yet")).to_be_visible()
            await page.get_by_role("button", name="Reload").click()
            await expect(page.get_by_role("heading", name="Nothing new yet")).to_be_visible()
            await expect(page.locator("#update")).to_be_hidden()
            await other.get_by_role("button", name="Reload").click()
            await expect(other.get_by_role("heading", name="Nothing new yet")).to_be_visible()
            assert len(await page.evaluate("caches.keys()")) == 2


async def test_the_page_can_be_installed(guest: Visitor, person: Person) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    session = await guest.context.new_cdp_session(page)
    manifest = await session.send("Page.getAppManifest")
    assert manifest["url"] == f"{person.url}/static/dashboard/manifest.webmanifest"
    assert manifest["errors"] == []
    found = await session.send("Page.getInstallabilityErrors")
    errors = {error["errorId"] for error in found["installabilityErrors"]}
    assert errors <= {"in-incognito"}  # which a profile of a test is
