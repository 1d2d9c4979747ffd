"""What is read: the same in all tabs and on all devices, however one comes to read it."""

import re
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio import to_thread
from playwright.async_api import Browser, Page, expect

import browsing
from browsing import Person, Serving, Visitor, cards


@pytest.fixture
async def elsewhere(browser: Browser, server: Serving, person: Person) -> AsyncIterator[Page]:
    """The page of the same person on another device, where they look at their connections."""
    async with browsing.visiting(browser, server.url) as visitor:
        link = await to_thread.run_sync(server.command, "user", "link", person.name)
        page = await visitor.open(link.strip())
        await browsing.is_live(page)
        await page.goto("/#connections")
        yield page


async def unread(person: Person) -> int:
    async with person.client() as client:
        return int((await client.get("/api/reading")).json()["unread"])


async def test_what_is_read_on_one_device_is_read_on_all(
    person: Person, page: Page, visitor: Visitor, elsewhere: Page
) -> None:
    tab = await visitor.open("/#connections")
    await page.goto("/#connections")
    await person.deliver(1, 2, 3)
    for one in (page, tab, elsewhere):
        await expect(one.locator("#unread")).to_have_text("3")
        await expect(one).to_have_title("(3) Connections · tidings")
    await page.locator("#to-feed").click()
    await expect(page.locator(".event .unread:visible")).to_have_count(3)
    await expect(page.get_by_role("img", name="unread")).to_have_count(3)
    await expect(page.locator(".event .unread:visible")).to_have_count(0)  # it was looked at
    for one in (tab, elsewhere):
        await expect(one.locator("#unread")).to_be_empty()
        await expect(one).to_have_title("Connections · tidings")
    assert await unread(person) == 0


async def test_everything_is_read_with_one_click_from_wherever_one_reads(person: Person, page: Page) -> None:
    await person.deliver(*range(1, 21))
    await expect(cards(page)).to_have_count(20)
    await page.mouse.wheel(0, 600)
    await expect(page.locator("#top")).not_to_be_in_viewport()
    await person.deliver(21)
    await expect(page).to_have_title(re.compile(r"^\(\d+\) tidings$"))
    everything = page.get_by_role("button", name="Mark all as read")
    await everything.evaluate("button => button.click()")  # it is out of sight, and its place is to be kept
    await expect(everything).to_be_hidden()
    await expect(page).to_have_title("tidings")
    with anyio.fail_after(60):
        while await unread(person):
            await anyio.sleep(0.02)


async def test_who_comes_back_sees_where_they_were(person: Person, page: Page) -> None:
    await person.deliver(1, 2)
    await expect(cards(page)).to_have_count(2)
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(page.locator(".unread:visible")).to_have_count(0)
    with anyio.fail_after(60):
        while await unread(person):
            await anyio.sleep(0.02)
    await page.goto("about:blank")
    await person.deliver(3, 4)
    await page.goto("/")
    await expect(page.locator(".unread:visible")).to_have_count(2)
    last_read = cards(page).filter(has_text="You had read up to here")
    await expect(last_read.get_by_role("heading")).to_have_text("Issue #2 opened in octo/repo: Issue 2")
    await expect(page.locator(".unread:visible")).to_have_count(0)
    await expect(last_read).to_have_count(1)  # it stays for as long as the page does
