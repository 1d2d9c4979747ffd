"""Takes `docs/images/live.png`: the page of a real server that GitHub's events have just reached.

`.venv/bin/python docs/picture.py` needs Chromium at `/usr/bin/chromium`. The events are test fixtures, signed and
sent as webhooks; the server's clock stands still, so that they can come some minutes apart.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from playwright.async_api import async_playwright

from tidings.sessions import add_login_link
from tidings.testing.clock import FakeClock
from tidings.testing.server import Hook, LiveServer, live_server

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "live.png"
FIXTURES: Final = ROOT / "tests" / "plugins" / "github" / "fixtures"
STORY: Final = (  # fixture, and how many minutes ago
    ("star__created", 47),
    ("issues__opened", 38),
    ("push__three_commits", 21),
    ("workflow_run__succeeded", 16),
    ("pull_request__merged", 9),
    ("release__published", 2),
)
LAG_SECONDS: Final = (0.4, 0.9)  # from a happening to its webhook
_INSTANT: Final = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"')


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


async def take(folder: Path) -> None:
    """Start a server in `folder`, let the story happen, and take the picture."""
    clock = FakeClock(datetime.now(UTC) - timedelta(hours=1))
    async with live_server(folder, clock=clock) as server:
        user = await server.add_user("me")
        await tell(server, await server.add_hook(user, "github"), clock)
        link = await server.services.writer.run_unit(
            partial(add_login_link, user_id=user.id, now=clock.now())
        )
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox"]
            )
            page = await browser.new_page(
                viewport={"width": 1200, "height": 640}, color_scheme="light", locale="en-GB"
            )
            await page.route(re.compile("^https:"), lambda route: route.abort())  # faces: initials instead
            await page.goto(f"{server.url}/login/{link}")
            await page.wait_for_selector("[data-state=live]")
            await page.wait_for_function(f"document.querySelectorAll('.event').length === {len(STORY)}")
            await page.screenshot(path=PICTURE, full_page=True, animations="disabled")
            await browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(take(Path(made)))
