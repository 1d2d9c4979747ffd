"""News on the page: at once, whole, once each, and as text whatever it holds."""

import contextlib
import json
import re
import signal
import time
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio import to_thread
from playwright.async_api import Browser, Page, Route, expect

import browsing
import deliveries
from browsing import Person, Serving, Visitor, cards

MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script><b>bold</b>'
SCRIPT_ADDRESS = "javascript:window.pwned=1"
RIGHT_TO_LEFT = "\u202egnp.tsop \u2067\u05e9\u05dc\u05d5\u05dd\u2066\u200f"
INVISIBLE = "\u200b\u200d\ufeff\u2060\u00ad"
STACKED = "Z" + "\u0351\u0323" * 140
LONG = "W" * 290


async def test_a_page_without_news_says_what_to_do(person: Person, page: Page) -> None:
    await expect(page.get_by_role("heading", name="Nothing has happened yet")).to_be_visible()
    await expect(page.locator("#empty pre").last).to_have_text(f"tidings webhook add github {person.name}")
    await expect(page.get_by_role("region", name="Your feed")).to_be_hidden()


async def test_a_signed_webhook_is_a_card_in_less_than_a_second(
    visitor: Visitor, person: Person, page: Page
) -> None:
    picture = "https://avatars.githubusercontent.com/u/583231?v=4"
    await visitor.meet_strangers()
    # Each may be unlucky with what else the machine has to do; all of them are not.
    async with person.client() as client:
        for number in range(7, 12):
            issue = deliveries.issue(number)
            issue["sender"] |= {"avatar_url": picture, "html_url": "https://github.com/octocat"}
            heading = page.get_by_role("heading", name=f"Issue #{number} opened")
            card = page.get_by_role("listitem").filter(has=heading)
            began = time.monotonic()
            answer = await deliveries.send(client, person.hook, issue, event="issues")
            assert answer.status_code < 300
            await card.wait_for()
            seconds = time.monotonic() - began
            if seconds < 1:
                break
    assert seconds < 1
    title = card.get_by_role("heading").get_by_role("link")
    await expect(title).to_have_text(f"Issue #{number} opened in octo/repo: Issue {number}")
    await expect(title).to_have_attribute("href", f"https://github.com/octo/repo/issues/{number}")
    await expect(title).to_have_attribute("rel", "noopener noreferrer")
    await expect(card.get_by_role("link", name="octocat")).to_have_attribute(
        "href", "https://github.com/octocat"
    )
    await expect(card.get_by_role("img", name="github")).to_be_visible()
    await expect(card.locator(".source")).to_have_text("octo/repo")
    await expect(card.locator(".via")).to_have_text("webhook")
    await expect(card.locator("img")).to_have_js_property("naturalWidth", 150)
    await expect(page.locator("#empty")).to_be_hidden()
    assert set(visitor.strangers) == {picture}


async def test_a_message_sent_from_the_page_is_a_card_once(person: Person, page: Page) -> None:
    await page.get_by_role("button", name="Send yourself a message").first.click()
    dialog = page.get_by_role("dialog", name="Send yourself a message")
    await dialog.get_by_label("Title").fill("Milk & <bread>")
    await dialog.get_by_label("Text").fill("Two litres.\nRye.")
    await dialog.get_by_label("Link").fill("https://shop.example/list?a=1&b=2")
    await dialog.get_by_role("button", name="Send", exact=True).dblclick()
    await expect(dialog).to_be_hidden()
    await expect(cards(page)).to_have_count(1)
    title = page.get_by_role("link", name="Milk & <bread>")
    await expect(title).to_have_attribute("href", "https://shop.example/list?a=1&b=2")
    assert await page.locator(".text").text_content() == "Two litres.\nRye."
    await expect(page.locator(".actor")).to_have_text(person.name)
    await expect(page.get_by_role("img", name="tidings")).to_be_visible()
    assert len(await person.journal()) == 1


async def test_a_message_that_is_refused_stays_in_the_dialog_and_says_why(
    visitor: Visitor, page: Page
) -> None:
    visitor.foresee(r"status of 400 \(Bad Request\)")
    await page.get_by_role("button", name="Send yourself a message").first.click()
    await page.get_by_label("Title").fill("A file")
    await page.get_by_label("Link").fill("ftp://files.example/a")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text(re.compile("^Not sent. message.url must begin with"))
    await expect(page.get_by_label("Title")).to_have_value("A file")

    await page.get_by_label("Link").fill("")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(cards(page).get_by_role("heading")).to_have_text("A file")


async def test_a_message_whose_answer_was_lost_is_not_sent_twice_by_trying_again(
    visitor: Visitor, person: Person, page: Page
) -> None:
    visitor.foresee(r"net::ERR_FAILED")
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        answer = await route.fetch()
        await (route.abort() if len(keys) == 1 else route.fulfill(response=answer))

    async def write(title: str) -> None:
        await page.get_by_role("button", name="Send yourself a message").first.click()
        await page.get_by_label("Title").fill(title)
        await page.keyboard.press("Enter")

    await page.route("**/api/sse/send", lose_the_first_answer)
    await write("Milk")
    await expect(page.get_by_role("alert")).to_have_text("Not sent. The server does not answer.")
    await page.get_by_label("Title").press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert len(await person.journal()) == 1

    await write("Milk")  # once more on purpose
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert len(await person.journal()) == 2
    assert keys[0] == keys[1] != keys[2]


async def test_a_page_misses_nothing_and_shows_nothing_twice_when_the_server_goes_away(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    sent = 0

    async def send_until_refused() -> None:
        nonlocal sent
        with contextlib.suppress(httpx.HTTPError):
            while True:
                await person.deliver(sent + 1)
                sent += 1

    async with browsing.visiting(browser, server.url) as visitor:
        visitor.foresee(r"net::ERR_(CONNECTION_RE|INCOMPLETE_CHUNKED|EMPTY_RESPONSE)")
        page = await visitor.sign_in(person)
        for end in (signal.SIGKILL, signal.SIGTERM):
            async with anyio.create_task_group() as group:
                group.start_soon(send_until_refused)
                await browsing.holds(page, sent + 20)
                await to_thread.run_sync(server.stop, end)
            await expect(page.locator("#state-words")).to_have_text("Reconnecting")
            await to_thread.run_sync(server.start)
            await person.deliver(*range(sent + 1, sent + 21))  # the first may be there, unanswered
            sent += 20
            await browsing.is_live(page)
        await person.deliver(sent + 1)
        await browsing.holds(page, sent + 1)
        assert await browsing.shown(page) == await person.journal()


async def test_eight_tabs_are_one_stream_at_the_server_and_each_shows_everything(
    visitor: Visitor, person: Person, page: Page
) -> None:
    pages = [page] + [await visitor.open() for _ in range(7)]
    for one in pages:
        await browsing.is_live(one)
    await person.deliver(1, 2, 3)
    for one in pages:
        await expect(cards(one)).to_have_count(3)
    assert await _streams(person) == 1

    while len(pages) > 5:  # whichever leads is among the first, and another takes over
        await pages.pop(0).close()
        await person.deliver(20 - len(pages))
        journal = await person.journal()
        for one in pages:
            await expect(cards(one)).to_have_count(len(journal))
            assert await browsing.rows(one) == journal
    with anyio.fail_after(60):
        while await _streams(person) != 1:
            await anyio.lowlevel.checkpoint()


async def _streams(person: Person) -> int:
    async with person.client() as client:
        answer = await client.get("/api/sse/stats")
    return int(answer.json()["streams"])


async def test_news_waits_for_who_reads_further_down(person: Person, page: Page) -> None:
    await person.deliver(*range(1, 21))
    await expect(cards(page)).to_have_count(20)
    await page.mouse.wheel(0, 600)
    await expect(page.locator("#top")).not_to_be_in_viewport()
    await person.deliver(21, 22)
    more = page.get_by_role("button", name="2 new")
    await more.click()
    await expect(more).to_be_hidden()
    assert await browsing.shown(page) == await person.journal()
    await expect(page.locator("#top")).to_be_in_viewport()
    await expect(page.get_by_role("main")).to_be_focused()


async def test_the_feed_can_be_filtered_by_platform_and_searched(person: Person, page: Page) -> None:
    await person.deliver(1, 2, 12)
    await person.say("Buy milk", text="and issue the invoice")
    await expect(cards(page)).to_have_count(4)
    search, platform = page.get_by_role("searchbox"), page.get_by_label("Platform", exact=True)
    visible = page.locator("#feed li:visible")

    await search.fill("ISSUE opened")
    await expect(visible).to_have_count(3)
    await expect(page.locator(".found")).to_have_text("3 of 4")
    await search.fill("issue")
    await expect(visible).to_have_count(4)
    await platform.select_option("GitHub")
    await expect(visible).to_have_count(3)
    await search.fill("12")
    await expect(visible.get_by_role("heading")).to_have_text("Issue #12 opened in octo/repo: Issue 12")

    await person.deliver(112, 3)  # what comes is sifted, too
    await person.say("12 eggs")
    await expect(page.locator(".found")).to_have_text("2 of 7")
    await expect(visible).to_have_count(2)
    await search.fill("nowhere")
    await expect(page.get_by_role("status").filter(has_text="Nothing here fits.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Today")).to_be_hidden()
    await search.fill("")
    await platform.select_option("All platforms")
    await expect(visible).to_have_count(7)
    await expect(page.locator(".found")).to_be_empty()


async def test_what_one_looks_for_fills_its_line_on_a_phone(person: Person, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await person.say("Buy milk")
    await expect(cards(page)).to_have_count(1)
    line = await page.locator("#sieve").bounding_box()
    choice = await page.locator("#sieve-platform").bounding_box()
    assert line is not None and choice is not None
    assert choice["x"] + choice["width"] == pytest.approx(line["x"] + line["width"], abs=1)


async def test_keys_go_through_the_feed_and_open_what_they_are_at(
    visitor: Visitor, person: Person, page: Page
) -> None:
    await person.deliver(1, 2)
    await person.say("nothing to open")
    await person.deliver(3)
    await expect(cards(page)).to_have_count(4)
    await page.get_by_role("button", name="Mark all as read").click()
    await page.locator(".sieve select").focus()
    await page.keyboard.press("Tab")
    await expect(cards(page).nth(0)).to_be_focused()
    for key, place in (
        ("j", 1),
        ("ArrowDown", 2),
        ("j", 3),
        ("j", 3),
        ("k", 2),
        ("ArrowUp", 1),
        ("Enter", 1),
    ):
        await page.keyboard.press(key)
        await expect(cards(page).nth(place)).to_be_focused()
    assert await page.locator("#feed li[tabindex='0']").count() == 1
    await page.keyboard.press("j")
    await visitor.meet_strangers()
    async with visitor.context.expect_page() as opened:
        await page.keyboard.press("Enter")
    await (await opened.value).close()
    assert visitor.strangers == ["https://github.com/octo/repo/issues/2"]


@pytest.fixture
async def narrow(browser: Browser, person: Person) -> Any:
    async with browsing.visiting(browser, person.url, viewport={"width": 390, "height": 844}) as visitor:
        yield await visitor.sign_in(person)


async def test_hostile_words_are_shown_as_text_and_stay_in_their_place(person: Person, narrow: Page) -> None:
    words = [MARKUP, RIGHT_TO_LEFT, LONG, STACKED, INVISIBLE, SCRIPT_ADDRESS, "&lt;b&gt; {{7*7}} ${7*7}"]
    for title in words:
        await person.say(title, text=f"{title} {title}\n" * 5, url="https://example.org/")
    issue = deliveries.issue(1)
    issue["issue"] |= {"title": MARKUP, "body": MARKUP, "html_url": SCRIPT_ADDRESS}
    issue["sender"] = {"login": RIGHT_TO_LEFT * 9, "avatar_url": SCRIPT_ADDRESS, "html_url": SCRIPT_ADDRESS}
    async with person.client() as client:
        await deliveries.send(client, person.hook, issue, event="issues")
    await expect(cards(narrow)).to_have_count(len(words) + 1)

    titles = await narrow.locator("#feed h3").all_text_contents()
    expected = [title if title != INVISIBLE else "org.tidings.message" for title in reversed(words)]
    assert titles == [f"Issue #1 opened in octo/repo: {MARKUP}", *expected]
    assert await narrow.locator(".text").nth(0).text_content() == MARKUP
    assert await cards(narrow).nth(titles.index("org.tidings.message")).locator(".text").count() == 0
    await expect(cards(narrow).first.locator(".initial")).to_have_text("g")  # of what can be seen
    await _is_unharmed(narrow)


async def test_the_page_trusts_no_address_that_the_server_hands_it(person: Person, narrow: Page) -> None:
    await person.say("a", url="https://example.org/")
    addresses = [SCRIPT_ADDRESS, "JaVaScRiPt:1", "\tjavascript:1", "data:text/html,<script>1</script>"]
    addresses += ["vbscript:1", "file:///etc/passwd", "//evil.example", "blob:1", "https://", "", " "]

    async def poison(route: Route) -> None:
        answer = await route.fetch()
        content = await answer.json()
        (event,) = content["events"]
        for number, address in enumerate([*addresses, 7, None, {"href": "https://x.example"}]):
            actor = {"name": "mallory", "url": address, "avatar_url": address}
            data = {"title": f"event {number}", "text": MARKUP, "url": address, "actor": actor}
            content["events"].append({**event, "id": f"x:{number}", "source": MARKUP, "data": data})
        content["events"].append({**event, "id": "x:none", "data": None, "platform": MARKUP, "via": MARKUP})
        await route.fulfill(response=answer, body=json.dumps(content))

    await narrow.route("**/api/events?*", poison)
    await narrow.reload()
    await expect(cards(narrow)).to_have_count(len(addresses) + 5)
    assert await narrow.locator("#feed a").evaluate_all("links => links.map((link) => link.href)") == [
        "https://example.org/"
    ]
    assert await narrow.locator("#feed img").count() == 0
    await _is_unharmed(narrow)


async def _is_unharmed(page: Page) -> None:
    assert await page.evaluate("typeof window.pwned") == "undefined"
    assert await page.locator("#feed").locator("script, b, [src=x], a:not([href^=http])").count() == 0
    assert await browsing.overflow(page) <= 0
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await browsing.overflow(page) <= 0
    for row in await page.locator(
        ".meta"
    ).all():  # words that run from right to left turn nothing around them
        order = "spans => spans.map((span) => [span.offsetTop, span.offsetLeft])"
        places = await row.locator("> *").evaluate_all(order)
        assert places == sorted(places)


async def test_whatever_a_browser_complains_of_is_noticed(visitor: Visitor, page: Page) -> None:
    complaints = {
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))": "Content Sec",
        "document.body.setAttribute('style', 'color: red')": "Content Security Policy",
        "fetch('https://example.org/').catch(() => 0)": "Content Security Policy",
        "fetch('/nowhere')": "404",
        "console.warn('odd')": "odd",
        "setTimeout(() => { throw new Error('a defect') })": "uncaught: .*a defect",
    }
    for act, complaint in complaints.items():
        await page.evaluate(f"() => {{ {act} }}")
        with anyio.fail_after(60):
            while not any(re.search(complaint, problem) for problem in visitor.problems):
                await page.title()  # a round trip to the browser, in which it can tell of more
        visitor.problems.clear()
    visitor.foresee("")
