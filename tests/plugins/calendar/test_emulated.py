"""The connector at the sandbox's Google Calendar."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from calendar_exchanges import EmulatedApi, asked, connector, polled
from tidings.contracts import Keys, Polled, WebhookRequest
from tidings.errors import Rejected
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings_sandbox.calendar import GoogleCalendar
from tidings_sandbox.calendar.life import KINDS
from tidings_sandbox.google import CLIENT_ID, GoogleAccounts
from tidings_sandbox.world import World

PUBLIC_URL = "http://127.0.0.1:8080"
BASE = f"{PUBLIC_URL}/sandbox/calendar"
CALLBACK = f"{PUBLIC_URL}/api/webhooks/calendar/w1"
SECRET = "the-secret"


class Receiver:
    """Takes what the sandbox sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, str]]] = []
        self.status = 200

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert body == b""
        self.sent.append((url, headers))
        return self.status

    def states(self) -> list[str]:
        return [headers["x-goog-resource-state"] for _, headers in self.sent]


class At:
    """Somebody's account at the emulated Google Calendar."""

    def __init__(self, world: World, clock: FakeClock, http: httpx.AsyncClient) -> None:
        self.world, self.clock = world, clock
        self.google = world.one(GoogleCalendar)
        self.person = next(iter(world.stage.people))
        self.desk = self.google.desk(self.person)
        self.primary = self.desk.sheets[self.person.google_email]
        options = GoogleCalendar.options(BASE, world.stage.seed, lively=False)
        self.of = connector(clock, **options)
        self.api = EmulatedApi(http, f"{BASE}/v3", "", self.person.google_sub)
        self.renew()
        self.checkpoint: Mapping[str, Any] = {}
        self.pieces: list[Polled] = []

    def renew(self) -> None:
        """Have a new token: Google's end after an hour."""
        consents = self.world.stage.part(GoogleAccounts).consents
        app = consents.app(CLIENT_ID)
        assert app is not None
        callback = f"{PUBLIC_URL}/api/oauth/calendar/callback"
        code = consents.take_code(
            consents.grant_code(
                app,
                self.person,
                self.of.oauth.scopes,
                callback,
                {"access_type": "offline", "prompt": "consent"},
            )
        )
        assert code is not None
        self.api.token = str(consents.open(code)["access_token"])

    def act(self, kind: str, **details: Any) -> str:
        """Make something happen; the id of the event that tells it."""
        return self.world.act("calendar", kind, self.person.key, **details).key

    async def pass_time(self, **span: float) -> None:
        await self.clock.advance(timedelta(**span).total_seconds())
        self.renew()

    async def poll(self, **given: Any) -> list[Event]:
        self.pieces = await polled(self.of, self.api, asked(self.checkpoint, at=self.clock.now(), **given))
        self.checkpoint = json.loads(json.dumps(self.pieces[-1].checkpoint))
        return [event for piece in self.pieces for event in piece.events]

    async def ids(self, **given: Any) -> list[str]:
        return [event.id for event in await self.poll(**given)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def world(clock: FakeClock, receiver: Receiver) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=2, send=receiver)


@pytest.fixture
async def at(world: World, clock: FakeClock) -> AsyncIterator[At]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app)) as http:
        yield At(world, clock, http)


async def test_the_first_look_tells_no_history(at: At) -> None:
    assert await at.ids() == []
    assert await at.ids() == []
    assert {*at.checkpoint["events"]} == {one.id for one in at.desk.own()}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_happens_is_told_once_by_the_id_that_was_recorded(at: At, kind: str) -> None:
    await at.poll()
    key = at.act(kind)
    await at.pass_time(hours=2)
    assert await at.ids() == [key]
    await at.pass_time(hours=2)
    assert await at.ids() == []


@pytest.mark.parametrize("is_forgetful", [False, True])
async def test_months_of_all_sorts_of_things_is_told_without_a_gap(at: At, *, is_forgetful: bool) -> None:
    await at.poll()
    found: list[str] = []
    for day in range(100):
        for kind in KINDS:
            at.act(kind)
            await at.pass_time(hours=4)
            if day % 3 == 0:
                found += await at.ids()
        if is_forgetful and day % 5 == 0:
            at.google.forget_tokens()
        found += await at.ids()
    assert sorted(found) == sorted(one.key for one in at.world.happenings(at.person.key, "calendar"))
    assert len(json.dumps(at.checkpoint)) < 60_000


async def test_dead_sync_tokens_cost_a_listing_and_nothing_else(at: At) -> None:
    await at.poll()
    at.google.forget_tokens()
    assert await at.ids() == []
    keys = {at.act(kind, calendar="primary") for kind in KINDS}
    at.google.forget_tokens()
    await at.pass_time(hours=2)
    assert {*await at.ids()} == keys
    assert await at.ids() == []


async def test_a_series_that_moves_is_one_piece_of_news(at: At) -> None:
    await at.poll()
    key = at.act("series_edited", calendar="primary", shifts=True)
    (event,) = await at.poll()
    assert (event.id, event.type) == (key, "com.google.calendar.event_changed")
    assert event.data["title"].startswith("Moved: ")


async def test_a_channel_greets_tells_and_is_replaced_without_a_gap(at: At, receiver: Receiver) -> None:
    await at.poll()
    target = next(one for one in await at.of.targets(at.api, {}) if one.name == at.person.google_email)
    first = await at.of.register(at.api, target, CALLBACK, SECRET)
    assert first.expires_at == at.clock.now() + timedelta(days=7)
    await at.world.settle()
    assert receiver.states() == ["sync"]
    key = at.act("event_created", calendar="primary")
    await at.world.settle()
    for url, headers in receiver.sent:
        request = WebhookRequest("POST", "/", "", headers, b"")
        at.of.verify(request, Keys((SECRET.encode(),)), at.clock.now())
        assert (url, at.of.parse(request).hint is not None) == (CALLBACK, True)
    assert await at.ids(hinted=[target.key]) == [key]
    await at.pass_time(days=4)
    second = await at.of.renew(at.api, target, CALLBACK, SECRET, first)
    assert at.api.calls[-2:] == [
        f"POST /calendars/{at.person.google_email.replace('@', '%40')}/events/watch",
        "POST /channels/stop",
    ]
    assert [one.id for one in at.google.channels] == [second.id]
    await at.pass_time(days=4)
    assert await at.of.check(at.api, second) == second
    with pytest.raises(Rejected):
        await at.of.check(at.api, first)
    await at.of.unregister(at.api, second)
    await at.of.unregister(at.api, second)  # gone already
    assert [*at.google.channels] == []


async def test_holidays_can_not_be_watched_and_are_not_by_default(at: At) -> None:
    names = {one.name for one in await at.of.targets(at.api, {})}
    assert names == {at.person.google_email, "Family"}
    names = {
        one.name
        for one in await at.of.targets(at.api, {"calendars": ["Archive", "Holidays in Germany", "x"]})
    }
    assert names == {"Archive", "x"}


async def test_a_calendar_that_is_deleted_is_dropped(at: At) -> None:
    await at.poll()
    family = at.desk.sheet("Family")
    assert family is not None
    at.desk.remove(family)
    assert await at.ids() == []
    assert {*at.checkpoint["events"]} == {at.person.google_email}


async def test_what_is_made_in_a_new_calendar_is_news(at: At) -> None:
    await at.poll()
    await at.pass_time(hours=1)
    at.desk.open("Trip")
    key = at.act("event_created", calendar="Trip", title="Ferry")
    await at.pass_time(hours=1)
    assert await at.ids() == [key]


async def test_an_event_that_starts_soon_is_said_so_once(at: At) -> None:
    await at.poll(remind_minutes=10)
    at.act("event_created", calendar="primary", title="Ferry", in_seconds=1800)
    await at.poll(remind_minutes=10)
    assert at.pieces[-1].next_in_seconds == pytest.approx(1200)
    await at.pass_time(minutes=20)
    (event,) = await at.poll(remind_minutes=10)
    assert (event.type, event.data["title"]) == ("com.google.calendar.event_starting", "In 10 minutes: Ferry")
    assert await at.ids(remind_minutes=10) == []
