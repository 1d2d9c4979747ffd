"""The OAuth client against a provider that others wrote and certified, with a connector of the standard's own."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import select

import openid
from connecting import Browser, browser, events
from distributions import Site
from openid import Provider, consent
from tidings.connecting import Connects, TokenSet
from tidings.grants import find_grant, open_tokens
from tidings.oauth import Refused, redeem
from tidings.outbound import Outbound
from tidings.redemptions import PATIENCE_SECONDS
from tidings.schema import from_stored, grants
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server

METHODS = {"client_secret_basic": "Basic", "client_secret_post": "body", "none": "none"}
# The provider's access tokens live an hour, and are refreshed ten minutes before they end.
UNTIL_REFRESH_SECONDS = 3000
DAY_SECONDS = 86_400


@pytest.fixture(scope="module")
def discovery(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Any]]:
    cache = getattr(request.config, "cache", None)  # None with `-p no:cacheprovider`
    folder = cache.mkdir("oidc-provider") if cache else tmp_path_factory.mktemp("oidc-provider")
    with openid.provider_process(folder) as url:
        yield openid.discover(url)


@pytest.fixture
async def provider(discovery: Mapping[str, Any]) -> AsyncIterator[Provider]:
    async with httpx.AsyncClient(timeout=30, trust_env=False, verify=False) as client:
        provider = Provider(discovery, client)
        await provider.act("requests")  # what an earlier test left
        yield provider


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connector is installed as anybody's would be."""
    site = Site(tmp_path / "site-packages")
    site.folder.mkdir()
    shutil.copy(openid.SOURCE / "tidings_oidc.py", site.folder)
    site.metadata("tidings_oidc", "[tidings.connectors]\noidc = tidings_oidc:OidcPlugin\n")
    monkeypatch.syspath_prepend(site.folder)
    monkeypatch.delitem(sys.modules, "tidings_oidc", raising=False)


@asynccontextmanager
async def ann_at(
    folder: Path, config: str, clock: FakeClock | None = None
) -> AsyncIterator[tuple[LiveServer, Browser]]:
    async with (
        live_server(folder, config, clock=clock) as server,
        browser(server, await server.add_user("ann")) as ann,
    ):
        yield server, ann


async def connect(ann: Browser, login: str, connection: str = "") -> str:
    """The whole way; returns the connection's id."""
    answer = await ann.client.get(await consent(ann, await ann.leave("oidc", connection), login))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rpartition("/")[2]


async def refresh(ann: Browser, clock: FakeClock, path: str) -> None:
    """Wait until the token is due for a refresh, and then until it is done."""
    count = len(_attempts(await ann.get(path), "refresh", "done"))
    await clock.advance(UNTIL_REFRESH_SECONDS)
    await ann.until(path, lambda one: len(_attempts(one, "refresh", "done")) > count, clock=clock)


async def held_tokens(server: LiveServer) -> TokenSet:
    def read(sql: Sql) -> TokenSet:
        row = sql.execute(select(grants.c.id, grants.c.user_id)).one()
        grant = find_grant(sql, row.id, user_id=row.user_id)
        return open_tokens(server.services.vault, grant)

    return await server.services.database.read(read)


async def _refused_at(server: LiveServer) -> datetime:
    """When the refusal came: the attempt is written down a little later, while time goes on."""

    def read(sql: Sql) -> datetime:
        return from_stored(sql.execute(select(grants.c.refused_at)).scalar_one())

    return await server.services.database.read(read)


def _attempts(shown: Mapping[str, Any], kind: str, outcome: str) -> Sequence[Mapping[str, Any]]:
    return [one for one in shown["attempts"] if (one["kind"], one["outcome"]) == (kind, outcome)]


@pytest.mark.parametrize("method", METHODS)
async def test_an_account_stays_connected_however_the_client_proves_itself(
    tmp_path: Path, provider: Provider, method: str
) -> None:
    clock, login = FakeClock(), f"ada-{method}"
    async with ann_at(tmp_path, provider.config(method), clock) as (server, ann):
        connection = await connect(ann, login)
        path = f"/api/connections/{connection}"
        shown = await ann.until(path, lambda one: one["last_checked_at"] is not None, clock=clock)
        assert (shown["state"], shown["account"]["name"]) == ("connected", login)
        assert shown["grant"]["missing_scopes"] == []
        held = [(await held_tokens(server)).refresh_token]
        for _ in range(2):
            await refresh(ann, clock, path)
            held.append((await held_tokens(server)).refresh_token)
        assert len(set(held)) == 3
        exchanged, *refreshed = await provider.token_requests()
        assert (exchanged["grant_type"], exchanged["has_verifier"]) == ("authorization_code", True)
        assert {(one["status"], one["proof"]) for one in (exchanged, *refreshed)} == {(200, METHODS[method])}
        assert [one["refresh_token"] for one in refreshed] == held[:2]  # each once, in turn
        await provider.act("rename", login, "Ada Lovelace")
        assert (await ann.send("POST", f"{path}/sync")).status_code == 202
        await ann.until(
            "/api/events?types=net.openid.*",
            lambda page: [one["data"]["title"] for one in page["events"]] == ["Now called Ada Lovelace"],
            clock=clock,
        )


@pytest.mark.parametrize("page", ["login", "consent"])
async def test_who_declines_at_the_provider_is_told_so_in_words(
    tmp_path: Path, provider: Provider, page: str
) -> None:
    async with ann_at(tmp_path, provider.config()) as (_, ann):
        back = await consent(ann, await ann.leave("oidc"), "bo", cancel_at=page)
        answer = await ann.client.get(back)
        assert answer.status_code == 400
        assert "You declined at Open Door. Nothing was connected, and nothing was changed." in answer.text
        assert (await ann.get("/api/connections"))["connections"] == []
        assert await provider.token_requests() == []


async def test_a_code_that_another_verifier_asked_for_connects_nothing(
    tmp_path: Path, provider: Provider
) -> None:
    async with ann_at(tmp_path, provider.config()) as (_, ann):
        away = await ann.leave("oidc")
        swapped = re.sub("code_challenge=[^&]{43}", f"code_challenge={'x' * 43}", away)
        assert swapped != away
        answer = await ann.client.get(await consent(ann, swapped, "cy"))
        assert answer.status_code == 400
        assert "The platform answered 400: invalid_grant" in answer.text
        assert "Connect once more." in answer.text
        assert (await ann.get("/api/connections"))["connections"] == []
        assert [one["error"] for one in await provider.token_requests()] == ["invalid_grant"]


async def test_what_else_the_provider_finds_wrong_with_a_consent_is_shown_too(
    tmp_path: Path, provider: Provider
) -> None:
    async with ann_at(tmp_path, provider.config()) as (_, ann):
        away = urlsplit(await ann.leave("oidc"))
        query = re.sub("&code_challenge(_method)?=[^&]+", "", away.query)  # it demands PKCE
        answer = await ann.client.get(await consent(ann, urlunsplit(away._replace(query=query)), "di"))
        assert answer.status_code == 400
        assert "Open Door refused the consent: invalid_request" in answer.text


async def test_a_wrong_secret_is_the_operators_to_mend(tmp_path: Path, provider: Provider) -> None:
    async with ann_at(tmp_path, provider.config(secret="another")) as (_, ann):
        answer = await ann.client.get(await consent(ann, await ann.leave("oidc"), "eve"))
        assert answer.status_code == 400
        assert "The platform answered 401: invalid_client" in answer.text
        assert "in config.yaml" in answer.text
        assert (await ann.get("/api/connections"))["connections"] == []


async def test_an_access_token_that_is_cut_off_is_replaced_once_in_the_middle_of_a_call(
    tmp_path: Path, provider: Provider
) -> None:
    clock = FakeClock()
    async with ann_at(tmp_path, provider.config(), clock) as (_, ann):
        path = f"/api/connections/{await connect(ann, 'fay')}"
        await ann.until(path, lambda one: one["last_checked_at"] is not None, clock=clock)
        await provider.act("requests")
        await provider.act("cut", "fay")
        await provider.act("rename", "fay", "Fay Wildgoose")
        assert (await ann.send("POST", f"{path}/sync")).status_code == 202
        await ann.until("/api/events?types=net.openid.*", lambda page: len(page["events"]) == 1, clock=clock)
        requests = [(one["route"], one["status"]) for one in await provider.act("requests")]
        assert requests == [("userinfo", 401), ("token", 200), ("userinfo", 200)]
        assert "Refreshed: 401." in {
            one["detail"] for one in _attempts(await ann.get(path), "refresh", "done")
        }


@pytest.mark.parametrize("end", ["used twice", "withdrawn", "expired"])
async def test_a_consent_that_ended_is_parked_told_once_and_healed_by_one_click(
    tmp_path: Path, provider: Provider, end: str
) -> None:
    clock, login = FakeClock(), f"gus {end}"
    async with ann_at(tmp_path, provider.config(), clock) as (server, ann):
        connection = await connect(ann, login)
        path = f"/api/connections/{connection}"
        await ann.until(path, lambda one: one["last_checked_at"] is not None, clock=clock)
        if end == "used twice":
            old = await held_tokens(server)
            await refresh(ann, clock, path)
            assert isinstance(await _redeem_by_itself(server, old), Refused)
        elif end == "withdrawn":
            await provider.act("withdraw", login)
        else:
            await provider.act("forward", 31 * DAY_SECONDS)
        await provider.act("requests")
        await clock.advance(UNTIL_REFRESH_SECONDS)
        shown = await ann.until(
            path, lambda one: _attempts(one, "refresh", "refused") != [], clock=clock, step_seconds=1
        )
        (refused,) = _attempts(shown, "refresh", "refused")
        assert "invalid_grant" in refused["detail"]
        refused_at = await _refused_at(server)
        shown = await ann.until(path, lambda one: one["state"] == "needs_reauth", clock=clock)
        assert "invalid_grant" in shown["reason"]
        await clock.advance(3600)
        assert [one["error"] for one in await provider.token_requests()] == ["invalid_grant"]
        (told,) = [one for one in await events(ann) if one["type"].endswith(".needs_reauth")]
        patience = datetime.fromisoformat(told["time"]) - refused_at
        assert patience.total_seconds() >= PATIENCE_SECONDS
        assert told["data"]["reauthorize"] == f"/api/oauth/oidc/start?connection={connection}"
        assert await connect(ann, login, connection) == connection
        await provider.act("rename", login, "Gus")
        assert (await ann.send("POST", f"{path}/sync")).status_code == 202
        await ann.until("/api/events?types=net.openid.*", lambda page: len(page["events"]) == 1, clock=clock)
        healed = await ann.get(path)
        assert (healed["state"], healed["reason"]) == ("connected", "")


async def test_an_account_that_is_disconnected_gives_its_consent_back(
    tmp_path: Path, provider: Provider
) -> None:
    async with ann_at(tmp_path, provider.config()) as (server, ann):
        path = f"/api/connections/{await connect(ann, 'hal')}"
        tokens = await held_tokens(server)
        assert (await ann.send("DELETE", path)).status_code == 202
        await ann.until("/api/connections", lambda page: page["connections"] == [])
        assert isinstance(await _redeem_by_itself(server, tokens), Refused)


async def _redeem_by_itself(server: LiveServer, tokens: TokenSet) -> object:
    """Redeem a token behind the server's back."""
    (connector,) = server.services.connectors
    assert isinstance(connector, Connects)
    (client,) = connector.clients
    http = Outbound()
    try:
        now = server.services.clock.now()
        return await redeem(http, connector, client, tokens.refresh_token, now=now)
    finally:
        await http.close()
