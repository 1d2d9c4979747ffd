"""What an action did, in words that follow the name of the thing: `Issue #7` + `no longer labeled bug`."""

from __future__ import annotations

from typing import Final

from tidings.fields import obj, word
from tidings_github.card import Happening

_PLAIN: Final = {
    "auto_merge_disabled": "no longer set to merge automatically",
    "auto_merge_enabled": "set to merge automatically",
    "checks_requested": "awaiting checks",
    "closed_by_user": "closed by hand",
    "converted_to_draft": "converted to draft",
    "create": "created",
    "demilestoned": "removed from its milestone",
    "dequeued": "removed from the merge queue",
    "dismiss": "dismissed",
    "enqueued": "added to the merge queue",
    "in_progress": "started",
    "new_permissions_accepted": "given new permissions",
    "privatized": "made private",
    "publicized": "made public",
    "ready_for_review": "marked ready for review",
    "reopened_by_user": "reopened by hand",
    "requested_action": "asked for an action",
    "rerequested": "requested again",
    "resolve": "resolved",
    "suspend": "suspended",
    "synchronize": "updated with new commits",
    "unsuspend": "no longer suspended",
}

# action: (phrase, the payload's object, its field that names it)
_NAMING: Final = {
    "assigned": (("assigned to", "assignee", "login"),),
    "unassigned": (("no longer assigned to", "assignee", "login"),),
    "labeled": (("labeled", "label", "name"),),
    "unlabeled": (("no longer labeled", "label", "name"),),
    "milestoned": (("added to milestone", "milestone", "title"),),
    "demilestoned": (("removed from milestone", "milestone", "title"),),
    "typed": (("given the type", "type", "name"),),
    "untyped": (("no longer of the type", "type", "name"),),
    "review_requested": (
        ("awaiting review by", "requested_reviewer", "login"),
        ("awaiting review by", "requested_team", "name"),
    ),
    "review_request_removed": (
        ("no longer awaiting review by", "requested_reviewer", "login"),
        ("no longer awaiting review by", "requested_team", "name"),
    ),
}


def phrase(happening: Happening) -> str:
    """The action in words, with the person, label or milestone it is about; "" where there is no action."""
    action = happening.action
    for words, key, field in _NAMING.get(action, ()):
        name = word(obj(happening.payload, key), field)
        if name:
            return f"{words} {name}"
    if action == "renamed":
        changes = obj(happening.payload, "changes")
        old = obj(obj(changes, "repository"), "name") or obj(changes, "login")
        return f"renamed from {word(old, 'from')}" if word(old, "from") else action
    if action == "transferred":
        changes = obj(happening.payload, "changes")
        target = word(obj(changes, "new_repository"), "full_name")
        return f"transferred to {target}" if target else action
    return _PLAIN.get(action) or action.replace("_", " ")
