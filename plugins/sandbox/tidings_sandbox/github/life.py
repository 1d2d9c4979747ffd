"""Everything that can happen in a repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidings_sandbox.github import keys
from tidings_sandbox.github.branches import Branches
from tidings_sandbox.github.news import News
from tidings_sandbox.github.notifications import Subject
from tidings_sandbox.github.payloads import iso
from tidings_sandbox.github.place import Kit, Place
from tidings_sandbox.github.talk import Talk
from tidings_sandbox.github.words import RELEASES
from tidings_sandbox.happenings import Happening

KINDS: Final = {
    "push": "Push commits",
    "issue_opened": "Open an issue",
    "issue_closed": "Close an issue",
    "issue_commented": "Comment on an issue",
    "pull_request_opened": "Open a pull request",
    "pull_request_merged": "Merge a pull request",
    "release_published": "Publish a release",
    "star": "Star a repository",
    "fork": "Fork a repository",
    "branch_created": "Create a branch",
    "branch_deleted": "Delete a branch",
    "workflow_run": "Run a workflow",
}


class Life:
    """Makes it happen: each method makes one kind, and returns what was recorded, the kind itself last.

    Args:
        kit: What it needs.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        branches = Branches(kit)
        talk = Talk(kit, branches)
        self._ways: dict[str, Callable[[Place], list[Happening]]] = {
            "push": branches.push,
            "issue_opened": talk.issue_opened,
            "issue_closed": talk.issue_closed,
            "issue_commented": talk.issue_commented,
            "pull_request_opened": talk.pull_request_opened,
            "pull_request_merged": talk.pull_request_merged,
            "release_published": self.release_published,
            "star": self.star,
            "fork": self.fork,
            "branch_created": branches.branch_created,
            "branch_deleted": branches.branch_deleted,
            "workflow_run": self.workflow_run,
        }

    def make(self, kind: str, place: Place) -> list[Happening]:
        """Make something happen.

        Raises:
            LookupError: No such kind, or no such issue, pull request or branch.
        """
        way = self._ways.get(kind)
        if way is None:
            raise LookupError(
                f"Nothing of the kind {kind!r} happens at GitHub. There are: {', '.join(KINDS)}."
            )
        return way(place)

    def release_published(self, place: Place) -> list[Happening]:
        """A release is published: three webhooks, of which one is news."""
        repository = place.repository
        repository.last_release += 1
        tag = place.text("tag", f"v1.{repository.last_release}.0")
        name = place.text("title", self._kit.chance.choice(RELEASES))
        identity = self._kit.serial()
        body = place.text("body", "## New\n* More of everything", 4000)
        shown = self._kit.payloads.release(repository, identity, tag, name, body, place.by, place.at)
        recorded: list[Happening] = []
        for action in ("created", "published", "released"):
            payload = {"action": action, "release": shown}
            news = News("release_published", f"Release {tag} published", "release", payload, is_told=False)
            if action == "published":
                news.is_told = True
                news.key = keys.release_published(identity)
                news.feed = ("ReleaseEvent", payload)
                news.subject = Subject("Release", name, shown["url"], shown["url"])
            recorded += self._tell(place, news)
        return recorded

    def star(self, place: Place) -> list[Happening]:
        """Somebody stars the repository, which is sent under two names."""
        repository = place.repository
        repository.stars += 1
        watch = News(
            "star",
            f"Starred by {place.by.login}",
            "watch",
            {"action": "started"},
            keys.starred(repository.id, place.by.id),
            ("WatchEvent", {"action": "started"}),
            is_told=place.by.id not in repository.stargazers,
        )
        starred = {"action": "created", "starred_at": iso(place.at)}
        self._tell(place, News("star", watch.title, "star", starred, is_told=False))
        repository.stargazers.add(place.by.id)
        return self._tell(place, watch)

    def fork(self, place: Place) -> list[Happening]:
        """Somebody forks the repository."""
        place.repository.forks += 1
        identity = self._kit.serial()
        forkee = self._kit.payloads.fork(place.repository, identity, place.by, place.at)
        feed = ("ForkEvent", {"action": "forked", "forkee": forkee})
        title = f"Forked by {place.by.login}"
        return self._tell(place, News("fork", title, "fork", {"forkee": forkee}, keys.forked(identity), feed))

    def workflow_run(self, place: Place) -> list[Happening]:
        """A workflow runs from beginning to end in no time: three webhooks, and nothing in the feeds."""
        repository = place.repository
        repository.last_run += 1
        identity = self._kit.serial()
        conclusion = place.text("conclusion", self._kit.chance.choice(("success", "success", "failure")))
        recorded: list[Happening] = []
        for action, status in (
            ("requested", "queued"),
            ("in_progress", "in_progress"),
            ("completed", "completed"),
        ):
            done = conclusion if action == "completed" else None
            run = self._kit.payloads.workflow_run(repository, identity, status, done, place.by, place.at)
            payload = {
                "action": action,
                "workflow_run": run,
                "workflow": self._kit.payloads.workflow(repository),
            }
            key = "" if action == "in_progress" else keys.workflow_run(identity, 1, action)
            title = f"Workflow run #{repository.last_run} {action.replace('_', ' ')}"
            recorded += self._tell(place, News("workflow_run", title, "workflow_run", payload, key))
        return recorded

    def _tell(self, place: Place, news: News) -> list[Happening]:
        return self._kit.newsroom.tell(place.repository, place.by, place.at, news)
