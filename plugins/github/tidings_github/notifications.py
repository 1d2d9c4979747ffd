"""Notifications: the threads of an account's inbox, which no webhook tells of.

A thread is updated in place, so that each update is an event of its own, and an update that another follows before
the poll is not seen. Read and unread ones are asked for: what was read at GitHub meanwhile is news here all the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tidings.contracts import Answer, Api
from tidings.event import Event, rfc3339
from tidings.fields import Object, flag, instant, line, obj, raw, word
from tidings_github.api import next_url, objects_in
from tidings_github.card import actor, read
from tidings_github.feeds import wait
from tidings_github.recipes import notification_id

_PATH: Final = "/notifications?all=true&per_page=50"  # GitHub gives no more on a page
_MOST_PAGES: Final = 20
# A thread may come into the list some time after the instant that it carries.
_LATE: Final = timedelta(minutes=10)
_MOST_KNOWN: Final = 200
_LAST_NUMBER: Final = re.compile(r"/([0-9]{1,18})$")
_LAST_COMMIT: Final = re.compile(r"/([0-9a-f]{7,64})$")
_REASONS: Final = {
    "approval_requested": "Your approval was requested",
    "assign": "You were assigned",
    "author": "Activity on what you opened",
    "ci_activity": "A workflow run ended",
    "comment": "Activity where you commented",
    "invitation": "You accepted an invitation",
    "manual": "Activity on what you subscribed to",
    "member_feature_requested": "A feature was requested",
    "mention": "You were mentioned",
    "review_requested": "Your review was requested",
    "security_advisory_credit": "You were credited for an advisory",
    "security_alert": "A security alert was found",
    "state_change": "You changed the state",
    "subscribed": "Activity on what you watch",
    "team_mention": "Your team was mentioned",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Inbox:
    """What the inbox has to tell, and how far it was read.

    Attributes:
        events: Oldest first.
        state: The position after them, for the checkpoint.
        wait_seconds: How long GitHub wants it left alone.
        gap: What is lost, for people; "" for nothing.
    """

    events: Sequence[Event]
    state: Mapping[str, Any]
    wait_seconds: int
    gap: str = ""


async def read_inbox(api: Api, state: Object, now: datetime, web_url: str) -> Inbox:
    """Ask for what was updated; costs nothing where nothing was. The first time nothing is news.

    Args:
        api: The account's.
        state: The position: `last` (the newest update), `known` (thread and update of those near it), `modified`
            (GitHub's `Last-Modified`).
        now: The present.
        web_url: Where GitHub's pages are.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    last = instant(state, "last")
    url = _PATH if last is None else f"{_PATH}&since={rfc3339((last - _LATE).replace(microsecond=0))}"
    modified = raw(state, "modified")
    answer = await api.request("GET", url, headers={"if-modified-since": modified} if modified else None)
    wait_seconds = wait(answer)
    if answer.status == 304:
        return Inbox((), state, wait_seconds)
    newest = answer
    threads, is_whole = await _threads(api, answer, to_the_end=last is not None)
    after = _state(threads, newest, last, now)
    if last is None:
        return Inbox((), after, wait_seconds)
    known = {(one[0], one[1]) for one in _pairs(state)}
    fresh = [
        (at, event)
        for thread in threads
        if (raw(thread, "id"), raw(thread, "updated_at")) not in known
        and (at := instant(thread, "updated_at")) is not None
        and at >= last - _LATE
        and (event := _event(thread, at, api.account_key, web_url)) is not None
    ]
    fresh.sort(key=lambda pair: pair[0])
    gap = ""
    if not is_whole and fresh:
        gap = f"More notifications came than could be read; some before {fresh[0][0]:%Y-%m-%d %H:%M} UTC are missing."
    return Inbox([event for _, event in fresh], after, wait_seconds, gap)


async def _threads(api: Api, answer: Answer, *, to_the_end: bool) -> tuple[Sequence[Object], bool]:
    """The threads of all pages, newest first, and whether these were all."""
    threads = list(objects_in(answer))
    for _ in range(_MOST_PAGES if to_the_end else 0):
        url = next_url(answer)
        if not url:
            return threads, True
        answer = await api.request("GET", url)
        threads += objects_in(answer)
    return threads, not to_the_end or not next_url(answer)


def _state(
    threads: Sequence[Object], answer: Answer, last: datetime | None, now: datetime
) -> Mapping[str, Any]:
    dated = [
        (at, raw(thread, "id"), raw(thread, "updated_at"))
        for thread in threads
        if (at := instant(thread, "updated_at")) is not None
    ]
    newest = max([at for at, _, _ in dated], default=last or now)
    if last is not None and newest < last:
        newest = last
    near = sorted(
        ((at, identity, text) for at, identity, text in dated if at >= newest - _LATE), reverse=True
    )
    state: dict[str, Any] = {
        "last": rfc3339(newest),
        "known": [[identity, text] for _, identity, text in near[:_MOST_KNOWN]],
    }
    modified = answer.headers.get("last-modified", "")
    if modified and len(modified) <= 64 and modified.isprintable():
        state["modified"] = modified  # sent back as it came
    return state


def _pairs(state: Object) -> Sequence[tuple[str, str]]:
    known = state.get("known")
    return [
        (one[0], one[1])
        for one in (known if isinstance(known, list) else ())
        if isinstance(one, list | tuple) and len(one) == 2 and all(isinstance(part, str) for part in one)
    ]


def _event(thread: Object, at: datetime, account_key: str, web_url: str) -> Event | None:
    """A thread as it stands now; None where it has no id."""
    identity = notification_id(account_key, thread)
    if not identity:
        return None
    repository, subject = obj(thread, "repository"), obj(thread, "subject")
    owner = obj(repository, "owner")
    payload: dict[str, Any] = {"repository": repository, "sender": {"html_url": web_url}}
    if raw(owner, "type") == "Organization":
        payload["organization"] = owner
    happening = read("notification", payload)
    why = word(thread, "reason")
    return Event(
        id=identity,
        type="com.github.notification",
        source=happening.source,
        subject=f"notifications/{word(thread, 'id')}",
        time=at,
        platform="github",
        data={
            "title": happening.title(_REASONS.get(why, "Activity"), line(subject, "title")),
            "text": "",
            "url": _page(subject, happening.home),
            "actor": actor({}),
            "repository": happening.repository,
            "organization": happening.owner,
            "action": "",
            "reason": why,
            "about": word(subject, "type"),
            "unread": flag(thread, "unread"),
        },
    )


def _page(subject: Object, home: str) -> str:
    """The page of what a thread is about; GitHub gives the API's address of it alone."""
    about, url = raw(subject, "type"), raw(subject, "url")
    number, commit = _LAST_NUMBER.search(url), _LAST_COMMIT.search(url)
    if not home:
        return ""
    if about in {"Issue", "PullRequest"} and number:
        return f"{home}/{'pull' if about == 'PullRequest' else 'issues'}/{number[1]}"
    if about == "Commit" and commit:
        return f"{home}/commit/{commit[1]}"
    folder = {"CheckSuite": "actions", "Discussion": "discussions", "Release": "releases"}.get(about)
    return f"{home}/{folder}" if folder else home
