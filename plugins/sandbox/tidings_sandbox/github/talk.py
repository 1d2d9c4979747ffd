"""What can happen to the issues and pull requests of a repository."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tidings_sandbox.github import keys
from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.branches import Branches
from tidings_sandbox.github.news import News
from tidings_sandbox.github.notifications import Subject
from tidings_sandbox.github.place import Kit, Place
from tidings_sandbox.github.repositories import DEFAULT_BRANCH, Commit, Issue, Pull
from tidings_sandbox.github.threads import Threads
from tidings_sandbox.github.words import BODIES, BRANCHES, COMMENTS, FILES, ISSUES, PULLS
from tidings_sandbox.happenings import Happening

_LONG_AGO: Final = timedelta(days=90)


class Talk:
    """Makes it happen: each method makes one kind, and returns what was recorded, the kind itself last.

    Args:
        kit: What it needs.
        branches: For what a merge pushes.
    """

    def __init__(self, kit: Kit, branches: Branches) -> None:
        self._kit = kit
        self._branches = branches
        self._threads = Threads(kit.payloads.addresses)

    # --- issues ---

    def issue_opened(self, place: Place) -> list[Happening]:
        """Somebody opens an issue."""
        issue = self._new_issue(place, place.by, place.at)
        shown = self._threads.issue(place.repository, issue)
        payload = {"action": "opened", "issue": shown}
        title = f"Issue #{issue.number} opened"
        key = keys.issue_opened(issue.id)
        feed = ("IssuesEvent", payload)
        return self._tell(
            place,
            News("issue_opened", title, "issues", payload, key, feed, _subject("Issue", shown)),
        )

    def issue_closed(self, place: Place) -> list[Happening]:
        """An issue is closed; where none is open, one that had been open for long."""
        issue = self._open_issue(place)
        place.repository.close_issue(issue, place.at)
        shown = self._threads.issue(place.repository, issue)
        payload = {"action": "closed", "issue": shown}
        title = f"Issue #{issue.number} closed"
        key = keys.issue_closed(issue.id, place.at)
        feed = ("IssuesEvent", payload)
        return self._tell(
            place,
            News("issue_closed", title, "issues", payload, key, feed, _subject("Issue", shown)),
        )

    def issue_commented(self, place: Place) -> list[Happening]:
        """Somebody says something about an issue; where none is open, one that had been open for long."""
        issue = self._open_issue(place)
        issue.comments += 1
        issue.updated_at = place.at
        identity = self._kit.serial()
        body = place.text("body", self._kit.chance.choice(COMMENTS), 4000)
        comment = self._threads.comment(place.repository, issue, identity, body, place.by, place.at)
        shown = self._threads.issue(place.repository, issue)
        payload = {"action": "created", "issue": shown, "comment": comment}
        title = f"Comment on issue #{issue.number}"
        key = keys.issue_commented(identity)
        feed = ("IssueCommentEvent", payload)
        subject = _subject("Issue", shown, latest=comment["url"])
        return self._tell(place, News("issue_commented", title, "issue_comment", payload, key, feed, subject))

    # --- pull requests ---

    def pull_request_opened(self, place: Place) -> list[Happening]:
        """Somebody proposes a change from a fork."""
        pull = self._new_pull(place, place.by, place.at)
        shown = self._threads.pull(place.repository, pull)
        payload = {"action": "opened", "number": pull.number, "pull_request": shown}
        title = f"Pull request #{pull.number} opened"
        key = keys.pull_request_opened(pull.id)
        feed = ("PullRequestEvent", self._trimmed(place, "opened", pull))
        subject = _subject("PullRequest", shown)
        return self._tell(
            place, News("pull_request_opened", title, "pull_request", payload, key, feed, subject)
        )

    def pull_request_merged(self, place: Place) -> list[Happening]:
        """A pull request is merged, which also pushes; where none is open, one that had been open for long."""
        repository, by, at = place.repository, place.by, place.at
        pull = self._open_pull(place)
        before = repository.branches[DEFAULT_BRANCH]
        message = f"Merge pull request #{pull.number} from {pull.author.login}/{pull.head}\n\n{pull.title}"
        commit = Commit(self._kit.repositories.sha(), before, message, by, at, self._kit.chance.choice(FILES))
        repository.commit(commit, DEFAULT_BRANCH)
        pull.merged_at = pull.updated_at = at
        pull.merged_by, pull.merge_sha = by, commit.sha
        pushed = self._branches.pushed(place, f"refs/heads/{DEFAULT_BRANCH}", before, commit.sha, [commit])
        shown = self._threads.pull(repository, pull)
        payload = {"action": "closed", "number": pull.number, "pull_request": shown}
        title = f"Pull request #{pull.number} merged"
        key = keys.pull_request_merged(pull.id)
        feed = ("PullRequestEvent", self._trimmed(place, "merged", pull))
        subject = _subject("PullRequest", shown)
        return pushed + self._tell(
            place, News("pull_request_merged", title, "pull_request", payload, key, feed, subject)
        )

    # --- parts ---

    def _trimmed(self, place: Place, action: str, pull: Pull) -> dict[str, Any]:
        shown = self._threads.trimmed_pull(place.repository, pull)
        return {"action": action, "number": pull.number, "pull_request": shown}

    def _open_issue(self, place: Place) -> Issue:
        if "number" in place.details:
            asked = place.repository.issues.get(place.number())
            if asked is None or asked.closed_at is not None:
                raise LookupError(f"{place.repository.full_name} has no open issue of that number.")
            return asked
        found = [issue for issue in place.repository.issues.values() if issue.closed_at is None]
        if found:
            return self._kit.chance.choice(found)
        return self._new_issue(
            place, self._kit.chance.choice(self._kit.accounts.contributors), place.at - _LONG_AGO
        )

    def _open_pull(self, place: Place) -> Pull:
        if "number" in place.details:
            asked = place.repository.pulls.get(place.number())
            if asked is None or asked.merged_at is not None:
                raise LookupError(f"{place.repository.full_name} has no open pull request of that number.")
            return asked
        found = [pull for pull in place.repository.pulls.values() if pull.merged_at is None]
        if found:
            return self._kit.chance.choice(found)
        return self._new_pull(
            place, self._kit.chance.choice(self._kit.accounts.contributors), place.at - _LONG_AGO
        )

    def _new_issue(self, place: Place, author: Account, at: datetime) -> Issue:
        place.repository.last_number += 1
        return place.repository.add_issue(
            Issue(
                self._kit.serial(),
                place.repository.last_number,
                place.text("title", self._kit.chance.choice(ISSUES), 250),
                author,
                at,
                place.text("body", self._kit.chance.choice(BODIES), 4000),
            )
        )

    def _new_pull(self, place: Place, author: Account, at: datetime) -> Pull:
        place.repository.last_number += 1
        return place.repository.add_pull(
            Pull(
                self._kit.serial(),
                place.repository.last_number,
                place.text("title", self._kit.chance.choice(PULLS), 250),
                author,
                at,
                head=place.text("branch", self._kit.chance.choice(BRANCHES)),
                head_sha=self._kit.repositories.sha(),
                base_sha=place.repository.branches[DEFAULT_BRANCH],
                fork_id=self._kit.serial(),
                body=place.text("body", self._kit.chance.choice(BODIES), 4000),
            )
        )

    def _tell(self, place: Place, news: News) -> list[Happening]:
        return self._kit.newsroom.tell(place.repository, place.by, place.at, news)


def _subject(kind: str, shown: Mapping[str, Any], *, latest: str = "") -> Subject:
    return Subject(kind, shown["title"], shown["url"], latest or shown["url"])
