"""What a plugin must be, read top to bottom.

Plugins hand objects that fulfil these contracts to core once, at start-up (see `tidings.hooks`); from then
on events travel through the objects. Core owns order and durability; a plugin owns policy and dialect.

Failures: a method says `Unavailable`, `AuthExpired` or `Rejected` (see `tidings.errors`). Anything else that
it raises is a defect: it is logged with the plugin's name and contained.

What connectors and strategies must be stands in `tidings.connectors`, `tidings.deliveries`, `tidings.commonlog`,
`tidings.connecting` and `tidings.strategies`, what an append is made of in `tidings.items`; all of it can be imported
from here.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

import msgspec
from starlette.routing import BaseRoute
from starlette.types import Scope

from tidings.commonlog import AddressedDelivery, RecoversCommon
from tidings.connecting import (
    Account,
    Answer,
    Api,
    Budget,
    Connects,
    Draft,
    Drafts,
    Http,
    Manifest,
    OAuth,
    OAuthClient,
    Pause,
    Provisions,
    TokenSet,
    retry_after_seconds,
)
from tidings.connectors import (
    Asked,
    Connector,
    Greeted,
    Greets,
    LoggedDelivery,
    Polled,
    Polls,
    Pulled,
    Pulls,
    Receives,
    Recovers,
    Registers,
    Target,
    Upstream,
)
from tidings.deliveries import Hint, Keys, Parsed, Reply, WebhookRequest
from tidings.event import Cursor, Entry, Gap, UserId
from tidings.items import Appended, Checkpoint, DeliveryKey, Item, JobEnd, JobLease, JobRequest
from tidings.strategies import Plan, Strategy, Verdict, WatchState

__all__ = [
    "Access",
    "Account",
    "AddressedDelivery",
    "Answer",
    "Api",
    "Appended",
    "Asked",
    "Budget",
    "Bus",
    "Checkpoint",
    "Clock",
    "Connector",
    "Connects",
    "DeliveryKey",
    "Draft",
    "Drafts",
    "Extra",
    "Greeted",
    "Greets",
    "Hint",
    "Http",
    "Item",
    "JobEnd",
    "JobLease",
    "JobRequest",
    "Journal",
    "Keys",
    "LoggedDelivery",
    "Manifest",
    "Notice",
    "OAuth",
    "OAuthClient",
    "Page",
    "Parsed",
    "Pause",
    "Plan",
    "Polled",
    "Polls",
    "Principal",
    "Provisions",
    "Pulled",
    "Pulls",
    "Receives",
    "Recovers",
    "RecoversCommon",
    "Registers",
    "Reply",
    "Requests",
    "Selection",
    "Sink",
    "Strategy",
    "Streams",
    "Subscription",
    "Target",
    "TokenSet",
    "Transport",
    "Upstream",
    "Verdict",
    "WakeUp",
    "WatchState",
    "WebhookRequest",
    "retry_after_seconds",
]

# --- time ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """All time that tidings knows; nobody calls `time.time()` or `asyncio.sleep()` for a delay that matters."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back; for measuring durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""


# --- the journal ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Part of a journal, in order.

    Attributes:
        gap: What can't be told any more before the first entry.
        entries: The entries asked for.
        cursor: The position reached: entries that a filter withheld lie behind it too.
        at_head: Whether nothing lay behind `cursor` when it was read.
    """

    gap: Gap | None
    entries: Sequence[Entry]
    cursor: Cursor
    at_head: bool


class Selection(Protocol):
    """Which entries a reader wants."""

    def matches(self, type: str, platform: str) -> bool:  # noqa: A002 - the CloudEvents attribute's name
        """Whether an entry of this type from this platform is wanted."""


class Journal(Protocol):
    """The durable, append-only sequence of each user's events: the only truth."""

    async def append(self, *items: Item) -> Sequence[Appended]:
        """Commit items to disk, each whole or not at all; returns when they are there.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Rejected: An item can't be stored as it is.
        """

    async def read(
        self, user_id: UserId, after: Cursor, *, limit: int, selection: Selection | None = None
    ) -> Page:
        """At most `limit` entries behind `after`, oldest first."""

    async def head(self, user_id: UserId) -> Cursor:
        """The position of the newest entry."""


# --- transports: how news reaches a client ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and by what right.

    Attributes:
        kind: `session`, `token`, `jwt` or `ticket`.
        key: Names the right itself (`token:7`), so that ending it ends all that lives by it.
        scopes: Some of `read`, `send`, `admin`.
        expires_at: When the right ends by itself.
    """

    user_id: UserId
    user_name: str
    kind: str
    key: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


class Access(Protocol):
    """Who may open a stream."""

    async def enter_stream(self, scope: Scope) -> Principal:
        """The principal behind a request for a stream, by header, cookie or `?ticket=`.

        Raises:
            Denied: Nobody, or without the right to read, or with `?userId=` of somebody else.
        """

    async def require(self, scope: Scope, right: str) -> Principal:
        """The principal behind any other request, who must hold the scope `right`.

        Raises:
            Denied: Nobody (401), or without that right (403).
        """

    def admits_page(self, scope: Scope) -> bool:
        """Whether a WebSocket may be opened by the page that asks: our own, one that is allowed, or no page at all."""


class Requests(Protocol):
    """What a person asks of core by a transport, instead of by the API."""

    async def sync(self, principal: Principal, connection_id: str) -> None:
        """Have a connection's platform asked for news now, as `POST /api/connections/{id}/sync` does.

        Counts as a request of the API.

        Raises:
            Denied: Without the scope `send` (403), or more often than `limits` allows (429).
            NotFound: The principal has no such connection.
            Conflict: It can't be synced as it is.
            Unavailable: The database can't take it now.
        """


class Sink(ABC):
    """A transport's end of one stream: where core's fan-out puts encoded frames."""

    @abstractmethod
    def offer(self, frame: bytes) -> Awaitable[None] | None:
        """Write a frame without waiting.

        Returns:
            None where it is written. Where the client is slow, an awaitable that ends when this frame is on
            its way; core offers nothing else until then.
        """

    @abstractmethod
    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        """The frame that tells of a gap; reading goes on behind `cursor`."""

    @abstractmethod
    def notice(self, notice: Notice) -> bytes:
        """The frame that tells of a notice; it has no cursor."""

    @abstractmethod
    async def finish(self, reason: str) -> None:
        """Tell the client that the stream ends, and end it.

        Called at most once, and cancelled after two seconds: a client that does not read must then be cut off.
        """


class Subscription(Protocol):
    """A live cursor on one user's journal."""

    principal: Principal
    frames: int  # entries sent
    sent_seq: int  # of the last entry sent

    @property
    def cursor(self) -> Cursor:
        """Everything up to here was sent or withheld by the selection."""

    @property
    def state(self) -> str:
        """`live`, `lagging` (the client has not taken the last frame yet) or `reading` (the journal)."""

    def start(self) -> None:
        """Begin to feed the sink; called once, when the transport has sent what comes before.

        To that belongs `cursor`, in whatever form it has for positions: a client that is cut off before its first
        event must come back with this one, not with its own, which may be of no life of this journal.
        """

    def offer(self, frame: bytes) -> bool:
        """Write a frame of the transport's own, such as a heartbeat, unless the client has yet to take the last one.

        It comes behind everything up to `cursor`, and before everything later.

        Returns:
            Whether it was written.
        """

    def close(self) -> None:
        """The client is gone; nothing more will be offered."""


class Streams(Protocol):
    """Core's fan-out, as transports see it."""

    async def open(
        self,
        principal: Principal,
        sink: Sink,
        *,
        after: Cursor | None,
        selection: Selection,
        encode: Callable[[Entry], bytes],
        transport: str,
    ) -> Subscription:
        """Prepare to feed `sink`: what lies behind `after` first (None: only what comes from now on), then live.

        Args:
            principal: Whose stream it is.
            sink: Where frames go.
            after: The position behind which the stream starts.
            selection: Which entries are sent; the others are withheld.
            encode: Makes the frame of an entry; subscriptions that share it share the bytes.
            transport: For metrics and logs: `sse`.

        Raises:
            Denied: The user has as many streams as `limits.streams` allows (429).
            Unavailable: The server is shutting down.
        """


class Transport(ABC):
    """A way to reach a client."""

    name: ClassVar[str]

    def routes(self) -> Sequence[BaseRoute]:
        """Routes to serve."""
        return ()

    def describe(self) -> Mapping[str, Any]:
        """The routes as OpenAPI 3.1 path items, by path."""
        return {}

    async def run(self) -> None:
        """Work in the background for as long as the server runs (heartbeats, deliveries); may return at once."""
        return


# --- buses: how nodes wake one another --------------------------------------------------------------------------


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


class Bus(ABC):
    """Carries wake-ups between nodes; the truth stays in the journal."""

    @abstractmethod
    async def publish(self, wakeups: Sequence[WakeUp]) -> None:
        """Tell every node that watches these users; called once per commit."""

    @abstractmethod
    async def watch(self, user_id: UserId) -> None:
        """Receive wake-ups for this user; returns when that is certain."""

    @abstractmethod
    async def unwatch(self, user_id: UserId) -> None:
        """Receive them no more."""

    @abstractmethod
    async def tell(self, notice: Notice) -> None:
        """Tell every node that watches its user something that is not journaled."""

    @abstractmethod
    def wakeups(self) -> AsyncIterator[WakeUp | Notice]:
        """All wake-ups and notices for watched users, for as long as the server runs."""


# --- extras: everything else ------------------------------------------------------------------------------------


class Extra(ABC):  # noqa: B024 - every part of it is optional
    """Adds routes (a page, a sandbox, a bridge).

    Attributes:
        notice: What everybody who signs in must know, shown on the page: that a sandbox is on.
        notice_url: A page about it here, for admins: `/sandbox`; "" for none.
    """

    notice: str = ""
    notice_url: str = ""

    def routes(self) -> Sequence[BaseRoute]:
        """Routes to serve, after core's own."""
        return ()

    async def run(self) -> None:
        """Work in the background for as long as the server runs; may return at once."""
        return
