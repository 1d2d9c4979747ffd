"""Takes the pictures of the pages in `docs/images`: `live.png`, and each page in each size and scheme.

`.venv/bin/python docs/picture.py [FOLDER]` needs Chromium. With a folder it puts all of them there as PNG, to be looked
at closely; without one it writes those of the docs, as small WebP. The events are of the sandbox's invented people and
of test fixtures; the server's clock is set back, so that a day of them goes by in a minute.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import browsing  # noqa: E402 - the tests' own way to a browser and through a consent
import connecting  # noqa: E402
from tidings.accounts import User  # noqa: E402
from tidings.sessions import add_login_link  # noqa: E402
from tidings.testing.clock import FakeClock  # noqa: E402
from tidings.testing.server import Hook, LiveServer, live_server  # noqa: E402

IMAGES: Final = ROOT / "docs" / "images"
FIXTURES: Final = ROOT / "tests" / "plugins" / "github" / "fixtures"
SIZES: Final = ((390, 844), (1024, 768), (1600, 1000))
SCHEMES: Final = ("light", "dark")
QUALITY: Final = 0.72  # of a WebP in the docs
SCALE: Final = 0.6  # of its size, likewise
STORY: Final = (  # fixture, and how many minutes ago
    ("star__created", 47),
    ("issues__opened", 38),
    ("push__three_commits", 21),
    ("workflow_run__succeeded", 16),
    ("pull_request__merged", 9),
    ("release__published", 2),
)
LAG_SECONDS: Final = (0.4, 0.9)  # from a happening to its webhook
PERSON: Final = "ottilie-otterbourne"
SANDBOX: Final = """\
database: sqlite+aiosqlite:///tidings.db
limits: {api: unlimited, sessions: unlimited}
plugins:
  connectors: {github: {}, gmail: {}, slack: {}, discord: {}, spotify: {}}
  transports: {sse: {}, webpush: {subject: "mailto:operator@tidings.example.org"}}
  extras: {dashboard: {}, sandbox: {}}
"""
CONNECTED: Final = ("github", "gmail", "slack", "spotify")
_INSTANT: Final = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"')
_SMALLER: Final = """async ({ encoded, scale, quality }) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const paper = new OffscreenCanvas(bitmap.width * scale, bitmap.height * scale);
  const brush = paper.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, paper.width, paper.height);
  const small = await paper.convertToBlob({ type: "image/webp", quality });
  return btoa(String.fromCharCode(...new Uint8Array(await small.arrayBuffer())));
}"""


def payload(name: str, at: datetime) -> bytes:
    """The fixture's body, as if all in it had happened at `at`."""
    text = (FIXTURES / f"{name}.json").read_text("utf-8")
    fields: Any = json.loads(_INSTANT.sub(f'"{at:%Y-%m-%dT%H:%M:%SZ}"', text))
    if "pushed_at" in fields["repository"]:
        fields["repository"]["pushed_at"] = int(at.timestamp())
    return json.dumps(fields).encode()


async def tell(server: LiveServer, hook: Hook, clock: FakeClock) -> None:
    """Send the story's webhooks, each at its time."""
    end = datetime.now(UTC)
    for place, (name, minutes) in enumerate(STORY):
        at = (end - timedelta(minutes=minutes)).replace(microsecond=0)
        lag = timedelta(seconds=LAG_SECONDS[place % len(LAG_SECONDS)])
        await clock.advance((at + lag - clock.now()).total_seconds())
        body = payload(name, at)
        headers = {
            "content-type": "application/json",
            "x-github-event": name.partition("__")[0],
            "x-github-delivery": f"00000000-0000-4000-8000-{place:012}",
            "x-hub-signature-256": "sha256=" + hmac.digest(hook.secret.encode(), body, "sha256").hex(),
        }
        answer = await server.client.post(hook.path, content=body, headers=headers)
        answer.raise_for_status()
    await clock.advance((end - clock.now()).total_seconds())


async def open_page(
    browser: Browser, server: LiveServer, user: User, size: tuple[int, int], scheme: Any
) -> Page:
    """The live page of a user."""
    now = server.services.clock.now()
    link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    viewport: Any = {"width": size[0], "height": size[1]}
    page = await browser.new_page(viewport=viewport, color_scheme=scheme, locale="en-GB")
    await page.route(re.compile("^https:"), lambda route: route.abort())  # faces: initials instead
    await page.goto(f"{server.url}/login/{link}")
    await page.wait_for_selector("[data-state=live]")
    return page


async def take_live(browser: Browser, folder: Path, target: Path) -> None:
    """The first picture of the README: some news of GitHub's."""
    clock = FakeClock(datetime.now(UTC) - timedelta(hours=1))
    async with live_server(folder, clock=clock) as server:
        user = await server.add_user("me")
        await tell(server, await server.add_hook(user, "github"), clock)
        page = await open_page(browser, server, user, (1200, 640), "light")
        await page.wait_for_function(f"() => document.querySelectorAll('.event').length === {len(STORY)}")
        await page.wait_for_function("() => document.querySelector('#read-all').hidden")
        await page.screenshot(path=target, full_page=True, animations="disabled")
        await page.close()


async def live_a_day(server: LiveServer, user: User, clock: FakeClock) -> str:
    """Connect accounts and let a day go by; one of them comes to need its user. The id of another."""
    async with connecting.browser(server, user) as viewer:
        made = {platform: await viewer.connect(platform, PERSON) for platform in CONNECTED}
        end = datetime.now(UTC)
        while clock.now() < end - timedelta(hours=4):
            await clock.advance(600)
        connecting.world(server).spotify.consents.revoke(person=PERSON)
        await clock.advance((end - clock.now()).total_seconds())
        return made["github"]


Look = Callable[[str, Page], Awaitable[None]]


async def look_at(
    browser: Browser, server: LiveServer, people: Sequence[User], connection: str, look: Look
) -> None:
    """Every page of the dashboard, in each size and scheme."""
    busy, idle = people
    for size in SIZES:
        for scheme in SCHEMES:
            name = f"{size[0]}-{scheme}"
            page = await open_page(browser, server, idle, size, scheme)
            await look(f"empty-{name}", page)
            await page.locator("#compose-open").click()
            await look(f"message-{name}", page)
            await page.keyboard.press("Escape")
            await page.locator("#sign-out").click()
            await page.wait_for_selector("#signed-out:not([hidden])")
            await look(f"signed-out-{name}", page)
            await page.context.close()
            page = await open_page(browser, server, busy, size, scheme)
            await page.wait_for_selector(".event")
            await look(f"feed-{name}", page)
            for view, wanted in (
                ("connections", ".connection"),
                (f"connections/{connection}", ".connection-head"),
                ("activity", ".chart"),
                ("notifications", "#view-notifications .settings"),
                ("sandbox", ".emulated"),
            ):
                await page.evaluate("view => { location.hash = view }", view)
                await page.wait_for_selector(wanted)
                await look(f"{'connection' if '/' in view else view}-{name}", page)
            await page.context.close()


async def take_all(browser: Browser, folder: Path, target: Path | None) -> None:
    """All pages: into a folder as they are, or small into the docs, where each scheme has its share."""
    studio = await browser.new_page()

    async def look(name: str, page: Page) -> None:
        picture = await page.screenshot(
            animations="disabled", path=target / f"{name}.png" if target else None
        )
        kept = "dark" if "390" in name else "light"
        if target is not None or not name.endswith(kept):
            return
        asked = {"encoded": base64.b64encode(picture).decode(), "scale": SCALE, "quality": QUALITY}
        small = base64.b64decode(await studio.evaluate(_SMALLER, asked))
        (IMAGES / f"{name.removesuffix(f'-{kept}')}.webp").write_bytes(small)

    clock = FakeClock(datetime.now(UTC) - timedelta(hours=25))
    async with live_server(folder, SANDBOX, clock=clock) as server:
        busy = await server.add_user("me", is_admin=True)
        idle = await server.add_user("ann")
        connection = await live_a_day(server, busy, clock)
        await look_at(browser, server, (busy, idle), connection, look)


async def main(target: Path | None) -> None:
    """Take them."""
    async with async_playwright() as playwright:
        path = browsing.chromium_path()
        browser = await playwright.chromium.launch(executable_path=path, args=browsing.ARGUMENTS)
        with tempfile.TemporaryDirectory() as made:
            await take_live(browser, Path(made), (target or IMAGES) / "live.png")
        with tempfile.TemporaryDirectory() as made:
            await take_all(browser, Path(made), target)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None))
