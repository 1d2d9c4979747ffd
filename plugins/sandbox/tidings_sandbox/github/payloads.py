"""Things as GitHub shows them in JSON: the same objects in webhooks, in feeds and in answers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tidings_sandbox.github.accounts import Account, Addresses
from tidings_sandbox.github.repositories import DEFAULT_BRANCH, Commit, Repository

Json = dict[str, Any]

_EMAIL_HOST: Final = "users.noreply.sandbox.example"
_MOST_COMMITS: Final = 2048


@functools.lru_cache(maxsize=10_000)
def iso(at: datetime) -> str:
    """An instant as GitHub writes it, in whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def maybe_iso(at: datetime | None) -> str | None:
    """Likewise; None for none."""
    return None if at is None else iso(at)


class Payloads:
    """Makes them.

    Args:
        addresses: Where things are.
    """

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self._html = addresses.html
        self._api = addresses.api

    # --- repositories ---

    def repository(self, repository: Repository) -> Json:
        """A repository, in full."""
        full_name = repository.full_name
        api, html = f"{self._api}/repos/{full_name}", f"{self._html}/{full_name}"
        return {
            **self.short_repository(repository),
            "owner": self.addresses.user(repository.owner),
            "description": repository.description,
            "fork": False,
            "hooks_url": f"{api}/hooks",
            "branches_url": f"{api}/branches{{/branch}}",
            "commits_url": f"{api}/commits{{/sha}}",
            "compare_url": f"{api}/compare/{{base}}...{{head}}",
            "events_url": f"{api}/events",
            "issues_url": f"{api}/issues{{/number}}",
            "pulls_url": f"{api}/pulls{{/number}}",
            "releases_url": f"{api}/releases{{/id}}",
            "created_at": iso(repository.created_at),
            "updated_at": iso(repository.pushed_at),
            "pushed_at": iso(repository.pushed_at),
            "clone_url": f"{html}.git",
            "homepage": None,
            "size": 108,
            "stargazers_count": repository.stars,
            "watchers_count": repository.stars,
            "language": "Python",
            "has_issues": True,
            "has_wiki": True,
            "forks_count": repository.forks,
            "archived": False,
            "disabled": False,
            "open_issues_count": repository.open_issues,
            "license": None,
            "topics": ["sandbox"],
            "visibility": "private" if repository.private else "public",
            "default_branch": DEFAULT_BRANCH,
        }

    def short_repository(self, repository: Repository) -> Json:
        """A repository as other things refer to it."""
        full_name = repository.full_name
        return {
            "id": repository.id,
            "node_id": f"R_sandbox{repository.id}",
            "name": repository.name,
            "full_name": full_name,
            "private": repository.private,
            "html_url": f"{self._html}/{full_name}",
            "url": f"{self._api}/repos/{full_name}",
        }

    def fork(self, repository: Repository, identity: int, owner: Account, at: datetime) -> Json:
        """Somebody's fork of a repository."""
        made = Repository(
            identity, owner, repository.name, repository.description, repository.private, at, at
        )
        return self.repository(made) | {"fork": True, "public": not repository.private}

    # --- commits ---

    def pushed_commit(self, repository: Repository, commit: Commit) -> Json:
        """A commit in a push."""
        return {
            "id": commit.sha,
            "tree_id": commit.sha[::-1],
            "distinct": True,
            "message": commit.message,
            "timestamp": iso(commit.at),
            "url": f"{self._html}/{repository.full_name}/commit/{commit.sha}",
            "author": self._signature(commit.author),
            "committer": self._signature(commit.author),
            "added": [],
            "removed": [],
            "modified": [commit.path],
        }

    def api_commit(self, repository: Repository, commit: Commit) -> Json:
        """A commit at the API."""
        by = {"name": commit.author.name, "email": self._email(commit.author), "date": iso(commit.at)}
        url = f"{self._api}/repos/{repository.full_name}/commits/{commit.sha}"
        return {
            "sha": commit.sha,
            "node_id": f"C_sandbox{commit.sha[:16]}",
            "commit": {"author": by, "committer": by, "message": commit.message, "comment_count": 0},
            "url": url,
            "html_url": f"{self._html}/{repository.full_name}/commit/{commit.sha}",
            "author": self.addresses.user(commit.author),
            "committer": self.addresses.user(commit.author),
            "parents": [{"sha": commit.parent}],
        }

    def push(
        self,
        repository: Repository,
        ref: str,
        before: str,
        after: str,
        commits: Sequence[Commit],
        by: Account,
    ) -> Json:
        """What a push says, besides where and by whom."""
        shown = [self.pushed_commit(repository, commit) for commit in commits[:_MOST_COMMITS]]
        created, deleted = not int(before, 16), not int(after, 16)
        compare = f"{before[:12]}...{after[:12]}"
        if created or deleted:
            compare = (before if deleted else after)[:12]
        head = repository.commits.get(after)
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "pusher": {"name": by.login, "email": self._email(by)},
            "created": created,
            "deleted": deleted,
            "forced": False,
            "base_ref": None,
            "compare": f"{self._html}/{repository.full_name}/compare/{compare}",
            "commits": shown,
            "head_commit": None if head is None else self.pushed_commit(repository, head),
        }

    # --- releases and runs ---

    def release(
        self, repository: Repository, identity: int, tag: str, name: str, body: str, by: Account, at: datetime
    ) -> Json:
        """A published release."""
        api, html = f"{self._api}/repos/{repository.full_name}", f"{self._html}/{repository.full_name}"
        return {
            "url": f"{api}/releases/{identity}",
            "html_url": f"{html}/releases/tag/{tag}",
            "id": identity,
            "node_id": f"RE_sandbox{identity}",
            "author": self.addresses.user(by),
            "tag_name": tag,
            "target_commitish": DEFAULT_BRANCH,
            "name": name,
            "draft": False,
            "immutable": False,
            "prerelease": False,
            "created_at": iso(at),
            "updated_at": iso(at),
            "published_at": iso(at),
            "assets": [],
            "tarball_url": f"{api}/tarball/{tag}",
            "body": body,
        }

    def workflow_run(
        self,
        repository: Repository,
        identity: int,
        status: str,
        conclusion: str | None,
        by: Account,
        at: datetime,
    ) -> Json:
        """A run of the repository's one workflow, on its newest commit."""
        api, html = f"{self._api}/repos/{repository.full_name}", f"{self._html}/{repository.full_name}"
        sha = repository.branches[DEFAULT_BRANCH]
        commit = repository.commits[sha]
        who = self.addresses.user(by)
        return {
            "id": identity,
            "name": "CI",
            "head_branch": DEFAULT_BRANCH,
            "head_sha": sha,
            "path": ".github/workflows/ci.yml",
            "display_title": commit.message.partition("\n")[0],
            "run_number": repository.last_run,
            "event": "push",
            "status": status,
            "conclusion": conclusion,
            "workflow_id": repository.id,
            "check_suite_id": identity,
            "url": f"{api}/actions/runs/{identity}",
            "html_url": f"{html}/actions/runs/{identity}",
            "pull_requests": [],
            "created_at": iso(at),
            "updated_at": iso(at),
            "run_started_at": iso(at),
            "run_attempt": 1,
            "actor": who,
            "triggering_actor": who,
            "head_commit": {
                "id": sha,
                "message": commit.message,
                "timestamp": iso(commit.at),
                "author": {"name": commit.author.name, "email": self._email(commit.author)},
            },
            "repository": self.short_repository(repository),
            "head_repository": self.short_repository(repository),
        }

    def workflow(self, repository: Repository) -> Json:
        """The repository's one workflow."""
        at = iso(repository.created_at)
        return {
            "id": repository.id,
            "name": "CI",
            "path": ".github/workflows/ci.yml",
            "state": "active",
            "created_at": at,
            "updated_at": at,
            "url": f"{self._api}/repos/{repository.full_name}/actions/workflows/{repository.id}",
            "html_url": f"{self._html}/{repository.full_name}/blob/main/.github/workflows/ci.yml",
        }

    # --- parts ---

    def _signature(self, account: Account) -> Json:
        return {"name": account.name, "email": self._email(account), "username": account.login}

    def _email(self, account: Account) -> str:
        return f"{account.login}@{_EMAIL_HOST}"
