"""`examples.md`, and where each public name is used: in the examples, the templates of new plugins, or a plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
#: Run by the tests as they stand on the page.
EXAMPLES: Final = sorted((ROOT / "docs" / "examples").glob("*.py"))
_TEMPLATES: Final = ROOT / "core" / "tidings" / "scaffold" / "kinds"
_INTRODUCTION: Final = """# Examples

Each name of the [public API](public-api.md) is used here, in what `tidings plugin new` writes, or in a plugin that \
comes with tidings; the tests run all of it.
"""


def examples_page() -> str:
    """`examples.md`."""
    parts = [_INTRODUCTION]
    for path in EXAMPLES:
        source = path.read_text("utf-8")
        title = ast.get_docstring(ast.parse(source)) or path.stem
        code = source.split('"""', 2)[2].strip()
        parts.append(f"\n## {title.rstrip('.')}\n\n```python\n{code}\n```\n")
    return "".join(parts)


@cache
def usages() -> dict[str, str]:
    """Where names are shown, as markdown: the shortest of the first kind of place that uses each of them."""
    found: dict[str, str] = {}
    for path, where in _places():
        for name in _used(path):
            found.setdefault(name, where)
    return found


def _places() -> Iterator[tuple[Path, str]]:
    for path in EXAMPLES:
        title = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or path.stem).rstrip(".")
        yield path, f"[{title}](examples.md#{_anchor(title)})"
    for path in sorted(_TEMPLATES.glob("*.py.txt")):
        kind = path.name.removesuffix(".py.txt").removesuffix("_test")
        yield path, f"`tidings plugin new … --kind {kind}`"
    others = [*ROOT.glob("examples/*/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    for path in sorted(others, key=lambda one: (one.parts[len(ROOT.parts)], one.stat().st_size, one)):
        yield path, f"`{path.relative_to(ROOT)}`"


def _anchor(title: str) -> str:
    kept = "".join(one for one in title.lower() if one.isalnum() or one in " -")
    return kept.replace(" ", "-")


def _used(path: Path) -> set[str]:
    """The names of tidings that a file imports, in full: `tidings.fields.line`."""
    text = path.read_text("utf-8")
    if path.suffix == ".txt":  # a template, whose names are yet to be filled in
        text = Template(text).safe_substitute(dict.fromkeys(["name", "Name", "NAME"], "made"))
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tidings":
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return found
