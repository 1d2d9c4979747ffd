"""Structured logs: one line per thing that happened, to standard error; ids and durations, never payloads."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from tidings.discretion import redact_line

#: What every line passes before anybody sees it: tracebacks become text, and what this work keeps secret goes.
SAFE: Final[tuple[structlog.typing.Processor, ...]] = (structlog.processors.format_exc_info, redact_line)

_encoder = msgspec.json.Encoder(enc_hook=str)
_FLUSH_SECONDS = 0.1
_MOST_LINES = 1000
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(
    *,
    format: Literal["console", "json"],  # noqa: A002 - the key's name
    level: str,
    file: TextIO | None = None,
) -> FilteringBoundLogger:
    """Set up logging for this process and return the logger that all others are bound from.

    Args:
        format: `console` for people, `json` for programs.
        level: `debug`, `info`, `warning` or `error`.
        file: Where to write; standard error by default.
    """
    file = file or sys.stderr
    lines = _Lines(file)
    render = _json if format == "json" else _console(colors=file.isatty())
    structlog.configure(
        processors=[*SAFE, render],
        wrapper_class=_stamping(_LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(_LEVELS[level], logging.WARNING), force=True)
    # What strangers send that is no HTTP, or asks for a WebSocket, is no news.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # Bound at once: a logger that is bound at each line takes a tenth longer for it.
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


class _Lines:
    """Where lines go: together, some times a second, for each write costs as much as handling a webhook.

    A line about trouble is written at once, with all before it.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.flush)

    def msg(self, line: str) -> None:
        """Take a line."""
        self._lines.append(line)
        if self._timer is None or len(self._lines) >= _MOST_LINES:
            try:
                self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
            except RuntimeError:  # no loop: a command, or the end of the server
                self.flush()
            if len(self._lines) >= _MOST_LINES:
                self.flush()

    def urgent(self, line: str) -> None:
        """Take a line that must not wait."""
        self._lines.append(line)
        self.flush()

    debug = info = msg
    warning = warn = error = critical = fatal = exception = failure = log = urgent

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines = self._lines, []
            with suppress(OSError, ValueError):  # a closed pipe must not stop the server
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()


def _stamping(level: int) -> type[FilteringBoundLogger]:
    """A logger class whose lines begin with time, level and event.

    structlog's own way copies a line's fields four times, which takes as long as all else about a line.
    """
    stamp = _Stamp()
    filtering: Any = structlog.make_filtering_bound_logger(level)

    class Stamping(filtering):  # type: ignore[misc]  # structlog makes the base anew for each level
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> Any:
            line: Any = {
                "time": stamp(),
                "level": method_name,
                "event": event,
                **self._context,
                **fields,
            }
            for processor in self._processors:
                line = processor(self._logger, method_name, line)
            return getattr(self._logger, method_name)(line)

    return Stamping


class _Stamp:
    """The present instant. The one place that asks the machine's own clock, whatever clock tests use."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""
        self._zone = ""

    def __call__(self) -> str:
        """ISO 8601 with milliseconds, local time."""
        now = time.time()
        second = int(now)
        if second != self._second:
            local = datetime.fromtimestamp(second).astimezone().isoformat()
            self._second, self._text, self._zone = second, local[:19], local[19:]
        return f"{self._text}.{int((now - second) * 1000):03d}{self._zone}"


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:  # a lone surrogate from outside, which only escaped JSON can hold
        return json.dumps(event, default=str)


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
