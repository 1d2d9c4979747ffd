"""Events of mails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parseaddr
from html import unescape
from typing import Any, Final
from urllib.parse import quote

from tidings.event import Event
from tidings.fields import Object, as_strings, obj, objs, one_line, raw
from tidings_gmail.fields import identity, instant

#: The kind of event that pushes bring; `com.google.gmail.{kind}`.
MESSAGE: Final = "message"

_SOURCE: Final = "//mail.google.com"
_SNIPPET_LENGTH: Final = 300
_MOST_LABELS: Final = 50
_LABEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,100}")


def message_event(account_key: str, mailbox: str, message: Object) -> Event | None:
    """A mail that came; None where the answer is about none.

    Args:
        account_key: Google's id of whose mailbox it is.
        mailbox: Its address, for the link.
        message: As `messages.get` gives it in the format `metadata`.
    """
    message_id = identity(message, "id")
    if not message_id:
        return None
    return Event(
        id=f"gmail:{account_key}:message:{message_id}",
        type=f"com.google.gmail.{MESSAGE}",
        source=_SOURCE,
        subject=f"messages/{message_id}",
        time=instant(message, "internalDate"),
        platform="gmail",
        data=_card(mailbox, message),
    )


def labels_event(
    account_key: str, mailbox: str, message: Object, change: str, labels: Sequence[str], at: datetime | None
) -> Event | None:
    """A mail got or lost labels.

    Args:
        account_key: As above.
        mailbox: As above.
        message: As above.
        change: Names the record in the mailbox's history: `added:1234567`.
        labels: Which.
        at: When it was noticed; Gmail does not say when it happened.
    """
    message_id = identity(message, "id")
    if not message_id:
        return None
    card = _card(mailbox, message)
    verb = "got" if change.startswith("added") else "lost"
    shown = labels_of(labels)
    return Event(
        id=f"gmail:{account_key}:labels:{message_id}:{change}",
        type="com.google.gmail.labels_changed",
        source=_SOURCE,
        subject=f"messages/{message_id}",
        time=at,
        platform="gmail",
        data={**card, "title": one_line(f"{card['subject']} {verb} {', '.join(shown)}"), "changed": shown},
    )


def labels_of(value: Any) -> list[str]:
    """The labels in a list, as they may be shown."""
    return [label for label in as_strings(value)[:_MOST_LABELS] if _LABEL.fullmatch(label)]


def _card(mailbox: str, message: Object) -> dict[str, Any]:
    headers = _headers(message)
    name, address = parseaddr(headers.get("from", ""))
    sender = {"name": one_line(_readable(name), 100), "address": one_line(address, 254)}
    subject = one_line(_readable(headers.get("subject", ""))) or "(no subject)"
    snippet = one_line(unescape(raw(message, "snippet")[: 4 * _SNIPPET_LENGTH]), _SNIPPET_LENGTH)
    thread = identity(message, "threadId") or identity(message, "id")
    return {
        "title": subject,
        "text": snippet,
        "url": f"https://mail.google.com/mail/?authuser={quote(mailbox, safe='@')}#all/{thread}",
        "actor": {"name": sender["name"] or sender["address"], "avatar_url": ""},
        "from": sender,
        "subject": subject,
        "snippet": snippet,
        "labels": labels_of(message.get("labelIds")),
        "message_id": identity(message, "id"),
        "thread_id": thread,
    }


def _headers(message: Object) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in objs(obj(message, "payload"), "headers"):
        found.setdefault(raw(one, "name").lower(), raw(one, "value"))
    return found


def _readable(value: str) -> str:
    """A header without the encoding of other alphabets (RFC 2047), where it has one."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value[:2000])))
    except (HeaderParseError, LookupError, ValueError):  # a UnicodeError is a ValueError
        return value
