"""Structured logs: one line per thing that happened, to standard error; ids and durations, never payloads."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_encoder = msgspec.json.Encoder(enc_hook=str)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(
    *, format: Literal["console", "json"], level: str, file: TextIO | None = None  # noqa: A002 - the key's name
) -> FilteringBoundLogger:
    """Set up logging for this process and return the logger that all others are bound from.

    Args:
        format: `console` for people, `json` for programs.
        level: `debug`, `info`, `warning` or `error`.
        file: Where to write; standard error by default.
    """
    file = file or sys.stderr
    render = _json if format == "json" else _console(colors=file.isatty())
    structlog.configure(
        processors=[_stamp, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(_LEVELS[level], logging.WARNING), force=True)
    return cast("FilteringBoundLogger", structlog.get_logger())


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    # One place that asks the machine's own clock: a log tells when a line was written, also in tests.
    now = datetime.now().astimezone()
    return {"time": now.isoformat(timespec="milliseconds"), "level": method, **event}


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encoder.encode(event).decode("utf-8", "replace")


def _console(*, colors: bool) -> structlog.typing.Processor:
    bold, dim, red, plain = ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m") if colors else ("", "", "", "")

    def render(_logger: WrappedLogger, method: str, event: EventDict) -> str:
        time = str(event.pop("time"))[11:23]
        event.pop("level")
        trace = event.pop("exception", None)
        name = str(event.pop("event"))
        accent = red if method in {"error", "warning"} else bold
        fields = " ".join([f"{dim}{key}={plain}{_value(value)}" for key, value in event.items()])
        line = f"{dim}{time}{plain} {accent}{name:<12}{plain} {fields}"
        return f"{line}\n{trace}" if trace else line

    return render


def _value(value: Any) -> str:
    text = str(value)
    # Quoted where it would not be one word; control characters never reach a terminal.
    return text if text.isprintable() and text and " " not in text and "=" not in text else repr(text)


class _Bridge(logging.Handler):
    """Gives what libraries log to structlog, so that there is one form of line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        log = structlog.get_logger()
        message = record.getMessage()
        log.log(record.levelno, "library", logger=record.name, message=message, exc_info=record.exc_info)
