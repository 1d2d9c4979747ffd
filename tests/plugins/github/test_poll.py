"""What is asked, when, and what becomes of the answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from github_exchanges import NOW, ScriptedApi, answer, asked, connector, polled, told
from tidings.contracts import Answer, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import encode_json, rfc3339
from tidings_github import feed

FEED = "GET /repos/octo/hello/events?per_page=100"
INBOX = "GET /notifications?all=true&per_page=50"
LISTING = "GET /user/repos?affiliation=owner,collaborator,organization_member&sort=full_name&per_page=100"
REPOSITORY = {"id": 1, "full_name": "octo/hello", "permissions": {"admin": True}}
ALL = frozenset(feed.KINDS)
HOUR = timedelta(hours=1)


def star(identity: int, at: datetime = NOW, repository: int = 1, name: str = "octo/hello") -> dict[str, Any]:
    return {
        "id": str(identity),
        "type": "WatchEvent",
        "actor": {"id": identity, "login": f"fan-{identity}"},
        "repo": {"id": repository, "name": name},
        "payload": {"action": "started"},
        "created_at": rfc3339(at),
    }


def forked(identity: int, at: datetime = NOW) -> dict[str, Any]:
    return {**star(identity, at), "type": "ForkEvent", "payload": {"forkee": {"id": identity}}}


def link(url: str) -> str:
    return f'<https://api.github.com{url}>; rel="next", <https://api.github.com/x>; rel="last"'


def api_with(**more: Any) -> ScriptedApi:
    return ScriptedApi({LISTING: answer([REPOSITORY]), INBOX: answer([]), FEED: answer([]), **more})


async def begun(api: ScriptedApi, at: datetime = NOW, **given: Any) -> Mapping[str, Any]:
    """The checkpoint after the first poll."""
    pieces = await polled(connector(), api, asked(at=at, **given))
    assert told(pieces) == []
    api.forget()
    return pieces[-1].checkpoint


def numbers(pieces: list[Polled]) -> list[int]:
    return [int(event.id.rpartition(":")[2]) for event in told(pieces)]


# --- the first poll, and the next ---


async def test_what_is_there_at_first_is_not_news_and_what_comes_is() -> None:
    api = api_with()
    api.say(FEED, answer([star(12), star(11)]), answer([star(14), star(13), star(12), star(11)]))
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert numbers(pieces) == [13, 14]
    assert [piece.target for piece in pieces if piece.events] == ["repo:1"]
    assert api.calls == [INBOX + "&since=2026-11-23T11:50:00Z", FEED]
    assert pieces[-1].next_in_seconds is None
    assert pieces[-1].gap == ""


async def test_a_feed_as_it_was_is_asked_for_with_its_tag_and_costs_nothing() -> None:
    api = api_with()
    api.say(FEED, answer([star(12)], etag='W/"abc"'), answer(b"", 304))
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert api.asked[-1].headers == {"if-none-match": 'W/"abc"'}
    assert len(pieces) == 1
    assert told(pieces) == []
    seen = pieces[-1].checkpoint["feeds"]["repo:1"]
    assert (seen["seen"], seen["tag"]) == ([12], 'W/"abc"')


async def test_what_comes_into_a_feed_late_is_told_too() -> None:
    api = api_with()
    api.say(FEED, answer([star(15), star(11)]), answer([star(16), star(15), star(13), star(11)]))
    checkpoint = await begun(api)
    assert numbers(await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))) == [13, 16]


async def test_pages_are_read_back_to_what_is_known() -> None:
    api = api_with()
    second, third = "/repositories/1/events?page=2", "/repositories/1/events?page=3"
    api.say(FEED, answer([star(100)]), answer([star(400 - n) for n in range(100)], link=link(second)))
    api.say(f"GET {second}", answer([star(300 - n) for n in range(100)], link=link(third)))
    api.say(f"GET {third}", answer([star(200), star(100)], link=link("/unwanted")))
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert numbers(pieces) == [200, *range(201, 401)]
    assert all(not piece.gap for piece in pieces)
    assert max(len(piece.events) for piece in pieces) == 25


async def test_news_is_committed_piece_by_piece_and_each_checkpoint_goes_on_where_it_ends() -> None:
    api = api_with()
    api.say(FEED, answer([star(1)]), answer([star(n) for n in range(60, 0, -1)]))
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    found = []
    for piece in pieces[:-1]:
        found += numbers([piece])
        again = await polled(connector(), api, asked(piece.checkpoint, at=NOW + 2 * HOUR))
        assert found + numbers(again) == list(range(2, 61))


async def test_a_window_that_was_overrun_is_a_gap() -> None:
    api = api_with()
    second, third = "/repositories/1/events?page=2", "/repositories/1/events?page=3"
    api.say(FEED, answer([star(5)]), answer([star(1000 - n) for n in range(100)], link=link(second)))
    api.say(f"GET {second}", answer([star(900 - n) for n in range(100)], link=link(third)))
    api.say(f"GET {third}", answer([star(800 - n) for n in range(100)]))
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert numbers(pieces) == list(range(701, 1001))
    (gap,) = [piece.gap for piece in pieces if piece.gap]
    assert pieces[0].gap == gap
    assert gap == (
        "More happened at octo/hello than the 300 events that GitHub shows: some before 2026-11-23 12:00 UTC may be "
        "missing."
    )


async def test_a_feed_that_age_has_emptied_is_no_gap() -> None:
    api = api_with()
    api.say(FEED, answer([star(5, NOW - 40 * 24 * HOUR)]), answer([star(7), star(6)]))
    checkpoint = await begun(api, at=NOW - 40 * 24 * HOUR)
    pieces = await polled(connector(), api, asked(checkpoint))
    assert numbers(pieces) == [6, 7]
    assert all(not piece.gap for piece in pieces)


async def test_an_empty_feed_is_a_position_too() -> None:
    api = api_with()
    api.say(FEED, answer([]), answer([]), answer([star(2, NOW + HOUR / 2), star(1, NOW - HOUR)]))
    checkpoint = await begun(api)
    second = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert numbers(await polled(connector(), api, asked(second[-1].checkpoint, at=NOW + 2 * HOUR))) == [2]


# --- how often ---


async def test_github_s_own_interval_is_obeyed() -> None:
    api = api_with()
    api.say(FEED, answer([star(1)], x_poll_interval="7200"))
    api.say(INBOX, answer([], x_poll_interval="90"))
    pieces = await polled(connector(), api, asked(every_seconds=30.0))
    assert pieces[-1].next_in_seconds == 7200
    api.forget()
    pieces = await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + timedelta(seconds=60)))
    assert api.calls == []
    pieces = await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + timedelta(seconds=100)))
    assert [call.partition("&since")[0] for call in api.calls] == [INBOX]
    api.forget()
    await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + timedelta(seconds=7200)))
    assert FEED in api.calls


async def test_many_feeds_are_asked_for_in_turns() -> None:
    repositories = [
        {"id": n, "full_name": f"octo/r{n}", "permissions": {"admin": True}} for n in range(1, 71)
    ]
    api = api_with(**{LISTING: answer(repositories)})
    for n in range(1, 71):
        api.say(
            f"GET /repos/octo/r{n}/events?per_page=100", answer([star(n, repository=n, name=f"octo/r{n}")])
        )
    checkpoint: Mapping[str, Any] = {}
    for round_ in range(2):
        seen: list[str] = []
        for run in range(3):
            at = NOW + round_ * HOUR + timedelta(seconds=5 * run)
            api.forget()
            pieces = await polled(connector(), api, asked(checkpoint, at=at))
            checkpoint = pieces[-1].checkpoint
            feeds = [call for call in api.calls if "/events" in call]
            assert len(feeds) == (10 if run == 2 else 30)
            assert pieces[-1].next_in_seconds == (None if run == 2 else 5.0)
            seen += feeds
        assert len(set(seen)) == 70
        assert told(pieces) == []


async def test_one_feed_that_fails_keeps_no_other_from_its_turn() -> None:
    repositories = [{"id": n, "full_name": f"octo/r{n}", "permissions": {"admin": True}} for n in (1, 2, 3)]
    api = api_with(**{LISTING: answer(repositories)})
    for n in (1, 3):
        api.say(f"GET /repos/octo/r{n}/events?per_page=100", answer([star(n, repository=n)]))
    api.say("GET /repos/octo/r2/events?per_page=100", answer(b"<html>", 500))
    pieces = await polled(connector(), api, asked())
    assert len([call for call in api.calls if "/events" in call]) == 3
    feeds = pieces[-1].checkpoint["feeds"]
    assert (feeds["repo:1"]["seen"], feeds["repo:3"]["seen"], "seen" in feeds["repo:2"]) == ([1], [3], False)


async def test_where_all_feeds_fail_the_poll_fails() -> None:
    api = api_with(**{FEED: answer(b"<html>", 502)})
    with pytest.raises(Unavailable):
        await polled(connector(), api, asked())


async def test_a_limit_ends_the_poll_at_once_and_what_was_reached_stays() -> None:
    repositories = [{"id": n, "full_name": f"octo/r{n}", "permissions": {"admin": True}} for n in (1, 2, 3)]
    api = api_with(**{LISTING: answer(repositories)})
    api.say("GET /repos/octo/r1/events?per_page=100", answer([star(1)]))
    api.say("GET /repos/octo/r2/events?per_page=100", answer({"message": "slow down"}, 403, retry_after="77"))
    pieces: list[Polled] = []
    with pytest.raises(Unavailable) as failed:
        async for piece in connector().poll(api, asked()):
            pieces += [piece]  # one by one: those before the failure count
    assert failed.value.retry_after_seconds == 77
    assert len([call for call in api.calls if "/events" in call]) == 2
    api.forget()
    api.say("GET /repos/octo/r2/events?per_page=100", answer([star(2)]))
    api.say("GET /repos/octo/r3/events?per_page=100", answer([star(3)]))
    await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + timedelta(seconds=80)))
    assert [call for call in api.calls if "/events" in call] == [
        "GET /repos/octo/r2/events?per_page=100",
        "GET /repos/octo/r3/events?per_page=100",
    ]


async def test_a_dead_token_ends_the_poll() -> None:
    with pytest.raises(AuthExpired):
        await polled(connector(), api_with(**{FEED: answer({}, 401)}), asked())


@pytest.mark.parametrize("status", [403, 404, 410, 451])
async def test_a_feed_that_is_refused_is_left_alone_for_a_day(status: int) -> None:
    api = api_with(**{FEED: answer({"message": "no"}, status)})
    checkpoint = await begun(api)
    await polled(connector(), api, asked(checkpoint, at=NOW + 23 * HOUR))
    assert FEED not in api.calls
    await polled(connector(), api, asked(checkpoint, at=NOW + 25 * HOUR))
    assert FEED in api.calls


# --- under push ---


async def left(
    api: ScriptedApi, checkpoint: Mapping[str, Any], at: datetime, **given: Any
) -> Mapping[str, Any]:
    """The checkpoint once a webhook was there for long enough that all from before it has come."""
    for moment in (at, at + 7 * HOUR):
        checkpoint = (await polled(connector(), api, asked(checkpoint, at=moment, **given)))[-1].checkpoint
    api.forget()
    return checkpoint


async def test_where_a_webhook_says_all_there_is_no_request_for_the_feed() -> None:
    api = api_with(**{FEED: answer([star(1)])})
    pushed = {"repo:1": ALL}
    checkpoint = await left(api, await begun(api), NOW + HOUR, pushed=pushed)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + 14 * HOUR, pushed=pushed))
    assert [call.partition("&since")[0] for call in api.calls if "/user/repos" not in call] == [INBOX]
    assert told(pieces) == []


async def test_what_happened_before_its_webhook_and_came_late_is_told_and_no_fault_of_the_webhook() -> None:
    api = api_with(**{FEED: answer([star(1)])})
    checkpoint = await begun(api)
    pushed = {"repo:1": ALL}
    made = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR, pushed=pushed))
    assert told(made) == []
    api.say(FEED, answer([star(3, NOW + 2 * HOUR), star(2, NOW + HOUR / 2), star(1)]))
    pieces = await polled(connector(), api, asked(made[-1].checkpoint, at=NOW + 7 * HOUR, pushed=pushed))
    assert numbers(pieces) == [2]
    assert {piece.target for piece in pieces} == {""}
    api.forget()
    await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + 14 * HOUR, pushed=pushed))
    assert FEED not in api.calls


async def test_a_feed_that_could_not_be_read_since_its_webhook_was_made_is_not_left_alone() -> None:
    api = api_with(**{FEED: [answer([star(1)]), answer(b"<html>", 500)]})
    other = {"id": 2, "full_name": "octo/other", "permissions": {"admin": True}}
    api.say(LISTING, answer([REPOSITORY, other]))
    api.say("GET /repos/octo/other/events?per_page=100", answer([]))
    pushed = {"repo:1": ALL}
    checkpoint = await left(api, await begun(api), NOW + HOUR, pushed=pushed)
    await polled(connector(), api, asked(checkpoint, at=NOW + 14 * HOUR, pushed=pushed))
    assert FEED in api.calls


async def test_a_webhook_of_the_organisation_covers_its_repositories() -> None:
    api = api_with(
        **{"GET /orgs/octo": answer({"id": 5, "login": "octo"}), "GET /user": answer({"login": "me"})}
    )
    api.say("GET /users/me/events/orgs/octo?per_page=100", answer([]))
    given = {"pushed": {"org:5": ALL}, "organizations": ["octo"]}
    checkpoint = await left(api, {}, NOW, **given)
    await polled(connector(), api, asked(checkpoint, at=NOW + 14 * HOUR, **given))
    assert not [call for call in api.calls if "/events" in call]


async def test_only_what_the_webhook_lacks_is_told() -> None:
    api = api_with(**{FEED: answer([star(1)])})
    pushed = {"repo:1": ALL - {"fork"}}
    checkpoint = await left(api, await begun(api), NOW + HOUR, pushed=pushed)
    api.say(FEED, answer([forked(3, NOW + 9 * HOUR), star(2, NOW + 9 * HOUR), star(1)]))
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + 14 * HOUR, pushed=pushed))
    assert [event.type for event in told(pieces)] == ["com.github.fork"]


@pytest.mark.parametrize("lacking", [set(), {"fork"}])
async def test_when_a_webhook_falls_silent_the_feed_is_read_from_a_day_before(lacking: set[str]) -> None:
    start = NOW - 60 * HOUR
    api = api_with(**{FEED: answer([star(1, start)])})
    pushed = {"repo:1": ALL - lacking}
    checkpoint = await left(api, await begun(api, at=start), start + HOUR, pushed=pushed)
    shown = [star(4, NOW - HOUR), star(3, NOW - 20 * HOUR), star(2, NOW - 30 * HOUR), star(1, start)]
    api.say(FEED, answer(shown))
    pieces = await polled(connector(), api, asked(checkpoint, pushed=pushed))
    assert told(pieces) == []
    pieces = await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + HOUR))
    assert numbers(pieces) == [3, 4]  # what was lost may be among them; what was not is known to core


async def test_what_happened_before_the_account_was_watched_is_no_news_when_its_first_webhook_dies() -> None:
    api = api_with()
    pushed = {"repo:1": ALL}
    checkpoint = await left(api, await begun(api, pushed=pushed), NOW + HOUR, pushed=pushed)
    api.say(FEED, answer([star(3, NOW + 9 * HOUR), star(2, NOW - HOUR), star(1, NOW - 2 * HOUR)]))
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + 10 * HOUR))
    assert numbers(pieces) == [3]


async def test_notifications_keep_their_cadence_when_feeds_are_asked_rarely() -> None:
    api = api_with()
    pieces = await polled(connector(), api, asked(every_seconds=86_400.0, pushed={"repo:1": ALL}))
    assert pieces[-1].next_in_seconds == 6 * 3600


# --- what is watched ---


async def test_targets_are_listed_again_after_hours_or_when_the_choice_changes() -> None:
    api = api_with(**{"GET /repos/octo/hello": answer(REPOSITORY)})
    checkpoint = await begun(api)
    await polled(connector(), api, asked(checkpoint, at=NOW + 5 * HOUR))
    assert LISTING not in api.calls
    await polled(connector(), api, asked(checkpoint, at=NOW + 6 * HOUR))
    assert LISTING in api.calls
    api.forget()
    await polled(connector(), api, asked(checkpoint, at=NOW + HOUR, repositories=["octo/hello"]))
    assert "GET /repos/octo/hello" in api.calls


async def test_while_webhooks_watch_all_targets_they_are_hardly_listed() -> None:
    api = api_with()
    checkpoint = await begun(api)
    covered, days = {"repo:1": ALL}, 24 * HOUR
    await polled(connector(), api, asked(checkpoint, at=NOW + 6 * days, pushed=covered))
    assert LISTING not in api.calls
    await polled(connector(), api, asked(checkpoint, at=NOW + 6 * days, pushed={"repo:2": ALL}))
    assert api.calls.count(LISTING) == 1
    await polled(connector(), api, asked(checkpoint, at=NOW + 7 * days, pushed=covered))
    assert api.calls.count(LISTING) == 2


async def test_a_repository_made_since_is_watched_from_its_beginning() -> None:
    api = api_with(**{FEED: answer([star(1)])})
    checkpoint = await begun(api)
    made = {"id": 2, "full_name": "octo/made", "permissions": {"admin": True}}
    api.say(LISTING, answer([REPOSITORY, made]))
    api.say(
        "GET /repos/octo/made/events?per_page=100",
        answer([star(9, NOW + HOUR, repository=2), star(8, NOW - HOUR, repository=2)]),
    )
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + 6 * HOUR))
    assert numbers(pieces) == [9]


async def test_the_feed_of_an_organisation_shows_its_members_more_and_strangers_what_is_public() -> None:
    api = api_with(
        **{"GET /orgs/octo": answer({"id": 5, "login": "octo"}), "GET /user": answer({"login": "me"})}
    )
    inside, outside = "GET /users/me/events/orgs/octo?per_page=100", "GET /orgs/octo/events?per_page=100"
    api.say(inside, answer({}, 404))
    api.say(outside, answer([star(1)]), answer([star(2), star(1)]))
    checkpoint = await begun(api, repositories=[], organizations=["octo"])
    pieces = await polled(
        connector(), api, asked(checkpoint, at=NOW + HOUR, repositories=[], organizations=["octo"])
    )
    assert numbers(pieces) == [2]
    assert inside not in api.calls


async def test_names_that_are_none_are_never_put_into_an_address() -> None:
    api = ScriptedApi({INBOX: answer([])})
    odd = ["../user", "a/../b", "octo/..", "octo", "octo/a?b", "octo/a b", "", 7]
    of = connector()
    found = await of.targets(api, {"repositories": odd, "organizations": ["..", "a/b", ""]})
    assert api.calls == []
    assert all(target.key.startswith("name:") for target in found)


async def test_targets_are_those_of_which_the_account_is_an_admin() -> None:
    second = "/user/repos?page=2"
    others = [
        {"id": 2, "full_name": "octo/read", "permissions": {"admin": False}},
        {"id": 3, "full_name": "octo/old", "permissions": {"admin": True}, "archived": True},
        {"id": "4", "full_name": "octo/odd", "permissions": {"admin": True}},
        {"id": 5, "full_name": "octo/../x", "permissions": {"admin": True}},
    ]
    last = {"id": 6, "full_name": "octo/last", "permissions": {"admin": True}}
    api = ScriptedApi(
        {LISTING: answer([REPOSITORY, *others], link=link(second)), f"GET {second}": answer([last])}
    )
    targets = await connector().targets(api, {})
    assert [(target.key, target.name) for target in targets] == [
        ("repo:1", "octo/hello"),
        ("repo:6", "octo/last"),
    ]


async def test_what_is_chosen_by_name_is_known_by_id() -> None:
    api = ScriptedApi(
        {
            "GET /repos/octo/hello": answer({"id": 1, "full_name": "octo/renamed"}),
            "GET /repos/octo/secret": answer({}, 404),
            "GET /orgs/octo": answer({"id": 5, "login": "octo"}),
        }
    )
    chosen = {"repositories": ["octo/hello", "octo/secret"], "organizations": ["octo"]}
    targets = await connector().targets(api, chosen)
    assert [(target.key, target.name) for target in targets] == [
        ("repo:1", "octo/renamed"),
        ("name:octo/secret", "octo/secret"),
        ("org:5", "octo"),
    ]


# --- notifications ---


def thread(identity: int, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "id": str(identity),
        "unread": True,
        "reason": "review_requested",
        "updated_at": rfc3339(at),
        "subject": {
            "title": "Teach the octopus to juggle",
            "type": "PullRequest",
            "url": "https://api.github.com/repos/octo/hello/pulls/12",
        },
        "repository": {"id": 1, "full_name": "octo/hello", "html_url": "https://github.com/octo/hello"},
        **more,
    }


async def test_a_notification_is_told_once_for_each_update_of_its_thread() -> None:
    api = api_with()
    api.say(INBOX, answer([thread(7, NOW - HOUR)], last_modified="Mon, 23 Nov 2026 11:00:00 GMT"))
    checkpoint = await begun(api)
    api.say(INBOX, answer([thread(8, NOW + HOUR / 2), thread(7, NOW - HOUR)]))
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    (event,) = told(pieces)
    assert event.id == "github:notification:583231:8:2026-11-23T12:30:00Z"
    assert event.type == "com.github.notification"
    assert event.source == "//github.com/octo/hello"
    assert event.data["title"] == "Your review was requested in octo/hello: Teach the octopus to juggle"
    assert event.data["url"] == "https://github.com/octo/hello/pull/12"
    assert api.asked[0].headers == {"if-modified-since": "Mon, 23 Nov 2026 11:00:00 GMT"}
    assert "&since=2026-11-23T10:50:00Z" in api.calls[0]
    api.say(INBOX, answer([thread(8, NOW + HOUR), thread(7, NOW - HOUR)]))
    again = await polled(connector(), api, asked(pieces[-1].checkpoint, at=NOW + 2 * HOUR))
    assert [one.id for one in told(again)] == ["github:notification:583231:8:2026-11-23T13:00:00Z"]


async def test_notifications_of_all_pages_are_read() -> None:
    api = api_with()
    checkpoint = await begun(api)
    api.say(INBOX, answer([thread(9, NOW + HOUR)], link=link("/notifications?page=2")))
    api.say("GET /notifications?page=2", answer([thread(8, NOW + HOUR / 2)]))
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR))
    assert [event.subject for event in told(pieces)] == ["notifications/8", "notifications/9"]


@pytest.mark.parametrize("status", [403, 404])
async def test_who_gets_no_notifications_is_asked_again_the_next_day(status: int) -> None:
    api = api_with(**{INBOX: answer({"message": "Resource not accessible"}, status)})
    checkpoint = await begun(api)
    pieces = await polled(connector(), api, asked(checkpoint, at=NOW + HOUR, every_seconds=86_400.0))
    assert INBOX not in api.calls
    assert pieces[-1].next_in_seconds is None
    api.say(INBOX, answer([]))
    await polled(connector(), api, asked(checkpoint, at=NOW + 25 * HOUR))
    assert INBOX in api.calls


@pytest.mark.parametrize(
    ("subject", "page"),
    [
        ({"type": "Issue", "url": "https://api.github.com/repos/octo/hello/issues/7"}, "/issues/7"),
        (
            {"type": "Commit", "url": "https://api.github.com/repos/octo/hello/commits/7a8ebcc2"},
            "/commit/7a8ebcc2",
        ),
        ({"type": "Release", "url": "https://api.github.com/repos/octo/hello/releases/5"}, "/releases"),
        ({"type": "Discussion", "url": None}, "/discussions"),
        ({"type": "CheckSuite", "url": None}, "/actions"),
        ({"type": "Novelty", "url": "javascript:alert(1)"}, ""),
    ],
)
async def test_a_notification_leads_to_its_page(subject: dict[str, Any], page: str) -> None:
    api = api_with()
    checkpoint = await begun(api)
    api.say(INBOX, answer([thread(8, NOW + HOUR, subject={"title": "x", **subject})]))
    (event,) = told(await polled(connector(), api, asked(checkpoint, at=NOW + HOUR)))
    assert event.data["url"] == f"https://github.com/octo/hello{page}"


# --- cost ---


async def test_a_feed_as_it_was_costs_little_time() -> None:
    count = 30
    repositories = [
        {"id": n, "full_name": f"octo/r{n}", "permissions": {"admin": True}} for n in range(count)
    ]
    api = api_with(**{LISTING: answer(repositories), INBOX: answer([])})
    for n in range(count):
        first = answer([star(100 - m, repository=n) for m in range(100)], etag=f'"{n}"', x_poll_interval="60")
        same = Answer(304, {"x-poll-interval": "60", "etag": f'"{n}"'}, b"")
        api.say(f"GET /repos/octo/r{n}/events?per_page=100", first, same)
    checkpoint = await begun(api)
    of, best = connector(), float("inf")
    for n in range(1, 6):
        given = asked(checkpoint, at=NOW + n * HOUR)
        started = time.process_time()
        pieces = await polled(of, api, given)
        best = min(best, (time.process_time() - started) / count)
        checkpoint = pieces[-1].checkpoint
    assert best < 300e-6, f"{best * 1e6:.0f} µs for each feed"
    assert len(encode_json(checkpoint)) < 40_000


async def test_a_refusal_that_is_no_matter_of_sight_is_passed_on() -> None:
    api = api_with(**{LISTING: answer({"message": "gone wrong"}, 422)})
    with pytest.raises(Rejected):
        await polled(connector(), api, asked())
