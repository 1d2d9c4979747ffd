"""The consent page and the control page work in a real browser, under the policy that the server sends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

import browsing
from tidings.api.operation import problem_of
from tidings.clock import SystemClock
from tidings.contracts import Principal
from tidings.errors import Denied, TidingsError
from tidings.event import UserId
from tidings.origins import Origins
from tidings.security import Security
from tidings_sandbox import SandboxExtra
from tidings_sandbox.control import Control
from tidings_sandbox.world import World

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"
CSRF = "the-csrf-token"


class Door:
    """Lets everybody in who, for a change, shows the token that the page must have asked for."""

    async def enter_stream(self, scope: Scope) -> Principal:
        return await self.require(scope, "read")

    async def require(self, scope: Scope, right: str) -> Principal:
        request = Request(scope)
        if request.method == "POST" and request.headers.get("x-csrf-token") != CSRF:
            raise Denied("No CSRF token.", status=403, code="csrf")
        return Principal(UserId(1), "ada", "session", "session:1", frozenset({right}))


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = browsing.chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=browsing.ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world that is served at its `public_url`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        world = World(SystemClock(), public_url=url)
        extra = SandboxExtra(world, Control(world, Door(), world.emulators), lively=False)
        routes = [Route("/api/me", _me), Route("/api/oauth/{platform}/callback", _callback), *extra.routes()]
        app = Security(
            Starlette(routes=routes, exception_handlers={TidingsError: _refused}), Origins(url, [])
        )
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield world
        server.should_exit = True
        await serving


@pytest.fixture
async def visitor(browser: Browser, world: World) -> AsyncIterator[browsing.Visitor]:
    async with browsing.visiting(browser, world.stage.public_url) as visitor:
        yield visitor


@pytest.fixture
async def page(visitor: browsing.Visitor) -> Page:
    return await visitor.context.new_page()


async def _me(_request: Request) -> Response:
    return JSONResponse({"csrf_token": CSRF})


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TidingsError)
    return problem_of(error)


async def _callback(request: Request) -> Response:
    return PlainTextResponse(
        f"code={request.query_params.get('code')} error={request.query_params.get('error')}"
    )


def consent_url(world: World, **asked: Any) -> str:
    redirect = f"{world.stage.public_url}/api/oauth/spotify/callback"
    return (
        f"/sandbox/spotify/authorize?client_id=sandbox-spotify-1&response_type=code&redirect_uri={redirect}"
        "&scope=user-library-read+user-read-recently-played"
    )


async def test_a_person_is_chosen_and_accepts(page, world):
    await page.goto(consent_url(world))
    await expect(page.get_by_role("note")).to_contain_text("This is not Spotify.")
    await expect(page.get_by_role("radio", name="Ottilie Otterbourne")).to_be_checked()
    await page.get_by_text("Bram Quillfeather").click()
    await page.get_by_role("checkbox", name="user-library-read").uncheck()
    await page.get_by_role("button", name="Accept").click()
    await page.wait_for_url("**/callback?**")
    code = world.spotify.consents.take_code((await page.inner_text("body")).split()[0].removeprefix("code="))
    assert code is not None
    assert (code.person, code.scopes) == (BRAM, ("user-read-recently-played",))


async def test_a_person_denies(page, world):
    await page.goto(consent_url(world))
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator("body")).to_have_text("code=None error=access_denied")


@pytest.mark.parametrize("width", [360, 1280])
async def test_the_control_page_makes_things_happen_and_go_wrong(page, world, width):
    consents = world.spotify.consents
    app = consents.app("sandbox-spotify-1")
    code = consents.grant_code(app, world.person(BRAM), ["user-library-read"], app.redirect_uris[0])
    consents.open(consents.take_code(code))
    await page.set_viewport_size({"width": width, "height": 900})
    await page.goto("/sandbox")
    await expect(page.get_by_role("note")).to_contain_text("The sandbox is on.")
    card = page.locator(".platform", has=page.get_by_role("heading", name="Spotify"))
    await expect(card.locator(".actor")).to_have_value(BRAM)  # who is connected

    await card.get_by_role("button", name="Save a track").click()
    await expect(page.locator("#log li")).to_have_count(1)
    await expect(page.locator("#log li")).to_contain_text("Bram Quillfeather saved")
    assert [one.kind for one in world.happenings(BRAM)] == ["like"]

    await card.get_by_role("button", name="Next: 429").click()
    await expect(card.locator(".active")).to_contain_text("The next request gets 429")
    assert world.spotify.faults.active()[0].status == 429
    await card.get_by_role("button", name="All well again").click()
    await expect(card.locator(".active li")).to_have_count(0)

    await card.get_by_label("Clock").select_option("5 min ahead")
    await card.get_by_label("A refresh").select_option("kills the old one")
    await card.get_by_role("button", name="Revoke").click()
    await expect(card.get_by_text("Nobody has connected an account yet.")).to_be_visible()
    assert world.spotify.faults.clock_offset_seconds == 300
    assert consents.dialect.rotation == "single_use"
    assert consents.living() == []
    assert await browsing.overflow(page) <= 0


async def test_starting_anew_is_asked_for_and_forgets(page, world):
    world.act("github", "push", OTTILIE)
    await page.goto("/sandbox")
    await expect(page.locator("#log li")).not_to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Start anew").click()
    await expect(page.locator("#log-empty")).to_be_visible()
    assert world.happenings() == []


async def test_what_the_server_refuses_is_said_until_something_succeeds(visitor, page):
    visitor.foresee("status of 404")
    await page.goto("/sandbox")
    card = page.locator(".platform", has=page.get_by_role("heading", name="Spotify"))
    await card.get_by_role("button", name="Remove the track saved last").click()
    await expect(page.get_by_role("alert")).to_have_text("Ottilie Otterbourne has no saved track.")
    await card.get_by_role("button", name="Save a track").click()
    await expect(page.get_by_role("alert")).to_be_hidden()
