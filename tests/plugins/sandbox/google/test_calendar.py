"""The emulated Google Calendar: lists, sync tokens, channels and refusals as the API has them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tidings.testing.clock import FakeClock
from tidings_sandbox.calendar import GoogleCalendar
from tidings_sandbox.google import CLIENT_ID, SCOPE, GoogleAccounts
from tidings_sandbox.people import Person
from tidings_sandbox.world import World

URL = "http://127.0.0.1:8080"
CALLBACK = f"{URL}/api/webhooks/calendar/w1"
READ = {"singleEvents": "true", "showDeleted": "true"}
EVENTS = f"{SCOPE}calendar.events.readonly"
LIST = f"{SCOPE}calendar.calendarlist.readonly"


@dataclasses.dataclass
class Place:
    """The emulated calendar, and somebody's token."""

    world: World
    clock: FakeClock
    http: httpx.AsyncClient
    statuses: list[int] = dataclasses.field(default_factory=list)
    sent: list[Mapping[str, str]] = dataclasses.field(default_factory=list)
    token: str = ""

    @property
    def google(self) -> GoogleCalendar:
        return self.world.one(GoogleCalendar)

    @property
    def person(self) -> Person:
        return next(iter(self.world.stage.people))

    def consent(self, *scopes: str, person: Person | None = None) -> str:
        consents = self.world.stage.part(GoogleAccounts).consents
        app = consents.app(CLIENT_ID)
        assert app is not None
        back = f"{URL}/api/oauth/calendar/callback"
        code = consents.take_code(consents.grant_code(app, person or self.person, scopes, back))
        assert code is not None
        return str(consents.open(code)["access_token"])

    async def get(self, path: str, **params: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self.http.get(f"/sandbox/calendar/v3{path}", params=params, headers=headers)

    async def events(self, **params: str) -> Any:
        answer = await self.get("/calendars/primary/events", **READ, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Mapping[str, Any], bearer: str = "") -> httpx.Response:
        headers = {"authorization": f"Bearer {bearer or self.token}"}
        return await self.http.post(f"/sandbox/calendar/v3{path}", json=body, headers=headers)

    async def watch(self, calendar: str = "primary", **body: Any) -> httpx.Response:
        wanted = {"id": "channel-1", "type": "web_hook", "address": CALLBACK, "token": "t", **body}
        return await self.post(f"/calendars/{calendar}/events/watch", wanted)

    def act(self, kind: str, **details: Any) -> str:
        return self.world.act("calendar", kind, self.person.key, **{"calendar": "primary", **details}).key


@pytest.fixture
async def place(clock: FakeClock) -> AsyncIterator[Place]:
    found: list[Place] = []

    async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert (url, body) == (CALLBACK, b"")
        found[0].sent.append(headers)
        return found[0].statuses.pop(0) if found[0].statuses else 200

    world = World(clock, seed=7, public_url=URL, people=2, send=send)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url=URL) as http:
        found.append(Place(world, clock, http))
        found[0].token = found[0].consent(EVENTS, LIST)
        yield found[0]


def reason(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['error']['errors'][0]['reason']}"


async def test_the_list_of_calendars_says_what_has_changed_since(place: Place) -> None:
    first = (await place.get("/users/me/calendarList")).json()
    assert {one["summary"] for one in first["items"]} == {
        place.person.google_email,
        "Family",
        "Holidays in Germany",
        "Archive",
    }
    assert [one["id"] for one in first["items"] if one.get("primary")] == [place.person.google_email]
    family = place.google.desk(place.person).sheet("Family")
    assert family is not None
    place.google.desk(place.person).remove(family)
    second = (await place.get("/users/me/calendarList", syncToken=first["nextSyncToken"])).json()
    assert [(one["id"], one["deleted"]) for one in second["items"]] == [(family.id, True)]
    assert (await place.get(f"/calendars/{family.id}/events", **READ)).status_code == 404


async def test_events_come_in_pages_and_the_last_has_a_sync_token(place: Place) -> None:
    whole = await place.events(maxResults="2500")
    found, page = [], await place.events(maxResults="7")
    while "nextPageToken" in page:
        assert "nextSyncToken" not in page
        found += page["items"]
        page = await place.events(maxResults="7", pageToken=page["nextPageToken"])
    assert [*found, *page["items"]] == whole["items"]
    assert page["nextSyncToken"] == whole["nextSyncToken"]


async def test_a_sync_token_brings_what_has_changed_and_deletions_with_little_more_than_an_id(
    place: Place,
) -> None:
    token = (await place.events(maxResults="2500"))["nextSyncToken"]
    created = place.act("event_created", title="Ferry").split(":")[2]
    cancelled = place.act("event_cancelled").split(":")[2]
    page = await place.events(syncToken=token)
    by_id = {one["id"]: one for one in page["items"]}
    assert by_id.keys() == {created, cancelled}
    assert by_id[created]["summary"] == "Ferry"
    assert {*by_id[cancelled]} <= {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}
    again = await place.events(syncToken=page["nextSyncToken"])
    assert again["items"] == []
    whole = await place.events(maxResults="2500")
    assert cancelled not in {one["id"] for one in whole["items"]}


async def test_what_changes_between_two_pages_is_in_the_next_list_at_the_latest(place: Place) -> None:
    first = await place.events(maxResults="5")
    key = place.act("event_moved", event=first["items"][0]["id"])
    page, last = first, None
    while "nextPageToken" in page:
        page = last = await place.events(maxResults="5", pageToken=page["nextPageToken"])
    assert last is not None
    after = await place.events(syncToken=last["nextSyncToken"])
    assert key.split(":")[2] in {one["id"] for one in after["items"]}


async def test_one_edit_of_a_series_changes_all_of_its_dates(place: Place) -> None:
    token = (await place.events(maxResults="2500"))["nextSyncToken"]
    place.act("series_edited")
    page = await place.events(syncToken=token, maxResults="2500")
    assert len(page["items"]) == 20
    assert (
        len({one["etag"] for one in page["items"]})
        == len({one["recurringEventId"] for one in page["items"]})
        == 1
    )


async def test_a_token_that_was_forgotten_is_gone(place: Place) -> None:
    token = (await place.events(maxResults="2500"))["nextSyncToken"]
    place.google.forget_tokens()
    answer = await place.get("/calendars/primary/events", **READ, syncToken=token)
    assert reason(answer) == "410 fullSyncRequired"


@pytest.mark.parametrize(
    "params",
    [
        {"syncToken": "rubbish"},
        {"syncToken": "{token}", "timeMin": "2026-01-01T00:00:00Z"},
        {"syncToken": "{token}", "showDeleted": "false"},
        {"pageToken": "rubbish"},
        {"maxResults": "many"},
        {"maxResults": "0"},
        {"singleEvents": "false"},
    ],
)
async def test_what_does_not_belong_together_is_refused(place: Place, params: dict[str, str]) -> None:
    token = (await place.events(maxResults="2500"))["nextSyncToken"]
    given = {**READ, **{name: value.replace("{token}", token) for name, value in params.items()}}
    assert reason(await place.get("/calendars/primary/events", **given)) == "400 invalidParameter"


async def test_a_list_may_begin_at_an_instant(place: Place) -> None:
    later = place.clock.now().replace(year=2027).isoformat()
    assert (await place.events(timeMin=later))["items"] == []
    assert (await place.events(timeMax=place.clock.now().isoformat()))["items"] == []


async def test_a_single_event_can_be_read(place: Place) -> None:
    identity = place.act("event_created", title="Ferry").split(":")[2]
    assert (await place.get(f"/calendars/primary/events/{identity}")).json()["summary"] == "Ferry"
    assert reason(await place.get("/calendars/primary/events/none")) == "404 notFound"
    assert reason(await place.get("/calendars/nobody/events", **READ)) == "404 notFound"
    assert reason(await place.get("/colors")) == "404 notFound"


async def test_who_may_what(place: Place) -> None:
    place.token = place.consent(EVENTS)
    assert reason(await place.get("/users/me/calendarList")) == "403 insufficientPermissions"
    place.token = place.consent(LIST)
    assert reason(await place.get("/calendars/primary/events", **READ)) == "403 insufficientPermissions"
    place.token = "none"
    assert reason(await place.get("/users/me/calendarList")) == "401 authError"


async def test_a_minute_takes_six_hundred_requests(place: Place) -> None:
    place.google.units.limit = 3
    answers = [await place.get("/users/me/calendarList") for _ in range(40)]
    assert {reason(one) for one in answers[3:]} == {"403 userRateLimitExceeded", "429 rateLimitExceeded"}
    await place.clock.advance(61)
    assert (await place.get("/users/me/calendarList")).status_code == 200


# --- channels -----------------------------------------------------------------------------------------------------


async def test_a_channel_greets_and_tells_with_numbers_that_grow(place: Place) -> None:
    answer = await place.watch(expiration=int(place.clock.now().timestamp() * 1000) + 3_600_000)
    made = answer.json()
    assert (answer.status_code, made["kind"], made["id"], made["token"]) == (
        200,
        "api#channel",
        "channel-1",
        "t",
    )
    await place.world.settle()
    (greeting,) = place.sent
    assert greeting["x-goog-resource-state"] == "sync"
    assert greeting["x-goog-message-number"] == "1"
    assert greeting["x-goog-resource-id"] == made["resourceId"]
    assert greeting["x-goog-channel-expiration"] == "Thu, 01 Jan 2026 13:00:00 GMT"
    for _ in range(5):
        place.act("event_created")
    place.act("event_created", calendar="Family")  # which nobody watches
    await place.world.settle()
    numbers = [int(headers["x-goog-message-number"]) for headers in place.sent]
    assert len(numbers) >= 6
    assert numbers == sorted(set(numbers))
    assert {headers["x-goog-resource-state"] for headers in place.sent[1:]} == {"exists"}
    assert {headers["x-goog-channel-token"] for headers in place.sent} == {"t"}


async def test_a_channel_ends_without_a_word(place: Place) -> None:
    await place.watch(expiration=str(int(place.clock.now().timestamp() * 1000) + 3_600_000))
    await place.world.settle()
    await place.clock.advance(3600)
    place.act("event_created")
    await place.world.settle()
    assert len(place.sent) == 1


@pytest.mark.parametrize("expiration", [None, "soon", 10**13])
async def test_a_channel_lives_a_week_at_most(place: Place, expiration: Any) -> None:
    made = (await place.watch(expiration=expiration)).json()
    assert int(made["expiration"]) / 1000 - place.clock.now().timestamp() == 7 * 86_400


async def test_only_its_own_person_stops_a_channel(place: Place) -> None:
    made = (await place.watch()).json()
    stop = {"id": made["id"], "resourceId": made["resourceId"]}
    other = place.consent(EVENTS, person=[*place.world.stage.people][1])
    assert (await place.post("/channels/stop", stop, other)).status_code == 404
    assert (await place.post("/channels/stop", {**stop, "resourceId": "x"})).status_code == 404
    assert (await place.post("/channels/stop", stop)).status_code == 204
    assert (await place.post("/channels/stop", stop)).status_code == 404
    assert reason(await place.watch()) == "400 channelIdNotUnique"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": ""}, "400 invalid"),
        ({"id": "two words"}, "400 invalid"),
        ({"type": "email"}, "400 channelTypeInvalid"),
        ({"address": "http://elsewhere.example/x"}, "400 webhookUrlNotHttps"),
        ({"token": "x" * 257}, "400 invalid"),
        ({"calendar": "nobody"}, "404 notFound"),
        (
            {"calendar": "en.german%23holiday@group.v.calendar.google.com"},
            "400 pushNotSupportedForRequestedResource",
        ),
    ],
)
async def test_a_channel_that_can_not_be_is_refused(place: Place, body: Any, expected: str) -> None:
    assert reason(await place.watch(**body)) == expected


async def test_what_is_answered_with_a_503_is_sent_again_with_the_same_number(place: Place) -> None:
    place.statuses = [503, 502, 200]
    await place.watch()
    for _ in range(3):
        await place.world.settle()
        await place.clock.advance(120)
    assert [headers["x-goog-message-number"] for headers in place.sent] == ["1", "1", "1"]


async def test_what_is_answered_with_a_404_is_lost(place: Place) -> None:
    place.statuses = [404]
    await place.watch()
    await place.world.settle()
    await place.clock.advance(3600)
    await place.world.settle()
    assert len(place.sent) == 1


async def test_a_channel_is_shown_and_can_be_made_to_die(place: Place) -> None:
    await place.watch()
    await place.world.settle()
    (shown,) = place.google.hooks()
    assert (shown["owner"], shown["target"], shown["last_status"]) == (
        place.person.key,
        place.person.google_email,
        200,
    )
    with pytest.raises(LookupError):
        place.google.change_hook(shown["id"], "disable")
    place.google.change_hook(shown["id"], "delete")
    assert place.google.hooks() == []
    with pytest.raises(LookupError):
        place.google.change_hook(shown["id"], "delete")


# --- what happens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "details", "message"),
    [
        ("holiday", {}, "knows no 'holiday'"),
        ("event_moved", {"calendar": "Nowhere"}, "no calendar 'Nowhere'"),
        ("event_moved", {"event": "none"}, "no event 'none'"),
        ("event_created", {"in_seconds": "soon"}, "in_seconds"),
    ],
)
async def test_what_is_not_there_is_said(place: Place, kind: str, details: Any, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        place.act(kind, **details)


async def test_what_happens_by_chance_happens_to_what_was_left_alone_for_days(place: Place) -> None:
    """Else two changes between two looks would be one to who looks."""
    kinds = ("event_moved", "event_cancelled", "answered")
    keys = [place.act(kind) for kind in kinds for _ in range(10)]
    named = [key.split(":")[2] for key in keys]
    assert len(named) == len(set(named))


async def test_a_world_says_whose_calendars_there_are(place: Place) -> None:
    place.act("event_created")
    assert place.google.describe()["calendars"][place.person.key][1] == "Family"
