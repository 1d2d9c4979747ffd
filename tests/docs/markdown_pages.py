"""The Markdown of this repository, and what is in it."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *ROOT.glob("clients/*/*.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: the word behind the fence, and the lines without the fence's indent."""

    language: str
    text: str


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(text: str, *languages: str) -> list[Block]:
    found = [
        Block(match[2], re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE))
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def blocks_of(page: str, *languages: str) -> list[str]:
    return [block.text for block in blocks((ROOT / page).read_text("utf-8"), *languages)]


def prose(text: str) -> str:
    """All but the fenced blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands between backticks in the prose."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> Iterator[str]:
    """Where the links and pictures in the prose lead."""
    plain = re.sub(r"`[^`\n]*`", "", prose(text))
    for match in re.finditer(r"\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)", plain):
        yield match[1]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings; the same heading again gets a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        numbered = (slug if number == 0 else f"{slug}-{number}" for number in count())
        found.add(next(one for one in numbered if one not in found))
    return found
