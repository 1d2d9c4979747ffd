"""What the server sends on a WebSocket: each message as the frame that goes on the wire."""

from __future__ import annotations

from typing import Final

from tidings.contracts import Notice
from tidings.event import Cursor, Entry, Gap, encode_json
from tidings.websocket import text_frame
from tidings_transports.names import event_name

PING: Final = text_frame(b'{"type":"ping"}')


def event_frame(entry: Entry) -> bytes:
    """An event, with the position behind it."""
    return text_frame(
        b'{"type":"event","name":"%b","cursor":"%b","event":%b}'
        % (event_name(entry).encode(), str(entry.cursor).encode(), entry.cloudevent())
    )


def cursor_frame(cursor: Cursor) -> bytes:
    """A position without an event: a filter has withheld some."""
    return text_frame(b'{"type":"cursor","cursor":"%b"}' % str(cursor).encode())


def gap_frame(gap: Gap, cursor: Cursor) -> bytes:
    """Events that can't be had any more, and the position behind them."""
    return text_frame(b'{"type":"gap","cursor":"%b","gap":%b}' % (str(cursor).encode(), gap.encode()))


def notice_frame(notice: Notice) -> bytes:
    """Routine news, which has no position."""
    return text_frame(b'{"type":"notice","name":"%b","notice":%b}' % (notice.name.encode(), notice.data))


def ack_frame(of: str, *, id: str = "", **more: object) -> bytes:  # noqa: A002 - the message's own word
    """The answer to a command that was carried out."""
    return text_frame(encode_json({"type": "ack", "of": of, **_id(id), **more}))


def pong_frame(*, id: str = "") -> bytes:  # noqa: A002 - the message's own word
    """The answer to `ping`."""
    return text_frame(encode_json({"type": "pong", **_id(id)}))


def error_frame(code: str, message: str, *, id: str = "", **more: object) -> bytes:  # noqa: A002 - as above
    """The answer to a command that was refused, or the last word before the connection is closed."""
    return text_frame(encode_json({"type": "error", "code": code, "message": message, **_id(id), **more}))


def _id(id_: str) -> dict[str, str]:
    return {"id": id_} if id_ else {}
