"""The sandbox's controls on the page: things happen, break and are mended there, by clicks of an admin."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, Locator, expect

import browsing
from browsing import cards
from connecting import world
from places import CONFIG, OTTILIE, Place, arrived, placed
from tidings.testing.server import LiveServer, live_server

STARRED = re.compile("starred", re.IGNORECASE)  # by a passer-by, now and then
EMULATING = CONFIG.replace("spotify: {}", "spotify: {}, slack: {client_id: mine, client_secret: mine}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, EMULATING) as server:
        yield server


@pytest.fixture
async def place(browser: Browser, server: LiveServer) -> AsyncIterator[Place]:
    async with arrived(browser, server) as place:
        yield place


async def opened(place: Place, *platforms: str) -> Locator:
    """The view's card of the first of these, once they are connected and watched."""
    for platform in platforms:
        await place.connect(platform)
        await place.watched_by("polling" if platform == "Spotify" else "webhook")
    await place.page.get_by_role("link", name="Open its controls").click()
    return place.page.locator(f".emulated > [data-platform={platforms[0].lower()}]")


async def test_what_is_made_to_happen_on_the_page_is_in_the_feed(place: Place) -> None:
    page = place.page
    await page.get_by_role("link", name="Open its controls").click()
    await expect(page).to_have_title("Sandbox · tidings")
    choices = page.locator("#view-sandbox .choices").get_by_role("link")
    await expect(choices).to_have_text(["Connect GitHub", "Connect Spotify"])  # Slack is the real one
    card = await opened(place, "GitHub")
    await expect(card.locator(".chip")).to_have_text("Works")
    await expect(card.locator("img")).to_have_js_property("complete", True)
    await card.get_by_role("combobox", name="What Ottilie Otterbourne does at GitHub").select_option("star")
    await card.get_by_role("button", name="Do it").click()
    await expect(page.locator(".happenings li").first).to_contain_text(STARRED)
    await expect(card.get_by_role("combobox")).to_have_value("star")  # though all is drawn anew
    await page.locator(".toast").get_by_role("link", name="Your feed").click()
    await expect(cards(page).filter(has_text=STARRED)).to_have_count(1)


async def test_what_can_t_happen_is_said_to_be_so(place: Place) -> None:
    place.visitor.foresee(r"status of 404 \(Not Found\)")
    card = await opened(place, "Spotify")
    await card.get_by_role("combobox").select_option("unlike")
    await card.get_by_role("button", name="Do it").click()
    await expect(place.page.locator(".toast[data-tone=bad]")).not_to_be_empty()
    await expect(card).to_be_visible()


async def test_each_switch_breaks_its_platform_and_mend_mends_all_of_it(place: Place) -> None:
    page = place.page
    card = await opened(place, "GitHub", "Spotify")
    github = world(place.server).emulators["github"]
    switches = card.get_by_role("group").locator("[aria-pressed]")
    await expect(switches).to_have_count(7)
    for number in range(7):
        await switches.nth(number).click()
        await expect(switches.nth(number)).to_have_attribute("aria-pressed", "true")
    faults = github.faults
    assert [fault.kind for fault in faults.active()] == ["error", "timeout", "error", "error"]
    assert [faults.lose_webhooks, faults.duplicate_webhooks, faults.delay_webhooks_seconds] == [1, 1, 120]
    await switches.first.click()
    await expect(switches.first).to_have_attribute("aria-pressed", "false")
    assert [fault.kind for fault in faults.active()] == ["timeout", "error", "error"]
    await expect(card.locator(".chip")).to_have_text("Broken")
    spotify = page.locator(".emulated > [data-platform=spotify]")
    await expect(spotify.locator(".chip")).to_have_text("Works")
    await expect(spotify.locator("[aria-pressed]")).to_have_count(4)  # it sends no webhooks
    github.change_hook(int(github.hooks()[0]["id"]), "disable")
    await card.get_by_role("button", name="Mend GitHub").click()
    await expect(card.locator(".chip")).to_have_text("Works")
    await expect(card.locator("[aria-pressed=true]")).to_have_count(0)
    assert faults.active() == [] and not faults.loses() and faults.delay_webhooks_seconds == 0
    assert all(hook["active"] for hook in github.hooks())


async def test_a_platform_that_is_out_is_seen_to_fail_and_to_be_well_again(place: Place) -> None:
    page = place.page
    card = await opened(place, "Spotify")
    await card.get_by_role("button", name="Outage").click()
    await expect(card.locator(".chip")).to_have_text("Broken")
    await card.get_by_role("button", name="Sync Spotify now").click()
    await page.locator("#to-connections").click()
    await page.locator(".connections > li").get_by_role("link").first.click()
    attempts = page.get_by_role("region", name="What was done lately")
    await expect(attempts).to_contain_text("503")
    await page.get_by_role("link", name="Open its controls").click()
    await card.get_by_role("button", name="Mend Spotify").click()
    await card.get_by_role("combobox").select_option("play")
    await card.get_by_role("button", name="Do it").click()
    await card.get_by_role("button", name="Sync Spotify now").click()
    await page.locator("#to-feed").click()
    await expect(page.locator("#feed li:not([data-tone])")).to_have_count(1)


async def test_tokens_expire_consents_end_and_webhooks_go(place: Place) -> None:
    page = place.page
    card = await opened(place, "Spotify", "GitHub")
    spotify = world(place.server).spotify
    refreshes = spotify.consents.redemptions.total
    await card.get_by_role("button", name="Let the token expire").click()
    await expect(page.locator(".toast")).to_contain_text("has expired")
    await card.get_by_role("button", name="Sync Spotify now").click()
    await expect(page.locator(".toast")).to_have_count(2)
    with anyio.fail_after(20):
        while spotify.consents.redemptions.total == refreshes:
            await anyio.sleep(0.02)
    await card.get_by_role("button", name="Take the consent back").click()
    await expect(card).to_contain_text("Nobody lets an app see their account here now.")
    assert spotify.consents.living() == []
    github = page.locator(".emulated > [data-platform=github]")
    assert world(place.server).emulators["github"].hooks()
    await github.get_by_role("button", name="Remove webhooks").click()
    await expect(page.locator(".toast").last).to_contain_text("removed the webhooks at GitHub")


async def test_who_may_not_control_it_has_no_controls(browser: Browser, server: LiveServer) -> None:
    async with arrived(browser, server, is_admin=False) as place:
        await expect(place.page.get_by_role("note")).to_contain_text("The sandbox is on")
        await place.page.goto(f"{server.url}/#sandbox")
        await expect(place.page.locator("#view-sandbox")).to_contain_text("not yours to control")
        assert await place.page.locator("#view-sandbox").locator("button, select, a").count() == 0


async def test_without_a_sandbox_there_are_no_controls(browser: Browser, tmp_path: Path) -> None:
    config = CONFIG.replace(", sandbox: {lively: false}", "")
    async with placed(browser, tmp_path, config=config) as place:
        await place.page.goto(f"{place.server.url}/#sandbox")
        await expect(place.page.locator("#view-sandbox")).to_contain_text("The sandbox is off")
        await expect(place.page.get_by_role("link", name="Open its controls")).to_have_count(0)


@pytest.mark.parametrize("size", [(320, 640), (390, 844), (1024, 768), (1600, 1000)], ids=str)
async def test_the_controls_fit_their_window_and_a_finger(place: Place, size: tuple[int, int]) -> None:
    card = await opened(place, "GitHub")
    await expect(card).to_be_visible()
    page = place.page
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await browsing.overflow(page) <= 0
    heights = await page.locator("#view-sandbox button").evaluate_all(
        "found => found.map((one) => one.offsetHeight)"
    )
    assert len(heights) >= 11 and min(heights) >= 24
    cut = (
        "found => found.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"
    )
    assert await page.locator("#view-sandbox button").evaluate_all(cut) == []
    assert OTTILIE.partition("-")[0] in (await card.text_content() or "").lower()
