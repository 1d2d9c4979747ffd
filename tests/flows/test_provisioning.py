"""GitHub set up on one click: the form goes there, the code comes back, and accounts can be connected by it."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connecting import SANDBOX, Browser, browser
from stores import stored_bytes
from tidings.testing.server import LiveServer, live_server

CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors:
    github:
      authorize_url: {github}/login/oauth/authorize
      token_url: {github}/login/oauth/access_token
      api_url: {github}/api
  transports: {{sse: {{}}}}
"""


@dataclasses.dataclass(frozen=True)
class Site:
    """An emulated GitHub at an address of its own, and the installation that has no client there yet."""

    github: str
    folder: Path

    @asynccontextmanager
    async def home(self) -> AsyncIterator[LiveServer]:
        async with live_server(self.folder, CONFIG.format(github=self.github)) as server:
            yield server


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    for name in ("github", "home"):
        (tmp_path / name).mkdir()
    async with live_server(tmp_path / "github", SANDBOX) as other:
        yield Site(f"{other.url}/sandbox/github", tmp_path / "home")


@asynccontextmanager
async def admin(server: LiveServer) -> AsyncIterator[Browser]:
    async with browser(server, await server.add_user("ann", is_admin=True)) as ann:
        yield ann


async def submitted(ann: Browser) -> str:
    """Leave, and post the form as the page does; returns the address to come back to."""
    page = await ann.client.get("/api/platforms/github/provision")
    assert page.status_code == 200, page.text
    (url,) = re.findall(r'<form method="post" action="([^"]+)">', page.text)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    form = {html.unescape(name): html.unescape(value) for name, value in fields}
    async with httpx.AsyncClient(trust_env=False, verify=False) as stranger:
        answer = await stranger.post(html.unescape(url), data=form)
    assert answer.status_code in {302, 303}, answer.text
    return answer.headers["location"]


async def test_a_click_makes_an_application_by_which_accounts_are_connected(site: Site) -> None:
    async with site.home() as server, admin(server) as ann:
        (before,) = (await ann.get("/api/platforms"))["platforms"]
        assert (before["ready"], before["provisioned"]) == (False, False)
        assert before["provision"] == "/api/platforms/github/provision"
        back = await submitted(ann)
        assert back.startswith(f"{server.url}/api/platforms/github/provisioned?code=")
        answer = await ann.client.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, "/#connections")
        (after,) = (await ann.get("/api/platforms"))["platforms"]
        assert (after["ready"], after["provisioned"]) == (True, True)
        connection = await ann.connect("github", "ottilie-otterbourne")
        shown = await ann.get(f"/api/connections/{connection}")
        assert (shown["state"], shown["account"]["name"]) == ("connected", "ottilie-otterbourne")


async def test_the_application_is_there_after_a_restart(site: Site) -> None:
    async with site.home() as server, admin(server) as ann:
        assert (await ann.client.get(await submitted(ann))).status_code == 303
        (client,) = [client.id for one in server.services.connectors for client in one.clients]
    async with site.home() as server:
        assert [client.id for one in server.services.connectors for client in one.clients] == [client]
        assert server.services.health.status == "ok"


async def test_its_secrets_are_in_no_answer_no_log_and_not_on_the_disk(site: Site) -> None:
    async with site.home() as server, admin(server) as ann:
        assert (await ann.client.get(await submitted(ann))).status_code == 303
        (github,) = server.services.connectors
        (secret,) = [client.secret for client in github.clients]
        webhook_secret = github.shared_keys.secrets[-1].decode()
        paths = ("/api/platforms", "/api/health", "/openapi.json", "/metrics", "/api/connections")
        told = [(await ann.client.get(path)).text for path in paths]
        for planted in (secret, webhook_secret, "PRIVATE KEY"):
            assert len(planted) > 10
            assert not [text for text in told if planted in text]
            assert planted not in repr(server.logged)
            assert planted.encode() not in stored_bytes(site.folder)


async def test_the_page_may_post_there_and_no_other_page_may(site: Site) -> None:
    async with site.home() as server, admin(server) as ann:
        page = await ann.client.get("/api/platforms/github/provision")
        parts = urlsplit(site.github)
        policy = page.headers["content-security-policy"]
        assert f"form-action 'self' {parts.scheme}://{parts.netloc}" in policy.split("; ")
        assert "unsafe" not in policy
        assert page.headers["referrer-policy"] == "strict-origin"
        assert page.headers["cache-control"] == "no-store"
        for path in ("/api/platforms", "/api/platforms/github/provisioned", "/login/x"):
            answer = await ann.client.get(path)
            assert parts.netloc not in answer.headers["content-security-policy"]
        form = await ann.get("/api/platforms/github/manifest")
        assert form["url"].startswith(f"{site.github}/settings/apps/new?state=")
        assert set(form["fields"]) == {"manifest"}


async def test_nobody_else_sees_or_uses_it(site: Site) -> None:
    async with (
        site.home() as server,
        admin(server) as ann,
        browser(server, await server.add_user("bob")) as bob,
    ):
        back = await submitted(ann)
        (seen,) = (await bob.get("/api/platforms"))["platforms"]
        assert "provision" not in seen
        for path in ("manifest", "provision", "provisioned"):
            assert (await bob.client.get(f"/api/platforms/github/{path}")).status_code == 403
            assert (await server.client.get(f"/api/platforms/github/{path}")).status_code == 401
        assert (await bob.client.get(back)).status_code == 403
        assert (await ann.client.get(back)).status_code == 303


@pytest.mark.parametrize("twist", ["used twice", "another state", "another code", "no code", "a consent's"])
async def test_what_comes_back_wrongly_is_refused_in_words(site: Site, twist: str) -> None:
    async with site.home() as server, admin(server) as ann:
        back = await submitted(ann)
        query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        wanted = "Begin again."
        if twist == "used twice":
            assert (await ann.client.get(back)).status_code == 303
        elif twist == "another state":
            query["state"] = "x" * 43
        elif twist == "another code":
            query["code"], wanted = "c0ffee", "A code works once, within an hour"
        elif twist == "no code":
            del query["code"]
        else:
            callback = await ann.client.get("/api/oauth/github/callback", params=query)
            assert callback.status_code == 400  # a consent's way takes no such state
        answer = await ann.client.get("/api/platforms/github/provisioned", params=query)
        assert answer.status_code == 400
        assert "GitHub is not set up" in answer.text
        assert wanted in answer.text


async def test_an_operators_own_client_is_not_replaced(tmp_path: Path) -> None:
    async with live_server(tmp_path, SANDBOX) as server, admin(server) as ann:
        answer = await ann.client.get("/api/platforms/github/provision")
        assert answer.status_code == 409
        assert "plugins.connectors.github.client_id" in answer.text
        assert (await ann.client.get("/api/platforms/spotify/provision")).status_code == 404
        assert (await ann.client.get("/api/platforms/nowhere/manifest")).status_code == 404
        assert not [one for one in (await ann.get("/api/platforms"))["platforms"] if "provision" in one]


async def test_health_tells_what_everybody_must_know(tmp_path: Path) -> None:
    async with live_server(tmp_path, SANDBOX) as server, admin(server) as ann:
        (notice,) = (await ann.get("/api/health"))["notices"]
        assert "The sandbox is on" in notice
        assert "notices" not in (await server.client.get("/api/health")).json()
