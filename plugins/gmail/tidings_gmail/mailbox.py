"""What the Gmail API is asked: where a mailbox stands, what changed in it since, and its mails.

developers.google.com/workspace/gmail/api/guides/sync and the discovery document of 2026-10-05. Ids and history ids are
unsigned 64-bit numbers, written as strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from tidings.contracts import Api
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, as_object, as_objects, obj, objs, raw
from tidings_gmail.cards import labels_of
from tidings_gmail.fields import identity, position

_ME: Final = "/users/me"
#: Also what is asked for a watch.
WATCH: Final = f"{_ME}/watch"
STOP: Final = f"{_ME}/stop"
INBOX: Final = "INBOX"
_HISTORY_PAGE: Final = 500
_INBOX_PAGE: Final = 100
_HEADERS: Final = ("From", "Subject", "Date")
# Quota units (developers.google.com/workspace/gmail/api/reference/quota, May 2026).
_UNITS: Final = (
    ("/watch", 100),
    ("/stop", 50),
    ("/history", 2),
    ("/profile", 1),
    ("/messages", 5),
    ("/messages/", 20),
)
_GONE: Final = frozenset({400, 404})


class HistoryGone(Exception):
    """Gmail no longer shows what changed since that position: "typically at least a week, rarely only hours"."""


class Profile(msgspec.Struct, frozen=True):
    """A mailbox: its address, and where its history stands."""

    address: str
    history_id: int


class Change(msgspec.Struct, frozen=True):
    """A message came, or its labels changed.

    Attributes:
        record: Its place in the history.
        kind: `came`, `added` or `removed`; the latter two of labels.
        labels: The message's, where the record says them; None where it does not.
        moved: The labels that were added or removed.
    """

    record: int
    kind: str
    message_id: str
    labels: Sequence[str] | None
    moved: Sequence[str] = ()


class Page(msgspec.Struct, frozen=True):
    """A page of the history; `next_page` is "" on the last one."""

    changes: Sequence[Change]
    history_id: int
    next_page: str


def units(url: str) -> int:
    """What a call takes of the minute's quota."""
    path = url.partition("?")[0]
    for part, cost in _UNITS:
        if path.endswith(part) or (part.endswith("/") and part in path):
            return cost
    return 1


async def profile(api: Api) -> Profile:
    """Where a mailbox stands.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    said = as_object((await api.request("GET", f"{_ME}/profile")).json())
    history_id = position(said.get("historyId"))
    if history_id is None:
        raise Unavailable("Gmail does not say where the mailbox's history stands.")
    return Profile(raw(said, "emailAddress"), history_id)


async def history(api: Api, since: int, next_page: str, kinds: Sequence[str]) -> Page:
    """What changed since then, oldest first.

    Raises:
        HistoryGone: That is too long ago.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    query = [("startHistoryId", str(since)), ("maxResults", str(_HISTORY_PAGE))]
    query += [("historyTypes", kind) for kind in kinds]
    if next_page:
        query.append(("pageToken", next_page))
    answer = await api.request("GET", f"{_ME}/history?{urlencode(query)}", accept=_GONE)
    if answer.status in _GONE:
        raise HistoryGone
    said = as_object(answer.json())
    changes = [change for record in objs(said, "history") for change in _changes(record)]
    return Page(changes, position(said.get("historyId")) or since, raw(said, "nextPageToken"))


async def message(api: Api, message_id: str) -> Object | None:
    """A mail's headers, labels and beginning; None where it is gone (again): a draft, say, that was saved once more.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    query = urlencode([("format", "metadata"), *[("metadataHeaders", name) for name in _HEADERS]])
    answer = await api.request("GET", f"{_ME}/messages/{message_id}?{query}", accept={404})
    return None if answer.status == 404 else as_object(answer.json())


async def newest(
    api: Api, next_page: str, since: datetime | None, *, can_search: bool
) -> tuple[list[str], str]:
    """The ids of mails in the inbox, newest first, and the next page; where that may be searched for, since then alone.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    query = [("labelIds", INBOX), ("maxResults", str(_INBOX_PAGE))]
    if since is not None and can_search:
        query.append(("q", f"after:{since.timestamp():.0f}"))
    if next_page:
        query.append(("pageToken", next_page))
    said = as_object((await api.request("GET", f"{_ME}/messages?{urlencode(query)}")).json())
    found = [identity(one, "id") for one in objs(said, "messages")]
    return [one for one in found if one], raw(said, "nextPageToken")


async def watch(api: Api, topic: str) -> Object:
    """Have changes of the inbox published to a topic; renews a watch that there is.

    Raises:
        Rejected: The topic is none of the project's, may not be published to, or another one is watched for.
        AuthExpired, Unavailable: As `Api.request`.
    """
    body = {"topicName": topic, "labelIds": [INBOX], "labelFilterBehavior": "include"}
    return as_object((await api.request("POST", WATCH, json=body)).json())


async def stop(api: Api) -> None:
    """End the watch; none is fine.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    try:
        await api.request("POST", STOP)
    except Rejected as error:
        if error.status != 404:
            raise


def _changes(record: Object) -> list[Change]:
    place = position(record.get("id"))
    if place is None:
        return []
    found: list[Change] = []
    for field, kind in (("messagesAdded", "came"), ("labelsAdded", "added"), ("labelsRemoved", "removed")):
        for one in as_objects(record.get(field)):
            about = obj(one, "message")
            message_id = identity(about, "id")
            if message_id:
                labels = labels_of(about["labelIds"]) if "labelIds" in about else None
                found.append(Change(place, kind, message_id, labels, labels_of(one.get("labelIds"))))
    return found
