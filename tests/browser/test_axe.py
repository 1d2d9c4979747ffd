"""axe-core finds nothing on any page, in either scheme, that keeps people from using it (WCAG 2.1, level AA)."""

from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from browsing import cards
from connecting import world
from places import CONFIG, OTTILIE, Place, arrived
from tidings.testing.server import LiveServer, live_server

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
# All that another scheme changes.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
PUSHING = CONFIG.replace("sse: {}", "sse: {}, webpush: {subject: 'mailto:operator@tidings.example.org'}")


async def violations(page: Page, rules: Any = RULES) -> list[Any]:
    """What axe finds wrong: the rule, and the elements that break it."""
    found = await page.evaluate("rules => axe.run(document, rules)", rules)
    assert len(found["passes"]) > (10 if rules is RULES else 0)  # it has looked
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]


async def is_clean(page: Page, name: str) -> None:
    await page.emulate_media(color_scheme="light")
    assert await violations(page) == [], name
    await page.emulate_media(color_scheme="dark")
    assert await violations(page, COLOURS) == [], (name, "dark")


@pytest.fixture
async def place(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with (
        live_server(tmp_path_factory.mktemp("axe"), PUSHING) as server,
        arrived(browser, server, reduced_motion="reduce") as place,
    ):
        await place.visitor.context.add_init_script(AXE)  # the page's policy lets no page do so
        await place.page.reload()
        yield place


def act(server: LiveServer) -> None:
    for platform, kind in (("github", "star"), ("spotify", "play")):
        world(server).act(platform, kind, OTTILIE)


async def test_axe_is_content_with_every_page_in_both_schemes(place: Place) -> None:
    page = place.page
    await expect(page.locator("#empty")).to_be_visible()
    await is_clean(page, "empty")
    await page.locator("#compose-open").click()
    await is_clean(page, "message")
    await page.keyboard.press("Escape")
    await page.goto(f"{place.server.url}/#connections")
    await expect(page.get_by_role("heading", name="Connect an account")).to_be_visible()
    await is_clean(page, "platforms")
    await place.connect("Spotify")
    await place.connect("GitHub")
    await place.watched_by("webhook")
    act(place.server)
    await is_clean(page, "connection")
    await page.get_by_role("button", name="Sync now").click()
    await expect(page.locator(".toast")).to_be_visible()
    await is_clean(page, "toast")
    await page.get_by_role("button", name="Disconnect").click()
    await is_clean(page, "disconnect")
    await page.keyboard.press("Escape")
    await page.locator("#to-connections").click()
    await expect(page.locator(".connections > li")).to_have_count(2)
    await is_clean(page, "connections")
    await page.locator("#to-activity").click()
    await expect(page.locator(".chart")).to_be_visible()
    await page.get_by_text("The same as a table").click()
    await is_clean(page, "activity")
    await page.locator("#to-notifications").click()
    await expect(page.locator("#view-notifications .settings")).to_be_visible()
    await is_clean(page, "notifications")
    await page.locator("#to-feed").click()
    await expect(cards(page).filter(has_text="starred")).to_have_count(1)
    await is_clean(page, "feed")
    await page.get_by_role("searchbox").fill("nothing has such words")
    await is_clean(page, "nothing found")
    place.visitor.foresee(r"status of 401 \(Unauthorized\)")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("#signed-out")).to_be_visible()
    await is_clean(page, "signed out")


async def test_axe_notices_what_is_planted(place: Place) -> None:
    await place.page.evaluate("document.querySelector('#state-words').style.color = '#bbb'")
    await place.page.evaluate("document.querySelector('#sieve-search').removeAttribute('placeholder')")
    await place.page.evaluate("document.querySelector('[for=sieve-search]').remove()")
    # For good: the page hides it with an empty feed, and may be about to.
    await place.page.evaluate(
        """() => {
            const sieve = document.querySelector("#sieve");
            sieve.hidden = false;
            Object.defineProperty(sieve, "hidden", { get: () => false, set: () => {} });
        }"""
    )
    assert {rule for rule, _ in await violations(place.page)} >= {"color-contrast", "label"}


async def test_axe_is_content_with_the_controls_of_the_sandbox(place: Place) -> None:
    page = place.page
    await page.goto(f"{place.server.url}/#sandbox")
    await expect(page.get_by_role("heading", name="Connect an invented account")).to_be_visible()
    await is_clean(page, "nobody")
    await place.connect("GitHub")
    await page.get_by_role("link", name="Open its controls").click()
    await page.get_by_role("button", name="Outage").click()
    await expect(page.locator("[aria-pressed=true]")).to_have_count(1)
    await page.get_by_role("button", name="Do it").click()
    await expect(page.locator(".happenings li").first).to_be_visible()
    await is_clean(page, "controls")
