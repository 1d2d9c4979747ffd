"""WebSocket (RFC 6455): the same events, cursors and filters as Server-Sent Events, and commands the other way.

`/ws` is plain ASGI: a frame is encoded once and written straight to each connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import anyio
import anyio.abc
from pydantic import Field
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send

from tidings.config import Duration, Limit, Size, Unlimited, Whole
from tidings.context import Context
from tidings.contracts import Principal, Transport
from tidings.durations import Rate
from tidings.errors import Denied, TidingsError
from tidings.event import UserId
from tidings.hooks import Options, Plugin, hookimpl
from tidings.websocket import MOST_MESSAGE_BYTES
from tidings_transports.conversation import Conversation, WebSocketSink, has_bearer
from tidings_transports.pulse import Pulse

_LOOKS: Final = 4  # in the shortest of the times that are watched
_CONNECTIONS_PER_TURN: Final = 250

_PATHS: Final[Mapping[str, Any]] = {
    "/ws": {
        "get": {
            "operationId": "get_ws",
            "summary": "Your events, live, over a WebSocket",
            "description": (
                "Needs the scope `read`. Credentials come with the handshake (header, `?ticket=`, or the session's "
                "cookie from a page that may use it) or in the first message. [Every message and close code]"
                "(streams.md#websocket)."
            ),
            "security": [],
            "parameters": [
                {
                    "name": "ticket",
                    "in": "query",
                    "description": "From `POST /api/tickets`, where no header can be sent.",
                    "schema": {"type": "string"},
                },
                {
                    "name": "userId",
                    "in": "query",
                    "description": "Accepted if it is your own.",
                    "schema": {"type": "string"},
                },
            ],
            "responses": {"101": {"description": "The connection is a WebSocket from here on."}},
        }
    }
}


class WebSocketOptions(Options):
    """Options of the transport `websocket`.

    Attributes:
        heartbeat: Longest silence on a stream; keep it below every proxy's time-out.
        auth_timeout: How long a connection may be without a subscription before it is closed.
        idle_timeout: How long a client may give no sign of life; browsers and libraries give one when they are asked.
        max_message: The longest message that a client may send, 64KiB at most.
        messages: Messages that each connection may send.
        connections: Open connections of each user.
    """

    heartbeat: Duration = 15.0
    auth_timeout: Duration = 10.0
    idle_timeout: Duration = 60.0
    max_message: Annotated[Size, Field(gt=0, le=MOST_MESSAGE_BYTES)] = 16 * 1024
    messages: Limit = Rate(120, 60.0)
    connections: Annotated[Annotated[Whole, Field(ge=1)] | None, Unlimited] = 100


class WebSocketPlugin(Plugin):
    """Offers the transport `websocket`."""

    options_model = WebSocketOptions
    options: WebSocketOptions

    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        """The one transport."""
        return [WebSocket(self.options, context)]


class WebSocket(Transport):
    """The transport: its route, its open connections, their heartbeats and time-outs."""

    name = "websocket"

    def __init__(self, options: WebSocketOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._pulse = Pulse(context.clock, options.heartbeat)
        self._open: dict[Conversation, None] = {}  # an ordered set
        self._of_user: dict[UserId, set[Conversation]] = {}

    def routes(self) -> Sequence[BaseRoute]:
        """See `Transport.routes`."""
        return [WebSocketRoute("/ws", WebSocketEndpoint(self), name="websocket")]

    def describe(self) -> Mapping[str, Any]:
        """See `Transport.describe`."""
        return _PATHS

    async def run(self) -> None:
        """Keep silent streams alive, and end what has been silent for too long."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._pulse.run)
            await self._watch(group)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until the client or the server ends it.

        Raises:
            Denied: Before it is accepted: by a page that may not, or with a header that is no good.
            Unavailable: Likewise: the database can't say now.
        """
        principal, denied = await self._enter(scope)
        sink = WebSocketSink(send)
        conversation = Conversation(
            self._context,
            self._pulse,
            sink,
            scope,
            most_bytes=self._options.max_message,
            messages=self._options.messages,
            admit=self._admit,
        )
        if (await receive())["type"] != "websocket.connect":
            return
        await sink.accept(scope)
        # They have been read, and every layer keeps the scope as long as the connection lives.
        scope["headers"].clear()
        self._open[conversation] = None
        try:
            try:
                if denied is not None:
                    raise denied
                if principal is not None:
                    await conversation.welcome(principal)
            except TidingsError as error:
                await conversation.refuse(error)
            await conversation.hold(receive)
        except Exception as error:
            self._context.log.error("stream_failed", path=scope["path"], exc_info=error)
            await sink.finish("failed")
        finally:
            conversation.end()
            self._forget(conversation)

    async def _enter(self, scope: Scope) -> tuple[Principal | None, Denied | None]:
        """Who the handshake says is there; or why its ticket is no good, which browsers learn only later."""
        access = self._context.access
        if not access.admits_page(scope):
            raise Denied(
                "A page of another address asked for this. The operator can allow it: server.public_url or "
                "server.allowed_origins in config.yaml.",
                status=403,
                code="forbidden",
            )
        try:
            return await access.enter_stream(scope), None
        except Denied as error:
            if has_bearer(scope):
                raise
            if b"ticket=" in scope["query_string"]:
                return None, error
            if error.status != 401:
                raise
            return None, None  # a session that has ended, or nothing: `auth` may follow

    def _admit(self, conversation: Conversation, principal: Principal) -> None:
        theirs = self._of_user.setdefault(principal.user_id, set())
        most = self._options.connections
        if most is not None and len(theirs) >= most:
            raise Denied(
                f"You have {most} connections open, as many as this server allows. Close one first.",
                status=429,
                code="too_many_streams",
            )
        theirs.add(conversation)

    def _forget(self, conversation: Conversation) -> None:
        del self._open[conversation]
        if conversation.principal is not None:
            user_id = conversation.principal.user_id
            theirs = self._of_user[user_id]
            theirs.discard(conversation)
            if not theirs:
                del self._of_user[user_id]

    # --- time ---

    async def _watch(self, group: anyio.abc.TaskGroup) -> None:
        options = self._options
        shortest = min(options.heartbeat, options.auth_timeout, options.idle_timeout)
        while True:
            await self._context.clock.sleep(shortest / _LOOKS)
            now = self._context.clock.monotonic()
            for count, conversation in enumerate(list(self._open), 1):
                reason = self._look(conversation, now)
                if reason:
                    group.start_soon(
                        conversation.sink.finish, reason
                    )  # which may take a while, and never fails
                if count % _CONNECTIONS_PER_TURN == 0:
                    await anyio.lowlevel.checkpoint()

    def _look(self, conversation: Conversation, now: float) -> str:
        """The reason to end a connection, if there is one."""
        options, sink = self._options, conversation.sink
        if sink.heard:
            sink.heard, conversation.heard_at = False, now
        quiet_seconds = now - conversation.heard_at
        if quiet_seconds >= options.idle_timeout:
            return "idle_timeout"
        if not conversation.is_subscribed and now - conversation.waiting_since >= options.auth_timeout:
            return "auth_timeout"
        if quiet_seconds >= options.idle_timeout / 2:
            sink.ping()
        return ""


class WebSocketEndpoint:
    """The connection as an ASGI application, which Starlette calls without wrapping it."""

    def __init__(self, transport: WebSocket) -> None:
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._transport.serve(scope, receive, send)
