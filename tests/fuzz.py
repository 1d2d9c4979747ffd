"""Random requests and messages: what a signed sender, or anybody, might send."""

import json
import random
import string
from typing import Any

_KEYS = [
    "action", "after", "before", "ref", "repository", "sender", "commits", "id", "number", "title", "html_url",
    "full_name", "login", "issue", "pull_request", "release", "user", "created_at", "body", "name", "hook", "",
    "comment", "review", "head_commit", "message", "organization", "merged", "forkee", "workflow_run", "\0",
]  # fmt: skip
_EVENTS = [
    "push", "issues", "issue_comment", "pull_request", "pull_request_review", "release", "star", "watch",
    "fork", "create", "delete", "workflow_run", "meta", "ping", "check_run", "discussion", "odd_event",
]  # fmt: skip
_TEXTS = [
    "", " ", "\0", "\ud800", "\udfff\ud800", "😀", "\u2028", "\x7f", "\u202e", "<script>", "'; --", "%s{0}",
    "opened", "created", "refs/heads/main", "refs/tags/", "0" * 40, "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "https://x/" + "y" * 3000, "x" * 70_000,
]  # fmt: skip
_NUMBERS = [0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, -0.0, 1e308]


def value(chance: random.Random, depth: int = 0) -> Any:
    """A JSON value that may be anything."""
    kind = chance.randrange(9 if depth < 5 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind in {2, 3}:
        return chance.choice(_NUMBERS)
    if kind in {4, 5}:
        return chance.choice(_TEXTS)
    if kind == 6:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(_KEYS): value(chance, depth + 1) for _ in range(chance.randrange(8))}


def body(chance: random.Random) -> bytes:
    """Mostly JSON objects; sometimes cut, deep, spoiled or no JSON at all."""
    kind = chance.randrange(12)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return b"[" * chance.choice([10, 900, 5000, 100_000])
    if kind == 2:
        depth = chance.choice([10, 300, 900, 1100, 20_000])
        return b'{"a":' * depth + b"1" + b"}" * depth
    fields = {chance.choice(_KEYS): value(chance) for _ in range(chance.randrange(12))}
    text = json.dumps(fields, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
    if kind == 3:
        return text[: chance.randrange(len(text) + 1)]
    if kind == 4:
        spoiled = bytearray(text)
        for _ in range(3):
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        return bytes(spoiled)
    if kind == 5:
        return b"payload=" + text
    return text


_COMMANDS = ["auth", "subscribe", "sync", "ping", "pong", "ack", "event", "", "unsubscribe", "\ud800"]
_FIELDS = ["token", "ticket", "after", "types", "platforms", "connection", "id", "cursor", "x", ""]
_USUAL = ["0", "a-1", "com.github.*", ["com.github.*"], ["github"], [], "*" * 200, ["*"] * 60, "con5d2k8"]


def message(chance: random.Random) -> str | bytes:
    """What a client might say on a WebSocket: mostly a command, with fields that it may have or may not."""
    kind = chance.randrange(12)
    if kind == 0:
        return (
            chance.randbytes(chance.randrange(200))
            if chance.random() < 0.2
            else "\x00" * chance.randrange(50)
        )
    if kind == 1:
        return body(chance).decode("utf-8", "replace")[:20_000]
    if kind in {2, 3}:
        return '{"type": "ping"}'
    fields: dict[str, Any] = {"type": chance.choice(_COMMANDS) if kind < 11 else value(chance)}
    for _ in range(chance.randrange(4)):
        fields[chance.choice(_FIELDS)] = chance.choice(_USUAL) if chance.random() < 0.7 else value(chance)
    text = json.dumps(fields)
    return text if kind != 5 else text[: chance.randrange(len(text) + 1)]


def headers(chance: random.Random) -> list[tuple[bytes, bytes]]:
    """Headers that HTTP allows, whatever they mean."""
    found = [
        (b"x-github-event", chance.choice(_EVENTS).encode()),
        (b"x-github-delivery", f"fuzz-{chance.randrange(10**9)}".encode()),
        (
            b"content-type",
            chance.choice(
                [b"application/json"] * 5 + [b"application/x-www-form-urlencoded", b"text/plain", b"", b";;"]
            ),
        ),
    ]
    for _ in range(chance.randrange(4)):
        name = chance.choice(
            [
                b"x-github-event", b"x-github-delivery", b"content-type", b"content-encoding", b"origin", b"cookie",
                b"authorization", b"x-forwarded-for", b"accept", b"last-event-id", b"idempotency-key", b"x-csrf-token",
                "".join(chance.choices(string.ascii_letters + "-", k=20)).encode(),
            ]
        )  # fmt: skip
        text = chance.choice(
            [
                b"",
                b"x",
                b"Bearer",
                b"Bearer " + chance.randbytes(8).hex().encode(),
                b"\xff\xfe",
                b"a" * 2000,
                b"0-0",
            ]
        )
        found.append((name, text))
    chance.shuffle(found)
    if chance.random() < 0.1:
        found.pop()
    return found
