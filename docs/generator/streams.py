"""`streams.md`: every frame of every transport that streams, made by the code that makes the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from generator.events import names, sample
from generator.markdown import attributes_of, prose, table
from generator.settings import options

from tidings.contracts import Notice
from tidings.event import Cursor, Gap, UserId, encode_json
from tidings.websocket import MOST_MESSAGE_BYTES, texts_of
from tidings_transports import conversation, frames, sse
from tidings_transports.closes import CLOSES
from tidings_transports.commands import COMMANDS
from tidings_transports.sse import SseOptions, SseSink
from tidings_transports.websocket import WebSocketOptions

_CURSOR: Final = Cursor("k3v9x2mq", 42)
_GAP: Final = Gap(1, 9, 9, "retention")
_NOTICE: Final = Notice(
    UserId(1),
    "platform_sync",
    "org.tidings.sync.finished",
    "github",
    encode_json(
        {
            "type": "org.tidings.sync.finished",
            "platform": "github",
            "connection": "con5d2k8",
            "time": "2026-01-15T09:30:00Z",
        }
    ),
)
_TYPES: Final = {"string": "text", "array": "list of texts"}
_ERRORS: Final = {
    "rejected": ("The message can't be used as it is; the text says why.", "goes on"),
    "invalid_cursor": ("`after` is no cursor.", "goes on"),
    "not_found": ("There is no such connection.", "goes on"),
    "conflict": ("The connection can't be synced as it is.", "goes on"),
    "unavailable": (
        "Not now; `retry_after_seconds` says for how long, where that is known.",
        "closed with 1013; after a `sync` it goes on",
    ),
    "unauthenticated": ("No credentials, or none that hold.", "closed with 4401"),
    "forbidden": (
        "The credentials lack a right, or are another user's.",
        "closed with 4403; after a `sync` it goes on",
    ),
    "rate_limited": (
        "Too many messages, or more `sync` than the API takes requests.",
        "closed with 4429; after a `sync` it goes on",
    ),
    "too_many_streams": ("As many connections or streams of yours are open as may be.", "closed with 4430"),
    "internal": ("A defect of the server.", "closed with 1011"),
}


def streams_page(api: Mapping[str, Any]) -> str:
    """`streams.md`.

    Raises:
        SystemExit: The code has an error that is not explained here.
    """
    _demand(api)
    return (
        "# Streams\n\nA stream sends [events](events.md) as they are stored, and first those that were missed. Every "
        "event comes with its [cursor](events.md#cursors). **Keep the last cursor that you have handled, and come back "
        "with it**, on any transport: what one of them gave, every other takes, and so does `GET /api/events`.\n\n"
        + _sse()
        + _websocket()
    )


def _sse() -> str:
    entry = sample()
    sink = SseSink(None, None, named=True)  # type: ignore[arg-type]  # only makes frames
    shown = (
        ("an event", sse.named_frame(entry)),
        ("an event, with `named=false`", sse.unnamed_frame(entry)),
        (
            "a position without an event: on opening, and after events that the filter withheld",
            sink.position(_CURSOR),
        ),
        ("events that can't be had any more, and the position behind them", sink.gap(_GAP, _CURSOR)),
        ("routine news for who is there just now; it has no position", sink.notice(_NOTICE)),
        ("nothing happens", sink.heartbeat()),
        ("the server ends the stream", sse.closed_frame("expired")),
    )
    rows = [
        (f"`{name}`", "; ".join(meanings), "a [CloudEvent](events.md#cloudevent)")
        for name, meanings in names().items()
    ]
    rows += [
        (
            "`token_refresh`, `platform_sync`",
            "without `id:`, a notice",
            "`{type, platform, connection, time, …}`",
        ),
        (
            "`connection_status`",
            "without `id:`, a notice that you have [read](routes.md#put-apireading) further, on whatever device",
            '`{type: "org.tidings.reading", platform: "tidings", time, cursor, unread, head}`',
        ),
        ("`cursor`", "a position without an event: keep it too", "`{}`"),
        ("`gap`", "events that can't be had any more", "a [gap](events.md#gap)"),
        ("`closed`", "the server ends the stream", "[`{reason}`](errors.md#why-a-stream-was-closed)"),
    ]
    return (
        "## Server-Sent Events\n\n"
        "[`GET /api/sse/stream`](routes.md#get-apissestream), with its filters and its position in the address. The "
        "first line is `retry:`, the milliseconds after which a browser reconnects.\n\n"
        + _examples((what, frame.decode().rstrip("\n")) for what, frame in shown)
        + "\n"
        + table(("`event:`", "what", "`data:`"), rows)
        + "\nWith `named=false` events and notices have no `event:` line, so that `onmessage` gets them all; `cursor`, "
        "`gap` and `closed` keep theirs. A comment (`: heartbeat`) or a `cursor` comes at least as often as "
        "`heartbeat` says: a client that hears nothing for twice as long has lost its connection.\n\n"
        "**Limits**\n\n" + _limits(SseOptions, "plugins.transports.sse.")
    )


def _websocket() -> str:
    parts = [
        "\n## WebSocket\n\n"
        "[`GET /ws`](routes.md#get-ws) (RFC 6455), with JSON messages both ways. One connection has one "
        "subscription.\n\n"
        "### Opening\n\n"
        "Credentials come with the handshake or in the first message:\n\n"
        + table(
            ("who", "how"),
            (
                (
                    "a program",
                    "`Authorization: Bearer` with an API token or a JWT; one that is no good is answered 401 or 403",
                ),
                ("a page of ours, signed in", "the session's cookie, which the browser sends by itself"),
                ("any other page", "`auth` with a JWT or a ticket, or `?ticket=` in the address"),
            ),
        )
        + "\nA page may open a connection if its origin is that of `server.public_url` or among "
        "`server.allowed_origins`, whatever credentials it has; any other page gets a 403. Where the handshake says "
        "who is there, the server sends `ack` of `auth` unasked. Messages are not compressed.\n\n"
        "```text\n"
        + "".join(f"{arrow} {text}\n" for arrow, text in _dialogue())
        + "```\n\n### From the client\n\n"
        "Fields that a message does not have are an error. Each may have an `id`, a text of up to 64 characters, which "
        "the answer repeats.\n"
    ]
    for command in COMMANDS:
        schema = msgspec.json.schema_components([command])[1][command.__name__]
        told = attributes_of(command.__doc__ or "")
        text = prose(command.__doc__ or "").partition("**Attributes**")[0].strip()
        parts.append(f"\n#### {command.__name__.lower()}\n\n{text}\n")
        rows = [
            (
                f"`{name}`",
                _TYPES[inner["type"]],
                "yes" if name in schema.get("required", ()) else "no",
                told[name],
            )
            for name, inner in schema["properties"].items()
            if name not in {"type", "id"}
        ]
        if rows:
            parts.append("\n" + table(("field", "value", "needed", "meaning"), rows))
    parts.append("\n### From the server\n\n")
    parts.append(_examples((what, _text(frame)) for what, frame in _server_frames()))
    parts.append(
        "\n`name` is [one of these](events.md#names). A `ping` or a `cursor` comes at least as often as `heartbeat` "
        "says when there is nothing else.\n\n### Errors\n\n"
        + table(
            ("`code`", "meaning", "the connection"),
            [(f"`{code}`", *words) for code, words in _ERRORS.items()],
        )
        + "\n### Close codes\n\n"
        + table(
            ("code", "reason", "meaning", "come back"),
            [(str(one.code), f"`{one.reason}`", one.meaning, one.come_back) for one in CLOSES],
        )
        + "\nBesides, the protocol itself closes with 1002 (what came breaks it), 1007 (a text that is not UTF-8) and "
        f"1009 (a message of more than {MOST_MESSAGE_BYTES // 1024} KiB, or in more than 64 pieces). A right that ends "
        "(4001 to 4004) closes its connections within 5 seconds. A client that does not take even the close frame is "
        "cut off after 2 seconds. Before 4401, 4403, 4429 and 4430 comes an `error` that says more.\n\n### Limits\n\n"
        + _limits(WebSocketOptions, "plugins.transports.websocket.")
        + "\n`limits.streams` counts subscriptions, over all transports together.\n"
    )
    return "".join(parts)


def _dialogue() -> Iterable[tuple[str, str]]:
    """A short conversation; each side's messages as they are on the wire."""
    yield "→", '{"type": "auth", "token": "tdg_…"}'
    yield "←", _text(frames.ack_frame("auth", user="me", expires_at=None))
    yield "→", '{"type": "subscribe", "after": "k3v9x2mq-41", "types": ["com.github.*"], "id": "1"}'
    yield "←", _text(frames.ack_frame("subscribe", id="1", cursor="k3v9x2mq-41"))
    yield "←", _text(frames.event_frame(sample()))[:90] + "…"


def _server_frames() -> Sequence[tuple[str, bytes]]:
    return (
        (
            "who is there, and until when; in answer to `auth`, or unasked",
            conversation.welcome_frame("me", None, "1"),
        ),
        (
            "the position at which a subscription begins, also where nothing follows",
            frames.ack_frame("subscribe", id="2", cursor=str(_CURSOR)),
        ),
        ("a platform is being asked", frames.ack_frame("sync", id="3", connection="con5d2k8")),
        ("an event", frames.event_frame(sample())),
        ("a position without an event: the filter withheld some. Keep it too", frames.cursor_frame(_CURSOR)),
        ("events that can't be had any more, and the position behind them", frames.gap_frame(_GAP, _CURSOR)),
        ("routine news for who is there just now; it has no position", frames.notice_frame(_NOTICE)),
        ("nothing happens", frames.PING),
        ("the answer to `ping`", frames.pong_frame(id="4")),
        ("a command was refused", frames.error_frame("invalid_cursor", "'x' is not a cursor. …", id="5")),
    )


def _text(frame: bytes) -> str:
    (text,) = texts_of(frame)
    return text.decode()


def _examples(shown: Iterable[tuple[str, str]]) -> str:
    lines = []
    for what, text in shown:
        cut = "\n".join(line if len(line) <= 160 else f"{line[:150]}…" for line in text.split("\n"))
        lines.append(
            f"- {what[0].upper()}{what[1:]}:\n\n  ```text\n  " + cut.replace("\n", "\n  ") + "\n  ```\n"
        )
    return "\n".join(lines)


def _limits(model: Any, prefix: str) -> str:
    rows = [(key, without, meaning) for key, _, without, meaning in options(model, prefix)]
    return table(("key", "default", "meaning"), rows)


def _demand(api: Mapping[str, Any]) -> None:
    assert "/ws" in api["paths"]
    codes = {*conversation.ERROR_CODES}
    if codes != set(_ERRORS):
        raise SystemExit(f"docs/generate.py: _ERRORS of streams.py lacks {sorted(codes - set(_ERRORS))}.")
