"""Cards for issues, and what issues and pull requests have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tidings.fields import Object, instant, line, link, number, obj, objs, text, word
from tidings_github.card import LIST_LENGTH, Card, Happening
from tidings_github.phrases import phrase

_CLOSED_AS = {"not_planned": "closed as not planned", "duplicate": "closed as a duplicate"}
_TELLS_ITS_BODY = frozenset({"opened", "edited"})


def issues(happening: Happening) -> Card:
    """Something happened to an issue."""
    issue = obj(happening.payload, "issue")
    done = phrase(happening)
    if happening.action == "closed":
        done = _CLOSED_AS.get(word(issue, "state_reason"), done)
    return Card(
        title=happening.title(f"{numbered('Issue', issue)} {done}".strip(), line(issue, "title")),
        text=text(issue, "body") if happening.action in _TELLS_ITS_BODY else "",
        url=link(issue, "html_url"),
        subject=subject("issues", issue),
        time=changed_at(happening.action, issue),
        fields=summary(issue),
    )


def numbered(thing: str, item: Object) -> str:
    """`Issue #7`, or `Issue` where the number is missing."""
    value = number(item, "number")
    return thing if value is None else f"{thing} #{value}"


def subject(folder: str, item: Object) -> str:
    """`issues/7`, as in the address of its page; "" where the number is missing."""
    value = number(item, "number")
    return "" if value is None else f"{folder}/{value}"


def summary(item: Object) -> dict[str, Any]:
    """What an event's data says of an issue or pull request."""
    labels = (word(label, "name") for label in objs(item, "labels")[:LIST_LENGTH])
    return {
        "number": number(item, "number"),
        "state": word(item, "state"),
        "labels": [label for label in labels if label],
    }


def changed_at(action: str, item: Object) -> datetime | None:
    """When an action befell an issue or comment."""
    if action in {"opened", "created"}:
        return instant(item, "created_at")
    if action == "closed":
        return instant(item, "closed_at")
    # What is gone carries the instant of its last change, not of its going.
    return None if action == "deleted" else instant(item, "updated_at")
