"""How the page looks in each size and scheme, and whether everybody can use it."""

import base64
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

import browsing
import deliveries
from browsing import Person, Visitor, cards

NEWS = {
    "push__three_commits": "push",
    "issues__opened": "issues",
    "pull_request__merged": "pull_request",
    "workflow_run__failed": "workflow_run",
    "release__published": "release",
    "star__created": "star",
    "issue_comment__created": "issue_comment",
}
FIXTURES = Path(__file__).parents[1] / "plugins" / "github" / "fixtures"
MANY_LINES = "\n".join(f"Line {number} of a long message, which is folded." for number in range(9))
# What a picture is made of: its colours, and the commonest of them.
CENSUS = """async (encoded) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const paper = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  paper.drawImage(bitmap, 0, 0);
  const dots = new Uint32Array(paper.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
  const counts = new Map();
  for (const dot of dots) counts.set(dot, (counts.get(dot) ?? 0) + 1);
  const [[dot, count]] = [...counts].sort((one, other) => other[1] - one[1]);
  return { colours: counts.size, share: count / dots.length, brightness: (dot >> 8) & 255 };
}"""


async def _tell_news(person: Person) -> None:
    async with person.client() as client:
        for name, event in NEWS.items():
            payload = json.loads((FIXTURES / f"{name}.json").read_text())
            answer = await deliveries.send(client, person.hook, payload, event=event)
            answer.raise_for_status()
    await person.say("Call the plumber", text=MANY_LINES, url="https://plumber.example/")


@pytest.fixture
async def busy(visitor: Visitor, page: Page, person: Person) -> Page:
    """The live page with a feed on it."""
    await visitor.meet_strangers()
    await _tell_news(person)
    await expect(cards(page)).to_have_count(len(NEWS) + 1)
    return page


@pytest.mark.parametrize("size", [(390, 844), (1024, 768), (1600, 900)], ids=str)
async def test_every_state_of_the_page_fits_its_window_and_is_not_blank(
    browser: Browser, person: Person, tmp_path: Path, size: tuple[int, int]
) -> None:
    width, height = size

    async def look(name: str) -> None:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await browsing.overflow(page) <= 0, name
            path = tmp_path / f"{name}-{width}-{scheme}.png"
            picture = await page.screenshot(path=path, animations="disabled")
            found = await blank.evaluate(CENSUS, base64.b64encode(picture).decode())
            assert found["colours"] > 50, path
            assert 0.2 < found["share"] < 0.99, path
            assert (found["brightness"] > 128) == (scheme == "light"), path

    async with browsing.visiting(browser, person.url, viewport={"width": width, "height": height}) as visitor:
        visitor.foresee(r"status of 401 \(Unauthorized\)")
        await visitor.meet_strangers()
        blank = await visitor.context.new_page()
        page = await visitor.sign_in(person)
        await expect(page.locator("#empty")).to_be_visible()
        await look("empty")
        await _tell_news(person)
        await expect(cards(page)).to_have_count(len(NEWS) + 1)
        await look("feed")
        await page.locator("#compose-open").click()
        await look("dialog")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator("#signed-out")).to_be_visible()
        await look("signed-out")


async def test_long_messages_are_folded_until_asked_for(busy: Page) -> None:
    text = cards(busy).first.locator(".text")
    folded = await _height(text)
    await cards(busy).first.get_by_role("button", name="more").click()
    less = cards(busy).first.get_by_role("button", name="less")
    await expect(less).to_have_attribute("aria-expanded", "true")
    assert await _height(text) > 2 * folded
    assert await busy.get_by_role("button", name="more").count() == 0


async def _height(part: Locator) -> float:
    box = await part.bounding_box()
    assert box is not None
    return box["height"]


async def test_the_page_has_a_language_landmarks_and_headings_in_order(busy: Page) -> None:
    await expect(busy.locator("html")).to_have_attribute("lang", "en")
    await expect(busy).to_have_title("tidings")
    await expect(busy.get_by_role("banner")).to_have_count(1)
    await expect(busy.get_by_role("main")).to_have_count(1)
    await expect(busy.get_by_role("heading", level=1)).to_have_text("tidings")
    await expect(busy.get_by_role("region", name="Your feed")).to_be_visible()
    levels = "found => found.filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]))"
    found = await busy.locator("h1, h2, h3, h4, h5, h6").evaluate_all(levels)
    assert found[:3] == [1, 2, 3]
    assert all(below - above <= 1 for above, below in pairwise(found))
    assert found.count(3) == len(NEWS) + 1


async def test_every_control_has_a_name_and_room_for_a_finger(busy: Page) -> None:
    await _can_be_used(busy.locator(":is(button, a):not([hidden], [hidden] *, dialog *)"), at_least=10)
    await busy.locator("#compose-open").click()
    controls = busy.get_by_role("dialog").locator("button, input, textarea")
    await _can_be_used(controls, at_least=5)
    assert await busy.locator("img:not([alt])").count() == 0


async def _can_be_used(controls: Locator, *, at_least: int) -> None:
    place = 0
    while place < await controls.count():  # what was news is read meanwhile, and needs fewer
        await expect(controls.nth(place)).to_have_accessible_name(re.compile(r"\w"))
        place += 1
    assert place >= at_least
    buttons = controls.and_(controls.page.get_by_role("button"))
    heights = await buttons.evaluate_all("found => found.map((one) => one.offsetHeight)")
    assert min(heights) >= 24


async def test_whoever_uses_the_keyboard_sees_where_they_are(busy: Page) -> None:
    await busy.set_viewport_size({"width": 800, "height": 400})  # so that much lies below
    await busy.reload()
    await expect(cards(busy)).to_have_count(len(NEWS) + 1)
    forth = await _tab_through(busy, "Tab")
    assert forth[:4] == ["Skip to the feed", "Feed", "Connections", "Activity"]
    assert forth[4:6] == ["Send", "Sign out"]
    assert len(forth) > len(NEWS)
    back = await _tab_through(busy, "Shift+Tab", most=len(forth))  # it would begin anew at the end
    assert back == forth[::-1]


async def _tab_through(page: Page, key: str, *, most: int = 100) -> list[str]:
    """What gets the focus, one after the other; each must be in sight and drawn as having it."""
    names = list[str]()
    while len(names) < most:
        await page.keyboard.press(key)
        focused = await page.evaluate(
            """() => {
              const one = document.activeElement;
              if (one === document.body || !document.hasFocus()) return null;
              const { top, left, width, height } = one.getBoundingClientRect();
              const style = getComputedStyle(one);
              const above = document.elementFromPoint(left + width / 2, top + 2);
              return {
                name: one.innerText,
                outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                seen: top >= 0 && top + height <= innerHeight && one.contains(above),
              };
            }"""
        )
        if focused is None:
            break
        assert focused == {"name": focused["name"], "outlined": True, "seen": True}
        names.append(focused["name"])
    return names


async def test_the_first_link_skips_to_the_feed(busy: Page) -> None:
    await busy.keyboard.press("Tab")
    skip = busy.get_by_role("link", name="Skip to the feed")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport(ratio=1)
    await busy.keyboard.press("Enter")
    await expect(busy.get_by_role("main")).to_be_focused()


async def test_the_dialog_takes_the_focus_and_gives_it_back(busy: Page) -> None:
    opener = busy.get_by_role("button", name="Send yourself a message")
    await opener.focus()
    await busy.keyboard.press("Enter")
    await expect(busy.get_by_label("Title")).to_be_focused()
    await busy.keyboard.type("half a thought")
    await busy.keyboard.press("Escape")
    await expect(busy.get_by_role("dialog")).to_be_hidden()
    await expect(opener).to_be_focused()
    await busy.keyboard.press("Enter")
    await expect(busy.get_by_label("Title")).to_have_value("half a thought")


async def test_news_is_told_to_screen_readers(person: Person, page: Page) -> None:
    await expect(page.get_by_role("status")).to_have_text("Live")
    await person.deliver(7)
    spoken = page.locator("#spoken")
    await expect(spoken).to_have_text("New: Issue #7 opened in octo/repo: Issue 7")
    assert await spoken.is_visible()  # hidden ones are not read


async def test_who_wants_less_motion_gets_none(browser: Browser, person: Person) -> None:
    async with browsing.visiting(browser, person.url, reduced_motion="reduce") as visitor:
        page = await visitor.sign_in(person)
        await person.deliver(7)
        await expect(cards(page)).to_have_class(re.compile("fresh"))
        assert await page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("width", [320, 390, 577, 768, 1023, 1024, 1100, 1600])
@pytest.mark.parametrize("name", ["me", "marguerite-delacroix", "anna-maria.von-hohenstein-schwarzburg"])
async def test_the_bar_has_room_for_the_longest_of_what_it_may_hold(
    page: Page, name: str, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 400})
    user = page.locator("#user")
    await user.evaluate("(user, name) => { user.textContent = name }", name)
    for part, count in (("unread", "99+"), ("asking", "12")):
        await page.locator(f"#{part}").evaluate("(part, count) => { part.textContent = count }", count)
    await page.locator("#to-notifications").evaluate("link => { link.hidden = false }")
    assert await browsing.overflow(page) <= 0
    wider = "bar => bar.scrollWidth - bar.clientWidth"
    assert await page.locator(".bar-inner").evaluate(wider) <= 0
    cut = await user.evaluate("user => user.scrollWidth - user.clientWidth")
    if width >= 577 and len(name) <= 20:
        assert cut <= 0
    if width > 360:
        assert await user.evaluate("user => user.clientWidth") >= min(100, len(name) * 8)
