"""Cards for what happens to a repository as a whole: releases, stars, forks, workflow runs."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tidings.fields import Object, flag, instant, line, link, number, obj, raw, text, word
from tidings_github.card import Card, Happening, actor

_CONCLUDED: Final = {
    "success": "succeeded",
    "failure": "failed",
    "cancelled": "was cancelled",
    "timed_out": "timed out",
    "skipped": "was skipped",
    "action_required": "needs approval",
    "stale": "went stale",
    "startup_failure": "failed to start",
}


def release(happening: Happening) -> Card:
    """A release was published."""
    item = obj(happening.payload, "release")
    tag, name = line(item, "tag_name"), line(item, "name")
    kind = "Pre-release" if flag(item, "prerelease") else "Release"
    done = happening.action.replace("_", " ")
    return Card(
        title=happening.title(f"{kind} {tag or name} {done}".replace("  ", " "), name if name != tag else ""),
        text=text(item, "body"),
        url=link(item, "html_url"),
        subject=f"releases/{tag}" if tag else "",
        time=instant(item, "published_at"),
        fields={"tag": tag, "name": name, "prerelease": flag(item, "prerelease")},
    )


def star(happening: Happening) -> Card:
    """Somebody starred the repository, or took the star back; also GitHub's older word for it, `watch`."""
    taken = happening.action == "deleted"
    who = actor(happening.payload)["name"]
    return Card(
        title=happening.title("Star removed", preposition="from")
        if taken
        else happening.title("New star", preposition="on"),
        text="" if taken or not who else f"Starred by {who}.",
        time=instant(happening.payload, "starred_at"),
        fields={"stars": number(obj(happening.payload, "repository"), "stargazers_count")},
    )


def fork(happening: Happening) -> Card:
    """Somebody forked the repository."""
    forkee = obj(happening.payload, "forkee")
    name = line(forkee, "full_name")
    return Card(
        title=f"{happening.place or 'Repository'} forked{f' to {name}' if name else ''}",
        text=text(forkee, "description"),
        url=link(forkee, "html_url"),
        subject=f"forks/{name}" if name else "",
        time=instant(forkee, "created_at"),
        fields={"fork": name},
    )


def workflow_run(happening: Happening) -> Card:
    """A workflow run was requested, started or completed."""
    run = obj(happening.payload, "workflow_run")
    name = word(run, "name") or word(obj(happening.payload, "workflow"), "name")
    branch, conclusion = word(run, "head_branch"), word(run, "conclusion")
    done = happening.action.replace("_", " ")
    if happening.action == "completed":
        done = _CONCLUDED.get(conclusion, "completed")
    elif happening.action == "in_progress":
        done = "started"
    what = " ".join(filter(None, ("Workflow", name, done, branch and f"on {branch}")))
    identity = number(run, "id")
    about, first_line = line(run, "display_title"), _first_line(obj(run, "head_commit"))
    return Card(
        title=happening.title(what, about),
        text=first_line if first_line != about else "",
        url=link(run, "html_url"),
        subject="" if identity is None else f"actions/runs/{identity}",
        time=_run_time(happening.action, run),
        fields={
            "workflow": name,
            "branch": branch,
            "status": word(run, "status"),
            "conclusion": conclusion,
            "run_number": number(run, "run_number"),
            "run_attempt": number(run, "run_attempt"),
        },
    )


def _run_time(action: str, run: Object) -> datetime | None:
    if action == "requested":
        return instant(run, "run_started_at") or instant(run, "created_at")
    return instant(run, "updated_at")


def _first_line(commit: Object) -> str:
    return line({"message": raw(commit, "message").partition("\n")[0]}, "message")
