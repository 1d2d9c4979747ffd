"""A sensible card for every other event, also for those that GitHub has yet to invent.

The payload's object is the one named like the event or, where GitHub calls it otherwise, the first one that
is not about where and by whom. The rest is the first useful field of a list.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from tidings.fields import (
    TEXT_LENGTH,
    TITLE_LENGTH,
    Object,
    clip,
    instant,
    line,
    link,
    number,
    obj,
    objs,
    text,
    word,
)
from tidings_github.card import LIST_LENGTH, Card, Happening
from tidings_github.phrases import phrase

# Where GitHub's object is not called like the event.
_OBJECT: Final = {
    "branch_protection_rule": "rule",
    "deploy_key": "key",
    "issue_dependencies": "blocked_issue",
    "membership": "member",
    "org_block": "blocked_user",
    "page_build": "build",
    "pull_request_review_thread": "pull_request",
    "secret_scanning_alert_location": "alert",
    "sub_issues": "sub_issue",
    "team_add": "team",
}
# What they say stands at the top of the payload.
_FLAT: Final = frozenset(
    {
        "gollum",
        "installation_repositories",
        "repository_dispatch",
        "repository_import",
        "status",
        "workflow_dispatch",
    }
)
_CONTEXT: Final = frozenset(
    {
        "changes",
        "client_payload",
        "enterprise",
        "inputs",
        "installation",
        "organization",
        "repository",
        "sender",
    }
)
_HEADING: Final = {
    "custom_property_promoted_to_enterprise": "Custom property",
    "github_app_authorization": "GitHub App authorization",
    "gollum": "Wiki edited",
    "installation": "App installation",
    "marketplace_purchase": "Marketplace plan",
    "org_block": "User",
    "page_build": "Pages build",
    "projects_v2": "Project",
    "projects_v2_item": "Project item",
    "projects_v2_status_update": "Project status update",
    "pull_request_review_thread": "Review thread on pull request",
    "secret_scanning_alert_location": "Location of secret scanning alert",
    "security_and_analysis": "Security settings changed",
    "status": "Commit status",
    "team_add": "Team added",
    "workflow_dispatch": "Workflow dispatched",
}
# `bypass_request_push_ruleset` and its kin: the rest says what for, as does the card's page.
_ASKS: Final = re.compile(r"^((?:bypass|dismissal|exemption)_request)_.*")
_WORDING: Final = {
    ("installation_repositories", "added"): "Repositories added to the app installation",
    ("installation_repositories", "removed"): "Repositories removed from the app installation",
    ("issue_dependencies", "blocked_by_added"): "Issue now blocked",
    ("issue_dependencies", "blocked_by_removed"): "Issue no longer blocked",
    ("issue_dependencies", "blocking_added"): "Issue now blocking another",
    ("issue_dependencies", "blocking_removed"): "Issue no longer blocking another",
    ("membership", "added"): "Member added to a team",
    ("membership", "removed"): "Member removed from a team",
    ("organization", "member_added"): "Member added",
    ("organization", "member_invited"): "Member invited",
    ("organization", "member_removed"): "Member removed",
    ("sub_issues", "parent_issue_added"): "Parent issue added",
    ("sub_issues", "parent_issue_removed"): "Parent issue removed",
    ("sub_issues", "sub_issue_added"): "Sub-issue added",
    ("sub_issues", "sub_issue_removed"): "Sub-issue removed",
}
# Events whose outcome is the news; elsewhere a state only repeats the action.
_TELLS_ITS_STATE: Final = frozenset({"deployment_status", "page_build", "repository_import", "status"})
_NAMES: Final = (
    (),
    ("membership", "user"),
    ("invitation",),
    ("sponsor",),
    ("security_advisory",),
    ("rule",),
    ("user",),
    ("account",),
)
_NAME_FIELDS: Final = (
    "title",
    "display_title",
    "name",
    "tag_name",
    "summary",
    "secret_type_display_name",
    "secret_type",
    "affected_package_name",
    "property_name",
    "full_name",
    "login",
    "slug",
    "app_slug",
    "context",
    "environment",
    "head_branch",
    "head_ref",
    "workflow",
    "ref",
    "content_type",
    "token_name",
)
_TEXT_FIELDS: Final = (
    "body",
    "description",
    "message",
    "summary",
    "note",
    "short_description",
    "reason",
    "requester_comment",
)
_TEXT_IN: Final = ((), ("output",), ("error",), ("security_advisory",), ("rule",), ("commit", "commit"))
_LISTS: Final = (
    ("pages", "title"),
    ("repositories_added", "full_name"),
    ("repositories_removed", "full_name"),
    ("repositories", "full_name"),
)
_FOLDER: Final = {"discussion": "discussions", "pull_request_review_thread": "pull"}
_NAMELESS: Final = frozenset(
    {"gollum", "installation_repositories", "organization", "public", "repository", "repository_import"}
)
_SHOWN_WORDS: Final = ("state", "status", "conclusion", "environment", "ref", "severity")
_GONE: Final = frozenset({"deleted", "removed", "destroyed"})


def generic(happening: Happening) -> Card:
    """Header, action and the best of the payload."""
    item = _object(happening)
    name = _name(happening, item)
    state = word(item, "conclusion") or (
        word(item, "state") or word(item, "status") if happening.event in _TELLS_ITS_STATE else ""
    )
    state = state.replace("_", " ")
    about = f"{name} ({state})" if name and state else name or state
    return Card(
        title=_title(happening, item, about),
        text=_text(happening, item, name),
        url=_url(happening, item),
        subject=_subject(happening, item),
        time=_time(happening, item),
        fields=_fields(item),
    )


def _object(happening: Happening) -> Object:
    payload, event = happening.payload, happening.event
    if event in _FLAT:
        return payload
    for key in (event, _OBJECT.get(event, ""), event.rpartition("_")[2]):
        value = payload.get(key)
        if isinstance(value, dict) and key not in _CONTEXT:
            return value
    if event in _CONTEXT:
        return obj(payload, event)
    return next(
        (value for key, value in payload.items() if isinstance(value, dict) and key not in _CONTEXT), payload
    )


def _title(happening: Happening, item: Object, about: str) -> str:
    event, action = happening.event, happening.action
    if event in {"repository", "public"} and happening.place:
        return clip(f"Repository {happening.place} {phrase(happening) or 'made public'}", TITLE_LENGTH)
    wording = _WORDING.get((event, action))
    if event == "organization" and wording is None and happening.owner:
        return clip(f"Organization {happening.owner} {phrase(happening)}".rstrip(), TITLE_LENGTH)
    if wording is None:
        heading = _HEADING.get(event) or _ASKS.sub(r"\1", event).replace("_", " ").capitalize()
        value = number(item, "number")
        numbered = heading if value is None else f"{heading} #{value}"
        wording = f"{numbered} {phrase(happening)}".rstrip()
    return happening.title(wording, about)


def _name(happening: Happening, item: Object) -> str:
    if happening.event == "organization":
        item = happening.payload
    elif happening.event in _NAMELESS:
        return ""
    elif happening.event == "status":
        return line(item, "context", 150)
    for path in _NAMES:
        holder = _at(item, path)
        for key in _NAME_FIELDS:
            found = line(holder, key, 150)
            if found and found != happening.place:
                return found
    return ""


def _text(happening: Happening, item: Object, name: str) -> str:
    if happening.event == "pull_request_review_thread":
        comments = objs(obj(happening.payload, "thread"), "comments")
        return text(comments[0], "body") if comments else ""
    for path in _TEXT_IN if happening.event not in _NAMELESS else ():
        holder = _at(item, path)
        for key in _TEXT_FIELDS:
            found = text(holder, key)
            if found and found != name:
                return found
    for key, field in _LISTS:
        names = [line(entry, field) for entry in objs(happening.payload, key)[:LIST_LENGTH]]
        if any(names):
            return clip("\n".join(filter(None, names)), TEXT_LENGTH)
    return ""


def _url(happening: Happening, item: Object) -> str:
    best = link(item, "html_url") or link(item, "target_url")
    if best:
        return best
    for key, value in happening.payload.items():
        if key not in _CONTEXT and isinstance(value, dict) and (best := link(value, "html_url")):
            return best
    pages = objs(happening.payload, "pages")
    return link(pages[0], "html_url") if pages else ""


def _subject(happening: Happening, item: Object) -> str:
    event = happening.event
    if event == "status":
        commit = word(item, "sha")
        return f"commit/{commit}" if commit else ""
    run = number(item, "run_id")
    if event == "workflow_job" and run is not None:
        return f"actions/runs/{run}"
    if item is happening.payload or event in _CONTEXT:
        return ""
    key = number(item, "number")
    if key is None:
        key = number(item, "id")
    named = str(key) if key is not None else word(item, "node_id") or word(item, "ghsa_id")
    return f"{_FOLDER.get(event, event)}/{named}" if named else ""


def _time(happening: Happening, item: Object) -> datetime | None:
    action = happening.action
    if action in _GONE:  # what is gone carries the instant of its last change, not of its going
        return None
    first = ("created_at",) if action in {"created", "opened"} else ()
    own = f"{action}_at" if action else "updated_at"
    for key in (*first, own, "updated_at", "created_at"):
        found = instant(item, key)
        if found is not None:
            return found
    return instant(happening.payload, "created_at")


def _fields(item: Object) -> dict[str, Any]:
    fields: dict[str, Any] = {key: found for key in _SHOWN_WORDS if (found := word(item, key))}
    value = number(item, "number")
    return fields if value is None else fields | {"number": value}


def _at(item: Object, path: tuple[str, ...]) -> Object:
    for step in path:
        item = obj(item, step)
    return item
