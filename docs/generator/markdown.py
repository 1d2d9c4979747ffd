"""Markdown: tables, docstrings, anchors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a cell is one line, however it was written."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def prose(doc: str) -> str:
    """A docstring in Google's style as Markdown: its sections become lists."""
    out: list[str] = []
    section = ""
    for line in inspect.cleandoc(doc).splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            section = line[:-1]
            out += [f"**{section}**", ""]
        elif not line.startswith("    ") or not section:
            section = "" if line else section
            out.append(line)
        elif section != "Returns" and (found := re.fullmatch(r"    ([\w.]+): (.*)", line)):
            out.append(f"- `{found[1]}`: {found[2]}")
        else:
            out.append(line.strip() if section == "Returns" else f"  {line.strip()}")
    return "\n".join(out).strip() + "\n"


def attributes_of(doc: str) -> dict[str, str]:
    """The entries of a docstring's `Attributes:`, each on one line."""
    entries = re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", prose(doc), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
