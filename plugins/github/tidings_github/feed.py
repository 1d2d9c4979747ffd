"""Events of GitHub's feeds, read as the webhooks that tell the same.

Pure: what an event of a feed lacks since payloads were trimmed in October 2025 is asked for in `details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from tidings.event import Event
from tidings.fields import Object, flag, instant, number, obj, raw
from tidings_github.card import read
from tidings_github.parse import tell
from tidings_github.recipes import content_id
from tidings_github.targets import FULL_NAME, LOGIN

# The feed's type, its action ("" where it has none, or another does not matter) -> the webhook's event and action.
# What stands here has an id that both give; the table in `recipes` says why the rest has none.
FEED: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "CommitCommentEvent": {"": ("commit_comment", "created"), "created": ("commit_comment", "created")},
    "DiscussionEvent": {"created": ("discussion", "created")},
    "ForkEvent": {"": ("fork", ""), "forked": ("fork", "")},
    "GollumEvent": {"": ("gollum", "")},
    "IssueCommentEvent": {"created": ("issue_comment", "created")},
    "IssuesEvent": {"opened": ("issues", "opened"), "closed": ("issues", "closed")},
    "PullRequestEvent": {
        "opened": ("pull_request", "opened"),
        "closed": ("pull_request", "closed"),
        "merged": ("pull_request", "closed"),
    },
    "PullRequestReviewEvent": {
        "created": ("pull_request_review", "submitted"),
        "dismissed": ("pull_request_review", "dismissed"),
    },
    "PullRequestReviewCommentEvent": {"created": ("pull_request_review_comment", "created")},
    "PushEvent": {"": ("push", "")},
    "ReleaseEvent": {"published": ("release", "published")},
    "WatchEvent": {"started": ("star", "created")},
}
#: The events whose webhooks say all that the feeds have to tell.
KINDS: Final = frozenset(event for actions in FEED.values() for event, _ in actions.values())

_MERGED: Final = "merged"
_NOTHING: Final = "0" * 40
_SHORT: Final = 12  # characters of a commit in the address of a comparison
# The instant of a closing and that of the event that tells of it.
_SAME_INSTANT: Final = timedelta(seconds=60)
_LONGEST_ID: Final = 20


class Item(NamedTuple):
    """One event of a feed that polling tells.

    Attributes:
        id: The feed's own; grows.
        event: The webhook's event.
        action: The webhook's action, "" for none.
        at: When it happened.
        repository: `octo/repo`.
        is_merging: Whether the feed says that a pull request was merged.
        payload: As a webhook has it, as far as the feed says.
    """

    id: int
    event: str
    action: str
    at: datetime
    repository: str
    is_merging: bool
    payload: dict[str, Any]


def item_id(item: Object) -> int | None:
    """The feed's own id of an event; None where it has none."""
    text = item.get("id")
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID:
        return int(text)
    return number(item, "id")


def understand(item: Object, web_url: str) -> Item | None:
    """An event of a feed as the webhook that tells the same; None where polling does not tell it.

    Args:
        item: As the feed has it.
        web_url: Where GitHub's pages are.
    """
    given = obj(item, "payload")
    told = FEED.get(raw(item, "type"), {}).get(raw(given, "action"))
    identity, at = item_id(item), instant(item, "created_at")
    repository, actor, owner = obj(item, "repo"), obj(item, "actor"), raw(obj(item, "org"), "login")
    name, login = raw(repository, "name"), raw(actor, "login")
    if identity is None or told is None or at is None or not FULL_NAME.fullmatch(name):
        return None
    event, action = told
    payload: dict[str, Any] = {
        **given,
        "repository": {
            "id": repository.get("id"),
            "full_name": name,
            "html_url": f"{web_url}/{name}",
            "pushed_at": item.get("created_at"),
        },
        "sender": {
            "id": actor.get("id"),
            "login": login,
            "avatar_url": actor.get("avatar_url"),
            "html_url": f"{web_url}/{login}" if LOGIN.fullmatch(login) else "",
        },
        "starred_at": item.get("created_at"),
    }
    payload.pop("action", None)
    if action:
        payload["action"] = action
    if owner:
        payload["organization"] = {"login": owner}
    if event == "push":
        payload |= _push(given, name, web_url)
    return Item(identity, event, action, at, name, raw(given, "action") == _MERGED, payload)


def event_of(item: Item) -> Event | None:
    """The event that tells it; None where it can't be recognised when a webhook brings it, too."""
    if item.action == "closed" and not _is_this_closing(item):
        return None
    identity = content_id(item.event, item.action, item.payload)
    if not identity:
        return None
    event = tell(read(item.event, item.payload), identity)
    return event if event.time is not None else msgspec.structs.replace(event, time=item.at)


def _push(given: Object, name: str, web_url: str) -> dict[str, Any]:
    before, after = raw(given, "before"), raw(given, "head")
    ends = f"{before[:_SHORT]}...{after[:_SHORT]}"
    return {
        "after": after,
        "created": before == _NOTHING,
        "deleted": after == _NOTHING,
        "compare": f"{web_url}/{name}/compare/{ends}",
    }


def _is_this_closing(item: Item) -> bool:
    """Whether the thing's `closed_at` (or `merged_at`) is of this closing, and not of another before or after it."""
    thing = obj(item.payload, "issue" if item.event == "issues" else "pull_request")
    if item.is_merging:
        return True
    closed_at = instant(thing, "merged_at" if flag(thing, _MERGED) else "closed_at")
    return closed_at is not None and abs(closed_at - item.at) <= _SAME_INSTANT
