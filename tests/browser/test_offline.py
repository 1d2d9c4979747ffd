"""The page without a server: what is there, and what is done when the server is back."""

import signal
from pathlib import Path

import anyio
from anyio import to_thread
from playwright.async_api import Browser, expect

import browsing
from browsing import Person, Serving, Visitor, cards
from workers import AWAY, Pushes, is_controlled, keeps, waits

# --- without a server -------------------------------------------------------------------------------------------


async def test_the_page_and_its_last_news_are_there_without_a_server_and_live_again_with_it(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    await person.deliver(1, 2)
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY)
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.reload()
        await browsing.is_live(page)
        await person.deliver(3, 4, 5)  # what came live is kept, too
        await keeps(page, await person.journal())
        journal = await person.journal()

        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.reload()
        await expect(page.locator("#hint")).to_contain_text("The server is out of reach.")
        await expect(page.locator("#state-words")).to_have_text("Reconnecting")
        assert await browsing.shown(page) == journal
        await expect(page.locator("#user")).to_have_text(person.name)

        await to_thread.run_sync(server.start)
        await person.deliver(6)
        await browsing.is_live(page)
        await expect(page.locator("#hint")).to_be_hidden()
        await expect(cards(page)).to_have_count(6)
        assert await browsing.shown(page) == await person.journal()


async def test_nothing_is_kept_of_who_has_signed_out(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    await person.say("private")
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY + r"|net::ERR_FAILED|status of 401 \(Unauthorized\)")
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.reload()
        await keeps(page, await person.journal())
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
        with anyio.fail_after(60):
            while await page.evaluate("caches.has('news')"):
                await anyio.sleep(0.02)
        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.reload()
        await expect(page.locator("#state-words")).to_have_text("Reconnecting")
        assert await cards(page).count() == 0
        assert person.name not in (await page.locator("body").text_content() or "")
        await to_thread.run_sync(server.start)


async def test_who_signs_in_next_reads_nothing_of_who_was_there_before(
    guest: Visitor, server: Serving, person: Person
) -> None:
    await person.say("private")
    page = await guest.sign_in(person)
    await is_controlled(page)
    await page.reload()
    await keeps(page, await person.journal())
    theirs = "caches.open('news').then((cache) => cache.put('/theirs', new Response('private')))"
    await page.evaluate(theirs)
    next_one = await to_thread.run_sync(server.add_person)
    await next_one.say("mine")
    await page.goto(next_one.link)
    await browsing.is_live(page)
    await keeps(page, await next_one.journal())
    assert not await page.evaluate("caches.match('/theirs').then(Boolean)")


# --- later ------------------------------------------------------------------------------------------------------


async def test_what_is_read_without_a_server_is_told_to_it_later_though_the_page_is_closed(
    browser: Browser, mortal: tuple[Serving, Person]
) -> None:
    server, person = mortal
    async with browsing.visiting(browser, server.url, worker=True) as visitor:
        visitor.foresee(AWAY)
        page = await visitor.sign_in(person)
        await is_controlled(page)
        await page.goto("/#connections")
        await page.reload()
        await browsing.is_live(page)
        await person.deliver(1, 2)
        await expect(page.locator("#unread")).to_have_text("2")
        await keeps(page, await person.journal())
        await to_thread.run_sync(server.stop, signal.SIGKILL)
        await page.locator("#to-feed").click()
        await page.get_by_role("button", name="Mark all as read").click()
        await expect(page.locator(".toast")).to_contain_text("Marked here.")
        await waits(page, "/outbox/reading")
        await page.reload()  # what is kept says so, too
        await expect(cards(page)).to_have_count(2)
        assert await page.locator(".unread:visible").count() == 0

        other = await visitor.open("/static/dashboard/favicon.svg")
        pushes = Pushes(visitor.context, other)
        await page.close()
        await pushes.dispatch("dispatchSyncEvent", "outbox")
        await to_thread.run_sync(server.start)
        async with person.client() as client:
            assert (await client.get("/api/reading")).json()["unread"] == 2
            await pushes.dispatch("dispatchSyncEvent", "outbox")
            with anyio.fail_after(60):
                while (await client.get("/api/reading")).json()["unread"]:
                    await anyio.sleep(0.02)
        await waits(other)


async def test_what_waits_is_of_who_did_it_and_goes_when_they_sign_out(
    guest: Visitor, server: Serving, person: Person
) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    await person.deliver(1)
    (cursor,) = await person.cursors()
    later = (
        """wish => navigator.serviceWorker.controller.postMessage({ type: "LATER", key: "reading", wish })"""
    )
    wish = {"method": "PUT", "path": "/api/reading", "body": {"cursor": cursor}, "user": 0}
    await page.goto("/#connections")
    await page.evaluate(later, wish)
    await waits(page, "/outbox/reading")
    await page.evaluate("navigator.serviceWorker.controller.postMessage({ type: 'FLUSH' })")
    await waits(page)  # it was somebody else's
    async with person.client() as client:
        assert (await client.get("/api/reading")).json()["unread"] == 1
    await page.evaluate(later, wish)
    await waits(page, "/outbox/reading")
    guest.foresee(r"status of 401 \(Unauthorized\)")
    await page.get_by_role("button", name="Sign out").click()
    await waits(page)


async def test_the_last_news_is_fetched_now_and_then_while_no_page_is_open(
    guest: Visitor, person: Person
) -> None:
    page = await guest.sign_in(person)
    await is_controlled(page)
    await page.reload()
    await browsing.is_live(page)
    await person.deliver(1)
    await keeps(page, await person.journal())
    other = await guest.open("/static/dashboard/favicon.svg")
    pushes = Pushes(guest.context, other)
    await page.close()
    await person.deliver(2, 3)
    await pushes.dispatch("dispatchPeriodicSyncEvent", "news")
    await keeps(other, await person.journal())


async def test_sync_now_without_a_server_is_done_later_though_the_page_is_closed(
    browser: Browser, tmp_path: Path
) -> None:
    # Discord is asked every four hours; Spotify, sooner while one watches.
    config = browsing.CONFIG.replace("{{github: {{}}}}", "{{github: {{}}, discord: {{}}}}")
    config = config.replace("dashboard: {{}}", "dashboard: {{}}, sandbox: {{lively: false}}")
    with browsing.serving(tmp_path, config) as server:
        person = await to_thread.run_sync(server.add_person)
        async with browsing.visiting(browser, server.url, worker=True) as visitor:
            visitor.foresee(AWAY)
            page = await visitor.sign_in(person)
            await is_controlled(page)
            await page.locator("#empty").get_by_role("link", name="Connect Discord").click()
            await page.locator("input[name=person]").first.check()
            await page.get_by_role("button", name="Accept").click()
            await expect(page.locator(".facts strong")).to_have_text("polling")
            await browsing.is_live(page)
            connection = page.url.rpartition("/")[2]
            with anyio.fail_after(20):
                while (checked := await _checked_at(person, connection)) == "None":
                    await anyio.sleep(0.05)

            await to_thread.run_sync(server.stop, signal.SIGKILL)
            await page.get_by_role("button", name="Sync now").click()
            await expect(page.locator(".toast")).to_contain_text("It is asked as soon as it is back.")
            await waits(page, f"/outbox/%2Fapi%2Fconnections%2F{connection}%2Fsync")

            other = await visitor.open("/static/dashboard/favicon.svg")
            pushes = Pushes(visitor.context, other)
            await page.close()
            await pushes.dispatch("dispatchSyncEvent", "outbox")  # too early: it stays
            await to_thread.run_sync(server.start)
            await waits(other, f"/outbox/%2Fapi%2Fconnections%2F{connection}%2Fsync")
            assert await _checked_at(person, connection) == checked
            await pushes.dispatch("dispatchSyncEvent", "outbox")
            with anyio.fail_after(20):
                while await _checked_at(person, connection) == checked:
                    await anyio.sleep(0.05)
            await waits(other)


async def _checked_at(person: Person, connection: str) -> str:
    """When news of a connection was last asked for."""
    async with person.client() as client:
        answer = await client.get(f"/api/connections/{connection}")
    return str(answer.raise_for_status().json()["last_checked_at"])
