"""Cards for comments: on issues, pull requests, lines of a diff, commits and discussions."""

from __future__ import annotations

from typing import Any

from tidings.fields import Object, line, link, number, obj, text, word
from tidings_github.card import Card, Happening
from tidings_github.issues import changed_at, numbered, subject, summary


def issue_comment(happening: Happening) -> Card:
    """On an issue, or in a pull request's conversation."""
    issue = obj(happening.payload, "issue")
    on_pull = isinstance(issue.get("pull_request"), dict)
    thing, folder = ("pull request", "pull") if on_pull else ("issue", "issues")
    return _card(
        happening,
        numbered(thing, issue),
        issue,
        subject=subject(folder, issue),
        fields=summary(issue) | {"pull_request": on_pull},
    )


def pull_request_review_comment(happening: Happening) -> Card:
    """On a line of a pull request's changes."""
    pull = obj(happening.payload, "pull_request")
    path = line(obj(happening.payload, "comment"), "path")
    return _card(
        happening,
        numbered("pull request", pull),
        pull,
        subject=subject("pull", pull),
        fields=summary(pull) | {"path": path},
    )


def discussion_comment(happening: Happening) -> Card:
    """In a discussion."""
    discussion = obj(happening.payload, "discussion")
    return _card(
        happening,
        numbered("discussion", discussion),
        discussion,
        subject=subject("discussions", discussion),
        fields={"number": number(discussion, "number"), "state": word(discussion, "state")},
    )


def commit_comment(happening: Happening) -> Card:
    """On a commit."""
    comment = obj(happening.payload, "comment")
    commit, path = word(comment, "commit_id"), line(comment, "path")
    return _card(
        happening,
        f"commit {commit[:7]}".rstrip(),
        {"title": path},
        subject=f"commit/{commit}" if commit else "",
        fields={"commit": commit, "path": path},
    )


def _card(
    happening: Happening, thing: str, commented: Object, *, subject: str, fields: dict[str, Any]
) -> Card:
    comment = obj(happening.payload, "comment")
    action = happening.action
    words = (
        f"New comment on {thing}" if action == "created" else f"Comment on {thing} {action.replace('_', ' ')}"
    )
    return Card(
        title=happening.title(words.rstrip(), line(commented, "title")),
        text=text(comment, "body"),
        # A deleted comment's page is gone.
        url=link(comment if action != "deleted" else commented, "html_url"),
        subject=subject,
        time=changed_at(action, comment),
        fields=fields | {"comment_id": number(comment, "id")},
    )
