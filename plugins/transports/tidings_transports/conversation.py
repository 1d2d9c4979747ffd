"""One WebSocket, from its opening to its end: who is there, what they ask, and what they are sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote_from_bytes

import anyio
from starlette.types import Receive, Scope, Send

from tidings.asgi import header
from tidings.config import Rate
from tidings.context import Context
from tidings.contracts import Notice, Principal, Subscription
from tidings.errors import Conflict, Denied, InvalidCursor, NotFound, Rejected, TidingsError, Unavailable
from tidings.event import Cursor, Gap, rfc3339
from tidings.selection import parse_selection
from tidings.websocket import Socket
from tidings_transports.closes import close_for
from tidings_transports.commands import Auth, Command, Ping, Subscribe, Sync, parse_command
from tidings_transports.frames import (
    PING,
    ack_frame,
    cursor_frame,
    error_frame,
    event_frame,
    gap_frame,
    notice_frame,
    pong_frame,
)
from tidings_transports.pulse import PacedSink, Pulse

_CLOSE_SECONDS: Final = 2.0
_DENIED: Final = {401: "unauthenticated", 403: "forbidden", 429: "too_many_streams"}
_CODES: Final[tuple[tuple[type[TidingsError], str], ...]] = (
    (InvalidCursor, "invalid_cursor"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (Unavailable, "unavailable"),
    (Rejected, "rejected"),
)
#: Every code that an error may have.
ERROR_CODES: Final = (*_DENIED.values(), *(code for _, code in _CODES), "rate_limited", "internal")


class WebSocketSink(Socket, PacedSink):
    """Where the fan-out puts a connection's frames; the same for each of its subscriptions."""

    __slots__ = ("_ended", "frames", "quiet_ticks", "told_seq")

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._ended = False

    def heartbeat(self) -> bytes:
        """See `PacedSink.heartbeat`."""
        return PING

    def position(self, cursor: Cursor) -> bytes:
        """See `PacedSink.position`."""
        return cursor_frame(cursor)

    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        """See `Sink.gap`."""
        self.told_seq = cursor.seq  # numbers told before may belong to another epoch
        return gap_frame(gap, cursor)

    def notice(self, notice: Notice) -> bytes:
        """See `Sink.notice`."""
        return notice_frame(notice)

    async def finish(self, reason: str) -> None:
        """See `Sink.finish`."""
        if self._ended:
            return
        self._ended = True
        close = close_for(reason)
        done = False
        try:
            # Its own bound too: not only core ends connections.
            with anyio.move_on_after(_CLOSE_SECONDS):
                await self.close(close.code, close.reason)
                done = True
        finally:
            if not done:
                self.abort()


class Conversation:
    """What is said on one connection.

    Args:
        context: What a plugin may use.
        pulse: Keeps its stream alive.
        sink: Its end here.
        scope: Of its handshake.
        most_bytes: The longest message that it may send.
        messages: How many it may send.
        admit: Counts it among its user's connections.

    Attributes:
        heard_at: `Clock.monotonic()` of the last sign of life.
        waiting_since: Since when it has no subscription.
        principal: Who is there; None as long as that is not known.
    """

    __slots__ = (
        "_admit",
        "_context",
        "_in_window",
        "_messages",
        "_most_bytes",
        "_pulse",
        "_scope",
        "_subscription",
        "_window_ends",
        "heard_at",
        "principal",
        "sink",
        "waiting_since",
    )

    def __init__(
        self,
        context: Context,
        pulse: Pulse,
        sink: WebSocketSink,
        scope: Scope,
        *,
        most_bytes: int,
        messages: Rate | None,
        admit: Callable[[Conversation, Principal], None],
    ) -> None:
        self.sink = sink
        self.principal: Principal | None = None
        self.heard_at = self.waiting_since = context.clock.monotonic()
        self._context = context
        self._pulse = pulse
        self._scope = {name: scope[name] for name in ("type", "path", "query_string") if name in scope}
        self._most_bytes = most_bytes
        self._messages = messages
        self._admit = admit
        self._window_ends = 0.0
        self._in_window = 0
        self._subscription: Subscription | None = None

    @property
    def is_subscribed(self) -> bool:
        """Whether events are being sent."""
        return self._subscription is not None

    async def welcome(self, principal: Principal) -> None:
        """The handshake said who is there."""
        self._admit(self, principal)
        self.principal = principal
        await self.sink.say(welcome_frame(principal.user_name, principal.expires_at, ""))

    async def hold(self, receive: Receive) -> None:
        """Answer what comes until either side ends it."""
        while (message := await receive())["type"] != "websocket.disconnect":
            self.sink.heard = True
            reason = await self._take(message.get("text"))
            if reason:
                await self.sink.finish(reason)

    def end(self) -> None:
        """The connection is gone."""
        self._unsubscribe()

    async def refuse(self, error: TidingsError) -> None:
        """Say why there is no conversation, and end it."""
        await self._complain(error, "")
        await self.sink.finish(_ending(error) or "failed")

    async def _take(self, text: str | None) -> str:
        """Answer one message; returns the reason for which the connection must be closed, or ""."""
        if text is None:
            return "unsupported"
        if len(text) > self._most_bytes or len(text.encode()) > self._most_bytes:
            return "too_large"
        if not self._is_within_rate():
            await self._complain(Denied("More messages than this server allows.", code="rate_limited"), "")
            return "rate_limited"
        command: Command | None = None
        try:
            command = parse_command(text)
            await self._carry_out(command)
        except TidingsError as error:
            await self._complain(error, command.id if command is not None else "")
            return "" if isinstance(command, Sync) and self.principal is not None else _ending(error)
        return ""

    def _is_within_rate(self) -> bool:
        if self._messages is None:
            return True
        now = self._context.clock.monotonic()
        if now >= self._window_ends:
            self._window_ends, self._in_window = now + self._messages.seconds, 0
        self._in_window += 1
        return self._in_window <= self._messages.amount

    async def _complain(self, error: TidingsError, command_id: str) -> None:
        more: dict[str, object] = {}
        if isinstance(error, Unavailable) and error.retry_after_seconds is not None:
            more["retry_after_seconds"] = error.retry_after_seconds
        await self.sink.say(error_frame(_code_of(error), str(error), id=command_id, **more))

    # --- commands ---

    async def _carry_out(self, command: Command) -> None:
        if isinstance(command, Auth):
            await self._authenticate(command)
        elif isinstance(command, Subscribe):
            await self._subscribe(command)
        elif isinstance(command, Sync):
            await self._context.requests.sync(self._known(), command.connection)
            await self.sink.say(ack_frame("sync", id=command.id, connection=command.connection))
        elif isinstance(command, Ping):
            await self.sink.say(pong_frame(id=command.id))

    def _known(self) -> Principal:
        if self.principal is None:
            raise Denied(
                "Send auth first, with a token or a ticket, or open this connection with credentials."
            )
        return self.principal

    async def _authenticate(self, command: Auth) -> None:
        principal = await self._context.access.enter_stream(_scope_with(self._scope, command))
        if self.principal is None:
            self._admit(self, principal)
        elif principal.user_id != self.principal.user_id:
            raise Denied(
                "These credentials are another user's. Open a connection of their own.",
                status=403,
                code="forbidden",
            )
        self.principal = principal
        if self._subscription is not None:
            self._subscription.principal = principal
        await self.sink.say(welcome_frame(principal.user_name, principal.expires_at, command.id))

    async def _subscribe(self, command: Subscribe) -> None:
        principal = self._known()
        after = Cursor.parse(command.after) if command.after else None
        selection = parse_selection(",".join(command.types), ",".join(command.platforms))
        self._unsubscribe()
        subscription = await self._context.streams.open(
            principal, self.sink, after=after, selection=selection, encode=event_frame, transport="websocket"
        )
        self._subscription = subscription
        self._pulse.add(subscription, self.sink)
        # Even with no event ever, the client must come back with this position and not with its own.
        await self.sink.say(ack_frame("subscribe", id=command.id, cursor=str(subscription.cursor)))
        subscription.start()

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._pulse.remove(self._subscription)
            self._subscription.close()
            self._subscription = None
            self.waiting_since = self._context.clock.monotonic()


def welcome_frame(user_name: str, expires_at: datetime | None, command_id: str) -> bytes:
    """Says who is there, and until when the credentials hold by themselves."""
    return ack_frame(
        "auth",
        id=command_id,
        user=user_name,
        expires_at=None if expires_at is None else rfc3339(expires_at),
    )


def _scope_with(scope: Scope, command: Auth) -> Scope:
    """The handshake as it would be with these credentials, and no others."""
    query: bytes = scope.get("query_string", b"")
    parts = [part for part in query.split(b"&") if part and not part.startswith(b"ticket=")]
    headers: list[tuple[bytes, bytes]] = []
    if command.token:
        headers = [(b"authorization", b"Bearer " + command.token.encode("utf-8", "replace"))]
    else:
        parts.append(b"ticket=" + quote_from_bytes(command.ticket.encode("utf-8", "replace")).encode())
    return {**scope, "headers": headers, "query_string": b"&".join(parts)}


def has_bearer(scope: Scope) -> bool:
    """Whether the handshake itself has credentials that only a program can send."""
    return (header(scope, b"authorization") or "").strip().lower().startswith("bearer")


def _code_of(error: TidingsError) -> str:
    if isinstance(error, Denied):
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), "internal")


def _ending(error: TidingsError) -> str:
    """The reason to close a connection after an error; "" where it can go on."""
    if isinstance(error, Denied):
        return _DENIED.get(error.status, "forbidden")
    if isinstance(error, Unavailable):
        return "unavailable"
    return "" if isinstance(error, InvalidCursor | NotFound | Conflict | Rejected) else "failed"
