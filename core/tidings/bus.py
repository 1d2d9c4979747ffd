"""How nodes wake one another, and pass on what is told to whoever watches just now. The truth is in the journal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

import msgspec

from tidings.event import Cursor, UserId


class WakeUp(msgspec.Struct, frozen=True):
    """A hint that a user's journal reaches up to `seq`; losing one costs latency, never data."""

    user_id: UserId
    seq: int


class Notice(msgspec.Struct, frozen=True):
    """Routine news for who watches just now; it is never stored, and has no place in the journal.

    Attributes:
        name: `token_refresh`, `platform_sync` or `connection_status`.
        type: As an event's: `org.tidings.token.refreshed`. It and `platform` are what selections look at.
        data: A JSON object, encoded: `{"type": …, "platform": …, "connection": …, …}`; without a connection where it is
            of none.
    """

    user_id: UserId
    name: str
    type: str
    platform: str
    data: bytes


class Glance(msgspec.Struct, frozen=True):
    """A page's word for the nodes that feed its user's streams: it is in view, or is no more."""

    user_id: UserId
    page: str
    visible: bool


class Question(msgspec.Struct, frozen=True):
    """Is there a stream of this user at your node? Only those answer where it is so.

    Attributes:
        shown: None, or: and does somebody look at a page, and has it been sent everything up to here?
        reply: Where the bus takes the answer; the bus sets it.
    """

    user_id: UserId
    shown: Cursor | None = None
    reply: str = ""


class Outage(msgspec.Struct, frozen=True):
    """The bus's word about itself: wake-ups may get lost from now on, or ("") come through again.

    While it lasts, core looks for itself where journals end, and once more when it is over.

    Attributes:
        reason: Why, and what to do; for health and the log.
    """

    reason: str


#: Whatever comes by a bus.
Arrival = WakeUp | Notice | Glance | Question | Outage


class Bus(ABC):
    """Carries wake-ups between nodes.

    Core makes its calls for one user one after another, and those for several at once. Where a method raises
    `Unavailable`, an `Outage` has arrived or is about to.
    """

    @abstractmethod
    async def publish(self, wakeups: Sequence[WakeUp]) -> None:
        """Tell every node that watches these users, this one too; called once per commit.

        Raises:
            Unavailable: Other nodes can't be told now.
        """

    @abstractmethod
    async def watch(self, user_id: UserId) -> None:
        """Receive what is sent to this user; returns when that is certain.

        Raises:
            Unavailable: It can't be certain now; it will be when the outage is over.
        """

    @abstractmethod
    async def unwatch(self, user_id: UserId) -> None:
        """Receive it no more."""

    @abstractmethod
    async def tell(self, frame: Notice | Glance) -> None:
        """Tell every node that watches its user, this one too, what is not journaled.

        Raises:
            Unavailable: Other nodes can't be told now.
        """

    @abstractmethod
    async def ask(self, question: Question) -> bool:
        """Ask the other nodes that watch its user; whether one of them has answered within a moment."""

    @abstractmethod
    async def answer(self, question: Question) -> None:
        """Say yes to a question that has arrived."""

    @abstractmethod
    def wakeups(self) -> AsyncGenerator[Arrival, None]:
        """All that arrives for watched users, for as long as the server runs; begun once more if it raises."""
