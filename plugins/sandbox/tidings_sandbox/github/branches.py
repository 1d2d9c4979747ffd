"""What can happen to the branches of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings_sandbox.github import keys
from tidings_sandbox.github.news import News
from tidings_sandbox.github.place import Kit, Place
from tidings_sandbox.github.repositories import DEFAULT_BRANCH, NO_COMMIT, Commit
from tidings_sandbox.github.words import BRANCHES, FILES, MESSAGES
from tidings_sandbox.happenings import Happening

_MOST_COMMITS: Final = 2048


class Branches:
    """Makes it happen: each method makes one kind, and returns what was recorded, the kind itself last.

    Args:
        kit: What it needs.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def push(self, place: Place) -> list[Happening]:
        """Commits arrive on a branch; one that is not there yet is created with them."""
        repository = place.repository
        branch = place.text("branch", DEFAULT_BRANCH)
        count = place.number("commits") or self._kit.chance.randint(1, 3)
        before = repository.branches.get(branch, NO_COMMIT)
        parent = repository.branches[DEFAULT_BRANCH] if before == NO_COMMIT else before
        commits = []
        for _ in range(min(count, _MOST_COMMITS)):
            message = place.text("title", self._kit.chance.choice(MESSAGES), 4000)
            path = self._kit.chance.choice(FILES)
            commit = Commit(self._kit.repositories.sha(), parent, message, place.by, place.at, path)
            repository.commit(commit, branch)
            commits.append(commit)
            parent = commit.sha
        created = self._created(place, branch) if before == NO_COMMIT else []
        return created + self.pushed(place, _ref(branch), before, parent, commits)

    def branch_created(self, place: Place) -> list[Happening]:
        """A branch begins where the default branch is."""
        repository = place.repository
        branch = place.text("branch", "") or f"{self._kit.chance.choice(BRANCHES)}-{self._kit.serial()}"
        if branch in repository.branches:
            raise LookupError(f"{repository.full_name} has a branch {branch} already.")
        head = repository.branches[branch] = repository.branches[DEFAULT_BRANCH]
        repository.pushed_at = place.at
        return self.pushed(place, _ref(branch), NO_COMMIT, head, []) + self._created(place, branch)

    def branch_deleted(self, place: Place) -> list[Happening]:
        """A branch goes; where there is none to go, one that had been there all the time."""
        repository = place.repository
        others = [name for name in repository.branches if name != DEFAULT_BRANCH]
        branch = place.text("branch", "") or (others[0] if others else self._kit.chance.choice(BRANCHES))
        if "branch" in place.details and branch not in others:
            raise LookupError(f"{repository.full_name} has no branch {branch} to delete.")
        before = repository.branches.pop(branch, repository.branches[DEFAULT_BRANCH])
        repository.pushed_at = place.at
        pushed = self.pushed(place, _ref(branch), before, NO_COMMIT, [])
        payload = {"ref": branch, "ref_type": "branch", "full_ref": _ref(branch), "pusher_type": "user"}
        title = f"Branch {branch} deleted"
        return pushed + self._tell(
            place, News("branch_deleted", title, "delete", payload, feed=("DeleteEvent", payload))
        )

    def pushed(
        self, place: Place, ref: str, before: str, after: str, commits: Sequence[Commit]
    ) -> list[Happening]:
        """Tell of a branch that moved."""
        repository = place.repository
        payload = self._kit.payloads.push(repository, ref, before, after, commits, place.by)
        key = keys.push(repository.id, ref, before, after)
        feed = None
        if NO_COMMIT not in {before, after}:  # of branches that come and go the feeds say so otherwise
            trimmed = {
                "repository_id": repository.id,
                "push_id": self._kit.serial(),
                "ref": ref,
                "head": after,
                "before": before,
            }
            feed = ("PushEvent", trimmed)
        title = f"{len(commits)} commit{'' if len(commits) == 1 else 's'} pushed to {ref.removeprefix('refs/heads/')}"
        return self._tell(place, News("push", title, "push", payload, key, feed))

    def _created(self, place: Place, branch: str) -> list[Happening]:
        payload = {
            "ref": branch,
            "ref_type": "branch",
            "full_ref": _ref(branch),
            "master_branch": DEFAULT_BRANCH,
            "description": place.repository.description,
            "pusher_type": "user",
        }
        title = f"Branch {branch} created"
        return self._tell(
            place, News("branch_created", title, "create", payload, feed=("CreateEvent", payload))
        )

    def _tell(self, place: Place, news: News) -> list[Happening]:
        return self._kit.newsroom.tell(place.repository, place.by, place.at, news)


def _ref(branch: str) -> str:
    return f"refs/heads/{branch}"
