"""What a plugin must be, read top to bottom.

Plugins hand objects that fulfil these contracts to core once, at start-up (see `tidings.hooks`); from then
on events travel through the objects. Core owns order and durability; a plugin owns policy and dialect.

Failures: a method says `Unavailable`, `AuthExpired` or `Rejected` (see `tidings.errors`). Anything else that
it raises is a defect: it is logged with the plugin's name and contained.
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

from tidings.event import Cursor, Entry, Event, Gap, UserId

# --- time ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """All time that tidings knows; nobody calls `time.time()` or `asyncio.sleep()` for a delay that matters."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back; for measuring durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""


# --- connectors: how a platform speaks ------------------------------------------------------------------------


class WebhookRequest(msgspec.Struct, frozen=True):
    """One inbound request as it arrived, before anything about it is believed.

    Attributes:
        headers: Names in lower case. A header sent twice has both values, joined with `, ` (RFC 9110 §5.3).
        body: The exact bytes received: what a signature covers.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Keys(msgspec.Struct, frozen=True):
    """What a delivery may be verified with; any one of `secrets` will do, so that a secret can be rotated."""

    secrets: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.secrets)} secrets)"  # never the secrets


class Parsed(msgspec.Struct, frozen=True):
    """What a verified delivery says.

    Attributes:
        events: The news in it; empty where there is none worth telling.
        delivery_id: The platform's own id of this delivery, the same when it is sent again; "" where it has none.
        kind: The platform's word for it, for logs and metrics: `push`.
    """

    events: Sequence[Event]
    delivery_id: str = ""
    kind: str = ""


class Connector(ABC):
    """Speaks to one platform. What else it can do, it says by also being a `Receives`.

    Attributes:
        platform: The id used in routes, configuration and event ids: `github`.
        display_name: The platform's name as people write it: `GitHub`.
        icon: An SVG path (24 by 24) for pages; "" for none.
    """

    platform: ClassVar[str]
    display_name: ClassVar[str]
    icon: ClassVar[str] = ""


class Receives(ABC):
    """A connector that takes webhooks at `/api/webhooks/{platform}/{registration}`.

    Without this contract a connector can't receive at all: there is no route that skips `verify`.
    """

    @property
    @abstractmethod
    def shared_keys(self) -> Keys:
        """Keys from the operator's configuration, for deliveries to users without a registration of their own."""

    @abstractmethod
    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """Say whether the platform sent this request.

        Implementers must be pure, compare in constant time, and refuse when `keys` is empty.

        Raises:
            Rejected: It is not signed, signed wrongly, or too old. The status is what the platform expects.
        """

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Parsed:
        """Read a verified request.

        Implementers must be pure, must give an event the same id whichever way it comes, and must not raise
        anything but `Rejected` whatever is in the body: who signed it may still send anything.

        Raises:
            Rejected: It can't be read at all (status 400, 415, …).
        """

    @abstractmethod
    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """A signed example delivery, as the platform would send it, for `tidings send-sample` and tests.

        Args:
            keys: Signed with the first of `keys.secrets`.
            now: When it is said to have happened.
            serial: Makes this sample another happening than the last one.
        """


# --- the journal ------------------------------------------------------------------------------------------------


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
    """

    kind: str
    key: str
    payload: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Item(msgspec.Struct, frozen=True):
    """What one append adds for one user; all of it is committed, or nothing.

    Attributes:
        delivery: If known already, the item changes nothing.
        via: How the events came: `webhook`, `polling`, `api`, ….
    """

    user_id: UserId
    events: Sequence[Event]
    via: str
    connection_id: str = ""
    delivery: DeliveryKey | None = None
    checkpoint: Checkpoint | None = None
    jobs: Sequence[JobRequest] = ()


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
        """Begin to feed the sink; called once, when the transport has sent what comes before."""

    def offer(self, frame: bytes) -> None:
        """Write a frame of the transport's own (a heartbeat), unless the client lags or is catching up."""

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
    def wakeups(self) -> AsyncIterator[WakeUp]:
        """All wake-ups for watched users, for as long as the server runs."""


# --- extras: everything else ------------------------------------------------------------------------------------


class Extra(ABC):  # noqa: B024 - every part of it is optional
    """Adds routes (a page, a sandbox, a bridge)."""

    def routes(self) -> Sequence[BaseRoute]:
        """Routes to serve, after core's own."""
        return ()
