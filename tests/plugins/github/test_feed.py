"""One happening, pushed and polled, is one event."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from github_exchanges import NOW, Scripted, ScriptedApi, answer, asked, connector, polled, told
from tidings.contracts import WebhookRequest
from tidings.event import rfc3339
from tidings_github import feed, recipes
from tidings_github.connector import GitHubConnector
from tidings_github.hooks import KINDS

HERE = Path(__file__).parent
Make = Callable[..., WebhookRequest]
Json = dict[str, Any]

# Fixture -> type in the feed and action there; "" for none.
SHOWN = {
    "push__one_commit": ("PushEvent", ""),
    "push__three_commits": ("PushEvent", ""),
    "push__twelve_commits": ("PushEvent", ""),
    "push__forced": ("PushEvent", ""),
    "push__forced_without_commits": ("PushEvent", ""),
    "push__branch_with_odd_name": ("PushEvent", ""),
    "push__tag_moved": ("PushEvent", ""),
    "push__branch_created": ("PushEvent", ""),
    "push__branch_deleted": ("PushEvent", ""),
    "issues__opened": ("IssuesEvent", "opened"),
    "issues__closed": ("IssuesEvent", "closed"),
    "issues__closed_not_planned": ("IssuesEvent", "closed"),
    "issue_comment__created": ("IssueCommentEvent", "created"),
    "issue_comment__created_on_pull_request": ("IssueCommentEvent", "created"),
    "pull_request__opened": ("PullRequestEvent", "opened"),
    "pull_request__opened_as_draft": ("PullRequestEvent", "opened"),
    "pull_request__merged": ("PullRequestEvent", "merged"),
    "pull_request__closed": ("PullRequestEvent", "closed"),
    "pull_request_review__approved": ("PullRequestReviewEvent", "created"),
    "pull_request_review__changes_requested": ("PullRequestReviewEvent", "created"),
    "pull_request_review__commented": ("PullRequestReviewEvent", "created"),
    "pull_request_review__dismissed": ("PullRequestReviewEvent", "dismissed"),
    "pull_request_review_comment__created": ("PullRequestReviewCommentEvent", "created"),
    "commit_comment__created": ("CommitCommentEvent", ""),
    "discussion__created": ("DiscussionEvent", "created"),
    "release__published": ("ReleaseEvent", "published"),
    "release__published_prerelease": ("ReleaseEvent", "published"),
    "star__created": ("WatchEvent", "started"),
    "fork": ("ForkEvent", "forked"),
    "gollum": ("GollumEvent", ""),
}
# What feeds show, too, but not so that it could be recognised.
UNRECOGNISABLE = {
    "issues__reopened": ("IssuesEvent", "reopened"),
    "issues__labeled": ("IssuesEvent", "labeled"),
    "issue_comment__edited": ("IssueCommentEvent", "edited"),
    "pull_request__reopened": ("PullRequestEvent", "reopened"),
    "pull_request__labeled": ("PullRequestEvent", "labeled"),
    "pull_request_review__edited": ("PullRequestReviewEvent", "updated"),
    "create__branch": ("CreateEvent", ""),
    "delete__branch": ("DeleteEvent", ""),
    "member__added": ("MemberEvent", "added"),
    "public": ("PublicEvent", ""),
    "release__edited": ("ReleaseEvent", "edited"),
}
# A webhook then shows the commit that the ref points to; a comparison has none to show.
WITHOUT_COMMITS = {"push__branch_created", "push__forced_without_commits", "push__tag_moved"}
TRIMMED = ("url", "id", "number", "head", "base")


def fixture(name: str) -> Json:
    payload: Json = json.loads((HERE / "fixtures" / f"{name}.json").read_text())
    return payload


def as_shown(name: str, kind: str, action: str) -> Json:
    """A webhook's happening as the feeds have shown it since October 2025."""
    pushed = fixture(name)
    payload = {
        key: value
        for key, value in pushed.items()
        if key not in {"repository", "sender", "organization", "action", "starred_at"}
    }
    if action:
        payload["action"] = action
    if kind == "PushEvent":
        payload = {
            "repository_id": pushed["repository"]["id"],
            "push_id": 9,
            "ref": pushed["ref"],
            "head": pushed["after"],
            "before": pushed["before"],
        }
    if "pull_request" in payload:
        pull = payload["pull_request"]
        payload["pull_request"] = {key: pull[key] for key in TRIMMED if key in pull}
    sender, repository = pushed["sender"], pushed["repository"]
    shown: Json = {
        "id": "4500000001",
        "type": kind,
        "actor": {key: sender[key] for key in ("id", "login", "avatar_url")},
        "repo": {"id": repository["id"], "name": repository["full_name"]},
        "payload": payload,
        "public": True,
        "created_at": _happened_at(pushed),
    }
    if "organization" in pushed:
        shown["org"] = {key: pushed["organization"][key] for key in ("id", "login")}
    return shown


def _happened_at(pushed: Json) -> str:
    for name in ("pull_request", "issue"):
        thing = pushed.get(name, {})
        if pushed.get("action") == "closed" and thing:
            return str(thing["closed_at"])
    return rfc3339(NOW - timedelta(minutes=1))


def details(name: str) -> Mapping[str, Scripted]:
    """What GitHub answers to who asks for more."""
    pushed, script = fixture(name), {}
    repository = pushed["repository"]["full_name"]
    if "pull_request" in pushed:
        pull = pushed["pull_request"]
        script[f"GET /repos/{repository}/pulls/{pull['number']}"] = answer(pull)
    if "commits" in pushed:
        commits = [
            {
                "sha": commit["id"],
                "html_url": commit["url"],
                "commit": {
                    "message": commit["message"],
                    "author": {"name": commit["author"]["name"], "date": commit["timestamp"]},
                },
                "author": {"login": commit["author"]["username"]} if "username" in commit["author"] else None,
            }
            for commit in pushed["commits"]
        ]
        status = "diverged" if pushed["forced"] else "ahead"
        comparison = {"status": status, "total_commits": len(commits), "commits": commits, "files": []}
        script[f"GET /repos/{repository}/compare/{pushed['before']}...{pushed['after']}"] = answer(comparison)
    return script


async def events_polled(of: GitHubConnector, name: str, shown: list[Json], **more: Scripted) -> Any:
    pushed = fixture(name)
    identity, repository = pushed["repository"]["id"], pushed["repository"]["full_name"]
    api = ScriptedApi(
        {
            "GET /notifications?all=true&per_page=50": answer([]),
            f"GET /repos/{repository}": answer({"id": identity, "full_name": repository}),
            f"GET /repos/{repository}/events?per_page=100": [answer([]), answer(shown)],
            **details(name),
            **more,
        }
    )
    choice = {"repositories": [repository]}
    first = await polled(of, api, asked(at=NOW - timedelta(days=3000), **choice))
    later = await polled(of, api, asked(first[-1].checkpoint, **choice))
    return told(later)


@pytest.mark.parametrize("name", SHOWN)
async def test_a_happening_pushed_and_polled_has_one_id_one_title_and_one_type(
    delivery: Make, name: str
) -> None:
    of = connector()
    (pushed,) = of.parse(delivery(name.partition("__")[0], fixture(name))).events
    (event,) = await events_polled(of, name, [as_shown(name, *SHOWN[name])])
    assert (event.id, event.data["title"], event.type) == (pushed.id, pushed.data["title"], pushed.type)
    assert (event.source, event.subject) == (pushed.source, pushed.subject)
    assert event.data["actor"]["name"] == pushed.data["actor"]["name"]
    assert event.data["organization"] == pushed.data["organization"]
    if name not in WITHOUT_COMMITS:
        assert event.data["text"] == pushed.data["text"]
    assert event.data.keys() == pushed.data.keys()
    assert event.time is not None


@pytest.mark.parametrize("name", UNRECOGNISABLE)
async def test_what_polling_could_not_recognise_is_told_by_webhook_alone(delivery: Make, name: str) -> None:
    assert await events_polled(connector(), name, [as_shown(name, *UNRECOGNISABLE[name])]) == []
    pushed = connector().parse(delivery(name.partition("__")[0], fixture(name))).events
    assert all(":delivery:" in event.id for event in pushed)


def _row(name: str) -> recipes.Recipe:
    payload = fixture(name)
    event, action = name.partition("__")[0], payload.get("action", "")
    case = recipes.case(event, action, payload)
    found = [row for row in recipes.RECIPES if row.event in {event, "*"} and row.action in {case, "*"}]
    return found[0]


def test_the_table_says_of_every_kind_whether_polling_tells_it() -> None:
    shown = {_row(name) for name in SHOWN}
    # The same act under its older name: GitHub's hooks send both where both are asked for, the feed one.
    older = {row for row in recipes.RECIPES if row.event == "watch"}
    assert {row for row in recipes.RECIPES if row.polled} == shown | older
    assert all(not _row(name).polled for name in UNRECOGNISABLE)
    for name, (kind, action) in SHOWN.items():
        assert kind in _row(name).polled, name
        assert action in {"", "started", "forked"} or action in _row(name).polled, name


def test_every_event_of_the_feed_s_table_is_shown_here() -> None:
    listed = {(kind, action) for kind, actions in feed.FEED.items() for action in actions}
    tried = set(SHOWN.values())
    assert {kind for kind, _ in listed} == {kind for kind, _ in tried}
    assert tried <= listed


def test_a_webhook_of_ours_says_all_that_feeds_do() -> None:
    assert set(KINDS) > feed.KINDS


@pytest.mark.parametrize("name", ["pull_request__closed", "issues__closed"])
async def test_a_closing_that_was_undone_since_is_not_told_as_another(name: str) -> None:
    shown = as_shown(name, *SHOWN[name])
    thing = "issue" if "issue" in shown["payload"] else "pull_request"
    reopened = copy.deepcopy(fixture(name)[thing]) | {"closed_at": None, "state": "open", "merged": False}
    repository = fixture(name)["repository"]["full_name"]
    if thing == "issue":
        shown["payload"]["issue"]["closed_at"] = None
    path = f"GET /repos/{repository}/pulls/{reopened['number']}"
    assert await events_polled(connector(), name, [shown], **{path: answer(reopened)}) == []
    again = reopened | {"closed_at": "2026-11-23T11:59:00Z", "state": "closed"}
    if thing == "pull_request":
        assert await events_polled(connector(), name, [shown], **{path: answer(again)}) == []


async def test_a_closing_before_a_merge_is_not_taken_for_the_merge() -> None:
    shown = as_shown("pull_request__merged", "PullRequestEvent", "closed")
    shown["created_at"] = "2020-01-01T00:00:00Z"
    assert await events_polled(connector(), "pull_request__merged", [shown]) == []


async def test_a_merge_is_told_even_where_the_pull_request_can_not_be_had() -> None:
    name = "pull_request__merged"
    path = f"GET /repos/octo/repo/pulls/{fixture(name)['pull_request']['number']}"
    shown = as_shown(name, *SHOWN[name])
    (event,) = await events_polled(connector(), name, [shown], **{path: answer({}, 404)})
    assert event.id == f"github:pull_request:{fixture(name)['pull_request']['id']}:merged"
    assert (
        event.data["title"] == f"Pull request #{fixture(name)['pull_request']['number']} merged in octo/repo"
    )


@pytest.mark.parametrize("status", [404, 500, 502])
async def test_a_push_that_can_not_be_compared_is_told_all_the_same(status: int, delivery: Make) -> None:
    name = "push__three_commits"
    before, after = fixture(name)["before"], fixture(name)["after"]
    path = f"GET /repos/octo/repo/compare/{before}...{after}"
    (event,) = await events_polled(
        connector(), name, [as_shown(name, "PushEvent", "")], **{path: answer(b"<html>", status)}
    )
    (pushed,) = connector().parse(delivery("push", fixture(name))).events
    assert event.id == pushed.id
    assert event.data["title"] == "Commits pushed to main in octo/repo"


async def test_the_number_of_a_pull_request_that_is_another_s_now_gives_no_title() -> None:
    name = "pull_request__opened"
    pull = fixture(name)["pull_request"]
    path = f"GET /repos/octo/repo/pulls/{pull['number']}"
    stranger = answer({**pull, "id": 1, "title": "Another"})
    (event,) = await events_polled(connector(), name, [as_shown(name, *SHOWN[name])], **{path: stranger})
    assert "Another" not in event.data["title"]
    assert event.id == f"github:pull_request:{pull['id']}:opened"


async def test_an_event_of_another_repository_of_that_name_is_not_told() -> None:
    shown = as_shown("star__created", "WatchEvent", "started")
    shown["repo"]["id"] += 1
    assert await events_polled(connector(), "star__created", [shown]) == []


async def test_the_old_untrimmed_payloads_of_an_enterprise_server_need_no_more_calls() -> None:
    name = "pull_request__merged"
    shown = as_shown(name, "PullRequestEvent", "closed")
    shown["payload"]["pull_request"] = fixture(name)["pull_request"]
    path = f"GET /repos/octo/repo/pulls/{fixture(name)['pull_request']['number']}"
    unwanted = AssertionError("asked for what was there")
    (event,) = await events_polled(connector(), name, [shown], **{path: unwanted})
    assert event.id.endswith(":merged")


def test_no_id_that_polling_makes_is_made_of_a_delivery() -> None:
    for row in recipes.RECIPES:
        if row.polled:
            assert not re.search(r"\{guid\}", row.template)
