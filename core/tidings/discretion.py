"""Discretion: what is told of a failure holds none of the secrets that the failed work has used.

A connector, or a platform that it asks, may quote in an error what it was given: a token, a secret, a code. So
every piece of work that handles secrets (a job, a request, a command) says so when it begins, whatever hands a secret
out takes note of it, and whatever is logged, stored or answered passes `redact`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from tidings.secret import scrub

_used: ContextVar[set[str] | None] = ContextVar("used_secrets", default=None)
# What is shorter stands in many a text by chance.
_SHORTEST: Final = 8


def begin_discretion() -> None:
    """From here on, this task and those that it starts take note of the secrets they use."""
    _used.set(set())


def use_secrets(*secrets: str) -> None:
    """Take note of secrets that are about to be handed out. Does nothing where nobody has begun."""
    used = _used.get()
    if used is not None:
        used.update(secret for secret in secrets if len(secret) >= _SHORTEST)


def use_secrets_in(value: object) -> None:
    """Take note of every text in a value that is secret as a whole, such as a token answer's `extra`."""
    if _used.get() is not None:
        use_secrets(*_texts(value))


def use_authorization(headers: Mapping[str, str]) -> None:
    """Take note of what the `Authorization` header of a request says, whoever made it up."""
    if _used.get() is None:
        return
    for name, value in headers.items():
        if name.lower() == "authorization":
            scheme, _, credentials = value.partition(" ")
            use_secrets(credentials or scheme)
            if scheme.lower() == "basic":
                use_secrets(_password(credentials))


def redact(text: str) -> str:
    """`text`, with the secrets that this work has used blacked out. Call it before you shorten a text."""
    used = _used.get()
    return scrub(text, used) if used and len(text) >= _SHORTEST else text


def redact_line(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A structlog processor; stands behind the one that formats tracebacks."""
    return _redacted(line) if _used.get() else line


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    return value


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _password(credentials: str) -> str:
    """The password in the credentials of HTTP Basic; "" where they are none."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeError):
        return ""
