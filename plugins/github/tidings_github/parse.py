"""A verified delivery -> the events in it. Pure, and it never raises but `Rejected`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from tidings.contracts import Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings.event import Event
from tidings.fields import TEXT_LENGTH, TITLE_LENGTH, clip, number, obj
from tidings_github import comments, issues, pulls, refs, repositories, webhooks
from tidings_github.body import payload
from tidings_github.card import Card, Happening, actor, read
from tidings_github.generic import generic
from tidings_github.recipes import event_id, is_news

_REVOCATION: Final = "github_app_authorization"
#: What an App is told of itself: who is meant, the payload alone says.
ABOUT_THE_APP: Final = frozenset({_REVOCATION, "installation"})
# Afterwards an account may reach other installations than before.
_CHANGES_REACH: Final = frozenset({"installation", "installation_repositories"})

_EVENT = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_DELIVERY = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)

_CARDS: Final[dict[str, Callable[[Happening], Card]]] = {
    "commit_comment": comments.commit_comment,
    "create": refs.create,
    "delete": refs.delete,
    "discussion_comment": comments.discussion_comment,
    "fork": repositories.fork,
    "issue_comment": comments.issue_comment,
    "issues": issues.issues,
    "meta": webhooks.meta,
    "ping": webhooks.ping,
    "pull_request": pulls.pull_request,
    "pull_request_review": pulls.pull_request_review,
    "pull_request_review_comment": comments.pull_request_review_comment,
    "push": refs.push,
    "release": repositories.release,
    "star": repositories.star,
    "watch": repositories.star,
    "workflow_run": repositories.workflow_run,
}

# What ends or narrows the receiving itself: a person has to act, or nothing more comes.
_NEEDS_ATTENTION: Final = frozenset(
    {
        (_REVOCATION, "revoked"),
        ("installation", "deleted"),
        ("installation", "suspend"),
        ("meta", "deleted"),
    }
)


# What a delivery says about the webhook or the grant itself.
_SIGNALS: Final = {
    ("ping", ""): "verified",
    ("meta", "deleted"): "removed",
    (_REVOCATION, "revoked"): "revoked",
}


def parse(request: WebhookRequest) -> Parsed:
    """The event that a verified delivery tells of, or none where GitHub sends several for one happening.

    Raises:
        Rejected: A header is missing or odd (400), the content type is another (415), the body is no JSON
            object (400).
    """
    event = request.headers.get("x-github-event", "")
    if _EVENT.fullmatch(event) is None:
        raise Rejected("X-GitHub-Event is missing, or not the name of one event.", status=400)
    guid = request.headers.get("x-github-delivery", "")
    if _DELIVERY.fullmatch(guid) is None:
        raise Rejected("X-GitHub-Delivery is missing, or not one delivery's id.", status=400)
    happening = read(event, payload(request, event))
    events: tuple[Event, ...] = ()
    if is_news(event, happening.action):
        events = (tell(happening, event_id(event, happening.action, happening.payload, guid)),)
    return Parsed(
        events,
        delivery_id=guid,
        kind=event,
        addresses=_addresses(happening),
        signal="reach" if event in _CHANGES_REACH else _SIGNALS.get((event, happening.action), ""),
    )


def tell(happening: Happening, identity: str) -> Event:
    """The event of a happening, whichever way it came.

    Args:
        happening: A payload as a webhook has it.
        identity: The event's id.
    """
    # A payload of which nothing could be read has no branch, issue or star to tell of.
    card = (_CARDS.get(happening.event, generic) if happening.payload else generic)(happening)
    data: dict[str, Any] = {
        "title": clip(card.title, TITLE_LENGTH),
        "text": clip(card.text, TEXT_LENGTH),
        "url": card.url or happening.home,
        "actor": actor(happening.payload),
        "repository": happening.repository,
        "organization": happening.owner,
        "action": happening.action,
        **card.fields,
    }
    if (happening.event, happening.action) in _NEEDS_ATTENTION:
        data["attention"] = True
    return Event(
        id=identity,
        type=f"com.github.{happening.event}",
        source=happening.source,
        subject=card.subject,
        time=card.time,
        platform="github",
        data=data,
    )


def _addresses(happening: Happening) -> tuple[str, ...]:
    """Whom a GitHub App's delivery is for: an installation, or where it is about the app itself a person."""
    found = []
    installation = number(obj(happening.payload, "installation"), "id")
    if installation is not None:
        found.append(f"installation:{installation}")
    # Who installs an app is known by no installation yet, and who takes the consent back by none at all.
    if happening.event in ABOUT_THE_APP:
        person = number(obj(happening.payload, "sender"), "id")
        if person is not None:
            found.append(f"user:{person}")
    return tuple(found)
