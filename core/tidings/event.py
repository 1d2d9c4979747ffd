"""What moves through tidings: events, their place in a journal, and how both look on the wire.

An event is one thing that happened, normalised. A connector makes it; the journal gives it a place and
it becomes an entry; transports show the entry as a CloudEvents 1.0 JSON object
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NewType

import msgspec

from tidings.errors import InvalidCursor

#: A user, by the number that the installation gave them.
UserId = NewType("UserId", int)

#: The type of messages: what people and programs send by the API.
MESSAGE_TYPE: Final = "org.tidings.message"
#: The platform of messages; every other is a connector's.
OWN_PLATFORM: Final = "tidings"

_CURSOR = re.compile(r"([0-9a-z]{1,32})-(0|[1-9][0-9]{0,18})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    """A position in one user's journal: everything up to and including `seq` has been seen.

    `epoch` names the life of the journal; restoring a backup starts another. On the wire a cursor is
    `{epoch}-{seq}`; the bare `0` means "before the oldest event kept" in any epoch.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}" if self.epoch else "0"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor as a client sent it.

        Raises:
            InvalidCursor: `text` is neither `0` nor `{epoch}-{seq}`.
        """
        if text == "0":
            return OLDEST
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[2]) >= 2**63:
            raise InvalidCursor(text)
        return cls(match[1], int(match[2]))


#: Before everything that is kept, in any epoch.
OLDEST: Final = Cursor("", 0)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, as a connector made it.

    Attributes:
        id: Unique per user, derived from the content, the same whichever way the event came. Starts with
            the platform: `github:push:1296269:refs/heads/main:0000…:6113…`.
        type: CloudEvents type, reverse-DNS: `com.github.push`.
        source: CloudEvents source, a URI reference: `//github.com/octo/repo`.
        subject: What it is about within the source (`refs/heads/main`, `issues/7`), or "" for none.
        time: When it happened, aware UTC, or None where the platform does not say.
        platform: The platform's id: `github`.
        data: What to show, as a JSON object: `title`, `text`, `url`, `actor {name, avatar_url}` and the
            platform's own fields. Strings, finite numbers, booleans, None, lists and mappings alone.
    """

    id: str
    type: str
    source: str
    subject: str = ""
    time: datetime | None = None
    platform: str
    data: Mapping[str, Any]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its place in a journal.

    Attributes:
        user_id: Whose journal.
        cursor: Its place there.
        recorded_at: When the journal took it, aware UTC.
        via: How it came: `webhook`, `polling`, `api`, ….
        connection_id: The connection it came by, "" for none.
        data: The event's data, already encoded as JSON.
    """

    user_id: UserId
    cursor: Cursor
    id: str
    type: str
    source: str
    subject: str
    time: datetime | None
    recorded_at: datetime
    platform: str
    connection_id: str
    via: str
    data: msgspec.Raw

    def cloudevent(self) -> bytes:
        """The entry as one CloudEvents 1.0 JSON object, UTF-8, on a single line."""
        return _encoder.encode(
            _CloudEvent(
                id=self.id,
                source=self.source,
                type=self.type,
                subject=self.subject or None,
                time=None if self.time is None else rfc3339(self.time),
                data=self.data,
                sequence=f"{self.cursor.seq:019d}",
                recordedtime=rfc3339(self.recorded_at),
                platform=self.platform,
                connection=self.connection_id or None,
                via=self.via,
                cursor=str(self.cursor),
            )
        )


class _CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The wire form. Attributes without a value are left out, as CloudEvents asks."""

    specversion: str = msgspec.field(default_factory=lambda: "1.0")  # a factory's value is never omitted
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str = msgspec.field(default_factory=lambda: "application/json")
    # CloudEvents' sequence extension wants a string that sorts as the order does: hence the zeros.
    sequence: str
    recordedtime: str
    platform: str
    connection: str | None = None
    via: str
    cursor: str
    data: msgspec.Raw


class Gap(msgspec.Struct, frozen=True):
    """Events that a reader can't have any more: `count` of them, seq `from_seq` to `to_seq`.

    `reason` is `retention` (cut by age or count) or `restored` (the cursor belongs to another epoch, or
    lies beyond the head: the database was restored or replaced, and reading goes on from the oldest kept).
    """

    from_seq: int
    to_seq: int
    count: int
    reason: str

    def encode(self) -> bytes:
        """The gap as JSON: `{"from": 1, "to": 9, "count": 9, "reason": "retention"}`."""
        return _encoder.encode(
            {"from": self.from_seq, "to": self.to_seq, "count": self.count, "reason": self.reason}
        )


def rfc3339(instant: datetime) -> str:
    """An aware instant as RFC 3339 in UTC with microseconds left out where they are zero."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def encode_json(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON."""
    return _encoder.encode(value)


_encoder = msgspec.json.Encoder()
