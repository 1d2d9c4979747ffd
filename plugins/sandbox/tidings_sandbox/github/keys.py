"""The id that tidings gives to each kind of happening.

Written out a second time, from the table in the GitHub connector's README, and on purpose not imported from it: the
record would otherwise agree with whatever the connector does.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from tidings_sandbox.github.payloads import iso

# Visible ASCII stands as it is, but for the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def by_delivery(event: str, guid: str) -> str:
    """What no API shows again, or not recognisably: the delivery's GUID, which all hooks share."""
    return f"github:{event}:delivery:{guid}"


def push(repository_id: int, ref: str, before: str, after: str) -> str:
    """A push."""
    return f"github:push:{repository_id}:{quote(ref, safe=_PLAIN)}:{before}:{after}"


def issue_opened(issue_id: int) -> str:
    """An issue was opened."""
    return f"github:issues:{issue_id}:opened"


def issue_closed(issue_id: int, closed_at: datetime) -> str:
    """An issue was closed, this time."""
    return f"github:issues:{issue_id}:closed:{iso(closed_at)}"


def issue_commented(comment_id: int) -> str:
    """Somebody commented on an issue."""
    return f"github:issue_comment:{comment_id}:created"


def pull_request_opened(pull_request_id: int) -> str:
    """A pull request was opened."""
    return f"github:pull_request:{pull_request_id}:opened"


def pull_request_merged(pull_request_id: int) -> str:
    """A pull request was merged."""
    return f"github:pull_request:{pull_request_id}:merged"


def release_published(release_id: int) -> str:
    """A release was published."""
    return f"github:release:{release_id}:published"


def starred(repository_id: int, sender_id: int) -> str:
    """Somebody starred a repository; told once for each of them."""
    return f"github:star:{repository_id}:{sender_id}"


def forked(forkee_id: int) -> str:
    """A repository was forked."""
    return f"github:fork:{forkee_id}"


def workflow_run(run_id: int, attempt: int, action: str) -> str:
    """A workflow run was requested or has completed."""
    return f"github:workflow_run:{run_id}:{attempt}:{action}"
