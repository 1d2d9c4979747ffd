"""What is asked of Google, and in which order; where it goes on from; what an odd answer does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from calendar_exchanges import (
    LIST,
    NOW,
    ScriptedApi,
    answer,
    asked,
    connector,
    later,
    polled,
    refused,
    told,
)
from tidings.contracts import Polled
from tidings.errors import AuthExpired, Rejected, Unavailable

ME = "ada@example.org"
TEAM = "team@group.calendar.google.com"
MINE = f"/calendars/{ME.replace('@', '%40')}/events"
TEAMS = f"/calendars/{TEAM.replace('@', '%40')}/events"
GONE = refused(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")


def calendar(identity: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "summary": identity, "selected": True, "accessRole": "owner", **more}


def listed(*calendars: Mapping[str, Any], token: str = "list1", page: str = "") -> Any:
    more = {"nextPageToken": page} if page else {"nextSyncToken": token}
    return answer({"items": [*calendars], **more})


def events(*items: Mapping[str, Any], token: str = "t2", page: str = "") -> Any:
    return listed(*items, token=token, page=page)


def event(identity: str, *, hours: float = 48, at: Any = NOW, etag: str = "1", **more: Any) -> dict[str, Any]:
    start = later(hours=hours).isoformat()
    return {
        "id": identity,
        "etag": f'"{etag}"',
        "status": "confirmed",
        "summary": identity.title(),
        "created": at.isoformat(),
        "updated": at.isoformat(),
        "start": {"dateTime": start},
        "end": {"dateTime": start},
        **more,
    }


def old(identity: str, **more: Any) -> dict[str, Any]:
    return event(identity, **{"at": later(days=-9), **more})


class Account:
    """An account that has been looked at before, an hour ago: one calendar of its own, and one of a team."""

    def __init__(self) -> None:
        self.of = connector()
        self.api = ScriptedApi()
        self.checkpoint: Mapping[str, Any] = {}
        self.pieces: list[Polled] = []

    async def begin(self, *mine: Mapping[str, Any], team: Any = ()) -> None:
        self.say(LIST, listed(calendar(ME, primary=True), calendar(TEAM)))
        self.say(MINE, events(*mine, token="mine1"))
        self.say(TEAMS, events(*team, token="team1"))
        assert await self.poll(at=later(hours=-1)) == []
        self.say(LIST, listed())
        self.say(MINE, events())
        self.say(TEAMS, events())

    def say(self, path: str, *said: Any) -> None:
        self.api.say(f"GET {path}", *said)

    async def poll(self, **given: Any) -> list[str]:
        self.api.asked.clear()
        self.pieces = await polled(self.of, self.api, asked(self.checkpoint, **given))
        self.checkpoint = json.loads(json.dumps(self.pieces[-1].checkpoint))
        return [one.id.removeprefix("calendar:") for one in told(self.pieces)]

    def params(self, path: str, number: int = 0) -> Mapping[str, str]:
        return [each.params for each in self.api.asked if each.path == path][number]


@pytest.fixture
async def ada() -> Account:
    account = Account()
    await account.begin(old("lunch"))
    return account


async def test_everything_is_listed_once_and_only_what_is_new_from_then_on() -> None:
    account = Account()
    await account.begin(old("lunch"))
    assert account.api.calls == [f"GET {LIST}", f"GET {MINE}", f"GET {TEAMS}"]
    assert account.params(MINE) == {
        "singleEvents": "true",
        "showDeleted": "true",
        "maxResults": "2500",
        "timeMin": "2026-10-23T11:00:00Z",
    }
    await account.poll()
    assert account.params(LIST) == {"maxResults": "250", "syncToken": "list1"}
    assert account.params(MINE) == {
        "singleEvents": "true",
        "showDeleted": "true",
        "maxResults": "2500",
        "syncToken": "mine1",
    }
    await account.poll()
    assert account.params(MINE)["syncToken"] == "t2"


async def test_a_list_is_read_to_its_last_page(ada: Account) -> None:
    ada.say(MINE, events(event("a"), page="p2"), events(event("b"), page="p3"), events(event("c")))
    assert await ada.poll() == [f"{ME}:{one}:created" for one in "abc"]
    assert [ada.params(MINE, page).get("pageToken") for page in range(3)] == [None, "p2", "p3"]
    assert [ada.params(MINE, page)["syncToken"] for page in range(3)] == ["mine1"] * 3
    assert len([piece for piece in ada.pieces if piece.events]) == 1


async def test_a_failure_between_two_pages_loses_nothing(ada: Account) -> None:
    ada.say(MINE, events(event("a"), page="p2"), Unavailable("down"))
    with pytest.raises(Unavailable):
        await ada.poll()
    ada.say(MINE, events(event("a"), event("b")))
    assert await ada.poll() == [f"{ME}:a:created", f"{ME}:b:created"]
    assert ada.params(MINE)["syncToken"] == "mine1"


async def test_many_events_come_in_pieces_and_the_position_with_the_last(ada: Account) -> None:
    ada.say(MINE, events(*(event(f"e{number}") for number in range(250))))
    assert len(await ada.poll()) == 250
    tokens = [piece.checkpoint["events"][ME]["token"] for piece in ada.pieces if piece.events]
    assert tokens == ["mine1", "mine1", "t2"]


async def test_a_calendar_is_the_target_of_its_news(ada: Account) -> None:
    ada.say(MINE, events(event("a")))
    ada.say(TEAMS, events(event("b")))
    await ada.poll()
    assert [piece.target for piece in ada.pieces if piece.events] == [f"calendar:{ME}", f"calendar:{TEAM}"]


async def test_only_what_was_named_is_looked_at(ada: Account) -> None:
    ada.say(TEAMS, events(event("b")))
    assert await ada.poll(hinted={f"calendar:{TEAM}"}) == [f"{TEAM}:b:created"]
    assert ada.api.calls == [f"GET {TEAMS}"]
    assert [piece.target for piece in ada.pieces] == [f"calendar:{TEAM}", ""]
    assert ada.pieces[-1].next_in_seconds == pytest.approx(3600)  # for the others, an hour of two being over


@pytest.mark.parametrize("given", [{"hinted": {""}}, {"hinted": {f"calendar:{TEAM}"}, "is_urgent": True}])
async def test_everything_is_looked_at_where_that_is_wanted(ada: Account, given: Any) -> None:
    await ada.poll(**given)
    assert ada.api.calls == [f"GET {LIST}", f"GET {MINE}", f"GET {TEAMS}"]
    assert ada.pieces[-1].next_in_seconds is None


async def test_what_is_due_is_looked_at_beside_what_was_named(ada: Account) -> None:
    await ada.poll(hinted={f"calendar:{TEAM}"})
    await ada.poll(hinted={f"calendar:{TEAM}"}, at=later(hours=1.5))
    assert ada.api.calls == [f"GET {LIST}", f"GET {MINE}", f"GET {TEAMS}"]


async def test_a_notification_of_a_calendar_unknown_so_far_has_the_list_read(ada: Account) -> None:
    trip = "trip@group.calendar.google.com"
    ada.say(LIST, listed(calendar(trip), token="list2"))
    path = f"/calendars/{trip.replace('@', '%40')}/events"
    ada.say(path, events(event("ferry", at=later(minutes=-30)), old("plan")))
    assert await ada.poll(hinted={f"calendar:{trip}"}) == [f"{trip}:ferry:created"]
    assert ada.api.calls == [f"GET {LIST}", f"GET {path}"]


async def test_a_notification_of_a_calendar_that_nobody_wants_is_passed_over(ada: Account) -> None:
    assert await ada.poll(hinted={"calendar:gone@example.org", "name:nothing", "odd"}) == []
    assert ada.api.calls == [f"GET {LIST}"]


async def test_a_dead_token_has_everything_compared_and_what_was_deleted_told() -> None:
    account = Account()
    gone, past = old("gone"), old("past", hours=-31 * 24 + 2)
    moved = old("moved")
    await account.begin(old("stays"), gone, past, moved)
    account.say(
        MINE,
        GONE,
        events(old("stays"), old("moved", hours=72, etag="2"), event("new"), old("shared", etag="3")),
    )
    assert await account.poll() == [
        f"{ME}:moved:changed:2",
        f"{ME}:new:created",
        f"{ME}:shared:created:3",
        f"{ME}:gone:cancelled:1",
    ]
    assert "syncToken" in account.params(MINE)
    assert account.params(MINE, 1)["timeMin"] == "2026-10-23T12:00:00Z"
    account.say(MINE, events())
    assert await account.poll() == []


async def test_a_token_that_dies_between_two_pages_is_dead_too(ada: Account) -> None:
    ada.say(MINE, events(event("a"), page="p2"), GONE, events(old("lunch"), event("a"), event("b")))
    assert await ada.poll() == [f"{ME}:a:created", f"{ME}:b:created"]


async def test_a_dead_token_of_the_list_has_the_list_read_anew(ada: Account) -> None:
    ada.say(LIST, GONE, listed(calendar(ME, primary=True), token="list2"))
    assert await ada.poll() == []
    assert {*ada.checkpoint["events"]} == {ME}


async def test_everything_is_listed_anew_before_what_is_known_of_the_future_runs_out(ada: Account) -> None:
    await ada.poll(at=later(days=180))
    assert "syncToken" in ada.params(MINE)
    ada.say(MINE, events(old("christmas", hours=24 * 390)))
    assert await ada.poll(at=later(days=190)) == []
    assert "syncToken" not in ada.params(MINE)
    ada.say(MINE, events(old("christmas", hours=24 * 391, etag="2", updated=later(days=191).isoformat())))
    assert await ada.poll(at=later(days=191)) == [f"{ME}:christmas:changed:2"]


async def test_a_calendar_that_is_gone_is_left_alone_for_a_day(ada: Account) -> None:
    ada.say(TEAMS, refused(404, "notFound"))
    ada.say(MINE, events(event("a")))
    assert await ada.poll() == [f"{ME}:a:created"]
    ada.say(MINE, events())
    await ada.poll(at=later(hours=1))
    assert ada.api.calls == [f"GET {LIST}", f"GET {MINE}"]
    ada.say(TEAMS, events(old("history")))
    assert await ada.poll(at=later(hours=25)) == []
    assert f"GET {TEAMS}" in ada.api.calls


async def test_one_calendar_that_fails_holds_up_none_of_the_others(ada: Account) -> None:
    ada.say(MINE, Unavailable("down"))
    ada.say(TEAMS, events(event("b")))
    found: list[Polled] = []
    with pytest.raises(Unavailable):
        async for piece in ada.of.poll(ada.api, asked(ada.checkpoint)):
            found.append(piece)  # noqa: PERF401 - what came before the failure is wanted
    assert [one.id for one in told(found)] == [f"calendar:{TEAM}:b:created"]
    states = found[-1].checkpoint["events"]
    assert (states[ME]["token"], states[TEAM]["token"]) == ("mine1", "t2")


async def test_a_limit_ends_the_run(ada: Account) -> None:
    ada.say(MINE, refused(403, "userRateLimitExceeded"))
    with pytest.raises(Unavailable) as caught:
        await ada.poll()
    assert caught.value.retry_after_seconds == 30
    assert f"GET {TEAMS}" not in ada.api.calls


async def test_a_consent_without_the_right_to_read_events_is_no_calendar_gone(ada: Account) -> None:
    for path in (MINE, TEAMS):
        ada.say(path, refused(403, "insufficientPermissions"))
    with pytest.raises(Rejected) as caught:
        await ada.poll()
    assert caught.value.status == 403


async def test_a_dead_consent_is_said_to_be(ada: Account) -> None:
    ada.say(LIST, AuthExpired("dead"))
    with pytest.raises(AuthExpired):
        await ada.poll()


@pytest.mark.parametrize(
    "said",
    [
        answer(b"<html>"),
        answer([]),
        answer({"items": []}),
        answer({"items": [], "nextSyncToken": 7}),
        answer({"items": [], "nextSyncToken": "x" * 5000}),
    ],
)
async def test_what_is_no_list_is_asked_for_again(ada: Account, said: Any) -> None:
    ada.say(MINE, said)
    with pytest.raises(Unavailable):
        await ada.poll()


async def test_a_list_without_an_end_is_given_up(ada: Account) -> None:
    ada.say(MINE, events(page="again"))
    await ada.poll()
    assert len(ada.api.calls) == 202
    assert ada.checkpoint["events"][ME]["token"] == "mine1"


async def test_a_checkpoint_of_another_version_begins_anew(ada: Account) -> None:
    ada.checkpoint = {"list": [], "events": {ME: 3, TEAM: {"known": [], "token": 5}}, "reminded": "x"}
    ada.say(LIST, listed(calendar(ME, primary=True), calendar(TEAM)))
    ada.say(MINE, events(old("lunch")))
    assert await ada.poll() == []
    assert ada.params(MINE)["timeMin"]


# --- the choice of calendars --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [ME, "ticked"]),
        ({"calendars": "selected"}, [ME, "ticked"]),
        ({"calendars": "nonsense"}, [ME, "ticked"]),
        ({"calendars": ["Unticked", "HOLIDAYS"]}, ["unticked", "en.xx#holiday@group.v.calendar.google.com"]),
        ({"calendars": [TEAM, 7, " ", "ticked"]}, ["ticked"]),
        ({"calendars": []}, []),
    ],
)
async def test_those_are_watched_that_were_chosen(settings: Any, expected: list[str]) -> None:
    account = Account()
    account.say(
        LIST,
        listed(
            calendar(ME, primary=True, selected=False),
            calendar("ticked"),
            page="p2",
        ),
        listed(
            calendar("unticked", selected=False),
            calendar("hidden", hidden=True),
            calendar("busy", accessRole="freeBusyReader"),
            calendar(
                "en.xx#holiday@group.v.calendar.google.com", summaryOverride="Holidays", accessRole="reader"
            ),
            calendar("gone", deleted=True),
            {"summary": "without an id", "selected": True},
            calendar("x" * 300),
        ),
    )
    for identity in (ME, "ticked", "unticked", "en.xx#holiday@group.v.calendar.google.com"):
        account.say(f"/calendars/{identity.replace('@', '%40').replace('#', '%23')}/events", events())
    await account.poll(**settings)
    assert [*account.checkpoint["events"]] == expected


# --- what starts soon ---------------------------------------------------------------------------------------------


def starting(identity: str = "lunch", **more: Any) -> dict[str, Any]:
    return old(identity, **{"hours": 0.5, **more})


async def reminding(*mine: Mapping[str, Any]) -> Account:
    account = Account()
    await account.begin(*mine)
    for one in mine:
        account.say(f"{MINE}/{one['id']}", answer(one))
    return account


async def test_nothing_is_said_to_start_unless_that_is_wanted() -> None:
    account = await reminding(starting())
    assert await account.poll() == []
    assert await account.poll(remind_minutes=0) == []
    assert account.pieces[-1].next_in_seconds is None


async def test_an_event_is_said_to_start_at_the_right_time_and_once() -> None:
    account = await reminding(starting(), starting("later", hours=1))
    assert await account.poll(remind_minutes=10) == []
    assert account.pieces[-1].next_in_seconds == 1200
    assert await account.poll(remind_minutes=10, at=later(minutes=20)) == [
        f"{ME}:lunch:starting:20261123T123000Z"
    ]
    assert account.pieces[-1].next_in_seconds == 1800
    (said,) = told(account.pieces)
    assert (said.time, said.data["title"]) == (later(minutes=20), "In 10 minutes: Lunch")
    assert await account.poll(remind_minutes=10, at=later(minutes=21)) == []
    assert await account.poll(remind_minutes=10, at=later(minutes=50)) == [
        f"{ME}:later:starting:20261123T130000Z"
    ]
    await account.poll(remind_minutes=10, at=later(hours=3))
    assert "reminded" not in account.checkpoint


@pytest.mark.parametrize(
    "now",
    [
        refused(404, "notFound"),
        answer({**starting(), "status": "cancelled"}),
        answer(starting(hours=5)),
        answer(starting(attendees=[{"email": ME, "self": True, "responseStatus": "declined"}])),
        answer([]),
    ],
)
async def test_what_was_called_off_a_moment_ago_is_not_said_to_start(now: Any) -> None:
    account = await reminding(starting())
    account.say(f"{MINE}/lunch", now)
    assert await account.poll(remind_minutes=45) == []


async def test_a_whole_day_does_not_start_at_midnight() -> None:
    day = starting(start={"date": "2026-11-24"}, end={"date": "2026-11-25"})
    account = await reminding(day)
    assert await account.poll(remind_minutes=24 * 60) == []


async def test_what_began_while_the_server_was_down_is_said_no_more() -> None:
    account = await reminding(starting())
    assert await account.poll(remind_minutes=10, at=later(minutes=31)) == []


@pytest.mark.parametrize("minutes", [-5, True, "10", None, float("nan"), [], 0.0])
async def test_an_odd_wish_is_no_wish(minutes: Any) -> None:
    account = await reminding(starting(hours=0.01))
    assert await account.poll(remind_minutes=minutes) == []
