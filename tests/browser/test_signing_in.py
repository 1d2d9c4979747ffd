"""Into the page by a login link, and out of it however the session ends."""

from anyio import to_thread
from playwright.async_api import Browser, Page, expect

import browsing
from browsing import Person, Serving, Visitor

UNAUTHORIZED = r"status of 401 \(Unauthorized\)"


async def test_the_link_that_the_first_start_prints_leads_to_the_feed(
    server: Serving, visitor: Visitor
) -> None:
    page = await visitor.open(server.link)
    await browsing.is_live(page)
    assert page.url == f"{server.url}/"
    await expect(page.locator("#user")).to_have_text("me")
    (cookie,) = await visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")


async def test_a_link_used_before_says_so_in_words(
    browser: Browser, server: Serving, person: Person, page: Page
) -> None:
    async with browsing.visiting(browser, server.url) as late:
        late.foresee(r"status of 410 \(Gone\)")
        other = await late.context.new_page()
        answer = await other.goto(person.link)
        assert answer is not None
        assert answer.status == 410
        await expect(other.get_by_role("heading", level=1)).to_have_text("This link no longer works")
        await expect(other.locator("p")).to_contain_text("tidings user link")
        assert await late.context.cookies() == []
    await page.reload()
    await browsing.is_live(page)


async def test_who_is_not_signed_in_sees_how_to_and_nothing_else(visitor: Visitor, person: Person) -> None:
    visitor.foresee(UNAUTHORIZED)
    page = await visitor.open()
    await expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    await expect(page.locator("#state-words")).to_have_text("Signed out")
    assert await page.get_by_role("button").count() == 0

    await visitor.sign_in(person)  # in another tab
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await browsing.is_live(page)
    await expect(page.locator("#signed-out")).to_be_hidden()


async def test_signing_out_in_one_tab_takes_the_news_off_all_of_them(
    visitor: Visitor, person: Person, page: Page
) -> None:
    visitor.foresee(UNAUTHORIZED)
    await person.say("private")
    await expect(browsing.cards(page)).to_have_count(1)
    other = await visitor.open()
    await browsing.is_live(other)

    await other.get_by_role("button", name="Sign out").click()
    await expect(other.get_by_role("heading", name="You have signed out")).to_be_visible()
    await expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    for each in (page, other):
        left = await each.locator("body").text_content() or ""
        assert not {word for word in ("private", person.name) if word in left}
        assert await each.get_by_role("button").count() == 0


async def test_who_is_removed_is_signed_out_within_seconds_and_leaves_no_draft(
    server: Serving, visitor: Visitor, person: Person, page: Page
) -> None:
    visitor.foresee(UNAUTHORIZED)
    await page.get_by_role("button", name="Send yourself a message").first.click()
    await page.get_by_label("Title").fill("half a thought")
    await to_thread.run_sync(server.command, "user", "remove", person.name, "--yes")
    ended = page.get_by_role("heading", name="Your session has ended")
    await expect(ended).to_be_visible(timeout=20_000)
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert await page.locator("#compose-subject").input_value() == ""
