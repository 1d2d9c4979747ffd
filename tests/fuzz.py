"""Random requests: bodies and headers that a signed sender, or anybody, might send."""

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
