"""An example delivery: a push as GitHub sends it, about 7 KB, signed."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import NotFound
from tidings.event import encode_json, rfc3339

_SITE: Final = "https://github.com"
_API: Final = "https://api.github.com"
_REPOSITORY: Final = "octo/repo"
_REPOSITORY_ID: Final = 1296269
_BRANCH: Final = "refs/heads/main"
_MESSAGES: Final = (
    "Answer the webhook only after the commit\n\nA 2xx that comes first can be lost with the process.",
    "Name the culprit when a plugin fails to load",
    "Tell a reader what retention has cut",
)
# The addresses of a repository's API that GitHub repeats in every payload.
_API_FOLDERS: Final = (
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
)


def push(keys: Keys, now: datetime, serial: str) -> WebhookRequest:
    """A signed push of three commits; every `serial` is another one.

    Raises:
        NotFound: There is no key to sign with.
    """
    if not keys.secrets:
        raise NotFound("There is no webhook secret to sign with. Make one: tidings webhook add github USER.")
    body = encode_json(_payload(now, serial))
    return WebhookRequest(
        method="POST",
        path="/api/webhooks/github",
        query="",
        headers={
            "user-agent": "GitHub-Hookshot/0123abc",
            "content-type": "application/json",
            "x-github-event": "push",
            "x-github-delivery": str(uuid5(NAMESPACE_URL, f"{_SITE}/{_REPOSITORY}#{serial}")),
            "x-github-hook-id": "109948940",
            "x-github-hook-installation-target-type": "repository",
            "x-github-hook-installation-target-id": str(_REPOSITORY_ID),
            "x-hub-signature-256": f"sha256={hmac.digest(keys.secrets[0], body, 'sha256').hex()}",
        },
        body=body,
    )


def _payload(now: datetime, serial: str) -> dict[str, Any]:
    ids = [_sha(serial, step) for step in range(len(_MESSAGES) + 1)]
    commits = [
        _commit(identity, message, now - timedelta(minutes=len(_MESSAGES) - place))
        for place, (identity, message) in enumerate(zip(ids[1:], _MESSAGES, strict=True), start=1)
    ]
    return {
        "ref": _BRANCH,
        "before": ids[0],
        "after": ids[-1],
        "repository": _repository(now),
        "pusher": {"name": "octocat", "email": "octocat@example.org"},
        "sender": _account("octocat", 583231, "User"),
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{_SITE}/{_REPOSITORY}/compare/{ids[0][:12]}...{ids[-1][:12]}",
        "commits": commits,
        "head_commit": commits[-1],
    }


def _sha(serial: str, step: int) -> str:
    return hashlib.sha256(f"{serial}/{step}".encode()).hexdigest()[:40]


def _commit(identity: str, message: str, when: datetime) -> dict[str, Any]:
    person = {"name": "The Octocat", "email": "octocat@example.org", "username": "octocat"}
    return {
        "id": identity,
        "tree_id": identity[::-1],
        "distinct": True,
        "message": message,
        "timestamp": rfc3339(when.replace(microsecond=0)),
        "url": f"{_SITE}/{_REPOSITORY}/commit/{identity}",
        "author": person,
        "committer": person,
        "added": [],
        "removed": [],
        "modified": ["README.md"],
    }


def _repository(now: datetime) -> dict[str, Any]:
    page, api = f"{_SITE}/{_REPOSITORY}", f"{_API}/repos/{_REPOSITORY}"
    return {
        "id": _REPOSITORY_ID,
        "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5",
        "name": "repo",
        "full_name": _REPOSITORY,
        "private": False,
        "owner": {**_account("octo", 6811672, "Organization"), "name": "octo", "email": None},
        "html_url": page,
        "description": "An example repository",
        "fork": False,
        "url": page,
        **{f"{folder}_url": f"{api}/{folder}" for folder in _API_FOLDERS},
        "created_at": 1296068472,
        "updated_at": rfc3339(now.replace(microsecond=0)),
        "pushed_at": int(now.astimezone(UTC).timestamp()),
        "git_url": f"git://github.com/{_REPOSITORY}.git",
        "ssh_url": f"git@github.com:{_REPOSITORY}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "homepage": None,
        "size": 108,
        "stargazers_count": 80,
        "watchers_count": 80,
        "language": "Python",
        "has_issues": True,
        "has_projects": True,
        "has_downloads": True,
        "has_wiki": True,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 9,
        "mirror_url": None,
        "archived": False,
        "disabled": False,
        "open_issues_count": 0,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "public",
        "default_branch": "main",
        "stargazers": 80,
        "master_branch": "main",
        "custom_properties": {},
    }


def _account(login: str, identity: int, kind: str) -> dict[str, Any]:
    api = f"{_API}/users/{login}"
    folders = ("followers", "following", "gists", "starred", "subscriptions", "repos", "events")
    return {
        "login": login,
        "id": identity,
        "node_id": "MDQ6VXNlcg==",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{identity}?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{_SITE}/{login}",
        **{f"{folder}_url": f"{api}/{folder}" for folder in folders},
        "type": kind,
        "site_admin": False,
    }
