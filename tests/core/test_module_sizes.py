"""Modules are short: one noun each."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEDIAN_LINES = 150
MOST_LINES = 450
LONGEST_FUNCTION = 60


def _modules() -> dict[str, str]:
    folders = (ROOT / "core", ROOT / "plugins")
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in folders
        for path in folder.rglob("*.py")
    }


def long_functions(source: str) -> list[str]:
    """The functions that are too long; a function's inner functions count by themselves."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [
                one
                for one in ast.walk(node)
                if one is not node and isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            inner_lines = {line for one in inner for line in range(one.lineno, (one.end_lineno or 0) + 1)}
            lines = set(range(node.lineno, (node.end_lineno or 0) + 1)) - inner_lines
            if len(lines) > LONGEST_FUNCTION:
                found.append(f"{node.name}: {len(lines)}")
    return found


def test_half_of_the_modules_are_short_and_none_is_long() -> None:
    lines = {path: len(source.splitlines()) for path, source in _modules().items()}
    assert statistics.median(lines.values()) < MEDIAN_LINES
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    wrong = {path: found for path, source in _modules().items() if (found := long_functions(source))}
    wrong = {path: found for path, found in wrong.items() if "/migrations/" not in path}
    assert wrong == {}


def test_a_long_function_is_found() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert long_functions(f"def f():\n{body}") == [f"f: {LONGEST_FUNCTION + 1}"]
    assert long_functions(f"def f():\n    def g():\n{body.replace('    x', '        x')}") == ["g: 61"]
