"""What a client may send on a WebSocket."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tidings.errors import Rejected

_LONGEST_ID: Final = 64
_LONGEST_ERROR: Final = 200


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag=str.lower):
    """A message of a client. The server answers each but `pong`, in the order in which they came.

    Attributes:
        id: Repeated in the answer, so that the client knows what is answered.
    """

    id: Annotated[str, msgspec.Meta(max_length=_LONGEST_ID)] = ""


class Auth(Command, frozen=True):
    """Says who is there, where the handshake has not. Sent again, it replaces credentials that are about to expire.

    Exactly one of the two. The answer is `ack`; the connection is closed where they are no good.

    Attributes:
        token: An API token or a JWT.
        ticket: From `POST /api/tickets`.
    """

    token: str = ""
    ticket: str = ""

    def __repr__(self) -> str:
        return "Auth()"  # it holds secrets


class Subscribe(Command, frozen=True):
    """Begins to send events; a second one replaces the first, with its position and its filter.

    The answer is `ack` with the position. Then comes what lies behind it, and then what happens.

    Attributes:
        after: A cursor: what came later is sent first. `0` is the oldest event kept; none is now.
        types: Only these CloudEvents types, `*` for any characters: `["com.github.*"]`.
        platforms: Only these platforms: `["github"]`.
    """

    after: str = ""
    types: list[str] = []
    platforms: list[str] = []


class Sync(Command, frozen=True):
    """Has a connected account's platform asked for news now, as `POST /api/connections/{id}/sync` does.

    Needs the scope `send`, and counts as a request of the API. The answer is `ack`; what is found comes as events.

    Attributes:
        connection: The connection's id.
    """

    connection: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Ping(Command, frozen=True):
    """Asks whether the server is there. The answer is `pong`."""


class Pong(Command, frozen=True):
    """Says that the client is there, after a `ping`.

    It need not: the protocol has pings of its own for that, which browsers and libraries answer by themselves.
    """


COMMANDS: Final = (Auth, Subscribe, Sync, Ping, Pong)

_decoder = msgspec.json.Decoder(Auth | Subscribe | Sync | Ping | Pong)


def parse_command(text: str) -> Command:
    """Read a message of a client.

    Raises:
        Rejected: It is not JSON, or none of the commands.
    """
    try:
        command: Command = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Rejected(f"This message can't be used: {str(error)[:_LONGEST_ERROR]}.", status=400) from None
    if isinstance(command, Auth) and bool(command.token) == bool(command.ticket):
        raise Rejected("auth needs a token or a ticket, and not both.", status=400)
    return command
