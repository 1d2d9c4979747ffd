"""What the command line prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import UnsupportedOperation
from typing import Any, Final, TextIO

import click

_JOINER: Final = "\u200d"  # within many emoji; harmless by itself
_REPLACEMENT: Final = "\ufffd"
_STYLES: Final = {"dim": "\x1b[2m", "bold": "\x1b[1m"}
_PLAIN: Final = "\x1b[0m"


def safe(text: str) -> str:
    """`text` on one line, without any character that a terminal would obey."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == _JOINER else _REPLACEMENT for char in line)


def safe_json(line: str) -> str:
    """A line of JSON that means the same, without any character that a terminal would obey."""
    if line.isprintable():
        return line
    # They can only be inside strings, where an escape says the same.
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def verbatim(*lines: str) -> str:
    """Lines of help that keep their shape: click's mark before them, and one at each blank line."""
    return "\b\n" + "\n".join(line or "\n\b" for line in lines)


def say(text: str = "") -> None:
    """Print a result; each line appears at once."""
    click.echo(text)


def note(text: str) -> None:
    """Print what people should know and scripts must not read."""
    click.echo(text, err=True)


def hint(text: str) -> None:
    """Like `note`, but only where somebody is watching."""
    if sys.stderr.isatty():
        note(text)


def complain(text: str) -> None:
    """Print an error, each line marked as ours."""
    for line in text.splitlines():
        note(f"tidings: {safe(line)}")


def painted(text: str, style: str) -> str:
    """`text` in a style (`dim`, `bold`), where standard output is a terminal that may be styled."""
    return f"{_STYLES[style]}{text}{_PLAIN}" if _styled(sys.stdout) else text


def say_json(value: Any) -> None:
    """Print a result for programs; escapes everything beyond ASCII."""
    say(json.dumps(value, indent=2))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: by rich in a terminal, else as aligned text, never cut."""
    cells = [[safe(str(cell)) or "-" for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def local_time(instant: datetime | None) -> str:
    """An instant as people here read it: `2026-11-23 14:03:22`; "" for none."""
    return "" if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def readable_size(size_bytes: int) -> str:
    """A size as people read it: `12.5 MiB`."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except UnsupportedOperation:
        return False  # not a file at all
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


def _styled(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _draw(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - costs a tenth of a second that only a terminal needs
    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])  # not as markup: [red] is a name like any other
    Console().print(table)
