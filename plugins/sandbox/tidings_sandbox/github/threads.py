"""Issues, comments and pull requests as GitHub shows them in JSON."""

from __future__ import annotations

from datetime import datetime

from tidings_sandbox.github.accounts import Account, Addresses
from tidings_sandbox.github.payloads import Json, iso, maybe_iso
from tidings_sandbox.github.repositories import DEFAULT_BRANCH, Issue, Pull, Repository


class Threads:
    """Makes them.

    Args:
        addresses: Where things are.
    """

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self._html = addresses.html
        self._api = addresses.api

    def issue(self, repository: Repository, issue: Issue) -> Json:
        """An issue."""
        api = f"{self._api}/repos/{repository.full_name}"
        closed = issue.closed_at is not None
        return {
            "url": f"{api}/issues/{issue.number}",
            "repository_url": api,
            "comments_url": f"{api}/issues/{issue.number}/comments",
            "html_url": f"{self._html}/{repository.full_name}/issues/{issue.number}",
            "id": issue.id,
            "node_id": f"I_sandbox{issue.id}",
            "number": issue.number,
            "title": issue.title,
            "user": self.addresses.user(issue.author),
            "labels": [],
            "state": "closed" if closed else "open",
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": issue.comments,
            "created_at": iso(issue.opened_at),
            "updated_at": iso(issue.updated_at or issue.opened_at),
            "closed_at": maybe_iso(issue.closed_at),
            "author_association": "CONTRIBUTOR",
            "active_lock_reason": None,
            "body": issue.body,
            "state_reason": "completed" if closed else None,
        }

    def comment(
        self, repository: Repository, issue: Issue, identity: int, body: str, by: Account, at: datetime
    ) -> Json:
        """A comment on an issue."""
        api = f"{self._api}/repos/{repository.full_name}"
        page = f"{self._html}/{repository.full_name}/issues/{issue.number}"
        return {
            "url": f"{api}/issues/comments/{identity}",
            "html_url": f"{page}#issuecomment-{identity}",
            "issue_url": f"{api}/issues/{issue.number}",
            "id": identity,
            "node_id": f"IC_sandbox{identity}",
            "user": self.addresses.user(by),
            "created_at": iso(at),
            "updated_at": iso(at),
            "body": body,
            "author_association": "CONTRIBUTOR",
        }

    def pull(self, repository: Repository, pull: Pull) -> Json:
        """A pull request."""
        api, html = f"{self._api}/repos/{repository.full_name}", f"{self._html}/{repository.full_name}"
        owner = repository.owner
        merged = pull.merged_at is not None
        return {
            "url": f"{api}/pulls/{pull.number}",
            "id": pull.id,
            "node_id": f"PR_sandbox{pull.id}",
            "html_url": f"{html}/pull/{pull.number}",
            "diff_url": f"{html}/pull/{pull.number}.diff",
            "issue_url": f"{api}/issues/{pull.number}",
            "number": pull.number,
            "state": "closed" if merged else "open",
            "locked": False,
            "title": pull.title,
            "user": self.addresses.user(pull.author),
            "body": pull.body,
            "created_at": iso(pull.opened_at),
            "updated_at": iso(pull.updated_at or pull.opened_at),
            "closed_at": maybe_iso(pull.merged_at),
            "merged_at": maybe_iso(pull.merged_at),
            "merge_commit_sha": pull.merge_sha,
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "labels": [],
            "milestone": None,
            "draft": False,
            "head": {
                "label": f"{pull.author.login}:{pull.head}",
                "ref": pull.head,
                "sha": pull.head_sha,
                "user": self.addresses.user(pull.author),
                "repo": self._forked(repository, pull),
            },
            "base": {
                "label": f"{owner.login}:{DEFAULT_BRANCH}",
                "ref": DEFAULT_BRANCH,
                "sha": pull.base_sha,
                "user": self.addresses.user(owner),
                "repo": self._repository(repository.id, repository.full_name, repository),
            },
            "author_association": "CONTRIBUTOR",
            "auto_merge": None,
            "merged": merged,
            "mergeable": None if merged else True,
            "merged_by": None if pull.merged_by is None else self.addresses.user(pull.merged_by),
            "comments": 0,
            "review_comments": 0,
            "maintainer_can_modify": True,
            "commits": 1,
            "additions": 12,
            "deletions": 3,
            "changed_files": 1,
        }

    def trimmed_pull(self, repository: Repository, pull: Pull) -> Json:
        """A pull request as the feeds show it since October 2025: no title, no state, no instants."""
        base = {
            "id": repository.id,
            "url": f"{self._api}/repos/{repository.full_name}",
            "name": repository.name,
        }
        fork = self._forked(repository, pull)
        return {
            "url": f"{self._api}/repos/{repository.full_name}/pulls/{pull.number}",
            "id": pull.id,
            "number": pull.number,
            "head": {
                "ref": pull.head,
                "sha": pull.head_sha,
                "repo": {"id": fork["id"], "url": fork["url"], "name": fork["name"]},
            },
            "base": {"ref": DEFAULT_BRANCH, "sha": pull.base_sha, "repo": base},
        }

    def _forked(self, repository: Repository, pull: Pull) -> Json:
        return self._repository(pull.fork_id, f"{pull.author.login}/{repository.name}", repository)

    def _repository(self, identity: int, full_name: str, like: Repository) -> Json:
        return {
            "id": identity,
            "url": f"{self._api}/repos/{full_name}",
            "name": like.name,
            "full_name": full_name,
            "private": like.private,
            "html_url": f"{self._html}/{full_name}",
        }
