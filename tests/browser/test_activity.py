"""What happened lately, in charts, and in tables for who can't see them."""

import json

import pytest
from playwright.async_api import Page, Route, expect

from browsing import Person


async def test_events_are_counted_by_the_hour_and_by_how_late_they_came(person: Person, page: Page) -> None:
    await person.deliver(1, 2, 3)
    await person.say("a message")
    await page.get_by_role("link", name="Activity").click()
    await expect(page.locator("figcaption")).to_contain_text("4 events; the busiest hour had ")
    chart = page.get_by_role("img", name="4 events")
    await expect(chart.locator(".column")).to_have_count(24)
    assert await chart.locator("rect.series-0, rect.series-1").evaluate_all(
        "parts => parts.filter((one) => one.height.baseVal.value > 0).length"
    ) in {2, 3}  # an hour may have ended in between
    await expect(page.locator(".legend li")).to_have_text(["GitHub", "tidings"])
    late = page.get_by_role("region", name="How late news came")
    await expect(late.get_by_role("rowheader")).to_have_text(["GitHub · webhook"])
    await expect(late.get_by_role("cell", name="3", exact=True)).to_have_count(1)
    await page.get_by_text("The same as a table").click()
    same = page.get_by_role("region", name="Events per hour")
    await expect(same.get_by_role("columnheader")).to_have_text(["Hour", "GitHub", "tidings"])
    await page.get_by_role("button", name="7 days").click()
    await expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("button", name="7 days")).to_be_focused()
    await expect(chart.locator(".column")).to_have_count(168)


# The lowest line of a chart's writing, in pixels, and which of it stands in the way of other writing.
WRITING = """chart => {
  const all = [...chart.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const meets = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom - 1 && other.top < one.bottom - 1;
  return {
    low: Math.min(...all.map(([, box]) => box.height)),
    clashes: all.flatMap(([words, box], at) =>
      all.slice(at + 1).filter(([, other]) => meets(box, other)).map(([others]) => `${words} ${others}`)),
  };
}"""


@pytest.mark.parametrize("days", ["24 hours", "7 days"])
async def test_the_writing_of_a_chart_can_be_read_in_every_window(
    person: Person, page: Page, days: str
) -> None:
    await person.deliver(1, 2, 3)
    await page.get_by_role("link", name="Activity").click()
    await page.get_by_role("button", name=days).click()
    chart = page.get_by_role("img", name="3 events")
    await expect(chart.locator(".column")).to_have_count(24 if days == "24 hours" else 168)
    for width in (1600, 390, 320, 768, 390, 1024):  # also of a phone that is turned while one looks
        await page.set_viewport_size({"width": width, "height": 800})
        await page.wait_for_function("() => new Promise((done) => requestAnimationFrame(() => done(true)))")
        found = await chart.evaluate(WRITING)
        assert found["low"] >= 11, width
        assert found["clashes"] == [], width


async def test_without_events_it_says_so_and_with_news_it_counts_again(person: Person, page: Page) -> None:
    await page.get_by_role("link", name="Activity").click()
    await expect(page.get_by_text("Nothing has happened in this time.")).to_have_count(2)
    await expect(page.get_by_text("No connected account has a limit.")).to_be_visible()
    await person.deliver(1)
    await expect(page.locator("figcaption")).to_contain_text("1 event;", timeout=20_000)


async def test_what_was_not_counted_is_said_and_so_is_a_failure(person: Person, page: Page) -> None:
    await person.deliver(1)

    async def cut(route: Route) -> None:
        answer = await route.fetch()
        found = await answer.json()
        await route.fulfill(response=answer, body=json.dumps({**found, "since": found["hours"][0]["at"]}))

    await page.route("**/api/activity*", cut)
    await page.get_by_role("link", name="Activity").click()
    await expect(page.get_by_text("So much has happened that only what came since")).to_be_visible()
