"""Events as rows, and rows as entries.

What comes from outside can hold what no database takes: lone surrogates, NUL, integers beyond 64 bits, nesting
without end. It is neutralised here, before anything is queued, so that no write can fail for its content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from tidings.event import Cursor, Entry, Event, UserId
from tidings.schema import from_stored, to_stored

_LONGEST_ID = 500
_LONGEST_TYPE = 250
_LONGEST_TEXT = 2000
_DEEPEST = 20
_encoder = msgspec.json.Encoder()


class Row(NamedTuple):
    """The part of a row that comes from the event itself.

    Attributes:
        time: As it is stored.
        at: The same instant.
        data: JSON, as it is stored.
        encoded: The same, as it goes to clients.
    """

    id: str
    type: str
    source: str
    subject: str
    time: int | None
    at: datetime | None
    platform: str
    data: str
    encoded: bytes


class StoredEvent(Protocol):
    """A row of the table `events`, as the database gives it."""

    user_id: int
    seq: int
    id: str
    connection_id: str
    type: str
    source: str
    subject: str
    time: int | None
    recorded_at: int
    platform: str
    via: str
    data: str


def prepare(event: Event) -> Row:
    """The event as it will be stored; never raises."""
    try:
        encoded = _encoder.encode(event.data)
        if b"\\u0000" in encoded:
            encoded = _encoder.encode(_clean(event.data, 0))
    except (ValueError, TypeError, OverflowError, RecursionError):  # a UnicodeError is a ValueError
        encoded = _encoder.encode(_clean(event.data, 0))
    time, at = (None, None) if event.time is None else _storable_time(event.time)
    return Row(
        _identity(event.id),
        _text(event.type, _LONGEST_TYPE),
        _text(event.source, _LONGEST_TEXT),
        _text(event.subject, _LONGEST_TEXT),
        time,
        at,
        _text(event.platform, 64),
        encoded.decode(),
        encoded,
    )


def entry(user_id: UserId, cursor: Cursor, row: Row, *, connection_id: str, via: str, at: datetime) -> Entry:
    """The entry that a prepared row becomes at `cursor`."""
    return Entry(
        user_id=user_id,
        cursor=cursor,
        id=row.id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=row.at,
        recorded_at=at,
        platform=row.platform,
        connection_id=connection_id,
        via=via,
        data=msgspec.Raw(row.encoded),
    )


def stored_entry(row: StoredEvent, epoch: str) -> Entry:
    """The entry in a row read from the database."""
    return Entry(
        user_id=UserId(row.user_id),
        cursor=Cursor(epoch, row.seq),
        id=row.id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=None if row.time is None else from_stored(row.time),
        recorded_at=from_stored(row.recorded_at),
        platform=row.platform,
        connection_id=row.connection_id,
        via=row.via,
        data=msgspec.Raw(row.data.encode()),
    )


def id_hash(event_id: str) -> bytes:
    """What the table `seen` keeps of an event's id."""
    return hashlib.sha256(event_id.encode()).digest()[:16]


def _identity(text: str) -> str:
    text = _storable(text)
    if len(text) <= _LONGEST_ID:
        return text
    # Cut, but still another id for another event.
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: _LONGEST_ID - 65]}:{digest}"


def _text(text: str, longest: int) -> str:
    return text if len(text) <= longest and text.isascii() and "\0" not in text else _storable(text)[:longest]


def _storable(text: str) -> str:
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _storable_time(time: datetime) -> tuple[int, datetime] | tuple[None, None]:
    """As it is stored, and as it will be read again."""
    try:
        stored = to_stored(time)
        return stored, time if time.tzinfo is UTC else from_stored(stored)
    except (TypeError, OverflowError):  # without a zone, or beyond what a datetime can hold in UTC
        return None, None


def _clean(value: Any, depth: int) -> Any:
    """`value` with everything that JSON or a database refuses replaced by the nearest thing they take."""
    cleaned: Any = None
    if isinstance(value, bool | float):
        cleaned = value if math.isfinite(value) else None
    elif isinstance(value, int):
        if -(2**63) <= value < 2**63:
            cleaned = value
        elif abs(value) < 10**1000:  # as text it keeps its digits; more of them would take a while to write
            cleaned = str(value)
    elif depth > _DEEPEST:
        cleaned = None
    elif isinstance(value, Mapping):
        cleaned = {_storable(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = [_clean(item, depth + 1) for item in value]
    elif value is not None:
        cleaned = _storable(str(value))
    return cleaned
