"""A page's service worker: what it keeps and holds back, and pushes and wake-ups as a browser would bring them."""

from typing import Any

import anyio
from playwright.async_api import BrowserContext, CDPSession, Page

AWAY = r"net::ERR_(CONNECTION_RE|INCOMPLETE_CHUNKED|EMPTY_RESPONSE)|An unknown error occurred when fetching"
NOTIFICATIONS = """async () => (await (await navigator.serviceWorker.getRegistration("/")).getNotifications()).map(
  ({ title, body, tag, icon, data }) => ({ title, body, tag, icon, data }))"""
KEPT = """async () => {
  const kept = await caches.match("/api/events?last=100", { cacheName: "news" });
  return kept ? (await kept.json()).events.map(({ id }) => id).reverse() : null;
}"""
OUTBOX = """async () => {
  const box = (await caches.has("outbox")) ? await caches.open("outbox") : null;
  return ((await box?.keys()) ?? []).map(({ url }) => new URL(url).pathname);
}"""


async def is_controlled(page: Page) -> None:
    """The page has its service worker, and that is fully there."""
    found = "navigator.serviceWorker.controller?.state"
    with anyio.fail_after(60):
        while await page.evaluate(found) != "activated":
            await anyio.sleep(0.02)


async def keeps(page: Page, events: list[str]) -> None:
    with anyio.fail_after(60):
        while await page.evaluate(KEPT) != events:
            await anyio.sleep(0.05)


async def waits(page: Page, *paths: str) -> None:
    with anyio.fail_after(60):
        while await page.evaluate(OUTBOX) != list(paths):
            await anyio.sleep(0.02)


class Pushes:
    """Delivers pushes to the page's service worker as a push service would, by DevTools."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context, self._page = context, page
        self._session: CDPSession | None = None
        self._registrations: list[Any] = []

    async def deliver(self, data: str) -> list[Any]:
        """All notifications, once this push has brought another. Again if need be: DevTools may lose one unsaid."""
        before = len(await self.shown())
        origin, registration = await self._registration()
        push = {"origin": origin, "registrationId": registration, "data": data}
        assert self._session is not None
        with anyio.fail_after(60):
            while True:
                await self._session.send("ServiceWorker.deliverPushMessage", push)
                with anyio.move_on_after(5):
                    while len(found := await self.shown()) == before:
                        await anyio.sleep(0.02)
                    return found

    async def dispatch(self, event: str, tag: str) -> None:
        """Have the service worker do what was registered under this tag."""
        origin, registration = await self._registration()
        assert self._session is not None
        what = {"origin": origin, "registrationId": registration, "tag": tag}
        more = {"lastChance": False} if event == "dispatchSyncEvent" else {}
        await self._session.send(f"ServiceWorker.{event}", {**what, **more})

    async def shown(self) -> list[Any]:
        found: list[Any] = await self._page.evaluate(NOTIFICATIONS)
        return found

    async def _registration(self) -> tuple[str, str]:
        if self._session is None:
            self._session = await self._context.new_cdp_session(self._page)
            told = "ServiceWorker.workerRegistrationUpdated"
            self._session.on(told, lambda news: self._registrations.extend(news["registrations"]))
            await self._session.send("ServiceWorker.enable")
        origin = await self._page.evaluate("location.origin")
        with anyio.fail_after(60):
            while not (mine := [one for one in self._registrations if one["scopeURL"] == f"{origin}/"]):
                await anyio.sleep(0.02)
        return origin, mine[-1]["registrationId"]
