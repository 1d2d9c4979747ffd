"""`errors.md`: which codes and reasons there are is read from the code; what they mean stands here."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from generator.markdown import prose, table

import tidings.errors
from tidings import rights
from tidings.api.operation import problem_of

ROOT: Final = Path(__file__).resolve().parents[2]

# What each code tells a program.
CODES: Final = {
    "conflict": "It exists already, or something else stands in the way.",
    "csrf": "A change by a browser session without `X-CSRF-Token`, or from another site's page.",
    "forbidden": "The credentials are good and lack a right.",
    "internal": "A defect; the log has the traceback.",
    "invalid_cursor": "A cursor that tidings never issued.",
    "method_not_allowed": "The route exists and doesn't take this method.",
    "not_found": "No such route, user, token or webhook address.",
    "rate_limited": "The limit is used up; `Retry-After` says for how long.",
    "refused": "A webhook that isn't signed, isn't signed rightly, or can't be read. Nothing was stored.",
    "rejected": "The request can't be used as it is; the message says which part.",
    "too_many_streams": "As many streams are open as `limits.streams` allows.",
    "unauthenticated": "No credentials, or none that hold.",
    "unavailable": "Not now; `Retry-After` says when to try again. Nothing was stored.",
}
CLOSED: Final = {
    "expired": ("The token, session or JWT has reached its end.", "with new credentials"),
    "restart": ("The server is stopping.", "after `retry`, at the last cursor"),
    "revoked": ("The token was revoked.", "with another token"),
    "signed_out": ("The session was ended.", "after signing in"),
    "user_removed": ("The user was removed.", "not"),
}


def sources() -> Iterator[ast.Module]:
    """Core and every plugin, parsed; but the sandbox, whose emulated platforms have codes of their own."""
    for folder in ("core", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tidings_sandbox" not in path.parts:
                yield ast.parse(path.read_text("utf-8"))


def codes_in(tree: ast.AST) -> Iterator[str]:
    """The codes that a source names: `code="…"`, `code = …`, `problem(400, "…")`, `{"code": "…"}`."""
    for node in ast.walk(tree):
        named: list[ast.AST] = []
        match node:
            case ast.Call(func=ast.Name(id="problem")):
                named = list(node.args[1:2])
            case ast.Call() | ast.ClassDef():
                named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            case ast.Assign(targets=[ast.Name(id="code")]):
                named = list(ast.walk(node.value))
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                named = [
                    value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "code"
                ]
        for one in named:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


def answers() -> list[tuple[type[tidings.errors.TidingsError], int, str]]:
    """Each error that the API can answer with, its status and its code."""
    found = []
    for name, kind in vars(tidings.errors).items():
        if (
            isinstance(kind, type)
            and issubclass(kind, tidings.errors.TidingsError)
            and not name.startswith("_")
        ):
            answer = problem_of(kind("x"))
            found.append((kind, answer.status_code, json.loads(bytes(answer.body))["error"]["code"]))
    return found


def errors_page() -> str:
    """`errors.md`.

    Raises:
        SystemExit: The code has a code or a reason that is not explained here.
    """
    told = answers()
    used = {code for tree in sources() for code in codes_in(tree)} | {code for _, _, code in told}
    reasons = {value for name, value in vars(rights).items() if name.isupper() and str(value).isidentifier()}
    _demand("CODES", used, set(CODES))
    _demand("CLOSED", reasons | {"restart"}, set(CLOSED))
    tree = re.search(r"\n\n((?:    .*\n)+)", tidings.errors.__doc__ or "")
    assert tree is not None
    statuses = {code: str(status) for _, status, code in told} | {
        "csrf": "403", "forbidden": "403", "method_not_allowed": "405", "not_found": "404", "rate_limited": "429",
        "refused": "400, 401, 404, 408, 413, 415 or 429", "rejected": "400, 413 or 415", "too_many_streams": "429",
    }  # fmt: skip
    closed = [(f"`{reason}`", *words) for reason, words in sorted(CLOSED.items())]
    return (
        "# Errors\n\n## Codes\n\nThe API answers an error with a status and "
        '`{"error": {"code", "message"}}`. The code is for programs and stays; the message is for people, says '
        "what to do, and may change.\n\n"
        + table(
            ("code", "status", "meaning"),
            [(f"`{code}`", statuses[code], CODES[code]) for code in sorted(CODES)],
        )
        + "\nA 401 carries `WWW-Authenticate`, a 429 and a 503 `Retry-After`. Answers to limited requests carry "
        "`RateLimit` and `RateLimit-Policy`.\n\n"
        "## Why a stream was closed\n\nThe last frame of a stream that the server ends is `event: closed` with "
        '`{"reason"}`; a WebSocket is closed [with a code](streams.md#close-codes) and the same word.\n\n'
        + table(("reason", "meaning", "come back"), closed)
        + f"\n## In Python\n\n```text\n{tree[1]}```\n"
        + "".join(f"\n### {kind.__name__}\n\n{prose(kind.__doc__ or '')}" for kind, _, _ in told)
    )


def _demand(where: str, used: set[str], explained: set[str]) -> None:
    if used != explained:
        raise SystemExit(
            f"docs/generate.py: {where} lacks {sorted(used - explained)} and has {sorted(explained - used)} "
            "that the code no longer uses."
        )
