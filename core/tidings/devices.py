"""Devices: browsers that get news while no page of theirs is open, and what a transport that pushes it there must be.

Core keeps the subscriptions with their cursors, reads the journal, gathers what came in a burst, and asks the transport
to push it; the transport knows the dialect of the push services.
"""

from __future__ import annotations

import dataclasses
import enum
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from tidings.contracts import Transport
from tidings.event import Cursor, Entry

__all__ = ["Admitted", "Device", "Fate", "News", "Pushed", "Pushes"]


@dataclasses.dataclass(frozen=True, slots=True)
class Admitted:
    """A subscription that a transport has found fit.

    Attributes:
        address: All that is needed to push to it, as texts; secret, kept sealed.
        identity: The part of it that no other subscription has; secret.
        service: Who takes what is pushed, as it may be shown: `fcm.googleapis.com`.
    """

    address: Mapping[str, str] = dataclasses.field(repr=False)
    identity: str = dataclasses.field(repr=False)
    service: str


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """Where to push.

    Attributes:
        key_id: Of the installation's key that the subscription was made with.
        address: See `Admitted`.
    """

    id: str
    key_id: str
    address: Mapping[str, str] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class News:
    """What a device has not been told yet, and its user's rules let through.

    Attributes:
        entries: The newest of it, oldest first; a burst has more than these.
        count: How much it is.
        sources: How much of it by platform and source: `{("github", "//github.com/octo/repo"): 7}`.
        names: What people call the platforms: `{"github": "GitHub"}`.
        first: The place of the oldest. The same news tried again has the same; it may have grown meanwhile.
        last: The position that the device has reached once it was told.
    """

    entries: Sequence[Entry]
    count: int
    sources: Mapping[tuple[str, str], int]
    names: Mapping[str, str]
    first: Cursor
    last: Cursor


class Fate(enum.StrEnum):
    """What becomes of news, and of the subscription, after a try."""

    TAKEN = "taken"  # the push service has it
    REFUSED = "refused"  # it never will take this: the subscription goes on with what comes next
    LATER = "later"  # the news stays due and is tried again; for 14 days, then the subscription is removed
    BLOCKED = "blocked"  # the same, but it is this installation's own fault: its operator is told, and nothing removed
    GONE = "gone"  # the subscription is no more, and is removed


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """How a try ended.

    Attributes:
        status: The HTTP status of the push service; 0 where it did not answer.
        detail: Why, for people, where it was not taken; never the address.
        retry_after_seconds: How long the push service asks to wait at least, where it does.
    """

    fate: Fate
    status: int = 0
    detail: str = ""
    retry_after_seconds: float | None = None


class Pushes(Transport):
    """A transport that pushes news to devices.

    Attributes:
        problem: Why nothing can be pushed as it is configured, and what to do; "" where all is well.
        warning: What an operator must not overlook; "" for nothing.
        most_devices: How many devices a user may have.
        gather_seconds: How long to wait for more news before the first is pushed.
        pace_seconds: The shortest time between two pushes to a device.
    """

    problem: str = ""
    warning: str = ""
    most_devices: int = 20
    gather_seconds: float = 2.0
    pace_seconds: float = 30.0

    _key_ids: Sequence[str] = ()

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        """Take the installation's keys, 32 secret bytes each by their id, the active one first. Called once, first."""
        self._key_ids = list(keys)

    @property
    def public_keys(self) -> Mapping[str, str]:
        """What a browser subscribes with, by the id of the key, the active one first.

        Each id of `use_keys` must be there, since subscriptions are kept under one. By default, for services that need
        no key, each is "".
        """
        return dict.fromkeys(self._key_ids, "")

    @abstractmethod
    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        """Check what a client sent as a subscription.

        Raises:
            Rejected: It is none, or nothing may be pushed there (400).
            Unavailable: That can't be told now.
        """

    @abstractmethod
    async def push(self, device: Device, news: News | None) -> Pushed:
        """Push news to a device; None is a test.

        News that is pushed once more, by its `first`, must replace what was shown of it before.
        """
