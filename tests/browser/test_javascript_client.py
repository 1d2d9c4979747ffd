"""The JavaScript client in a browser, on pages of another origin, against `tidings serve`."""

import contextlib
import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from playwright.async_api import Browser, BrowserContext

import browsing
import embedding
from browsing import Person, Serving
from embedding import TRANSPORTS, Application, Tab, open_tab


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with Application().running() as application:
        yield application


@pytest.fixture(scope="module")
def served(
    chromium: str, application: Application, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    with browsing.serving(tmp_path_factory.mktemp("embedded"), application.config()) as server:
        yield server


@pytest.fixture
def user(served: Serving) -> Person:
    return served.add_person()


@pytest.fixture
async def profile(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


class Tabs:
    """Pages of one person in one browser."""

    def __init__(self, profile: BrowserContext, application: Application, person: Person) -> None:
        self._profile = profile
        self._application = application
        self._person = person

    async def open(self, **options: Any) -> Tab:
        return await open_tab(self._profile, self._application, self._person, options)


@pytest.fixture
def tabs(profile: BrowserContext, application: Application, user: Person) -> Tabs:
    return Tabs(profile, application, user)


async def say(person: Person, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await person.say(f"message {number}")


async def streams(person: Person) -> int:
    """How many the server has open: this person's by SSE, and by WebSocket everybody's."""
    async with person.client() as client:
        mine = await client.get("/api/sse/stats")
        everybody_s = await client.get("/metrics")
    sockets = re.search(r'^tidings_streams\{transport="websocket"\} (\d+)', everybody_s.text, re.MULTILINE)
    return int(mine.json()["streams"]) + (int(sockets[1]) if sockets else 0)


async def has_streams(person: Person, count: int) -> None:
    with anyio.fail_after(60):
        while await streams(person) != count:
            await anyio.lowlevel.checkpoint()


async def is_whole(person: Person, *all_tabs: Tab) -> None:
    """Each tab was told everything, in order, and nothing twice."""
    everything = (await person.journal())[::-1]
    for tab in all_tabs:
        await tab.until(f"seen.length >= {len(everything)}")
        assert await tab.seen() == everything
        assert await tab.get("gaps") == []


# --- one tab ----------------------------------------------------------------------------------------------------


async def test_pages_miss_nothing_when_the_server_is_killed_and_when_it_restarts(
    application: Application, tmp_path: Path, profile: BrowserContext
) -> None:
    with browsing.serving(tmp_path, application.config()) as server:
        person = await to_thread.run_sync(server.add_person)

        async def send_until_refused() -> None:
            with contextlib.suppress(httpx.HTTPError):
                while True:
                    await person.say("a message")

        alone = [{"transport": one, "share": False} for one in (*TRANSPORTS, "auto")]
        opened = [await open_tab(profile, application, person, options) for options in (*alone, {}, {})]
        for end in (signal.SIGKILL, signal.SIGTERM):
            before = len(await person.journal())
            async with anyio.create_task_group() as group:
                group.start_soon(send_until_refused)
                await opened[0].until(f"seen.length > {before + 10}")
                await to_thread.run_sync(server.stop, end)
            await to_thread.run_sync(server.start)
            await say(person, 1, 5)
        await is_whole(person, *opened)
        for tab in opened:
            assert await tab.get("statuses.some(({ state }) => state === 'waiting')")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_page_that_is_loaded_anew_goes_on_where_it_was(
    tabs: Tabs, user: Person, transport: str
) -> None:
    tab = await tabs.open(transport=transport)
    await say(user, 1, 3)
    await tab.until("seen.length === 3")
    before, cursor = await tab.seen(), await tab.get("client.cursor")
    await tab.page.close()
    await say(user, 4, 6)
    again = await tabs.open(transport=transport, after=cursor)
    await again.until("seen.length === 3")
    assert (before + await again.seen())[::-1] == await user.journal()


async def test_a_page_without_a_position_begins_now(tabs: Tabs, user: Person) -> None:
    await say(user, 1, 3)
    tab = await tabs.open(after=None)
    await tab.until("client.status.state === 'live' && client.cursor")
    await say(user, 4, 5)
    await tab.until("seen.length === 2")
    assert await tab.seen() == (await user.journal())[1::-1]


async def test_a_filter_is_the_server_s(tabs: Tabs, user: Person) -> None:
    tab = await tabs.open(types=["com.github.*"])
    await user.say("a message")
    await user.deliver(1)
    await user.say("another")
    await user.deliver(2)
    await tab.until("seen.length === 2")
    assert all(id_.startswith("github:") for id_ in await tab.seen())


async def test_a_hidden_page_pauses_if_it_is_to_and_makes_up_for_it(tabs: Tabs, user: Person) -> None:
    tab = await tabs.open(pauseWhenHidden=True)
    await say(user, 1, 2)
    await tab.until("seen.length === 2")
    await hide(tab, hidden=True)
    await tab.until("client.status.state === 'paused'")
    await has_streams(user, 0)
    await say(user, 3, 4)
    await hide(tab, hidden=False)
    await is_whole(user, tab)


async def hide(tab: Tab, *, hidden: bool) -> None:
    """What a browser tells a page whose tab goes to the background; headless ones never do."""
    await tab.get(
        f"""Object.defineProperty(document, "hidden", {{ value: {str(hidden).lower()}, configurable: true }});
        document.dispatchEvent(new Event("visibilitychange"));"""
    )


async def test_the_session_cookie_is_enough_on_a_page_of_the_same_origin(
    profile: BrowserContext, application: Application, user: Person
) -> None:
    async def client_files(route: Any) -> None:
        body, media_type = application.answer(route.request.url.removeprefix(user.url)) or (b"", "text/plain")
        await route.fulfill(body=body, content_type=media_type)

    page = await profile.new_page()
    await page.goto(user.link)
    await page.route("**/src/*.js", client_files)
    await page.evaluate(embedding.FOLLOW, {"url": user.url, "user": "", "options": {"transport": "sse"}})
    tab = Tab(page)
    await tab.until("client.status.state === 'live'")
    # A change by cookie needs the CSRF token, which the client asks for by itself.
    message = {"method": "POST", "body": {"message": {"title": "from the page"}}}
    await page.evaluate("(message) => client.request('/api/sse/send', message)", message)
    await is_whole(user, tab)


# --- many tabs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_eight_tabs_are_one_stream_which_the_next_takes_over(
    tabs: Tabs, user: Person, transport: str
) -> None:
    await say(user, 1, 3)
    opened = [await tabs.open(transport=transport) for _ in range(8)]
    await is_whole(user, *opened)
    await has_streams(user, 1)
    while len(opened) > 5:
        await say(user, 1, 2)
        (leader,) = [tab for tab in opened if await tab.get("client.status.role") == "leader"]
        opened.remove(leader)
        async with anyio.create_task_group() as group:
            group.start_soon(say, user, 1, 5)
            await leader.page.close()
        await is_whole(user, *opened)
    await has_streams(user, 1)
    roles = [await tab.get("client.status.role") for tab in opened]
    assert sorted(roles) == ["follower"] * 4 + ["leader"]
    states = [await tab.get("client.status.state") for tab in opened]
    assert states == ["live"] * 5


async def test_a_tab_that_joins_later_gets_what_it_asks_for(tabs: Tabs, user: Person) -> None:
    await say(user, 1, 2)
    first = await tabs.open(after=None)
    await first.until("client.status.state === 'live' && client.cursor")
    await say(user, 3, 4)
    await first.until("seen.length === 2")
    second = await tabs.open(after="0")
    third = await tabs.open(after=None)
    await third.until("client.cursor")
    await say(user, 5, 5)
    await is_whole(user, second)
    await third.until("seen.length === 1")
    journal = (await user.journal())[::-1]
    assert [await first.seen(), await third.seen()] == [journal[2:], journal[4:]]


async def test_a_tab_that_was_told_too_little_notices_and_reads_the_rest(tabs: Tabs, user: Person) -> None:
    leader = await tabs.open()
    await leader.until("client.status.role === 'leader' && client.status.state === 'live'")
    follower = await tabs.open()
    await follower.until("client.status.role === 'follower'")
    await leader.get(
        """() => {
          const post = BroadcastChannel.prototype.postMessage;
          let told = 0;
          window.lossy = true;
          BroadcastChannel.prototype.postMessage = function (message) {
            if (!lossy || message.kind !== "news" || told++ % 3 === 1) post.call(this, message);
          };
        }"""
    )
    await say(user, 1, 9)
    await leader.until("seen.length === 9")
    await leader.get("lossy = false")
    await say(user, 10, 10)
    await is_whole(user, leader, follower)


async def test_a_leader_that_does_not_answer_is_replaced(
    tabs: Tabs, user: Person, profile: BrowserContext
) -> None:
    leader = await tabs.open(silenceMs=1000)
    await leader.until("client.status.role === 'leader' && client.status.state === 'live'")
    other = await tabs.open(silenceMs=1000)
    await other.until("client.status.role === 'follower'")
    debugger = await profile.new_cdp_session(leader.page)
    await debugger.send("Debugger.enable")
    await debugger.send(
        "Debugger.pause"
    )  # holds the page still, as a browser does with one in the background
    await say(user, 1, 3)
    await other.until("client.status.role === 'leader'")
    await is_whole(user, other)
    await debugger.send("Debugger.resume")
    await say(user, 4, 5)
    await is_whole(user, leader, other)


async def test_tabs_of_two_people_share_nothing(
    profile: BrowserContext, application: Application, served: Serving, user: Person
) -> None:
    other = await to_thread.run_sync(served.add_person)
    theirs: Mapping[str, Tab] = {
        person.name: await open_tab(profile, application, person, {"transport": "sse"})
        for person in (user, other)
    }
    await say(user, 1, 2)
    await say(other, 1, 3)
    await is_whole(user, theirs[user.name])
    await is_whole(other, theirs[other.name])
    await has_streams(user, 1)


async def test_tabs_may_have_streams_of_their_own(tabs: Tabs, user: Person) -> None:
    opened = [await tabs.open(share=False) for _ in range(2)]
    await say(user, 1, 2)
    await is_whole(user, *opened)
    await has_streams(user, 2)
    await opened[0].get("client.close()")
    await has_streams(user, 1)
