"""A feed of ten thousand events: all of it can be reached, and only what is near the window is on the page."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from playwright.async_api import Browser, Page, expect

import browsing
from tidings.contracts import Item
from tidings.event import Event
from tidings.sessions import add_login_link
from tidings.testing.server import LiveServer, live_server

EVENTS = 10_300
MOST = 10_000
MOST_ROWS = 160
CONFIG = browsing.CONFIG.format(port=0).replace("log: {format: json}\n", "")
# What is in the window, and how much is on the page.
LOOK = """() => {
  const rows = [...document.querySelectorAll("#feed li")];
  const seen = rows.filter((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return bottom > 76 && top < innerHeight;
  });
  return { rows: rows.length, seen: seen.map((row) => row.querySelector("h3")?.textContent) };
}"""
# To some part of the page as long as it is now, drawn.
SCROLL = """async (part) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  scrollTo(0, document.documentElement.scrollHeight * part);
  for (let turn = 0; turn < 6; turn++) await frame();
}"""


@pytest.fixture(scope="module")
async def crowded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[LiveServer, str]]:
    """A server, and where its user signs in."""
    async with live_server(tmp_path_factory.mktemp("crowded"), CONFIG) as server:
        user = await server.add_user("ann")
        now = server.services.clock.now()
        for start in range(0, EVENTS, 1000):
            events = [
                Event(
                    id=f"github:{number}", type="com.github.push", source="//github.com/octo/repo", time=now,
                    platform="github",
                    data={"title": f"Event {number}", "text": "More words. " * (number % 30), "url": "https://e.example/"},
                )
                for number in range(start, min(start + 1000, EVENTS))
            ]  # fmt: skip
            await server.services.journal.append(Item(user.id, events, via="webhook"))
        link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
        yield server, f"{server.url}/login/{link}"


@pytest.fixture(scope="module")
async def long(browser: Browser, crowded: tuple[LiveServer, str]) -> AsyncIterator[Page]:
    server, link = crowded
    async with browsing.visiting(browser, server.url) as visitor:
        page = await visitor.open(link)
        await browsing.is_live(page)
        yield page


async def look(page: Page) -> list[int]:
    """The numbers of the events in the window."""
    found = await page.evaluate(LOOK)
    assert 0 < found["rows"] < MOST_ROWS
    return [int(title.removeprefix("Event ")) for title in found["seen"]]


async def test_all_of_ten_thousand_can_be_reached_with_few_rows_at_a_time(long: Page) -> None:
    seen = await look(long)
    assert seen == list(range(EVENTS - 1, EVENTS - 1 - len(seen), -1))
    note = long.locator("#note-words")
    for _ in range(200):
        await long.evaluate(SCROLL, 1)
        assert 0 < (await long.evaluate(LOOK))["rows"] < MOST_ROWS
        if "10,000" in (await note.text_content() or ""):
            break
    await expect(note).to_have_text("This page holds 10,000 events. Older ones stay in the journal.")
    await long.evaluate(SCROLL, 1)
    seen = await look(long)
    assert seen == list(range(seen[0], seen[0] - len(seen), -1))
    assert seen[-1] == EVENTS - MOST


async def test_one_of_ten_thousand_is_found_and_what_was_in_sight_stays_there(
    long: Page, crowded: tuple[LiveServer, str]
) -> None:
    await browsing.holds(long, MOST)
    await long.get_by_role("searchbox").fill("event 4321")
    await expect(long.locator(".found")).to_have_text("1 of 10,000")
    await expect(long.locator("#feed li h3")).to_have_text(["Event 4321"])
    await long.get_by_role("searchbox").fill("")
    await long.evaluate(SCROLL, 0.5)
    before = await look(long)
    top = "() => document.querySelector('#feed li:nth-child(9)').getBoundingClientRect().top"
    places = {await long.evaluate(top)}
    server, _ = crowded
    event = Event(
        id="github:new",
        type="com.github.push",
        source="//x",
        platform="github",
        data={"title": "Event 99999"},
    )
    (user_id,) = {one.principal.user_id for one in server.services.fanout.subscriptions()}
    await server.services.journal.append(Item(user_id, [event], via="webhook"))
    await expect(long.locator("#pill")).to_have_text("1 new")
    places.add(await long.evaluate(top))
    assert await look(long) == before
    assert len(places) == 1
    await long.locator("#pill").click()
    assert (await look(long))[:2] == [99999, EVENTS - 1]
