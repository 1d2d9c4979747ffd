"""What one append is made of, and what becomes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.event import Cursor, Event, UserId


class DeliveryKey(msgspec.Struct, frozen=True):
    """Names one delivery among all: the platform's id of it, at one registration."""

    registration_id: str
    delivery_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A connector's position at the platform, to be stored with the events that led there."""

    connection_id: str
    value: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class JobRequest:
    """Work wanted: due now, or sooner than it was. Asking again while it runs makes it due once more.

    Attributes:
        kind: Names the handler.
        key: Together with user and kind the identity of the job; asking twice is one job.
        payload: What the handler needs, as JSON; kept from the first request while the job exists.
        in_seconds: Due only then; a job that is due sooner stays so.
        platform: Whose limits a run uses up; so many run at once of each. "" for none. Kept as the payload is.
        account: Runs with the same one never overlap, whatever their kind. "" for none. Kept as the payload is.
        hints: What of the connection `key` is to be looked at, kept until a poll has: see `connectors.Hint`.
    """

    kind: str
    key: str
    payload: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    in_seconds: float = 0
    platform: str = ""
    account: str = ""
    hints: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class JobLease:
    """The right to run a job, and to commit what the run brings."""

    kind: str
    key: str
    lease: str


@dataclasses.dataclass(frozen=True, slots=True)
class JobEnd(JobLease):
    """The end of a job's run, committed with what the run brought.

    Attributes:
        again_seconds: When to run again; None to rest until it is wanted.
    """

    again_seconds: float | None = None


class Item(msgspec.Struct, frozen=True):
    """What one append adds for one user; all of it is committed, or nothing.

    Attributes:
        delivery: If known already, the item changes nothing.
        via: How the events came: `webhook`, `polling`, `api`, ….
        lease: Of the run that brings this item. If it is another's by now, nothing of the item is committed.
        job_end: The run that this item is the last of, ended in the same transaction; a lease as well.
    """

    user_id: UserId
    events: Sequence[Event]
    via: str
    connection_id: str = ""
    delivery: DeliveryKey | None = None
    checkpoint: Checkpoint | None = None
    jobs: Sequence[JobRequest] = ()
    lease: JobLease | None = None
    job_end: JobEnd | None = None


class Appended(msgspec.Struct, frozen=True):
    """What became of an item.

    Attributes:
        cursors: One per event of the item, in order: its place in the journal, also where the event had been
            there before; None where it was there once and retention has cut it.
        fresh: How many of the events are new.
        repeated: Whether the delivery had been taken before.
    """

    cursors: tuple[Cursor | None, ...]
    fresh: int
    repeated: bool = False
