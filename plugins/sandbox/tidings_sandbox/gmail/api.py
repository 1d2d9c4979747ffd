"""The emulated Gmail API, as far as who only reads needs it.

https://developers.google.com/workspace/gmail/api/reference/rest and …/reference/quota (May 2026).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from tidings_sandbox.gmail.mailbox import Change, Kind, Mailbox, Message
from tidings_sandbox.gmail.search import matches
from tidings_sandbox.gmail.watches import Watches
from tidings_sandbox.google import SCOPE, Units, error, not_found
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, json_answer

METADATA: Final = f"{SCOPE}gmail.metadata"
#: Any one of these opens a mailbox for reading.
READING: Final = frozenset(
    {METADATA, f"{SCOPE}gmail.readonly", f"{SCOPE}gmail.modify", "https://mail.google.com/"}
)

_ADDRESS: Final = re.compile(r"/gmail/v1/users/([^/]+)/(.+)")
_UNITS_PER_MINUTE: Final = 6000
_USUAL_PAGE, _LARGEST_PAGE = 100, 500
_FIELDS: Final[dict[Kind, tuple[str, str]]] = {
    "messageAdded": ("messagesAdded", "messageAdded"),
    "messageDeleted": ("messagesDeleted", "messageDeleted"),
    "labelAdded": ("labelsAdded", "labelAdded"),
    "labelRemoved": ("labelsRemoved", "labelRemoved"),
}

Query = dict[str, list[str]]


class _Asked(msgspec.Struct, frozen=True):
    """A request that may be answered; `message_id` is "" where none is named."""

    mailbox: Mailbox
    message_id: str
    query: Query
    body: dict[str, Any]
    scopes: frozenset[str]


class MailApi:
    """Answers for mailboxes.

    Attributes:
        units: Of each user in any minute.
        limit_status: What one call too many is answered: 403 or 429; Google does both.

    Args:
        watches: Who is told of changes.
        now: Gmail's clock.
    """

    def __init__(self, watches: Watches, now: Callable[[], datetime]) -> None:
        self.units = Units(_UNITS_PER_MINUTE, 60)
        self.limit_status = 403
        self._watches = watches
        self._now = now
        self._routes: dict[tuple[str, str], tuple[int, Callable[[_Asked], Answer]]] = {
            ("GET", "profile"): (1, self._profile),
            ("GET", "history"): (2, self._history),
            ("GET", "messages"): (5, self._list),
            ("GET", "messages/*"): (20, self._get),
            ("POST", "watch"): (100, self._watch),
            ("POST", "stop"): (50, self._stop),
        }

    def answer(self, call: Call, access: Access, mailbox: Mailbox) -> Answer:
        """Answer a request with a token that opens this mailbox."""
        found = _ADDRESS.fullmatch(call.path)
        if found is None or found[1] not in {"me", mailbox.address}:
            return not_found()
        name, _, message_id = found[2].partition("/")
        units, handler = self._routes.get((call.method, f"{name}/*" if message_id else name), (0, None))
        if handler is None:
            return not_found()
        query = parse_qs(call.query, keep_blank_values=True)
        asked = _Asked(mailbox, message_id, query, call.json(), access.scopes)
        return self._charged(access, units) or handler(asked)

    def _charged(self, access: Access, units: int) -> Answer | None:
        """The refusal, where the user's units of this minute are used up."""
        if self.units.take(access.person.key, self._now(), units) is None:
            return None
        reason = "rateLimitExceeded" if self.limit_status == 429 else "userRateLimitExceeded"
        message = (
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service "
            "'gmail.googleapis.com'."
        )
        return error(self.limit_status, reason, message, domain="usageLimits")

    def _profile(self, asked: _Asked) -> Answer:
        mailbox = asked.mailbox
        return json_answer(
            {
                "emailAddress": mailbox.address,
                "messagesTotal": len(mailbox),
                "threadsTotal": len({message.thread_id for message in mailbox}),
                "historyId": str(mailbox.history_id),
            }
        )

    # --- watching ---

    def _watch(self, asked: _Asked) -> Answer:
        mailbox, body = asked.mailbox, asked.body
        topic, labels = body.get("topicName"), body.get("labelIds", [])
        behaviour = body.get("labelFilterBehavior", body.get("labelFilterAction", "include"))
        if not isinstance(topic, str) or not isinstance(labels, list) or not isinstance(behaviour, str):
            return _invalid("Invalid JSON payload received.")
        excludes = behaviour.lower() == "exclude"
        watch = self._watches.begin(mailbox, topic, frozenset(map(str, labels)), excludes=excludes)
        if isinstance(watch, Answer):
            return watch
        expiration = str(int(watch.expires_at.timestamp() * 1000))
        return json_answer({"historyId": str(mailbox.history_id), "expiration": expiration})

    def _stop(self, asked: _Asked) -> Answer:
        self._watches.stop(asked.mailbox)
        return Answer(204)

    # --- history ---

    def _history(self, asked: _Asked) -> Answer:
        mailbox, query = asked.mailbox, asked.query
        start, most = _number(query, "startHistoryId"), _page(query)
        after = _number(query, "pageToken") if "pageToken" in query else start
        if start is None or after is None or most is None:
            return _invalid("Invalid value at 'start_history_id', 'page_token' or 'max_results'.")
        if start < mailbox.forgotten:
            return not_found()
        kinds, labels = frozenset(query.get("historyTypes", ())), query.get("labelId", [""])
        shown: list[Change] = []
        more = False
        for change in mailbox.changes(after):
            if (kinds and _FIELDS[change.kind][1] not in kinds) or (
                labels[0] and labels[0] not in change.seen_under
            ):
                continue
            more = len(shown) == most
            if more:
                break
            shown.append(change)
        return json_answer(
            {
                **({"history": [_record(change) for change in shown]} if shown else {}),
                **({"nextPageToken": str(shown[-1].id)} if more else {}),
                "historyId": str(mailbox.history_id),
            }
        )

    # --- messages ---

    def _list(self, asked: _Asked) -> Answer:
        mailbox, query = asked.mailbox, asked.query
        words, labels, most = query.get("q", [""])[0], query.get("labelIds", ()), _page(query)
        if words and METADATA in asked.scopes:
            return error(403, "forbidden", "Metadata scope does not support 'q' parameter")
        behind = query.get("pageToken", [""])[0]
        if most is None or (behind and not re.fullmatch(r"\d{1,19}\.[0-9a-f]{16}", behind)):
            return _invalid("Invalid pageToken or maxResults.")
        hidden = {"SPAM", "TRASH"} if query.get("includeSpamTrash", [""])[0] != "true" else set()
        found = sorted(
            (
                message
                for message in mailbox
                if set(labels) <= set(message.labels)
                and not (hidden - set(labels)) & set(message.labels)
                and matches(message, words)
            ),
            key=_place,
            reverse=True,
        )
        if behind:
            received, _, message_id = behind.partition(".")
            found = [message for message in found if _place(message) < (int(received), message_id)]
        shown, place = found[:most], found[most - 1 : most]
        return json_answer(
            {
                **({"messages": [_named(message) for message in shown]} if shown else {}),
                **({"nextPageToken": "{}.{}".format(*_place(place[0]))} if len(found) > most else {}),
                "resultSizeEstimate": len(found),
            }
        )

    def _get(self, asked: _Asked) -> Answer:
        mailbox, query = asked.mailbox, asked.query
        shape = query.get("format", ["full"])[0].lower()
        if shape not in {"minimal", "metadata", "full"}:
            return _invalid(f"Invalid value at 'format': {shape!r}")
        if shape == "full" and METADATA in asked.scopes:
            return error(403, "forbidden", "Metadata scope doesn't allow format FULL")
        message = mailbox.get(asked.message_id)
        if message is None:
            return not_found()
        wanted = {name.lower() for name in query.get("metadataHeaders", ())} if shape == "metadata" else set()
        headers = [
            {"name": name, "value": value}
            for name, value in message.headers.items()
            if not wanted or name.lower() in wanted
        ]
        return json_answer(
            {
                **_named(message),
                "labelIds": message.labels,
                "snippet": message.snippet,
                "historyId": str(message.history_id),
                "internalDate": str(_ms(message.received_at)),
                "sizeEstimate": 2000 + len(message.snippet),
                **({} if shape == "minimal" else {"payload": {"mimeType": "text/plain", "headers": headers}}),
            }
        )


def _record(change: Change) -> dict[str, Any]:
    named = {"id": change.message_id, "threadId": change.thread_id}
    entry: dict[str, Any] = {"message": {**named, "labelIds": change.labels}}
    if change.moved:
        entry["labelIds"] = change.moved
    return {"id": str(change.id), "messages": [named], _FIELDS[change.kind][0]: [entry]}


def _named(message: Message) -> dict[str, str]:
    return {"id": message.id, "threadId": message.thread_id}


def _place(message: Message) -> tuple[int, str]:
    """By what listings are ordered."""
    return _ms(message.received_at), message.id


def _ms(instant: datetime) -> int:
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _number(query: Query, name: str) -> int | None:
    text: Sequence[str] = query.get(name, ())
    return int(text[0]) if text and re.fullmatch(r"[0-9]{1,20}", text[0]) else None


def _page(query: Query) -> int | None:
    """How many results a page has; None for nonsense."""
    if "maxResults" not in query:
        return _USUAL_PAGE
    most = _number(query, "maxResults")
    return None if most is None or most == 0 else min(most, _LARGEST_PAGE)


def _invalid(message: str) -> Answer:
    return error(400, "invalidArgument", message)
