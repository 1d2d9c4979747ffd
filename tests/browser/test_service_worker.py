"""The service worker: pushes shown, clicks that lead somewhere, the page without a server, and newer versions of it."""

import json
import shutil
import signal
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect

import browsing
from browsing import Person, Serving, Visitor, cards
from tidings_dashboard.assets import client_folder

AWAY = r"net::ERR_(CONNECTION_RE|INCOMPLETE_CHUNKED|EMPTY_RESPONSE)|An unknown error occurred when fetching"
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
NOTIFICATIONS = """async () => (await (await navigator.serviceWorker.getRegistration("/")).getNotifications()).map(
  ({ title, body, tag, icon, data }) => ({ title, body, tag, icon, data }))"""
KEPT = """async () => {
  const kept = await caches.match("/api/events?last=100", { cacheName: "news" });
  return kept ? (await kept.json()).events.map(({ id }) => id).reverse() : null;
}"""


@pytest.fixture
async def guest(browser: Browser, server: Serving) -> AsyncIterator[Visitor]:
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        await visitor.context.grant_permissions(["notifications"])
        yield visitor


async def is_controlled(page: Page) -> None:
    """The page has its service worker, and that is fully there."""
    found = "navigator.serviceWorker.controller?.state"
    with anyio.fail_after(60):
        while await page.evaluate(found) != "activated":
            await anyio.sleep(0.02)


async def keeps(page: Page, events: list[str]) -> None:
    with anyio.fail_after(60):
        while await page.evaluate(KEPT) != events:
            await anyio.sleep(0.05)


class Pushes:
    """Delivers pushes to the page's service worker as a push service would, by DevTools."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context, self._page = context, page
        self._session: CDPSession | None = None
        self._registrations: list[Any] = []

    async def deliver(self, data: str) -> list[Any]:
        """All notifications, once this push has brought another. Again if need be: DevTools may lose one unsaid."""
        before = len(await self.shown())
        origin, registration = await self._registration()
        push = {"origin": origin, "registrationId": registration, "data": data}
        assert self._session is not None
        with anyio.fail_after(60):
            while True:
                await self._session.send("ServiceWorker.deliverPushMessage", push)
                with anyio.move_on_after(5):
                    while len(found := await self.shown()) == before:
                        await anyio.sleep(0.02)
                    return found

    async def dispatch(self, event: str, tag: str) -> None:
        """Have the service worker do what was registered under this tag."""
        origin, registration = await self._registration()
        assert self._session is not None
        what = {"origin": origin, "registrationId": registration, "tag": tag}
        more = {"lastChance": False} if event == "dispatchSyncEvent" else {}
        await self._session.send(f"ServiceWorker.{event}", {**what, **more})

    async def shown(self) -> list[Any]:
        found: list[Any] = await self._page.evaluate(NOTIFICATIONS)
        return found

    async def _registration(self) -> tuple[str, str]:
        if self._session is None:
            self._session = await self._context.new_cdp_session(self._page)
            told = "ServiceWorker.workerRegistrationUpdated"
            self._session.on(told, lambda news: self._registrations.extend(news["registrations"]))
            await self._session.send("ServiceWorker.enable")
        origin = await self._page.evaluate("location.origin")
        with anyio.fail_after(60):
            while not (mine := [one for one in self._registrations if one["scopeURL"] == f"{origin}/"]):
                await anyio.sleep(0.02)
        return origin, mine[-1]["registrationId"]


async def cursors(person: Person) -> list[str]:
    """Of all events, oldest first."""
    async with person.client() as client:
        answer = await client.get("/api/events", params={"after": "0"})
    return [event["cursor"] for event in answer.json()["events"]]


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
    told = (await cursors(person))[4]
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
    told = (await cursors(person))[1]
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


# --- without a server -------------------------------------------------------------------------------------------


async def test_the_page_and_its_last_news_are_there_without_a_server_and_live_again_with_it(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    await person.deliver(1, 2)
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY)
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.reload()
        await browsing.is_live(page)
        await person.deliver(3, 4, 5)  # what came live is kept, too
        await keeps(page, await person.journal())
        journal = await person.journal()

        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.reload()
        await expect(page.locator("#hint")).to_contain_text("The server is out of reach.")
        await expect(page.locator("#state-words")).to_have_text("Reconnecting")
        assert await browsing.shown(page) == journal
        await expect(page.locator("#user")).to_have_text(person.name)

        await to_thread.run_sync(server.start)
        await person.deliver(6)
        await browsing.is_live(page)
        await expect(page.locator("#hint")).to_be_hidden()
        await expect(cards(page)).to_have_count(6)
        assert await browsing.shown(page) == await person.journal()


async def test_nothing_is_kept_of_who_has_signed_out(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    await person.say("private")
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY + r"|net::ERR_FAILED|status of 401 \(Unauthorized\)")
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.reload()
        await keeps(page, await person.journal())
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
        with anyio.fail_after(60):
            while await page.evaluate("caches.has('news')"):
                await anyio.sleep(0.02)
        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.reload()
        await expect(page.locator("#state-words")).to_have_text("Reconnecting")
        assert await cards(page).count() == 0
        assert person.name not in (await page.locator("body").text_content() or "")
        await to_thread.run_sync(server.start)


async def test_who_signs_in_next_reads_nothing_of_who_was_there_before(
    guest: Visitor, server: Serving, person: Person
) -> None:
    await person.say("private")
    page = await guest.sign_in(person)
    await is_controlled(page)
    await page.reload()
    await keeps(page, await person.journal())
    theirs = "caches.open('news').then((cache) => cache.put('/theirs', new Response('private')))"
    await page.evaluate(theirs)
    next_one = await to_thread.run_sync(server.add_person)
    await next_one.say("mine")
    await page.goto(next_one.link)
    await browsing.is_live(page)
    await keeps(page, await next_one.journal())
    assert not await page.evaluate("caches.match('/theirs').then(Boolean)")


# --- later ------------------------------------------------------------------------------------------------------

OUTBOX = """async () => {
  const box = (await caches.has("outbox")) ? await caches.open("outbox") : null;
  return ((await box?.keys()) ?? []).map(({ url }) => new URL(url).pathname);
}"""


async def waits(page: Page, *paths: str) -> None:
    with anyio.fail_after(60):
        while await page.evaluate(OUTBOX) != list(paths):
            await anyio.sleep(0.02)


async def test_what_is_read_without_a_server_is_told_to_it_later_though_the_page_is_closed(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY)
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.goto("/#connections")
        await page.reload()
        await browsing.is_live(page)
        await person.deliver(1, 2)
        await expect(page.locator("#unread")).to_have_text("2")
        await keeps(page, await person.journal())
        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.locator("#to-feed").click()
        await page.get_by_role("button", name="Mark all as read").click()
        await expect(page.locator(".toast")).to_contain_text("Marked here.")
        await waits(page, "/outbox/reading")
        await page.reload()  # what is kept says so, too
        await expect(cards(page)).to_have_count(2)
        assert await page.locator(".unread:visible").count() == 0

        other = await visitor.open("/static/dashboard/favicon.svg")
        pushes = Pushes(visitor.context, other)
        await page.close()
        await pushes.dispatch("dispatchSyncEvent", "outbox")
        await to_thread.run_sync(server.start)
        async with person.client() as client:
            assert (await client.get("/api/reading")).json()["unread"] == 2
            await pushes.dispatch("dispatchSyncEvent", "outbox")
            with anyio.fail_after(60):
                while (await client.get("/api/reading")).json()["unread"]:
                    await anyio.sleep(0.02)
        await waits(other)


async def test_what_waits_is_of_who_did_it_and_goes_when_they_sign_out(
    guest: Visitor, server: Serving, person: Person
) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    await person.deliver(1)
    (cursor,) = await cursors(person)
    later = (
        """wish => navigator.serviceWorker.controller.postMessage({ type: "LATER", key: "reading", wish })"""
    )
    wish = {"method": "PUT", "path": "/api/reading", "body": {"cursor": cursor}, "user": 0}
    await page.goto("/#connections")
    await page.evaluate(later, wish)
    await waits(page, "/outbox/reading")
    await page.evaluate("navigator.serviceWorker.controller.postMessage({ type: 'FLUSH' })")
    await waits(page)  # it was somebody else's
    async with person.client() as client:
        assert (await client.get("/api/reading")).json()["unread"] == 1
    await page.evaluate(later, wish)
    await waits(page, "/outbox/reading")
    guest.foresee(r"status of 401 \(Unauthorized\)")
    await page.get_by_role("button", name="Sign out").click()
    await waits(page)


async def test_the_last_news_is_fetched_now_and_then_while_no_page_is_open(
    guest: Visitor, person: Person
) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    await page.reload()
    await browsing.is_live(page)
    await person.deliver(1)
    await keeps(page, await person.journal())
    other = await guest.open("/static/dashboard/favicon.svg")
    pushes = Pushes(guest.context, other)
    await page.close()
    await person.deliver(2, 3)
    await pushes.dispatch("dispatchPeriodicSyncEvent", "news")
    await keeps(other, await person.journal())


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


async def test_sync_now_without_a_server_is_done_later_though_the_page_is_closed(
    browser: Browser, tmp_path: Path
) -> None:
    config = browsing.CONFIG.replace("{{github: {{}}}}", "{{github: {{}}, spotify: {{}}}}")
    config = config.replace("dashboard: {{}}", "dashboard: {{}}, sandbox: {{lively: false}}")
    with browsing.serving(tmp_path, config) as server:
        person = await to_thread.run_sync(server.add_person)
        async with browsing.visiting(browser, server.url, worker=True) as visitor:
            visitor.foresee(AWAY)
            page = await visitor.sign_in(person)
            await is_controlled(page)
            await page.locator("#empty").get_by_role("link", name="Connect Spotify").click()
            await page.locator("input[name=person]").first.check()
            await page.get_by_role("button", name="Accept").click()
            await expect(page.locator(".facts strong")).to_have_text("polling")
            await browsing.is_live(page)
            connection = page.url.rpartition("/")[2]
            with anyio.fail_after(20):
                while (checked := await _checked_at(person, connection)) == "None":
                    await anyio.sleep(0.05)

            await to_thread.run_sync(server.stop, signal.SIGKILL)
            await page.get_by_role("button", name="Sync now").click()
            await expect(page.locator(".toast")).to_contain_text("It is asked as soon as it is back.")
            await waits(page, f"/outbox/%2Fapi%2Fconnections%2F{connection}%2Fsync")

            other = await visitor.open("/static/dashboard/favicon.svg")
            pushes = Pushes(visitor.context, other)
            await page.close()
            await pushes.dispatch("dispatchSyncEvent", "outbox")  # too early: it stays
            await to_thread.run_sync(server.start)
            await waits(other, f"/outbox/%2Fapi%2Fconnections%2F{connection}%2Fsync")
            assert await _checked_at(person, connection) == checked
            await pushes.dispatch("dispatchSyncEvent", "outbox")
            with anyio.fail_after(20):
                while await _checked_at(person, connection) == checked:
                    await anyio.sleep(0.05)
            await waits(other)


async def _checked_at(person: Person, connection: str) -> str:
    """When news of a connection was last asked for."""
    async with person.client() as client:
        answer = await client.get(f"/api/connections/{connection}")
    return str(answer.raise_for_status().json()["last_checked_at"])
