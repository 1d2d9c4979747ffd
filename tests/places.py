"""Somebody's page at a server with emulated platforms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

import browsing
from browsing import Visitor
from connecting import SANDBOX
from tidings.sessions import add_login_link
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server

CONFIG = SANDBOX.replace("extras: {", "extras: {dashboard: {}, ")
OTTILIE = "ottilie-otterbourne"


async def link_of(server: LiveServer, name: str, *, is_admin: bool) -> str:
    """Where a new account signs in."""
    user = await server.add_user(name, is_admin=is_admin)
    now = server.services.clock.now()
    token = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    return f"{server.url}/login/{token}"


class Place:
    """A server with emulated platforms, a browser profile there, and the page of somebody signed in."""

    def __init__(self, server: LiveServer, visitor: Visitor, page: Page) -> None:
        self.server = server
        self.visitor = visitor
        self.page = page

    async def consent(self, person: str = OTTILIE, decision: str = "Accept") -> None:
        """Answer the consent page."""
        await self.page.locator(f"input[name=person][value={person}]").check()
        await self.page.get_by_role("button", name=decision).click()

    async def connect(self, platform: str, person: str = OTTILIE) -> None:
        """From the view of connections to the view of the new one."""
        await self.page.goto(f"{self.server.url}/#connections")
        await (
            self.page.locator(f"[data-platform={platform.lower()}]")
            .get_by_role("link", name="Connect")
            .click()
        )
        await self.consent(person)
        await expect(self.page.locator(".connection-head .chip")).to_have_text("Connected")

    async def watched_by(self, strategy: str) -> None:
        await expect(self.page.locator(".facts strong")).to_have_text(strategy)


@asynccontextmanager
async def arrived(
    browser: Browser, server: LiveServer, *, is_admin: bool = True, **options: Any
) -> AsyncIterator[Place]:
    """Somebody new at a server."""
    async with browsing.visiting(browser, server.url, **options) as visitor:
        yield await come(visitor, server, is_admin=is_admin)


async def come(visitor: Visitor, server: LiveServer, *, is_admin: bool = True) -> Place:
    """Somebody new at a server, in a browser that is there."""
    page = await visitor.open(await link_of(server, next(browsing.names), is_admin=is_admin))
    await browsing.is_live(page)
    return Place(server, visitor, page)


@asynccontextmanager
async def placed(
    browser: Browser,
    folder: Path,
    *,
    config: str = CONFIG,
    clock: FakeClock | None = None,
    is_admin: bool = True,
) -> AsyncIterator[Place]:
    """Somebody at a server of their own."""
    async with (
        live_server(folder, config, clock=clock) as server,
        arrived(browser, server, is_admin=is_admin) as place,
    ):
        yield place
