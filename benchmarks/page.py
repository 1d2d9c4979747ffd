"""How the dashboard fares with a feed of ten thousand events, in Chromium.

`python benchmarks/page.py [--events 10000]` says how long it takes until the page shows its first events, how smoothly
it scrolls through all of them, how long a search takes, and how much of it is on the page then. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Page, async_playwright

from harness import report
from tidings.contracts import Item
from tidings.event import Event
from tidings.sessions import add_login_link
from tidings.testing.server import LiveServer, live_server

_BATCH = 1000
# Scrolls on by a part of the window with each frame, until the page says that it holds all; how long frames took.
_SCROLL = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const [times, note] = [[], document.getElementById("note-words")];
  let last = performance.now();
  for (let calm = 0; calm < 60; ) {
    const before = scrollY;
    scrollBy(0, innerHeight / 2);
    await frame();
    const now = performance.now();
    times.push(now - last);
    last = now;
    calm = scrollY === before ? calm + 1 : 0;
  }
  const rows = [...document.querySelectorAll("#feed li")];
  return { times, rows: rows.length, last: rows.at(-1).querySelector("h3").textContent };
}"""
_SEARCH = """async () => {
  const field = document.getElementById("sieve-search");
  const begun = performance.now();
  field.value = "event 17";
  field.dispatchEvent(new Event("input"));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begun;
}"""


async def fill(server: LiveServer, events: int) -> str:
    """A user with so many events; where they sign in."""
    user = await server.add_user("me")
    now = server.services.clock.now()
    for start in range(0, events, _BATCH):
        some = [
            Event(
                id=f"github:{number}",
                type="com.github.push",
                source="//github.com/octo/repo",
                time=now,
                platform="github",
                data={
                    "title": f"Event {number}",
                    "text": "Words. " * (number % 40),
                    "url": "https://x.example/",
                },
            )
            for number in range(start, min(start + _BATCH, events))
        ]
        await server.services.journal.append(Item(user.id, some, via="webhook"))
    link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    return f"{server.url}/login/{link}"


async def measure(page: Page, session: CDPSession, link: str) -> dict[str, Any]:
    """The figures."""
    begun = time.perf_counter()
    await page.goto(link)
    await page.wait_for_selector("#feed li")
    opened = time.perf_counter() - begun
    found = await page.evaluate(_SCROLL)
    search_ms = await page.evaluate(_SEARCH)
    await session.send("HeapProfiler.collectGarbage")
    heap = await session.send("Runtime.getHeapUsage")
    nodes = await session.send("Memory.getDOMCounters")
    times = sorted(found["times"])
    return {
        "first_events_seconds": round(opened, 2),
        "frames": len(times),
        "frame_ms_median": round(statistics.median(times), 1),
        "frame_ms_p99": round(times[int(len(times) * 0.99)], 1),
        "frame_ms_most": round(times[-1], 1),
        "last_row": found["last"],
        "rows_on_page": found["rows"],
        "dom_nodes": nodes["nodes"],
        "heap_mb": round(heap["usedSize"] / 1e6, 1),
        "search_ms": round(search_ms, 1),
    }


async def run(events: int) -> dict[str, Any]:
    """Start a server and a browser, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        async with live_server(Path(folder)) as server, async_playwright() as playwright:
            link = await fill(server, events)
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            session = await page.context.new_cdp_session(page)
            found = await measure(page, session, link)
            await browser.close()
            return {"events": events, **found}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    report(asyncio.run(run(parser.parse_args().events)))


if __name__ == "__main__":
    main()
