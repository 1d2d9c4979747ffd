"""The inbox: one thread for each issue, pull request or release, updated in place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from tidings_sandbox.github.payloads import Payloads, iso, maybe_iso
from tidings_sandbox.github.repositories import Repository
from tidings_sandbox.github.requests import Header, Problem, Request, listing, paged
from tidings_sandbox.wire import Answer, encode

_MOST: Final = 200
_MOST_ON_A_PAGE: Final = 50


@dataclasses.dataclass(slots=True, eq=False)
class Subject:
    """What a thread is about.

    Attributes:
        kind: `Issue`, `PullRequest`, `Release`.
        url: At the API.
        latest_comment_url: Likewise, of what was said last.
    """

    kind: str
    title: str
    url: str
    latest_comment_url: str


@dataclasses.dataclass(slots=True, eq=False)
class Thread:
    """One thread of somebody's inbox."""

    id: int
    repository: Repository
    subject: Subject
    reason: str
    updated_at: datetime
    unread: bool = True
    last_read_at: datetime | None = None


class Inbox:
    """The newest threads of one person."""

    __slots__ = ("_threads",)

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}

    def put(self, identity: int, repository: Repository, subject: Subject, reason: str, at: datetime) -> None:
        """Something happened to a subject: its thread goes to the front, unread.

        Args:
            identity: Of the thread, if it is a new one.
            repository: Where.
            subject: What it is about.
            reason: Why the person gets it: `subscribed`, `author`, ….
            at: When.
        """
        thread = self._threads.pop(subject.url, None)
        if thread is None:
            thread = Thread(identity, repository, subject, reason, at)
        else:
            thread.subject, thread.reason, thread.updated_at, thread.unread = subject, reason, at, True
        self._threads[subject.url] = thread
        if len(self._threads) > _MOST:
            del self._threads[next(iter(self._threads))]

    def threads(self) -> Sequence[Thread]:
        """Newest first."""
        return list(self._threads.values())[::-1]

    def read_all(self, at: datetime) -> None:
        """The person has looked at everything."""
        for thread in self._threads.values():
            thread.unread, thread.last_read_at = False, at


class InboxReader:
    """Answers requests for notifications.

    Attributes:
        poll_interval_seconds: What `X-Poll-Interval` says.

    Args:
        payloads: Shows repositories.
    """

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads
        self._api = payloads.addresses.api
        self.poll_interval_seconds = 60

    def answer(self, request: Request, inbox: Inbox) -> Answer:
        """One page of the inbox, or 304 where nothing is newer than the caller knows."""
        threads = inbox.threads()
        interval = (b"x-poll-interval", str(self.poll_interval_seconds).encode())
        if threads:
            modified = format_datetime(threads[0].updated_at.replace(microsecond=0), usegmt=True)
            since = request.header(b"if-modified-since")
            headers: list[Header] = [(b"last-modified", modified.encode()), interval]
            if since and _not_newer(modified, since):
                return Answer(304, b"", headers)
        else:
            headers = [interval]
        shown, links = paged(request, self._api, _chosen(request, threads), most=_MOST_ON_A_PAGE)
        return listing([self._show(thread) for thread in shown], [*headers, *links])

    def _show(self, thread: Thread) -> bytes:
        subject, url = thread.subject, f"{self._api}/notifications/threads/{thread.id}"
        return encode(
            {
                "id": str(thread.id),
                "unread": thread.unread,
                "reason": thread.reason,
                "updated_at": iso(thread.updated_at),
                "last_read_at": maybe_iso(thread.last_read_at),
                "subject": {
                    "title": subject.title,
                    "url": subject.url,
                    "latest_comment_url": subject.latest_comment_url,
                    "type": subject.kind,
                },
                "repository": self._payloads.repository(thread.repository),
                "url": url,
                "subscription_url": f"{url}/subscription",
            }
        )


def _chosen(request: Request, threads: Sequence[Thread]) -> Sequence[Thread]:
    query = request.query
    since, before = _instant(query.get("since", "")), _instant(query.get("before", ""))
    everything = query.get("all") == "true"
    taking_part = query.get("participating") == "true"
    return [
        thread
        for thread in threads
        if (everything or thread.unread)
        and (since is None or thread.updated_at >= since)
        and (before is None or thread.updated_at < before)
        and not (taking_part and thread.reason == "subscribed")
    ]


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(422, "Invalid request: since and before must be ISO 8601") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _not_newer(modified: str, since: str) -> bool:
    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False
