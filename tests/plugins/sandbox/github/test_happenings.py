"""Every kind of happening: what is sent for it, what the connector makes of that, what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from emulated_github import Caller, Connect, Receiver, Sent
from tidings.contracts import WebhookRequest
from tidings.event import Event
from tidings_github.parse import parse
from tidings_sandbox.github import GitHub
from tidings_sandbox.github.life import KINDS
from tidings_sandbox.world import World

SENT = {
    "push": ["push"],
    "issue_opened": ["issues"],
    "issue_closed": ["issues"],
    "issue_commented": ["issue_comment"],
    "pull_request_opened": ["pull_request"],
    "pull_request_merged": ["push", "pull_request"],
    "release_published": ["release", "release", "release"],
    "star": ["star", "watch"],
    "fork": ["fork"],
    "branch_created": ["push", "create"],
    "branch_deleted": ["push", "delete"],
    "workflow_run": ["workflow_run", "workflow_run", "workflow_run"],
}
# What the feeds show so that it can be recognised.
POLLED = {kind for kind in KINDS if kind not in {"branch_created", "branch_deleted", "workflow_run"}}


def told(sent: Sequence[Sent]) -> list[Event]:
    """What the connector makes of webhooks."""
    events: list[Event] = []
    for each in sent:
        headers = {name.lower(): value for name, value in each.headers.items()}
        events += parse(WebhookRequest("POST", "/", "", headers, each.body)).events
    return events


def keys(world: World, person: str) -> list[str]:
    return [happening.key for happening in world.happenings(person, "github")]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_connector_tells_is_what_was_recorded(
    caller: Caller, world: World, receiver: Receiver, kind: str
) -> None:
    await caller.hook()
    await world.settle()
    receiver.sent.clear()
    happening = world.act("github", kind, caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == SENT[kind]
    events = told(receiver.sent)
    assert {event.id for event in events} == set(keys(world, caller.login))
    assert happening.key in {event.id for event in events}
    assert happening.kind == kind
    for event in events:
        assert event.data["title"]
        assert event.data["actor"]["name"]
        assert event.data["repository"] == f"{caller.login}/garden"
        assert event.time is None or event.time == happening.at


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_time_is_another_happening(
    caller: Caller, world: World, receiver: Receiver, kind: str
) -> None:
    await caller.hook()
    where = f"{caller.login}/garden"
    first = world.act("github", kind, caller.login, repository=where)
    second = world.act("github", kind, caller.login, repository=where)
    assert first.key != second.key
    recorded = keys(world, caller.login)
    assert len(recorded) == len(set(recorded))
    await world.settle()
    assert {event.id for event in told(receiver.sent) if event.type != "com.github.ping"} == set(recorded)


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_hook_only_what_feeds_show_is_expected(
    caller: Caller, world: World, kind: str
) -> None:
    world.act("github", kind, caller.login, repository=f"{caller.login}/garden")
    assert (kind in {each.kind for each in world.happenings(caller.login)}) == (kind in POLLED)


async def test_a_star_given_twice_by_one_person_is_one_happening(caller: Caller, world: World) -> None:
    for _ in range(2):
        world.act("github", "star", caller.login, repository=f"{caller.login}/garden", by="mossy-kettle")
    assert len(world.happenings(caller.login)) == 1


async def test_every_admin_of_a_shared_repository_is_expected_to_hear_of_it(
    connect: Connect, world: World
) -> None:
    owner, other, member = await connect(0), await connect(1), await connect(2)
    world.act("github", "push", owner.login, repository="lantern-works/lighthouse")
    assert keys(world, owner.login) == keys(world, other.login) != []
    assert keys(world, member.login) == []


async def test_what_is_private_is_expected_only_of_those_who_let_it_be_seen(
    connect: Connect, world: World
) -> None:
    person = list(world.stage.people)[3].key
    for scopes, count in (("admin:repo_hook", 0), ("repo", 1)):
        await connect(3, scopes)
        world.act("github", "push", person, repository=f"{person}/almanac")
        assert len(keys(world, person)) == count


async def test_what_is_private_is_expected_of_those_who_have_a_hook(connect: Connect, world: World) -> None:
    caller = await connect(3, "admin:repo_hook")
    assert (await caller("GET", f"/repos/{caller.login}/almanac")).status_code == 404
    await caller.hook(f"/repos/{caller.login}/almanac", events=["push"])
    world.act("github", "push", caller.login, repository=f"{caller.login}/almanac")
    world.act("github", "star", caller.login, repository=f"{caller.login}/almanac")
    assert [each.kind for each in world.happenings(caller.login)] == ["push"]


async def test_things_happen_where_they_will_be_heard_of(connect: Connect, world: World) -> None:
    person = list(world.stage.people)[3].key
    for _ in range(20):
        world.act("github", "push", person)
    assert [key.split(":")[2] for key in keys(world, person)] == ["2000000030"] * 20
    await connect(3, "repo")
    for _ in range(20):
        world.act("github", "push", person)
    assert {key.split(":")[2] for key in keys(world, person)} == {"2000000030", "2000000031"}


async def test_only_whose_hook_was_to_get_it_is_expected_to_hear_of_what_no_feed_shows(
    connect: Connect, world: World
) -> None:
    owner, other = await connect(0), await connect(1)
    await owner.hook("/repos/lantern-works/lighthouse")
    world.act("github", "workflow_run", owner.login, repository="lantern-works/lighthouse")
    assert len(keys(world, owner.login)) == 3
    assert keys(world, other.login) == []


async def test_details_make_a_happening_special(caller: Caller, world: World, receiver: Receiver) -> None:
    await caller.hook(events=["push", "issues", "release", "workflow_run"])
    await world.settle()
    receiver.sent.clear()
    where = f"{caller.login}/almanac"
    await caller.hook(f"/repos/{where}")
    await world.settle()
    receiver.sent.clear()
    world.act("github", "push", caller.login, repository=where, commits=5, branch="moons", by="brass-lantern")
    world.act("github", "issue_opened", caller.login, repository=where, title="No moon", body="None at all.")
    world.act("github", "issue_closed", caller.login, repository=where, number="1")
    world.act("github", "release_published", caller.login, repository=where, tag="v9", title="Nine")
    world.act("github", "workflow_run", caller.login, repository=where, conclusion="timed_out")
    await world.settle()
    created, push, opened, closed = receiver.sent[:4]
    assert (created.event, push.payload["ref"]) == ("create", "refs/heads/moons")
    assert (len(push.payload["commits"]), push.payload["created"]) == (5, True)
    assert push.payload["sender"]["login"] == "brass-lantern"
    assert push.payload["repository"]["private"] is True
    assert opened.payload["issue"]["title"] == "No moon"
    assert closed.payload["issue"]["closed_at"] == "2026-01-01T12:00:00Z"
    assert receiver.sent[4].payload["release"]["tag_name"] == "v9"
    assert receiver.sent[-1].payload["workflow_run"]["conclusion"] == "timed_out"


@pytest.mark.parametrize(
    ("kind", "details", "says"),
    [
        ("earthquake", {}, "Nothing of the kind 'earthquake'"),
        ("push", {"repository": "no/where"}, "no repository no/where"),
        ("push", {"by": "nobody-at-all"}, "no account nobody-at-all"),
        ("issue_closed", {"number": 99}, "no open issue"),
        ("pull_request_merged", {"number": 99}, "no open pull request"),
        ("branch_deleted", {"branch": "main"}, "no branch main to delete"),
        ("branch_created", {"branch": "main"}, "has a branch main already"),
    ],
)
async def test_what_cannot_happen_is_said(
    caller: Caller, world: World, kind: str, details: dict[str, Any], says: str
) -> None:
    with pytest.raises(LookupError, match=says):
        world.act("github", kind, caller.login, **details)
    assert world.happenings(caller.login) == []


async def test_pushes_join_end_to_end(caller: Caller, world: World, receiver: Receiver) -> None:
    await caller.hook(events=["push"])
    for kind in ("push", "pull_request_merged", "push"):
        world.act("github", kind, caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    pushes = [each.payload for each in receiver.sent[1:]]
    assert [push["before"] for push in pushes[1:]] == [push["after"] for push in pushes[:-1]]
    for push in pushes:
        assert push["head_commit"]["id"] == push["after"] == push["commits"][-1]["id"]
        assert isinstance(push["repository"]["pushed_at"], int)


async def test_a_long_life_keeps_memory_bounded(caller: Caller, github: GitHub, world: World) -> None:
    where = f"{caller.login}/garden"
    for _ in range(150):
        for kind in ("push", "issue_opened", "pull_request_opened"):
            world.act("github", kind, caller.login, repository=where)
    repository = github.site.repositories.get(where)
    assert repository is not None
    assert (len(repository.issues), len(repository.pulls)) == (50, 50)
    world.act("github", "issue_closed", caller.login, repository=where)
    shown = (await caller("GET", f"/repos/{where}")).json()
    assert (
        shown["open_issues_count"] == sum(each.closed_at is None for each in repository.issues.values()) == 49
    )
    assert len(repository.commits) <= 101
    assert repository.branches["main"] in repository.commits


async def test_the_newest_commit_of_every_branch_is_kept(
    caller: Caller, github: GitHub, world: World
) -> None:
    where = f"{caller.login}/garden"
    for _ in range(200):
        world.act("github", "push", caller.login, repository=where, branch="moss", commits=1)
    repository = github.site.repositories.get(where)
    assert repository is not None
    assert set(repository.branches.values()) <= set(repository.commits)
    assert world.act("github", "workflow_run", caller.login, repository=where).kind == "workflow_run"


async def test_branches_come_and_go_for_long(caller: Caller, world: World, github: GitHub) -> None:
    where = f"{caller.login}/garden"
    for number in range(130):
        world.act("github", "branch_created", caller.login, repository=where)
        world.act("github", "push", caller.login, repository=where, branch=f"moss-{number}", commits=1)
    repository = github.site.repositories.get(where)
    assert repository is not None
    while len(repository.branches) > 1:
        world.act("github", "branch_deleted", caller.login, repository=where)
    world.act(
        "github", "branch_deleted", caller.login, repository=where
    )  # one that had been there all the time


async def test_ids_of_a_later_run_are_others_and_repositories_stay(world: World, caller: Caller) -> None:
    where = f"{caller.login}/garden"
    before = world.github.site.repositories.get(where)
    first = [world.act("github", kind, caller.login, repository=where).key for kind in sorted(POLLED)]
    world.reset()
    after = world.github.site.repositories.get(where)
    second = [world.act("github", kind, caller.login, repository=where).key for kind in sorted(POLLED)]
    assert before is not None
    assert after is not None
    assert before.id == after.id
    assert set(first).isdisjoint(second)
