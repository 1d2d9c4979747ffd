"""The React hooks, and the example that the documentation shows, in a browser against a server."""

import re
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, expect

import browsing
import npm
from browsing import Person, Serving
from embedding import CLIENT, TRANSPORTS, Application, Tab

OTTILIE = "ottilie-otterbourne"
# What Chromium itself writes of requests that fail, which tests here make on purpose.
BY_THE_BROWSER = re.compile(r"^(Failed to load resource|WebSocket connection to|A bad HTTP response code)")
WORKER = """\
addEventListener("message", ({ data, source }) => {
  if (data.type === "SKIP_WAITING") skipWaiting();
  else source.postMessage({ version: VERSION });
});
"""


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    npm.install_in_place(CLIENT, "the JavaScript client")
    application = Application()
    application.add_program("/hooks.js", "test/hooks.tsx")
    application.add_program("/example.js", "examples/main.tsx")
    application.pages["/sw.js"] = b""
    application.pages["/hooks"] = b'<!doctype html><body><script type="module" src="/hooks.js"></script>'
    with application.running():
        yield application


@pytest.fixture(scope="module")
def served(
    chromium: str, application: Application, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    with browsing.serving(tmp_path_factory.mktemp("hooks"), application.config(sandbox=True)) as server:
        yield server


@pytest.fixture
def user(served: Serving, application: Application) -> Person:
    person = served.add_person()
    application.subject = person.name
    return person


@pytest.fixture
async def profile(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not BY_THE_BROWSER.search(message.text):
            complaints.append(message.text)

    context.on("console", hear)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    await context.close()
    assert complaints == []


@pytest.fixture
async def tab(profile: BrowserContext, application: Application) -> Tab:
    page = await profile.new_page()
    await page.goto(f"{application.origin}/hooks")
    tab = Tab(page)
    await tab.until("'show' in window")
    return tab


async def open_streams(person: Person) -> int:
    async with person.client() as client:
        answer = await client.get("/api/sse/stats")
        count: int = answer.json()["streams"]
        return count


async def connect_spotify(profile: BrowserContext, person: Person) -> None:
    """As a person does, on the server's own pages."""
    page = await profile.new_page()
    await page.goto(person.link)
    await page.goto(f"{person.url}/api/oauth/spotify/start")
    await page.locator(f"input[name=person][value={OTTILIE}]").check()
    await page.get_by_role("button", name="Accept").click()
    await page.wait_for_url(re.compile("#connections"))
    await page.close()


@pytest.mark.parametrize("hook", [*TRANSPORTS, "auto"])
async def test_a_component_has_the_events_while_it_is_there(tab: Tab, user: Person, hook: str) -> None:
    await user.say("first")
    await tab.page.evaluate(
        "(props) => show(props)", {"hook": hook, "url": user.url, "after": "0", "limit": 3}
    )
    await user.say("second")
    items = tab.page.locator("ol li")
    await expect(items).to_have_text(["second", "first"])
    await tab.until("stream.status.state === 'live'")
    for number in range(3):
        await user.say(f"number {number}")
    await expect(items).to_have_text(["number 2", "number 1", "number 0"])
    assert await tab.get("told") == (await user.journal())[::-1]
    await expect(tab.page.locator("p")).to_have_text("0 accounts")


async def test_strict_mode_and_new_functions_make_no_second_stream_and_leaving_ends_it(
    tab: Tab, user: Person
) -> None:
    props = {"hook": "sse", "url": user.url, "after": "0", "share": False}
    await tab.page.evaluate("(props) => show(props)", props)
    await tab.until("stream.status.state === 'live'")
    client = await tab.page.evaluate_handle("stream.client")
    await tab.page.evaluate("(props) => show(props)", props)  # with a getToken and an onEvent of their own
    await user.say("one")
    await expect(tab.page.locator("ol li")).to_have_text(["one"])
    assert await client.evaluate("(client) => client === stream.client")
    assert await open_streams(user) == 1
    await tab.get("leave()")
    with anyio.fail_after(60):
        while await open_streams(user):
            await anyio.sleep(0.02)


async def test_another_filter_begins_anew_and_disabling_ends_it(tab: Tab, user: Person) -> None:
    props = {"hook": "auto", "url": user.url, "after": "0"}
    await user.say("a message")
    await user.deliver(1)
    await tab.page.evaluate("(props) => show(props)", props)
    items = tab.page.locator("ol li")
    await expect(items).to_have_count(2)
    await tab.page.evaluate("(props) => show(props)", {**props, "types": ["com.github.*"]})
    await expect(items).to_have_count(1)
    await expect(items).to_have_text(re.compile("^Issue #1 opened"))
    await tab.page.evaluate("(props) => show(props)", {**props, "enabled": False})
    await expect(items).to_have_count(0)
    assert await tab.get("stream.client") is None


async def test_an_error_that_is_final_is_told(tab: Tab, user: Person) -> None:
    await tab.page.evaluate("(props) => show(props)", {"hook": "sse", "url": user.url, "after": "nonsense"})
    await tab.until("stream.error?.code === 'invalid_cursor'")
    assert await tab.get("stream.status.state") == "closed"


async def test_the_accounts_are_shown_and_kept_fresh(tab: Tab, user: Person, profile: BrowserContext) -> None:
    await tab.page.evaluate("(props) => show(props)", {"hook": "auto", "url": user.url})
    await expect(tab.page.locator("p")).to_have_text("0 accounts")
    await tab.until("stream.status.state === 'live'")
    await connect_spotify(profile, user)
    account = tab.page.locator("ul li")
    await expect(account).to_have_text(re.compile("^spotify connected"))
    async with tab.page.expect_response("**/sync") as answer:
        await account.get_by_role("button").click()
    assert (await answer.value).status == 202


async def test_the_example_of_the_documentation_works(
    profile: BrowserContext, application: Application, user: Person
) -> None:
    page = f'<!doctype html><div id="root" data-tidings="{user.url}"></div>'
    script = '<script type="module" src="/example.js"></script>'
    application.pages["/example"] = (page + script).encode()
    await user.say("before")
    shown = await profile.new_page()
    await shown.goto(f"{application.origin}/example")
    news = shown.get_by_role("list", name="News").get_by_role("listitem")
    await expect(news).to_have_text(["before"])
    await expect(shown.get_by_role("status")).to_have_text("live")
    await user.say("<b>now</b>")
    await expect(news).to_have_text(["<b>now</b>", "before"])


async def test_a_new_version_of_the_service_worker_waits_until_the_page_lets_it(
    tab: Tab, application: Application
) -> None:
    application.pages["/sw.js"] = WORKER.replace("VERSION", "1").encode()
    await tab.get("watchWorker('/sw.js')")
    await tab.until("worker.state === 'ready'")
    await tab.page.reload()  # a page has the worker that was there when it was loaded
    await tab.until("'watchWorker' in window")
    await tab.get("watchWorker('/sw.js')")
    await tab.until("worker.state === 'ready'")
    assert await tab.get("worker.updateReady") is False
    application.pages["/sw.js"] = WORKER.replace("VERSION", "2").encode()
    await tab.get("worker.registration.update().then(() => {})")
    await tab.until("worker.updateReady")
    await tab.get("worker.registration.active.postMessage({ type: 'VERSION' })")
    await tab.until("messages.length === 1")
    assert await tab.get("messages") == [{"version": 1}]

    async with tab.page.expect_event("load"):
        await tab.get("worker.update()")
    await tab.until("'watchWorker' in window")
    await tab.get("watchWorker('/sw.js')")
    await tab.until("worker.state === 'ready' && !worker.updateReady")
    await tab.get("worker.registration.active.postMessage({ type: 'VERSION' })")
    await tab.until("messages.length === 1")
    assert await tab.get("messages") == [{"version": 2}]


async def test_a_service_worker_that_is_not_there_is_told(tab: Tab) -> None:
    await tab.get("watchWorker('/sw-that-is-not-there.js')")
    await tab.until("worker.state === 'failed'")
    assert "404" in await tab.get("worker.error.message")
