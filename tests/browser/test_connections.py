"""Connecting accounts on the page: one click there, and from then on it shows how each is watched."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

import browsing
from browsing import Visitor, cards
from connecting import world
from places import CONFIG, OTTILIE, Place, arrived, come, placed
from tidings.contracts import Notice
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server

BRAM = "bram-quillfeather"


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """A server with emulated platforms, for all who need nothing else of it."""
    async with live_server(tmp_path_factory.mktemp("sandbox"), CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
async def profile(browser: Browser, sandbox: LiveServer) -> AsyncIterator[Visitor]:
    async with browsing.visiting(browser, sandbox.url) as visitor:
        yield visitor


@pytest.fixture
async def place(profile: Visitor, sandbox: LiveServer) -> AsyncIterator[Place]:
    yield await come(profile, sandbox)
    await profile.leave()


def accounts(page: Page) -> Locator:
    return page.locator(".connections > li")


# --- connecting -------------------------------------------------------------------------------------------------


async def test_from_the_empty_feed_to_the_first_news_it_takes_two_clicks(place: Place) -> None:
    page = place.page
    await page.locator("#empty").get_by_role("link", name="Connect GitHub").click()
    await place.consent()
    await expect(page.get_by_role("heading", name=OTTILIE)).to_be_visible()
    assert re.search(r"/#connections/con\w+$", page.url)
    await place.watched_by("webhook")
    world(place.server).act("github", "star", OTTILIE)
    await expect(page.locator("#unread")).not_to_be_empty()
    await page.locator("#to-feed").click()
    await expect(page.locator("#unread")).to_be_empty()
    star = cards(page).filter(has_text=re.compile("starred", re.IGNORECASE))
    await expect(star).to_have_count(1)
    await expect(star.get_by_role("img", name="github").locator("svg")).to_be_visible()
    own = cards(page).filter(has_text="is connected")
    await own.get_by_role("link").click()
    await expect(page.locator(".connection-head")).to_contain_text("GitHub")


async def test_who_declines_is_told_so_and_finds_the_way_back(place: Place) -> None:
    place.visitor.foresee(r"status of 400 \(Bad Request\)")
    page = place.page
    await page.goto(f"{place.server.url}/#connections")
    await page.get_by_role("link", name="Connect Spotify").click()
    await place.consent(decision="Deny")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Spotify is not connected")
    await expect(page.locator("p").first).to_contain_text("You declined at Spotify.")
    await page.get_by_role("link", name="Back to tidings").click()
    await expect(page.get_by_role("heading", name="Connect an account")).to_be_visible()
    await expect(accounts(page)).to_have_count(0)


async def test_the_list_tells_of_each_account_how_and_why_it_is_watched(place: Place) -> None:
    page = place.page
    await place.connect("Spotify")
    await place.watched_by("polling")
    await place.connect("GitHub", BRAM)
    await place.watched_by("webhook")
    await page.locator("#to-connections").click()
    await expect(accounts(page)).to_have_count(2)
    spotify = accounts(page).filter(has_text="Ottilie Otterbourne")
    await expect(spotify.locator(".chip")).to_have_text("Connected")
    await expect(spotify.locator(".watching")).to_contain_text("Watched by polling, chosen just now")
    await expect(spotify.locator(".watching")).to_contain_text("Spotify sends no webhooks")
    for words in ("Checked just now", "next in", "last news none yet", "reauthorise by"):
        await expect(spotify.locator(".meta")).to_contain_text(words)
    await expect(spotify.locator("img")).to_have_js_property("complete", True)
    await spotify.get_by_role("link").click()
    await expect(page.locator(".budget")).to_contain_text(re.compile(r"\d of 500 calls in the last 24 hours"))
    await expect(page.get_by_role("list", name="Granted").locator("li")).to_have_count(3)
    await expect(page.get_by_role("region", name="What was done lately")).to_contain_text("Asked for news")


async def test_a_check_whose_time_has_come_is_due_now(place: Place) -> None:
    async def be_overdue(route: Route) -> None:
        answer = await route.fetch()
        said = await answer.json()
        for one in said["connections"]:
            one["next_check_at"] = "2026-01-15T09:30:00Z"
        await route.fulfill(response=answer, json=said)

    await place.connect("Spotify")
    await place.page.route("**/api/connections", be_overdue)
    await place.page.locator("#to-connections").click()
    await expect(accounts(place.page).locator(".meta")).to_contain_text("next now")


async def test_what_was_not_agreed_to_is_named_as_missing(place: Place) -> None:
    page = place.page
    await page.goto(f"{place.server.url}/#connections")
    await page.get_by_role("link", name="Connect Spotify").click()
    await page.locator("input[name='scope:user-read-recently-played'][type=checkbox]").uncheck()
    await place.consent()
    await expect(page.locator("#connection .notice")).to_have_text(
        "Missing: user-read-recently-played. What needs it is not watched. Connect again, and agree to it."
    )


# --- living with it ---------------------------------------------------------------------------------------------


async def test_a_consent_that_ended_is_healed_from_the_feed_in_one_click(
    browser: Browser, tmp_path: Path
) -> None:
    clock = FakeClock()
    async with placed(browser, tmp_path, clock=clock) as place:
        page = place.page
        await place.connect("Spotify")
        await place.watched_by("polling")
        await page.locator("#to-feed").click()
        world(place.server).spotify.consents.revoke(person=OTTILIE)
        lost = cards(page).filter(has_text="must be connected again")
        with anyio.fail_after(60):
            while not await lost.count():
                await clock.advance(60)
        await expect(lost).to_have_attribute("data-tone", "bad")
        await expect(page.locator("#asking")).to_have_text("1")
        await lost.get_by_role("link", name="Connect again").click()
        await place.consent()
        await expect(page.locator(".connection-head .chip")).to_have_text("Connected")
        await expect(page.locator("#asking")).to_be_empty()
        await page.locator("#to-feed").click()
        await expect(cards(page).filter(has_text="is connected again")).to_have_count(1)
        await expect(lost.get_by_role("link", name="Connect again")).to_be_hidden()


async def test_a_connection_that_needs_its_user_says_so_everywhere(browser: Browser, tmp_path: Path) -> None:
    clock = FakeClock()
    async with placed(browser, tmp_path, clock=clock) as place:
        page = place.page
        await place.connect("Spotify")
        await place.watched_by("polling")
        world(place.server).spotify.consents.revoke(person=OTTILIE)
        chip = page.locator(".connection-head .chip")
        with anyio.fail_after(60):
            while await chip.text_content() != "Needs you":
                await clock.advance(60)
                await page.wait_for_function("document.readyState === 'complete'")
        await expect(page.locator("#connection .notice").first).to_contain_text("invalid_grant")
        await expect(page.get_by_role("button", name="Sync now")).to_have_count(0)
        await page.locator("#to-connections").click()
        heal = accounts(page).get_by_role("link", name="Connect again")
        await expect(heal).to_have_attribute("href", re.compile(r"^/api/oauth/spotify/start\?connection=con"))


async def test_sync_now_brings_what_has_happened(place: Place) -> None:
    page = place.page
    await place.connect("Spotify")
    await place.watched_by("polling")
    world(place.server).act("spotify", "play", OTTILIE)
    await page.get_by_role("button", name="Sync now").click()
    await expect(page.locator(".toast p")).to_have_text("Asked. What is new appears in your feed.")
    await page.locator("#to-feed").click()
    await expect(cards(page).filter(has_text="Spotify").first).to_be_visible()
    await expect(page.locator("#feed li:not([data-tone])")).to_have_count(1)


async def test_what_plays_now_is_shown_as_it_plays(place: Place) -> None:
    page = place.page
    await place.connect("Spotify")
    await place.watched_by("polling")
    connection = page.url.rpartition("/")[2]
    notice = {"connection": connection, "title": "Slow Tide", "text": "Slow Tide by The Fens", "url": ""}
    services = place.server.services
    name = await page.locator("#user").text_content()
    (user_id,) = {
        one.principal.user_id for one in services.fanout.subscriptions() if one.principal.user_name == name
    }
    kind = "com.spotify.now_playing"
    data = json.dumps({"type": kind, **notice}).encode()
    await services.fanout.bus.tell(Notice(user_id, "platform_sync", kind, "spotify", data))
    await expect(page.locator("#connection .playing")).to_have_text("Now playing: Slow Tide by The Fens")
    await page.locator("#to-feed").click()
    assert await cards(page).filter(has_text="Slow Tide").count() == 0


async def test_what_is_watched_is_chosen_in_a_form_that_the_connector_describes(place: Place) -> None:
    page = place.page
    await place.connect("GitHub")
    await place.watched_by("webhook")
    hooks = page.get_by_role("region", name="Webhooks").locator("tbody tr")
    await expect(hooks.nth(1)).to_be_visible()  # two at least
    names = page.get_by_label("Only these, one a line")
    await expect(names).to_be_hidden()
    await page.get_by_label("Only these", exact=True).check()
    await names.fill("garden")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".settings .error")).to_have_text(
        "“garden” is no repository. Write it like octo/hello."
    )
    await expect(names).to_be_focused()
    await names.fill(f"{OTTILIE}/garden\n")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".settings .said")).to_have_text("Saved. It is in force within moments.")
    await expect(hooks).to_have_count(1)
    await page.reload()
    await expect(page.get_by_label("Only these", exact=True)).to_be_checked()
    await expect(names).to_have_value(f"{OTTILIE}/garden")


@pytest.mark.parametrize("choice", ["Keep it in my feed", "Delete it for good"])
async def test_disconnecting_asks_what_becomes_of_the_events(place: Place, choice: str) -> None:
    page = place.page
    # The account may go between a look at the list and one at the account.
    place.visitor.foresee(r"status of 404 \(Not Found\)")
    await place.connect("Spotify")
    await place.watched_by("polling")
    world(place.server).act("spotify", "play", OTTILIE)
    await page.get_by_role("button", name="Sync now").click()
    await page.wait_for_function(
        """async () => (await (await fetch("/api/events?after=0")).json()).events.some((one) =>
            one.type.startsWith("com.spotify."))""",
        timeout=60_000,
    )
    await page.get_by_role("button", name="Disconnect").click()
    dialog = page.get_by_role("dialog", name="Disconnect Ottilie Otterbourne?")
    await dialog.get_by_label(choice).check()
    await dialog.get_by_role("button", name="Disconnect").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("heading", name="Connect an account")).to_be_visible()
    await expect(accounts(page)).to_have_count(0)
    await page.locator("#to-feed").click()
    await expect(cards(page).filter(has_text="is disconnected")).to_have_count(1)
    await page.reload()
    await expect(cards(page).filter(has_text="is disconnected")).to_have_count(1)
    kept = page.locator("#feed li:not([data-tone])")
    await expect(kept).to_have_count(1 if choice.startswith("Keep") else 0)


async def test_how_it_is_watched_and_how_long_that_took_reads_as_people_say_it(place: Place) -> None:
    page = place.page
    await place.connect("Spotify")
    await place.watched_by("polling")

    async def long_ago(route: Route) -> None:
        answer = await route.fetch()
        one = await answer.json()
        one["strategy_since"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
        attempt = one["attempts"][0]
        one["attempts"] = [attempt | {"ms": 28_340.2}, attempt | {"ms": 12.7}]
        await route.fulfill(response=answer, body=json.dumps(one))

    await page.route("**/api/connections/*", long_ago)
    await page.reload()
    await expect(page.locator("#view-connections")).to_contain_text("Watched by polling, chosen 25 h ago.")
    await expect(page.locator("#view-connections table").last).to_contain_text("in 28 s")
    await expect(page.locator("#view-connections table").last).to_contain_text("in 13 ms")
    await page.unroute_all(behavior="wait")


async def test_names_from_a_platform_are_words_and_never_markup_or_addresses(place: Place) -> None:
    page = place.page
    await place.connect("Spotify")
    await place.watched_by("polling")
    markup = "<img src=x onerror='window.pwned=1'><b>bold</b>"

    async def poison(route: Route) -> None:
        answer = await route.fetch()
        content = await answer.json()
        for one in content.get("connections", [content]):
            one["account"] = {"name": markup, "avatar_url": "javascript:1", "url": "javascript:1"}
            one["strategy_reason"] = one["reason"] = markup
            one["reconnect"] = "javascript:1"
            for attempt in one.get("attempts", []):
                attempt["detail"] = markup
        await route.fulfill(response=answer, body=json.dumps(content))

    await page.route("**/api/connections**", poison)
    await page.reload()
    await expect(page.get_by_role("heading", name=markup)).to_be_visible()
    await page.locator("#to-connections").click()
    await expect(accounts(page).get_by_role("link")).to_have_text(markup)
    assert await page.evaluate("typeof window.pwned") == "undefined"
    found = page.locator("#view-connections").locator("b, [src=x], a[href^=javascript]")
    assert await found.count() == 0
    await page.unroute_all(behavior="wait")


# --- everybody --------------------------------------------------------------------------------------------------


async def test_all_of_it_can_be_done_with_the_keyboard(place: Place) -> None:
    page = place.page
    await page.locator("#to-connections").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.get_by_role("link", name="Connect Spotify").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Accept").focus()
    await page.keyboard.press("Enter")
    await place.watched_by("polling")
    reached = await _tabbed(page)
    wanted = ["Connections", "Sync now", "Connect again", "Disconnect"]
    places = [reached.index(name) for name in wanted]
    assert places == sorted(places)
    leave = page.get_by_role("button", name="Disconnect")
    await leave.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Disconnect")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(leave).to_be_focused()
    await page.get_by_role("button", name="Sync now").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast")).to_be_visible()
    await expect(page.get_by_role("button", name="Sync now")).to_be_focused()  # though all is drawn anew


async def _tabbed(page: Page) -> list[str]:
    """What gets the focus, one after the other; each must be drawn as having it."""
    await page.evaluate("document.activeElement.blur()")
    names = list[str]()
    for _ in range(60):
        await page.keyboard.press("Tab")
        name = await page.evaluate(
            """() => {
              const one = document.activeElement;
              if (one === document.body || !document.hasFocus()) return null;
              const style = getComputedStyle(one);
              return style.outlineStyle === "none" ? `unseen: ${one.outerHTML}` : one.innerText;
            }"""
        )
        if name is None:
            break
        assert not name.startswith("unseen")
        names.append(name)
    return names


@pytest.mark.parametrize("size", [(320, 640), (390, 844), (1024, 768)], ids=str)
async def test_the_views_fit_their_window(
    browser: Browser, sandbox: LiveServer, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    async with arrived(browser, sandbox, viewport=viewport) as place:
        await place.connect("GitHub")
        await place.watched_by("webhook")
        one = f"#{place.page.url.partition('#')[2]}"
        for scheme in ("light", "dark"):
            await place.page.emulate_media(color_scheme=scheme)
            views = {"#connections": ".connections", "#feed": "#feed", one: ".connection-head h2"}
            for address, part in views.items():
                await place.page.evaluate("address => { location.hash = address }", address)
                await expect(place.page.locator(part)).to_be_visible()
                assert await browsing.overflow(place.page) <= 0
        # In one step: the view is drawn anew whenever there is news of it.
        found = await place.page.evaluate(
            """() => [...document.querySelectorAll("h1, h2, h3, h4")]
              .filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]))"""
        )
        assert found[:2] == [1, 2]
        assert set(found) <= {1, 2, 3}
        assert await place.page.evaluate(
            """() => [...document.querySelectorAll("input:not([type=hidden])")]
              .every((one) => one.labels.length > 0)"""
        )
