"""A Chromium and a profile for each module, a server for all, an account for each test.

A profile costs more than most tests. Without a service worker it keeps nothing of a page but cookies, which go with
each test, and the page's own files, which everybody's browser has from the second time on.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

import browsing
from browsing import Person, Serving, Visitor


@pytest.fixture(scope="session")
def chromium() -> str:
    return browsing.chromium_path()


# Not for the session: its event loop would then be the one of all tests that follow, in other folders too.
@pytest.fixture(scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    expect.set_options(timeout=30_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=browsing.ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def server(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with browsing.serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def mortal(chromium: str, tmp_path: Path) -> Iterator[tuple[Serving, Person]]:
    """A server to be stopped, and somebody there."""
    with browsing.serving(tmp_path) as server:
        yield server, server.add_person()


@pytest.fixture
def person(server: Serving) -> Person:
    return server.add_person()


@pytest.fixture(scope="module")
async def profile(browser: Browser, server: Serving) -> AsyncIterator[Visitor]:
    async with browsing.visiting(browser, server.url) as visitor:
        yield visitor


@pytest.fixture
async def visitor(profile: Visitor) -> AsyncIterator[Visitor]:
    yield profile
    await profile.leave()


@pytest.fixture
async def page(visitor: Visitor, person: Person) -> Page:
    """The live page of `person`."""
    return await visitor.sign_in(person)


@pytest.fixture
async def guest(browser: Browser, server: Serving) -> AsyncIterator[Visitor]:
    """A profile with a service worker, which may notify."""
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        await visitor.context.grant_permissions(["notifications"])
        yield visitor
