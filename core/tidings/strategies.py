"""What a strategy must be: a way to learn of a connection's news."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from tidings.connectors import Connector


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of how a connection is being watched.

    Attributes:
        connector: Speaks to its platform.
        callback_url: Where the platform would send webhooks.
        strategy: In force now; "" for none yet.
        since: When it came into force.
        targets: How many things are to be watched; None until the platform was asked.
        registered: How many of them a webhook watches that delivers, as far as is known.
        problem: Why the others have none, for people; "" where none is missing.
        missed: How many events were found since `since`, by reconciling, that a webhook should have brought.
        doubts: How many checks found such events since the last delivery.
        is_addressed: Whether deliveries to the platform's common address reach this connection.
        quiet_seconds: How long ago the last delivery was; None for never.
        settings: The connection's own.
    """

    connector: Connector
    callback_url: str
    strategy: str
    since: datetime
    targets: int | None
    registered: int
    problem: str = ""
    missed: int = 0
    doubts: int = 0
    is_addressed: bool = False
    quiet_seconds: float | None = None
    settings: Mapping[str, Any] = {}


class Verdict(msgspec.Struct, frozen=True):
    """Yes or no, and why, for people."""

    ok: bool
    reason: str


class Plan(msgspec.Struct, frozen=True):
    """What a strategy wants of core.

    Attributes:
        jobs: The kinds of job to keep going, and every how many seconds at most: `{"sync": 21600}`.
        registers: Whether webhooks are to be kept at the platform.
        is_push: Whether asking is only to make sure: then the cadence backs off while nothing is found missing.
        is_steady: Whether the cadence is kept whatever is found; else who has no news is asked later.
    """

    jobs: Mapping[str, float]
    registers: bool = False
    is_push: bool = False
    is_steady: bool = False


class Strategy(ABC):
    """A way to learn of a connection's news. It holds no state: what it wants become rows that core reconciles.

    Attributes:
        name: `webhook`, `polling`, ….
        priority: Of those that a connector supports and that are healthy, the highest is used.
    """

    name: ClassVar[str]
    priority: ClassVar[int]

    @abstractmethod
    def supports(self, connector: Connector, callback_url: str) -> Verdict:
        """Whether it could work for this connector in this installation."""

    @abstractmethod
    def health(self, state: WatchState, now: datetime) -> Verdict:
        """Whether it works for this connection, or would; asked of those that support it."""

    @abstractmethod
    def plan(self, state: WatchState, now: datetime) -> Plan:
        """What it wants while it is in force."""

    def attempt(self, state: WatchState, now: datetime) -> Plan:
        """What it wants while another is in force, to get there: nothing, by default."""
        return Plan({})
