from __future__ import annotations

from typing import Any

import pytest

from emulated_github import API, Caller, Connect
from tidings.testing.clock import FakeClock
from tidings_sandbox.github import GitHub
from tidings_sandbox.github.events import KEPT, MOST, Feed, FeedItem
from tidings_sandbox.world import World

LATE = 120


async def feed(caller: Caller, path: str) -> list[dict[str, Any]]:
    answer = await caller("GET", path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_feeds_show_what_happened_late_and_newest_first(
    caller: Caller, world: World, clock: FakeClock
) -> None:
    path = f"/repos/{caller.login}/garden/events"
    for kind in ("push", "issue_opened", "star"):
        world.act("github", kind, caller.login, repository=f"{caller.login}/garden")
        await clock.advance(1)
    assert await feed(caller, path) == []
    await clock.advance(LATE)
    shown = await feed(caller, path)
    assert [each["type"] for each in shown] == ["WatchEvent", "IssuesEvent", "PushEvent"]
    ids = [int(each["id"]) for each in shown]
    assert ids == sorted(ids, reverse=True)
    assert shown[0]["created_at"] == "2026-01-01T12:00:02Z"
    assert shown[0]["repo"]["name"] == f"{caller.login}/garden"


async def test_payloads_are_trimmed(caller: Caller, world: World, clock: FakeClock) -> None:
    where = f"{caller.login}/garden"
    world.act("github", "push", caller.login, repository=where)
    world.act("github", "pull_request_opened", caller.login, repository=where)
    world.act("github", "pull_request_merged", caller.login, repository=where)
    await clock.advance(LATE)
    merged, _, opened, push = [each["payload"] for each in await feed(caller, f"/repos/{where}/events")]
    assert set(push) == {"repository_id", "push_id", "ref", "head", "before"}
    assert set(opened["pull_request"]) == {"url", "id", "number", "head", "base"}
    assert (opened["action"], merged["action"]) == ("opened", "merged")
    whole = await caller("GET", merged["pull_request"]["url"].removeprefix(API))
    assert (whole.json()["merged"], whole.json()["closed_at"]) == (True, "2026-01-01T12:00:00Z")
    assert whole.json()["merged_by"]["login"] == caller.login


@pytest.mark.parametrize("path", ["/repos/{}/garden/events", "/users/{}/events"])
async def test_an_unchanged_feed_is_304_and_costs_nothing(
    caller: Caller, world: World, clock: FakeClock, path: str
) -> None:
    path = path.format(caller.login)
    where = f"{caller.login}/garden"
    world.act("github", "push", caller.login, repository=where)
    await clock.advance(LATE)
    first = await caller("GET", path)
    tag = first.headers["etag"]
    again = await caller("GET", path, if_none_match=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["x-poll-interval"] == "60"
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    assert (
        await caller("GET", path, if_none_match=tag.strip('W/"'))
    ).status_code == 200  # without its quotes
    world.act("github", "push", caller.login, repository=where)
    await clock.advance(LATE)
    assert (await caller("GET", path, if_none_match=tag)).status_code == 200


async def test_a_feed_comes_in_pages(caller: Caller, world: World, clock: FakeClock) -> None:
    for _ in range(5):
        world.act("github", "star", caller.login, repository=f"{caller.login}/garden")
    await clock.advance(LATE)
    path = f"/repos/{caller.login}/garden/events?per_page=2"
    found: list[str] = []
    while path:
        answer = await caller("GET", path)
        found += [each["id"] for each in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix(API)
    assert len(found) == len(set(found)) == 5


async def test_what_is_private_is_shown_to_those_who_may_see_it(
    connect: Connect, world: World, clock: FakeClock
) -> None:
    owner, stranger = await connect(3), await connect(4)
    world.act("github", "push", owner.login, repository=f"{owner.login}/almanac")
    world.act("github", "push", owner.login, repository=f"{owner.login}/garden")
    await clock.advance(LATE)
    assert [each["public"] for each in await feed(owner, f"/users/{owner.login}/events")] == [True, False]
    assert [each["public"] for each in await feed(stranger, f"/users/{owner.login}/events")] == [True]
    assert len(await feed(owner, f"/users/{owner.login}/events/public")) == 1
    assert (await stranger("GET", f"/repos/{owner.login}/almanac/events")).status_code == 404


async def test_what_others_did_around_a_person_is_received(
    connect: Connect, world: World, clock: FakeClock
) -> None:
    caller = await connect(3)
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    world.act("github", "star", caller.login, repository=f"{caller.login}/garden")
    await clock.advance(LATE)
    assert [each["type"] for each in await feed(caller, f"/users/{caller.login}/received_events")] == [
        "WatchEvent"
    ]
    assert [each["type"] for each in await feed(caller, f"/users/{caller.login}/events")] == ["PushEvent"]


async def test_an_organisations_feed_is_public_and_its_members_one_is_not(
    connect: Connect, world: World, clock: FakeClock, github: GitHub
) -> None:
    member, outsider = await connect(2), await connect(5)
    organization = github.site.accounts.get("lantern-works")
    assert organization is not None
    github.site.add_repository(organization, "cellar", "Dark", private=True)
    person = github.stage.people.get(member.login)
    assert person is not None
    for name in ("cellar", "lighthouse"):
        github.act("push", person, {"repository": f"lantern-works/{name}"})
    await clock.advance(LATE)
    assert len(await feed(outsider, "/orgs/lantern-works/events")) == 1
    path = f"/users/{member.login}/events/orgs/lantern-works"
    shown = await feed(member, path)
    assert [each["org"]["login"] for each in shown] == ["lantern-works"] * 2
    assert (await outsider("GET", path)).status_code == 404


def test_a_feed_holds_300_events_of_30_days(clock: FakeClock) -> None:
    feed = Feed()
    start = clock.now()
    for number in range(1000):
        at = start + number * KEPT / 1000
        feed.add(FeedItem(number, at, at, public=True, body=b"{}"))
    shown = feed.shown(start + KEPT)
    assert (len(shown), shown[0].id, shown[-1].id) == (MOST, 999, 700)
    assert [item.id for item in feed.shown(start + KEPT + KEPT * 0.99)] == list(range(999, 989, -1))
    assert feed.shown(start + 3 * KEPT) == []


# --- notifications ---


async def test_what_others_do_is_notified_in_one_thread_for_each_subject(
    caller: Caller, world: World, clock: FakeClock
) -> None:
    where = f"{caller.login}/garden"
    world.act("github", "push", caller.login, repository=where)
    world.act("github", "issue_opened", caller.login, repository=where)
    await clock.advance(60)
    world.act("github", "pull_request_opened", caller.login, repository=where)
    world.act("github", "issue_closed", caller.login, repository=where)  # by the owner: no news to the owner
    (pull, issue) = (await caller("GET", "/notifications")).json()
    assert (pull["subject"]["type"], issue["subject"]["type"]) == ("PullRequest", "Issue")
    assert (issue["unread"], issue["reason"], issue["updated_at"]) == (
        True,
        "subscribed",
        "2026-01-01T12:00:00Z",
    )
    assert issue["repository"]["full_name"] == where
    assert (await caller("GET", issue["subject"]["url"].removeprefix(API))).json()["number"] == 1


async def test_a_comment_moves_its_thread_to_the_front(
    caller: Caller, world: World, clock: FakeClock
) -> None:
    where = f"{caller.login}/garden"
    world.act("github", "issue_opened", caller.login, repository=where)
    world.act("github", "pull_request_opened", caller.login, repository=where)
    old = (await caller("GET", "/notifications")).json()
    await clock.advance(90)
    world.act("github", "issue_commented", caller.login, repository=where, number=1)
    new = (await caller("GET", "/notifications")).json()
    assert [each["id"] for each in new] == [each["id"] for each in old][::-1]
    assert new[0]["updated_at"] == "2026-01-01T12:01:30Z"
    assert new[0]["subject"]["latest_comment_url"] != new[0]["subject"]["url"]


async def test_unchanged_notifications_are_304(caller: Caller, world: World, clock: FakeClock) -> None:
    where = f"{caller.login}/garden"
    world.act("github", "issue_opened", caller.login, repository=where)
    first = await caller("GET", "/notifications")
    since = first.headers["last-modified"]
    assert since == "Thu, 01 Jan 2026 12:00:00 GMT"
    again = await caller("GET", "/notifications", if_modified_since=since)
    assert (again.status_code, again.headers["x-poll-interval"]) == (304, "60")
    await clock.advance(1)
    world.act("github", "release_published", caller.login, repository=where, by="umber-finch")
    assert (await caller("GET", "/notifications", if_modified_since=since)).status_code == 200
    assert (await caller("GET", "/notifications", if_modified_since="nonsense")).status_code == 200


async def test_notifications_can_be_narrowed(
    caller: Caller, world: World, github: GitHub, clock: FakeClock
) -> None:
    where = f"{caller.login}/garden"
    world.act("github", "issue_opened", caller.login, repository=where)
    github.site.newsroom.inboxes[900_000_000].read_all(clock.now())
    await clock.advance(60)
    world.act("github", "issue_opened", caller.login, repository=where)
    assert len((await caller("GET", "/notifications")).json()) == 1
    assert len((await caller("GET", "/notifications?all=true")).json()) == 2
    assert len((await caller("GET", "/notifications?all=true&since=2026-01-01T12:00:30Z")).json()) == 1
    assert len((await caller("GET", "/notifications?all=true&before=2026-01-01T12:00:30Z")).json()) == 1
    assert (await caller("GET", "/notifications?participating=true")).json() == []
    assert (await caller("GET", "/notifications?since=yesterday")).status_code == 422


async def test_notifications_come_fifty_at_a_time(caller: Caller, world: World) -> None:
    for _ in range(60):
        world.act("github", "issue_opened", caller.login, repository=f"{caller.login}/garden")
    answer = await caller("GET", "/notifications?per_page=100")
    assert len(answer.json()) == 50
    assert "next" in answer.links


async def test_notifications_need_a_scope(connect: Connect) -> None:
    without, enough = await connect(0, "public_repo"), await connect(0, "notifications")
    assert (await without("GET", "/notifications")).status_code == 403
    assert (await enough("GET", "/notifications")).json() == []
