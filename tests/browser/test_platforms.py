"""What stands about platforms on the page: whether they are emulated, set up, and what they show nobody."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from connecting import SANDBOX
from places import CONFIG, placed
from tidings.testing.server import live_server

ALONE = """\
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors:
    github:
      authorize_url: {github}/login/oauth/authorize
      token_url: {github}/login/oauth/access_token
      api_url: {github}/api
  transports: {{sse: {{}}}}
  extras: {{dashboard: {{}}}}
"""


async def test_the_platforms_signs_stand_at_the_top_of_their_cards(browser: Browser, tmp_path: Path) -> None:
    async with placed(browser, tmp_path) as place:
        await place.page.set_viewport_size({"width": 390, "height": 844})
        await place.page.locator("#to-connections").click()
        signs = place.page.locator(".platforms .emblem")
        await expect(signs.first).to_be_visible()
        depths = "signs => signs.map((one) => one.offsetTop - one.closest('li').offsetTop)"
        assert {depth for depth in await signs.evaluate_all(depths) if depth > 24} == set()


@pytest.mark.parametrize("is_admin", [True, False])
async def test_the_sandbox_says_loudly_that_it_is_on(
    browser: Browser, tmp_path: Path, *, is_admin: bool
) -> None:
    async with placed(browser, tmp_path, is_admin=is_admin) as place:
        banner = place.page.get_by_role("note")
        await expect(banner).to_contain_text("The sandbox is on")
        await expect(banner.locator("code")).to_have_text("sandbox:")
        controls = banner.get_by_role("link", name="Open its controls")
        await expect(controls).to_have_count(1 if is_admin else 0)


async def test_a_platform_that_is_not_set_up_says_what_is_missing_and_to_admins_how(
    browser: Browser, tmp_path: Path
) -> None:
    config = ALONE.format(github="https://github.example")
    async with placed(browser, tmp_path, config=config, is_admin=False) as place:
        page = place.page
        await expect(page.get_by_role("note")).to_be_hidden()
        await expect(page.locator("#empty-connect")).to_be_hidden()
        await page.locator("#to-connections").click()
        card = page.locator("[data-platform=github]")
        await expect(card).to_contain_text("plugins.connectors.github.client_id is empty")
        await expect(card.get_by_role("link")).to_have_count(0)


async def test_what_a_platform_shows_nobody_stands_beside_connect(browser: Browser, tmp_path: Path) -> None:
    config = CONFIG.replace("spotify: {}", "discord: {}")
    async with placed(browser, tmp_path, config=config) as place:
        await place.page.locator("#to-connections").click()
        card = place.page.locator("[data-platform=discord]")
        await expect(card.get_by_role("link", name="Connect")).to_be_visible()
        await expect(card.locator(".unseen")).to_contain_text("Discord shows no app your messages")
        await expect(place.page.locator("[data-platform=github] .unseen")).to_have_count(0)
        asks = place.page.locator("[data-platform=github] .asks")
        await expect(asks.first).to_contain_text("admin:repo_hook")
        await expect(asks.last).to_contain_text("watched by webhook")
        await expect(card.locator(".asks").last).to_contain_text("watched by asking")


async def test_a_platform_is_set_up_in_one_click(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "github").mkdir()
    (tmp_path / "home").mkdir()
    async with live_server(tmp_path / "github", SANDBOX) as other:
        config = ALONE.format(github=f"{other.url}/sandbox/github")
        async with placed(browser, tmp_path / "home", config=config) as place:
            await place.visitor.context.unroute_all()  # it really goes to another site
            page = place.page
            await page.locator("#to-connections").click()
            await page.get_by_role("link", name="Set GitHub up in one click").click()
            await expect(page).to_have_url(f"{place.server.url}/#connections")
            await expect(page.get_by_role("link", name="Connect GitHub")).to_be_visible()
            await expect(page.get_by_role("link", name="Set GitHub up anew")).to_be_visible()
