"""A platform with a hub that asks back, keys that it publishes, and a queue to fetch from; on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection as Sql

from distributions import Site
from tidings.connections import save_connection
from tidings.contracts import Account, Pulled, WebhookRequest
from tidings.errors import Rejected, Unavailable
from tidings.event import OLDEST
from tidings.hints import read_hints
from tidings.registrations import add_registration
from tidings.testing.server import LiveServer, live_server
from tidings.upstreams import ACTIVE, find_platform_registration, note_removing

SOURCE = """
import asyncio
import json
from tidings.contracts import (
    Greeted, Greets, Hint, Keys, Parsed, Pulls, Receives, Reply
)
from tidings.errors import Rejected, UnknownKey
from tidings.event import Event

class Hub(Connector, Receives, Greets, Pulls):
    platform = "hub"
    display_name = "Hub"
    shared_keys = Keys((b"shared",))
    pulls = True

    def __init__(self, keys_url):
        self.jwks_url = keys_url
        self.queue = asyncio.Queue()
        self.acknowledged = []

    def verify(self, request, keys, now):
        named = [key["kid"] for key in keys.jwks["keys"]]
        if request.headers.get("x-key") not in named:
            raise UnknownKey("The key is not among those published.")

    def parse(self, request):
        said = json.loads(request.body)
        if "broken" in said:
            raise Rejected("It can't be read.", status=400)
        event = Event(id=f"hub:{said['n']}", type="com.hub", source="//hub", platform="hub", data={})
        return Parsed([event], f"d{said['n']}", "thing", ("box:1",), "", Hint(("inbox",)), Reply(204))

    def sample(self, keys, now, serial):
        raise Rejected("There is none.")

    def greet(self, request, target, *, is_wanted):
        if request.query.startswith("no"):
            raise Rejected("Nobody asked for that.", status=404)
        if request.query.startswith("denied"):
            return Greeted(Reply(200), problem="The hub says no.")
        return Greeted(Reply(200, f"{target} {is_wanted}".encode()), 3600.0)

    async def pull(self, now):
        found = await self.queue.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def acknowledge(self, receipts):
        self.acknowledged += receipts

class Mute(Connector):
    platform = "mute"
    display_name = "Mute"

class HubPlugin(Plugin):
    @hookimpl
    def tidings_connectors(self, context):
        return [Hub(f"{context.public_url}/keys.json"), Mute()]

    @hookimpl
    def tidings_extras(self, context):
        return [Published()]

class Published(Extra):
    kids = ["first"]

    def routes(self):
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        async def keys(request):
            return JSONResponse({"keys": [{"kid": kid} for kid in self.kids]})
        return [Route("/keys.json", keys)]
"""
CONFIG = """
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors: {hub: {}}
  transports: {}
  bus: {local: {}}
"""


class Place:
    """A server with that platform, and an account there."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.hub, _ = server.services.connectors
        self.queue: asyncio.Queue[Any] = self.hub.queue  # type: ignore[attr-defined]  # of the plugin above
        self.acknowledged: list[str] = self.hub.acknowledged  # type: ignore[attr-defined]  # the same

    async def connect(self) -> None:
        self.user = await self.server.add_user("anna")
        services = self.server.services
        now = services.clock.now()

        def work(sql: Sql) -> tuple[str, str]:
            account = Account("1", "anna", addresses=("box:1",))
            connection_id, _ = save_connection(
                sql, user_id=self.user.id, platform="hub", grant_id="grt", account=account, now=now
            )
            registration_id, _ = add_registration(
                sql,
                services.vault,
                user_id=self.user.id,
                platform="hub",
                connection_id=connection_id,
                target="feed:7",
                now=now,
            )
            return connection_id, registration_id

        self.connection_id, self.registration_id = await services.writer.run_unit(work)

    async def ids(self) -> list[str]:
        page = await self.server.services.journal.read(self.user.id, OLDEST, limit=100)
        return [entry.id for entry in page.entries]

    async def ask(self, question: str, ref: str = "") -> tuple[int, str]:
        answer = await self.server.client.get(f"/api/webhooks/hub/{ref or self.registration_id}?{question}")
        return answer.status_code, answer.text

    async def state(self) -> tuple[str, str, float | None]:
        services = self.server.services

        def look(sql: Sql) -> tuple[str, str, float | None]:
            row = find_platform_registration(sql, "hub", self.registration_id)
            assert row is not None
            begun, ends = row.renewed_at, row.expires_at
            lease = (ends - begun) / timedelta(seconds=1) if begun is not None and ends is not None else None
            return row.state, row.problem, lease

        return await services.database.read(look)


def pulled(receipt: str, **said: Any) -> Pulled:
    return Pulled(WebhookRequest("POST", "/", "", {}, json.dumps(said).encode()), receipt)


async def true_soon(question: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Other tasks get their turn until it is; a test that hangs says where."""
    while True:
        answer = question()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    Site(folder).install(SOURCE, name="hub", target="HubPlugin")
    async with live_server(tmp_path, CONFIG) as server:
        place = Place(server)
        await place.connect()
        yield place
        place.queue.put_nowait([])


async def test_a_platform_that_asks_back_is_told_what_is_wanted_and_grants_a_lease(place: Place) -> None:
    assert await place.ask("yes") == (200, "feed:7 True")
    assert await place.state() == (ACTIVE, "", 3600.0)
    assert await place.ask("no") == (404, (await place.server.client.get("/api/webhooks/hub/x?no")).text)
    assert (await place.state())[0] == ACTIVE
    assert await place.ask("yes", "whkaaaaaaaaaaaaaaaaaaaaaaaa") == (200, "None False")
    assert (await place.ask("denied"))[0] == 200
    assert (await place.state())[:2] == ("failed", "The hub says no.")


async def test_what_is_being_removed_is_not_wanted_and_stays_removed(place: Place) -> None:
    services = place.server.services
    await services.writer.run_unit(lambda sql: note_removing(sql, place.registration_id))
    assert await place.ask("yes") == (200, "feed:7 False")
    assert (await place.state())[0] == "removing"


async def test_a_platform_that_asks_nothing_is_told_so(place: Place) -> None:
    answer = await place.server.client.get("/api/webhooks/mute/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await place.server.client.get("/api/webhooks/nobody/x")).status_code == 404


async def test_a_delivery_is_verified_with_keys_that_the_platform_published_since(place: Place) -> None:
    async def send(kid: str, number: int) -> int:
        answer = await place.server.client.post(
            "/api/webhooks/hub", json={"n": number}, headers={"x-key": kid}
        )
        return answer.status_code

    assert await send("first", 1) == 204
    assert await send("second", 2) == 401
    services = place.server.services
    assert await place.ids() == ["hub:1"]
    hints = await services.database.read(lambda sql: read_hints(sql, place.user.id, place.connection_id))
    assert hints == {"inbox": 1}


async def test_what_is_fetched_is_on_disk_before_it_is_acknowledged(place: Place) -> None:
    place.queue.put_nowait([pulled("a", n=1), pulled("b", n=2), pulled("c", broken=True)])
    await true_soon(lambda: len(place.acknowledged) == 3)
    assert await place.ids() == ["hub:1", "hub:2"]
    place.queue.put_nowait([pulled("d", n=2), pulled("e", n=3)])  # given out twice
    await true_soon(lambda: len(place.acknowledged) == 5)
    assert await place.ids() == ["hub:1", "hub:2", "hub:3"]


@pytest.mark.parametrize("error", [Unavailable("The queue is away."), Rejected("No such queue.", status=404)])
async def test_a_queue_that_can_not_be_fetched_from_is_shown(place: Place, error: Exception) -> None:
    place.queue.put_nowait(error)
    health = place.server.services.health

    def is_shown() -> bool:
        return any(name == "pull/hub" and str(error) in str(said) for name, said in health.report().items())

    await true_soon(is_shown)
