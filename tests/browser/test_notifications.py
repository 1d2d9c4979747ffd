"""Notifications from the page: this device and others, how they fare, what they are told of; quiet while one looks."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio import to_thread
from playwright.async_api import Browser, Page, Route, expect

import browsing
import push_service
from browsing import Person, Serving, Visitor, cards
from push_service import PushService

# The browser's own subscribing asks its maker's push service, which is not here. What it gives is what that would give.
SUBSCRIBING = """(shown) => {
  const kept = () => JSON.parse(localStorage.getItem("subscription"));
  const made = () => kept() && {
    toJSON: kept,
    unsubscribe: async () => (localStorage.removeItem("subscription"), true),
  };
  PushManager.prototype.getSubscription = async () => made();
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly || !applicationServerKey) throw new TypeError("It must be asked for properly.");
    localStorage.setItem("subscription", JSON.stringify(shown));
    return made();
  };
}"""


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[PushService]:
    async with push_service.serving() as service:
        yield service
        assert service.refused == []


@pytest.fixture(scope="module")
async def pushing(
    chromium: str, service: PushService, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Serving]:
    webpush = (
        f'webpush: {{{{services: ["localhost:{service.port}"], allow_private: true, '
        "subject: 'mailto:operator@tidings.example.org', gather: 300ms, pace: 0s}}"
    )
    config = browsing.CONFIG.replace("transports: {{", f"transports: {{{{{webpush}, ")
    serving = browsing.serving(tmp_path_factory.mktemp("pushing"), config)
    server = await to_thread.run_sync(serving.__enter__)
    yield server
    await to_thread.run_sync(serving.__exit__, None, None, None)


@pytest.fixture
async def owner(pushing: Serving) -> Person:
    return await to_thread.run_sync(pushing.add_person)


@pytest.fixture
async def guest(browser: Browser, pushing: Serving) -> AsyncIterator[Visitor]:
    async with browsing.visiting(browser, pushing.url, worker=True) as visitor:
        await visitor.context.grant_permissions(["notifications"])
        yield visitor


class Device:
    """A browser of somebody's, as the push service and the API know it."""

    def __init__(self, browser: push_service.Browser, person: Person) -> None:
        self.browser, self.person = browser, person

    @classmethod
    async def of(cls, person: Person, service: PushService) -> "Device":
        async with person.client() as client:
            key = (await client.get("/api/push/key")).json()["key"]
        return cls(service.browser(key), person)

    async def subscribe(self, label: str) -> None:
        """As a page on another machine would."""
        async with self.person.client() as client:
            answer = await client.post("/api/push/subscriptions", json=self.browser.shown(label=label))
            assert answer.status_code == 201, answer.text

    async def give_to(self, visitor: Visitor) -> None:
        """Have the pages of this profile subscribe with it."""
        shown = json.dumps(self.browser.shown())
        await visitor.context.add_init_script(script=f"({SUBSCRIBING})({shown})")


async def open_view(visitor: Visitor, person: Person) -> Page:
    page = await visitor.sign_in(person)
    await page.get_by_role("link", name="Notifications").click()
    await expect(page.get_by_role("heading", name="Notifications", exact=True)).to_be_visible()
    return page


async def labels(person: Person) -> list[str]:
    async with person.client() as client:
        found = (await client.get("/api/push/subscriptions")).json()["subscriptions"]
    return [one["label"] for one in found]


async def test_one_click_has_news_pushed_to_this_device_and_another_tests_it(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    device = await Device.of(owner, service)
    await device.give_to(guest)
    page = await open_view(guest, owner)
    await expect(page.get_by_text("No device is notified yet.")).to_be_visible()
    await page.get_by_label("What you call it").fill("My desk")
    await page.get_by_role("button", name="Notify this device").click()
    row = page.locator(".device")
    await expect(row.get_by_role("heading")).to_contain_text("My desk")
    await expect(row).to_contain_text("this device")
    await expect(page.get_by_role("button", name="Notify this device")).to_have_count(0)

    await row.get_by_role("button", name="Test: My desk").click()
    await expect(row.get_by_role("status")).to_have_text("Sent. It should appear within moments.")
    (test,) = await device.browser.wait_for(1)
    assert test.notification["title"] == "Notifications work"

    async with owner.client() as client:  # as if the server had forgotten it
        (known,) = (await client.get("/api/push/subscriptions")).json()["subscriptions"]
        await client.delete(f"/api/push/subscriptions/{known['id']}")
    await page.reload()
    await expect(row).to_contain_text("this device")
    assert len(await labels(owner)) == 1

    await row.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("button", name="Notify this device")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Notify this device")).to_be_visible()
    assert await labels(owner) == []


async def test_what_one_types_stays_while_the_page_still_loads(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    device = await Device.of(owner, service)
    await device.give_to(guest)
    typed = anyio.Event()

    async def slowly(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await guest.context.route("**/api/push/key", slowly)
    page = await open_view(guest, owner)
    await page.get_by_label("What you call it").fill("My desk")
    typed.set()
    await expect(page.get_by_role("button", name="Notify this device")).to_be_enabled()
    await expect(page.get_by_label("What you call it")).to_have_value("My desk")
    await expect(page.get_by_label("What you call it")).to_be_focused()


async def test_devices_show_how_they_fare_and_can_be_removed(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    device = await Device.of(owner, service)
    await device.subscribe("Old phone")
    device.browser.answers.append((500, {}, b""))
    page = await open_view(guest, owner)
    row = page.locator(".device")
    await expect(row).to_contain_text("New")
    await row.get_by_role("button", name="Test: Old phone").click()
    await expect(row.get_by_role("status")).to_contain_text("Not now. ")
    await row.get_by_role("button", name="Test: Old phone").click()
    await expect(row.get_by_role("status")).to_have_text("Sent. It should appear within moments.")
    await row.get_by_role("button", name="Remove: Old phone").click()
    await expect(page.get_by_text("No device is notified yet.")).to_be_visible()
    assert await labels(owner) == []


async def test_whoever_signs_out_is_not_notified_there_any_more(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    guest.foresee(r"status of 401 \(Unauthorized\)")
    device = await Device.of(owner, service)
    await device.give_to(guest)
    page = await open_view(guest, owner)
    await page.get_by_role("button", name="Notify this device").click()
    await expect(page.locator(".device")).to_contain_text("this device")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    with anyio.fail_after(60):
        while await page.evaluate("localStorage.getItem('subscription')"):
            await anyio.sleep(0.02)
    assert await labels(owner) == []


async def test_rules_say_which_platforms_and_types_notify(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    device = await Device.of(owner, service)
    await device.subscribe("Phone")
    page = await open_view(guest, owner)
    await page.get_by_label("News from GitHub").uncheck()
    await page.get_by_label("Never these types").fill("org.example.*\ncom.github.star")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert await rules(owner) == {
        "enabled": True,
        "platforms": [],
        "types": [],
        "muted_platforms": ["github"],
        "muted_types": ["org.example.*", "com.github.star"],
    }
    await page.close()
    await owner.deliver(1)
    await owner.say("A message")
    (pushed,) = await device.browser.wait_for(1)
    assert pushed.notification["title"] == "A message"

    page = await guest.open("/#notifications")
    await expect(page.get_by_label("News from GitHub")).not_to_be_checked()
    await page.get_by_label("News from GitHub").check()
    await page.get_by_label("Notify my devices").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    found = await rules(owner)
    assert (found["enabled"], found["muted_platforms"]) == (False, [])


async def rules(person: Person) -> Any:
    async with person.client() as client:
        return (await client.get("/api/push/rules")).json()


async def test_what_a_page_in_view_shows_is_not_pushed_and_the_rest_is(
    guest: Visitor, owner: Person, service: PushService
) -> None:
    device = await Device.of(owner, service)
    await device.subscribe("Phone")
    said = guest.context.expect_event("response", lambda got: got.url.endswith("/api/push/presence"))
    async with said as answer:
        page = await guest.sign_in(owner)
    assert (await answer.value).status == 204
    await owner.say("seen")
    await expect(cards(page)).to_have_count(1)
    async with owner.client() as client:
        (seen,) = (await client.get("/api/events", params={"after": "0"})).json()["events"]
        with anyio.fail_after(60):  # until it was the device's turn
            while True:
                (told,) = (await client.get("/api/push/subscriptions")).json()["subscriptions"]
                if told["cursor"] == seen["cursor"]:
                    break
                await anyio.sleep(0.02)
    assert device.browser.received == []
    await page.evaluate(
        """Object.defineProperty(document, "hidden", { value: true });
        document.dispatchEvent(new Event("visibilitychange"))"""
    )
    with anyio.fail_after(60):  # until the server has heard it
        while not device.browser.taken:
            await owner.say("unseen")
            await anyio.sleep(0.05)


@pytest.mark.parametrize("size", [(390, 844), (1024, 768), (1600, 900)], ids=str)
async def test_the_view_fits_its_window_and_everybody_can_use_it(
    guest: Visitor, owner: Person, service: PushService, size: tuple[int, int]
) -> None:
    device = await Device.of(owner, service)
    await device.subscribe("A tablet with quite a long name, which wraps, and someAfterthoughtWithoutSpaces")
    page = await open_view(guest, owner)
    await expect(page.locator(".device")).to_be_visible()
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    assert await browsing.overflow(page) <= 0
    for control in await page.locator("#view-notifications").locator("button, input, textarea").all():
        await expect(control).to_have_accessible_name(re.compile(r"\w"))
    heights = await page.locator("#view-notifications button").evaluate_all(
        "found => found.map((one) => one.offsetHeight)"
    )
    assert len(heights) == 4
    assert min(heights) >= 24


async def test_who_refuses_notifications_is_told_what_to_do(
    browser: Browser, pushing: Serving, owner: Person
) -> None:
    async with browsing.visiting(browser, pushing.url, worker=True) as visitor:
        await visitor.context.add_init_script(
            script="Object.defineProperty(Notification, 'permission', { get: () => 'denied' })"
        )
        page = await open_view(visitor, owner)
        await expect(page.get_by_text("This browser does not let this page notify you.")).to_be_visible()
        assert await page.get_by_role("button", name="Notify this device").count() == 0


async def test_a_server_that_pushes_nothing_offers_no_notifications(page: Page) -> None:
    await browsing.is_live(page)
    await expect(page.get_by_role("link", name="Connections")).to_be_visible()
    await expect(page.locator("#to-notifications")).to_be_hidden()
