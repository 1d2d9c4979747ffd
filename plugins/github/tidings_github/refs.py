"""Cards for what moves branches and tags: push, create, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from tidings.fields import Object, flag, instant, line, link, number, obj, objs, one_line, raw, word
from tidings_github.card import LIST_LENGTH, Card, Happening

_SHOWN_LINES: Final = 10
_MOST_COMMITS: Final = 2048  # GitHub sends no more in one push


def push(happening: Happening) -> Card:
    """Commits pushed, or a branch or tag made, moved or deleted by a push.

    A push that was polled has all but the first commits counted in `size`, and no list of them where GitHub would not
    compare its ends.
    """
    payload = happening.payload
    ref = line(payload, "ref")
    commits = objs(payload, "commits")
    shown = [_commit(commit) for commit in commits[:LIST_LENGTH]]
    head = obj(payload, "head_commit")
    count = max(len(commits), number(payload, "size") or 0)
    return Card(
        title=_push_title(happening, ref, count),
        text=_log(shown or ([_commit(head)] if head else []), count),
        url="" if flag(payload, "deleted") else link(payload, "compare"),
        subject=ref,
        # The repository's instant is the push; the commit may be days older, and its clock is its author's.
        time=instant(obj(payload, "repository"), "pushed_at") or instant(head, "timestamp"),
        fields={
            "ref": ref,
            "before": word(payload, "before"),
            "after": word(payload, "after"),
            "created": flag(payload, "created"),
            "deleted": flag(payload, "deleted"),
            "forced": flag(payload, "forced"),
            "commit_count": count,
            "commits": shown,
        },
    )


def create(happening: Happening) -> Card:
    """A branch or tag created."""
    kind, name, ref = _named_ref(happening.payload)
    return Card(
        title=happening.title(f"{kind} {name} created".replace("  ", " ")),
        url=f"{happening.home}/tree/{quote(name)}" if happening.repository and name else "",
        subject=ref,
        time=instant(obj(happening.payload, "repository"), "pushed_at"),
        fields={"ref": ref, "ref_type": kind.lower()},
    )


def delete(happening: Happening) -> Card:
    """A branch or tag deleted."""
    kind, name, ref = _named_ref(happening.payload)
    return Card(
        title=happening.title(f"{kind} {name} deleted".replace("  ", " ")),
        subject=ref,
        time=instant(obj(happening.payload, "repository"), "pushed_at"),
        fields={"ref": ref, "ref_type": kind.lower()},
    )


def _push_title(happening: Happening, ref: str, count: int) -> str:
    payload = happening.payload
    kind, name = _kind(ref)
    thing = f"{kind} {name}".rstrip()
    commits = f"{'at least ' if count >= _MOST_COMMITS else ''}{count} commit{'' if count == 1 else 's'}"
    if flag(payload, "deleted"):
        return happening.title(f"{thing} deleted")
    if flag(payload, "created"):
        with_commits = f" with {commits}" if count and kind != "Tag" else ""
        return happening.title(f"{thing} created{with_commits}")
    if kind == "Tag":
        return happening.title(f"{thing} moved")
    if "commits" not in payload:
        return happening.title(f"Commits pushed to {name or thing}")
    if count == 0:
        return happening.title(f"{thing} {'reset by force' if flag(payload, 'forced') else 'moved'}")
    commits = commits[0].upper() + commits[1:]
    return happening.title(
        f"{commits} {'force-pushed' if flag(payload, 'forced') else 'pushed'} to {name or thing}"
    )


def _kind(ref: str) -> tuple[str, str]:
    if ref.startswith("refs/heads/"):
        return "Branch", ref[11:]
    if ref.startswith("refs/tags/"):
        return "Tag", ref[10:]
    return "Ref", ref


def _named_ref(payload: Object) -> tuple[str, str, str]:
    """What kind of ref, its short name, and its full name."""
    name = line(payload, "ref")
    kind = word(payload, "ref_type").capitalize() or "Ref"
    prefix = {"Branch": "refs/heads/", "Tag": "refs/tags/"}.get(kind, "")
    return kind, name, prefix + name if name else ""


def _log(commits: Sequence[dict[str, str]], count: int) -> str:
    lines = [f"{commit['id'][:7]} {commit['message']}".strip() for commit in commits[:_SHOWN_LINES]]
    if count > _SHOWN_LINES:
        lines.append(f"… and {count - _SHOWN_LINES} more")
    return "\n".join(lines)


def _commit(commit: Object) -> dict[str, str]:
    author = obj(commit, "author")
    return {
        "id": word(commit, "id"),
        "message": one_line(raw(commit, "message").lstrip().partition("\n")[0], 150),
        "url": link(commit, "url"),
        "author": word(author, "username") or word(author, "name"),
    }
