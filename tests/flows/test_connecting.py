"""Connect once: consent, what can go wrong on the way, connecting again, and leaving."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from connecting import SANDBOX, Browser, browser, events, world
from tidings.schema import attempts, checkpoints, connections, grants, oauth_states
from tidings.testing.clock import FakeClock
from tidings.testing.server import live_server

SPOTIFY = SANDBOX.replace("github: {}, ", "")
OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"


async def test_a_click_and_a_consent_make_a_connection_that_brings_news(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        connection = await ann.connect("spotify", OTTILIE)
        path = f"/api/connections/{connection}"
        shown = await ann.until(path, lambda one: one["last_checked_at"] is not None)
        assert (shown["state"], shown["strategy"], shown["account"]["name"]) == (
            "connected",
            "polling",
            "Ottilie Otterbourne",
        )
        assert "Spotify sends no webhooks" in shown["strategy_reason"]
        assert shown["next_check_at"] is not None
        assert shown["grant"]["missing_scopes"] == []
        assert {attempt["kind"] for attempt in shown["attempts"]} >= {"monitor", "sync"}
        world(server).act("spotify", "play", OTTILIE)
        assert (await ann.send("POST", f"{path}/sync")).status_code == 202
        await ann.until("/api/events?types=com.spotify.*", lambda page: len(page["events"]) == 1)
        kinds = [event["type"] for event in await events(ann)]
        assert kinds == [
            "org.tidings.connection.connected",
            "org.tidings.connection.strategy_changed",
            "com.spotify.played",
        ]


async def test_the_way_there_has_pkce_a_state_and_the_exact_address_to_come_back_to(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        query = parse_qs(urlsplit(await ann.leave("spotify")).query)
        public_url = server.services.settings.server.public_url
        assert query["redirect_uri"] == [f"{public_url}/api/oauth/spotify/callback"]
        assert query["code_challenge_method"] == ["S256"]
        assert len(query["code_challenge"][0]) == 43
        assert len(query["state"][0]) >= 43


async def test_a_consent_survives_a_restart_on_the_way(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        begun, old_url, cookies = await ann.leave("spotify"), server.url, ann.client.cookies
    async with live_server(tmp_path, SPOTIFY) as server:
        for old, new in ((old_url, server.url), (quote(old_url, safe=""), quote(server.url, safe=""))):
            begun = begun.replace(old, new)  # the restarted server has another port here
        async with httpx.AsyncClient(
            base_url=server.url, cookies=cookies, trust_env=False, verify=False
        ) as client:
            answer = await client.get(await Browser(client, "").decide(begun, OTTILIE))
        assert answer.status_code == 303, answer.text


@pytest.mark.parametrize(
    "twist", ["another session", "used twice", "invented", "another platform", "too late"]
)
async def test_a_state_works_once_for_its_own_session_and_platform(tmp_path: Path, twist: str) -> None:
    config = SANDBOX
    async with (
        live_server(tmp_path, config) as server,
        browser(server, ann := await server.add_user("ann")) as first,
        browser(server, ann) as second,
    ):
        back = await first.decide(await first.leave("spotify"), OTTILIE)
        client = first.client
        if twist == "another session":
            client = second.client
        elif twist == "used twice":
            assert (await client.get(back)).status_code == 303
        elif twist == "invented":
            state = parse_qs(urlsplit(back).query)["state"][0]
            back = back.replace(state, "x" * len(state))
        elif twist == "another platform":
            back = back.replace("/spotify/", "/github/")
        else:
            await server.services.writer.run_unit(_age_states)
        answer = await client.get(back)
        assert answer.status_code == 400
        assert "Connect once more." in answer.text
        found = (await first.get("/api/connections"))["connections"]
        assert len(found) == (1 if twist == "used twice" else 0)


async def test_who_declines_is_told_so_in_words_and_nothing_is_kept(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        back = await ann.decide(await ann.leave("spotify"), OTTILIE, "deny")
        answer = await ann.client.get(back)
        assert answer.status_code == 400
        assert "You declined at Spotify. Nothing was connected, and nothing was changed." in answer.text
        assert (await ann.get("/api/connections"))["connections"] == []
        assert await events(ann) == []


async def test_the_same_account_again_keeps_its_id_and_is_one_connection(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        first = await ann.connect("spotify", OTTILIE)
        again = await ann.connect("spotify", OTTILIE)
        other = await ann.connect("spotify", BRAM)
        assert first == again != other
        found = (await ann.get("/api/connections"))["connections"]
        assert {one["id"] for one in found} == {first, other}


async def test_another_account_never_heals_a_connection(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        connection = await ann.connect("spotify", OTTILIE)
        answer = await ann.client.get(await ann.decide(await ann.leave("spotify", connection), BRAM))
        assert answer.status_code == 409
        assert "Bram Quillfeather" in answer.text
        assert "Ottilie Otterbourne was to be connected again" in answer.text
        (only,) = (await ann.get("/api/connections"))["connections"]
        assert only["account"]["name"] == "Ottilie Otterbourne"


async def test_nobody_sees_or_touches_anothers_connection(tmp_path: Path) -> None:
    async with (
        live_server(tmp_path, SPOTIFY) as server,
        browser(server, await server.add_user("ann")) as ann,
        browser(server, await server.add_user("bob")) as bob,
    ):
        connection = await ann.connect("spotify", OTTILIE)
        path = f"/api/connections/{connection}"
        assert (await bob.get("/api/connections"))["connections"] == []
        assert (await bob.client.get(path)).status_code == 404
        assert (await bob.send("POST", f"{path}/sync")).status_code == 404
        assert (await bob.send("PATCH", path, {"settings": {}})).status_code == 404
        assert (await bob.send("DELETE", path)).status_code == 404
        assert (await bob.client.get(f"/api/oauth/spotify/start?connection={connection}")).status_code == 404
        assert (await ann.get(path))["state"] == "connected"


async def test_a_token_cannot_consent_for_its_user(tmp_path: Path) -> None:
    async with live_server(tmp_path, SPOTIFY) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        answer = await server.client.get("/api/oauth/spotify/start", headers=headers)
        assert answer.status_code == 403
        assert (await server.client.get("/api/oauth/spotify/start")).status_code == 401


@pytest.mark.parametrize("events_go", [False, True])
async def test_disconnecting_takes_tokens_and_position_and_events_only_if_asked(
    tmp_path: Path, *, events_go: bool
) -> None:
    async with live_server(tmp_path, SPOTIFY) as server, browser(server, await server.add_user("ann")) as ann:
        connection = await ann.connect("spotify", OTTILIE)
        path = f"/api/connections/{connection}"
        await ann.until(path, lambda one: one["last_checked_at"] is not None)
        world(server).act("spotify", "play", OTTILIE)
        await ann.send("POST", f"{path}/sync")
        await ann.until("/api/events?types=com.spotify.*", lambda page: len(page["events"]) == 1)
        answer = await ann.send("DELETE", f"{path}?events={'delete' if events_go else 'keep'}")
        assert answer.status_code == 202
        await ann.until("/api/connections", lambda all_: all_["connections"] == [])
        kinds = [event["type"] for event in await events(ann)]
        assert kinds[-1] == "org.tidings.connection.disconnected"
        assert ("com.spotify.played" in kinds) is not events_go
        assert await server.services.database.read(_left) == (0, 0, 0, 0)
        again = await ann.connect("spotify", OTTILIE)
        assert again != connection


async def test_a_revoked_consent_is_told_once_and_healed_by_one_click(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        live_server(tmp_path, SPOTIFY, clock=clock) as server,
        browser(server, await server.add_user("ann")) as ann,
    ):
        connection = await ann.connect("spotify", OTTILIE)
        path = f"/api/connections/{connection}"
        await ann.until(path, lambda one: one["last_checked_at"] is not None, clock=clock)
        world(server).spotify.consents.revoke(person=OTTILIE)
        # Its access token lives on for up to an hour, as Spotify's do; then the refresh is refused.
        shown = await ann.until(
            path, lambda one: one["state"] == "needs_reauth", clock=clock, step_seconds=60
        )
        assert "invalid_grant" in shown["reason"]
        assert shown["next_check_at"] is None
        await clock.advance(3600)
        told = [one for one in await events(ann) if one["type"].endswith(".needs_reauth")]
        assert [one["data"]["reauthorize"] for one in told] == [
            f"/api/oauth/spotify/start?connection={connection}"
        ]
        assert (await ann.send("POST", f"{path}/sync")).status_code == 409
        assert await ann.connect("spotify", OTTILIE, connection) == connection
        healed = await ann.until(path, lambda one: one["next_check_at"] is not None, clock=clock)
        assert (healed["state"], healed["reason"]) == ("connected", "")


def _age_states(sql: Connection) -> None:
    sql.execute(update(oauth_states).values(expires_at=1))


def _left(sql: Connection) -> tuple[int, ...]:
    tables = (connections, grants, checkpoints, attempts)
    return tuple(sql.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
