"""How each kind of happening gets its id: a table, and the few lines that follow it.

An id is made from what the payload says, so that a later poll that sees the same happening makes the same id.
Where no feed shows the happening again, or nothing in it tells two of its kind apart, the id is the delivery's
GUID: GitHub keeps it when it delivers again, and sends the same one to every hook that gets the event. Such a
happening is told by webhook alone, and never by polling: it would be told twice.
`updated_at` is in no recipe: one edit that sets three labels sends three events with one `updated_at`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tidings.fields import Object, flag, obj

BY_DELIVERY: Final = "github:{event}:delivery:{guid}"
NO_EVENT: Final = ""
ANY: Final = "*"
MERGED: Final = "merged"
ID_LENGTH: Final = 300


class Recipe(NamedTuple):
    """One row of the table.

    Attributes:
        event: The event header, or `ANY`.
        action: The payload's action ("" where the event has none), `MERGED` for a pull request closed by
            merging it, or `ANY` for the actions without a row of their own.
        template: The id; `{a.b}` is the payload's field `b` of `a`. `NO_EVENT` where nothing is told.
        polled: The feed's event from which polling tells the same happening; "" where a webhook alone tells it.
        reason: Why so.
    """

    event: str
    action: str
    template: str
    polled: str
    reason: str


_ONCE: Final = "Happens once to a thing with an id of its own."
_AGAIN: Final = "Can happen again, and nothing in the payload tells one time from the next."
_STAR: Final = (
    "`watch` and `WatchEvent` carry no `starred_at`, so the person and the repository must do. Starring "
    "again after taking the star back is therefore not told again, which also keeps toggling quiet."
)
_REF: Final = (
    "A name can be created and deleted again and again, and neither copy holds a commit or a time that would "
    "tell one time from the next."
)

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "push",
        "",
        "github:push:{repository.id}:{ref}:{before}:{after}",
        "`PushEvent`; the comparison of the two commits for its card",
        "The two commits say what moved.",
    ),
    Recipe("issues", "opened", "github:issues:{issue.id}:opened", "`IssuesEvent` opened", _ONCE),
    Recipe(
        "issues",
        "closed",
        "github:issues:{issue.id}:closed:{issue.closed_at}",
        "`IssuesEvent` closed",
        "Can happen again; `closed_at` belongs to this closing alone.",
    ),
    Recipe(
        "issues",
        "reopened",
        BY_DELIVERY,
        "",
        "Can happen again, and has no instant of its own: `closed_at` is gone.",
    ),
    Recipe("issues", ANY, BY_DELIVERY, "", _AGAIN),
    Recipe(
        "issue_comment",
        "created",
        "github:issue_comment:{comment.id}:created",
        "`IssueCommentEvent` created",
        _ONCE,
    ),
    Recipe("issue_comment", ANY, BY_DELIVERY, "", _AGAIN),
    Recipe(
        "pull_request",
        "opened",
        "github:pull_request:{pull_request.id}:opened",
        "`PullRequestEvent` opened; `GET` the pull request for its card",
        _ONCE,
    ),
    Recipe(
        "pull_request",
        MERGED,
        "github:pull_request:{pull_request.id}:merged",
        "`PullRequestEvent` merged or closed; `GET` the pull request: `merged`",
        "A pull request is merged once.",
    ),
    Recipe(
        "pull_request",
        "closed",
        "github:pull_request:{pull_request.id}:closed:{pull_request.closed_at}",
        "`PullRequestEvent` closed; `GET` the pull request: `closed_at`",
        "Can happen again; `closed_at` belongs to this closing alone. One that was reopened before the poll has lost "
        "it, and is not told.",
    ),
    Recipe(
        "pull_request",
        "synchronize",
        "github:pull_request:{pull_request.id}:synchronize:{before}:{after}",
        "",
        "The two commits say what moved. Feeds show no more than the push itself.",
    ),
    Recipe(
        "pull_request",
        "reopened",
        BY_DELIVERY,
        "",
        "Can happen again, and has no instant of its own: `closed_at` is gone.",
    ),
    Recipe("pull_request", ANY, BY_DELIVERY, "", _AGAIN),
    Recipe(
        "pull_request_review",
        "submitted",
        "github:pull_request_review:{review.id}:submitted",
        "`PullRequestReviewEvent` created",
        _ONCE,
    ),
    Recipe(
        "pull_request_review",
        "dismissed",
        "github:pull_request_review:{review.id}:dismissed",
        "`PullRequestReviewEvent` dismissed",
        "A review is dismissed once.",
    ),
    Recipe("pull_request_review", ANY, BY_DELIVERY, "", _AGAIN),
    Recipe(
        "pull_request_review_comment",
        "created",
        "github:pull_request_review_comment:{comment.id}:created",
        "`PullRequestReviewCommentEvent` created",
        _ONCE,
    ),
    Recipe(
        "commit_comment",
        "created",
        "github:commit_comment:{comment.id}:created",
        "`CommitCommentEvent` created",
        _ONCE,
    ),
    Recipe(
        "discussion",
        "created",
        "github:discussion:{discussion.id}:created",
        "`DiscussionEvent` created",
        _ONCE,
    ),
    Recipe(
        "release",
        "published",
        "github:release:{release.id}:published",
        "`ReleaseEvent` published",
        "Worth telling once, also if it is withdrawn and published again.",
    ),
    Recipe(
        "release",
        ANY,
        NO_EVENT,
        "",
        "One publishing sends several actions; `published` alone is told.",
    ),
    Recipe("star", "created", "github:star:{repository.id}:{sender.id}", "`WatchEvent`", _STAR),
    Recipe("star", ANY, BY_DELIVERY, "", _AGAIN),
    Recipe(
        "watch",
        "started",
        "github:star:{repository.id}:{sender.id}",
        "`WatchEvent`",
        "The same act as `star` created, under its older name.",
    ),
    Recipe("fork", "", "github:fork:{forkee.id}", "`ForkEvent`", _ONCE),
    Recipe("create", "", BY_DELIVERY, "", _REF),
    Recipe("delete", "", BY_DELIVERY, "", _REF),
    Recipe(
        "gollum",
        "",
        "github:gollum:{repository.id}:{pages.0.sha}:{pages.0.page_name}",
        "`GollumEvent`",
        "The wiki's commit and the first page in it.",
    ),
    Recipe(
        "workflow_run",
        "requested",
        "github:workflow_run:{workflow_run.id}:{workflow_run.run_attempt}:requested",
        "",
        "Happens once to each attempt.",
    ),
    Recipe(
        "workflow_run",
        "completed",
        "github:workflow_run:{workflow_run.id}:{workflow_run.run_attempt}:completed",
        "",
        "Happens once to each attempt.",
    ),
    Recipe("workflow_run", ANY, BY_DELIVERY, "", "An attempt can be in progress more than once."),
    Recipe(
        "workflow_job",
        "completed",
        "github:workflow_job:{workflow_job.id}:completed",
        "",
        "Every attempt gives its jobs new ids.",
    ),
    Recipe(
        "deployment",
        "created",
        "github:deployment:{deployment.id}:created",
        "",
        _ONCE,
    ),
    Recipe(
        "deployment_status",
        "created",
        "github:deployment_status:{deployment_status.id}:created",
        "",
        _ONCE,
    ),
    Recipe("status", "", "github:status:{repository.id}:{id}", "", _ONCE),
    Recipe(
        "dependabot_alert",
        "created",
        "github:dependabot_alert:{repository.id}:{alert.number}:created",
        "",
        _ONCE,
    ),
    Recipe(
        "code_scanning_alert",
        "created",
        "github:code_scanning_alert:{repository.id}:{alert.number}:created",
        "",
        _ONCE,
    ),
    Recipe(
        "secret_scanning_alert",
        "created",
        "github:secret_scanning_alert:{repository.id}:{alert.number}:created",
        "",
        _ONCE,
    ),
    Recipe("meta", "deleted", "github:meta:{hook_id}:deleted", "", "A hook is deleted once."),
    Recipe("ping", "", BY_DELIVERY, "", _AGAIN),
    Recipe(ANY, ANY, BY_DELIVERY, "", "No feed shows it, or not recognisably."),
)

# What no webhook brings.
NOTIFICATION: Final = Recipe(
    "notification",
    "",
    "github:notification:{account}:{id}:{updated_at}",
    "`GET /notifications`",
    "A thread is updated in place; each update is news.",
)


def case(event: str, action: str, payload: Object) -> str:
    """The action that the table knows this by: its own, or `MERGED`."""
    if event == "pull_request" and action == "closed" and flag(obj(payload, "pull_request"), "merged"):
        return MERGED
    return action


def is_news(event: str, action: str) -> bool:
    """Whether this is worth an event at all."""
    row = _table.get((event, action)) or _table.get((event, ANY))
    return row is None or row.template != NO_EVENT


def event_id(event: str, action: str, payload: Object, guid: str) -> str:
    """The id of what a delivery tells; by its GUID where a field that the recipe needs is missing."""
    return content_id(event, action, payload) or bounded(f"github:{event}:delivery:{guid}")


def content_id(event: str, action: str, payload: Object) -> str:
    """The id that the payload alone gives, the same whichever way it came; "" where it takes a delivery."""
    build = _builders.get((event, case(event, action, payload)))
    made = build(payload) if build is not None else None
    return bounded(made) if made else ""


def notification_id(account: str, thread: Object) -> str:
    """The id of a notification as it stands now; "" where a field is missing."""
    made = _notification({**thread, "account": account})
    return bounded(made) if made else ""


def bounded(made: str) -> str:
    """`made`, or where it has more than `ID_LENGTH` characters its beginning and a digest of the whole."""
    if len(made) <= ID_LENGTH:
        return made
    digest = hashlib.sha256(made.encode()).hexdigest()
    return f"{made[: ID_LENGTH - 1 - len(digest)]}:{digest}"


def part(value: Any) -> str | None:
    """A payload's value as part of an id, in visible ASCII; None where it is of no use for that.

    All but visible ASCII is percent-encoded, and so is `%`: two values never look alike.
    """
    if isinstance(value, str):
        if _VISIBLE.fullmatch(value):
            return value
        if len(value) > 4 * ID_LENGTH:
            value = f"{value[:ID_LENGTH]}:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"
        return quote(value, safe=_SAFE, errors="surrogatepass") or None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return str(value)
    return None


def markdown() -> str:
    """The table for people, as in the README."""
    rows = ["| event | action | id | told by polling too, from | why |", "|---|---|---|---|---|"]
    for row in (*RECIPES, NOTIFICATION):
        event = "every other" if row.event == ANY else f"`{row.event}`"
        action = "any other" if row.action == ANY else f"`{row.action}`" if row.action else "—"
        if row.action == MERGED:
            action = "`closed`, merged"
        template = f"`{row.template}`" if row.template else "no event"
        polled = row.polled or ("no: webhook only" if row.template else "—")
        if row is NOTIFICATION:
            polled += " (polling only)"
        rows.append(f"| {event} | {action} | {template} | {polled} | {row.reason} |")
    return "\n".join(rows) + "\n"


def _builder(template: str) -> Callable[[Object], str | None]:
    """A function that fills in a template from a payload, or gives None where a field is missing."""
    pieces = [
        (literal, tuple(path.split("."))) for literal, path in re.findall(r"([^{]*)\{([^}]*)\}", template)
    ]
    tail = template.rpartition("}")[2]

    def build(payload: Object) -> str | None:
        made: list[str] = []
        for literal, path in pieces:
            found = part(_walk(payload, path))
            if found is None:
                return None
            made += (literal, found)
        return "".join(made) + tail

    return build


def _walk(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


_VISIBLE = re.compile(r"[!-$&-~]+")
_SAFE: Final = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_table: Final = {(row.event, row.action): row for row in RECIPES}
_builders: Final = {
    (row.event, row.action): _builder(row.template)
    for row in RECIPES
    if row.template not in {BY_DELIVERY, NO_EVENT}
}
_notification: Final = _builder(NOTIFICATION.template)
