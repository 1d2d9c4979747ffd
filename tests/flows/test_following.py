"""Following what needs no consent: an address becomes a connection, is asked, and is left again."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from tidings.context import Context
from tidings.contracts import Account, Api, Asked, Connector, Follows, Http, Polled, Polls
from tidings.errors import Rejected
from tidings.event import Event
from tidings.hooks import Plugin, hookimpl
from tidings.testing import FakeClock, live_server

CONFIG = "plugins: {connectors: {tide: {}, page: {}, github: {}}, transports: {sse: {}}}\n"


class Tide(Follows, Polls):
    """A tide table: anybody may read it."""

    platform = "tide"
    display_name = "Tides"
    asks_for = "The name of a harbour"
    poll_every_seconds = 3600.0
    heights = [1]

    async def follow(self, address: str) -> Account:
        if address != "Hvide Sande":
            raise Rejected("There is no such harbour.", status=400)
        return Account(key="hvide-sande", name=address)

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        known = asked.checkpoint.get("known")
        fresh = [] if known is None else self.heights[known:]
        events = [
            Event(
                id=f"tide:{api.account_key}:{height}",
                type="org.example.tide",
                source="//tide",
                platform="tide",
                data={"title": f"{height} m"},
            )
            for height in fresh
        ]
        yield Polled(events=events, checkpoint={"known": len(self.heights)})


class TidePlugin(Plugin):
    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        return [Tide()]


class Page(Follows):
    """Whatever stands at an address that somebody types."""

    platform = "page"
    display_name = "Pages"
    asks_for = "An address"

    def __init__(self, http: Http) -> None:
        self.http = http

    async def follow(self, address: str) -> Account:
        answer = await self.http.send("GET", address)
        return Account(key=address, name=answer.body.decode())


class PagePlugin(Plugin):
    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        return [Page(context.internet)]


@pytest.fixture(autouse=True)
def tide(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path_factory.mktemp("site") / "tide-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tide\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tidings.connectors]\ntide = tide_plant:TidePlugin\npage = tide_plant:PagePlugin\n"
    )
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.setitem(sys.modules, "tide_plant", sys.modules[__name__])
    monkeypatch.setattr(Tide, "heights", [1])


async def test_an_address_is_followed_asked_and_left(tmp_path: Path) -> None:
    clock = FakeClock()
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        wish = {"platform": "tide", "address": " Hvide Sande "}
        made = await server.client.post("/api/connections", json=wish, headers=headers)
        assert (made.status_code, made.json()["account"]["name"]) == (201, "Hvide Sande")
        again = await server.client.post("/api/connections", json=wish, headers=headers)
        assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
        await clock.advance(60)
        Tide.heights.append(3)
        await clock.advance(4 * 3600)
        page = (await server.client.get("/api/events?types=org.example.*", headers=headers)).json()
        assert [one["data"]["title"] for one in page["events"]] == ["3 m"]
        path = f"/api/connections/{made.json()['id']}"
        shown = (await server.client.get(path, headers=headers)).json()
        assert (shown["strategy"], shown["grant"]["state"]) == ("polling", "ok")
        assert (await server.client.delete(path, headers=headers)).status_code == 202
        await clock.advance(60)
        assert (await server.client.get("/api/connections", headers=headers)).json()["connections"] == []


async def test_platforms_say_what_to_ask_people_for(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        token = await server.add_token(await server.add_user("ann"))
        shown = await server.client.get("/api/platforms", headers={"authorization": f"Bearer {token}"})
        tide, _, github = shown.json()["platforms"]
        assert tide["follow"] == "The name of a harbour"
        assert "connect" not in tide
        assert "follow" not in github


@pytest.mark.parametrize(
    ("wish", "scopes", "status", "said"),
    [
        ({"platform": "tide", "address": "Atlantis"}, ["read", "send"], 400, "no such harbour"),
        ({"platform": "github", "address": "octo"}, ["read", "send"], 409, "wants a consent"),
        ({"platform": "tide", "address": "Hvide Sande"}, ["read"], 403, "send"),
        ({"platform": "moon", "address": "x"}, ["read", "send"], 404, "No connector"),
        ({"platform": "tide"}, ["read", "send"], 400, "address"),
    ],
)
async def test_what_can_t_be_followed_is_refused(
    tmp_path: Path, wish: dict[str, str], scopes: list[str], status: int, said: str
) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        token = await server.add_token(await server.add_user("ann"), *scopes)
        answer = await server.client.post(
            "/api/connections", json=wish, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]["message"]


async def test_an_address_that_leads_into_this_network_is_not_asked(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        port = server.url.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254"):
            wish = {"platform": "page", "address": f"http://{host}:{port}/api/health"}
            answer = await server.client.post(
                "/api/connections", json=wish, headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 400, (host, answer.text)
            assert "not on the internet" in answer.json()["error"]["message"]
