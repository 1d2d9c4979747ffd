"""Every `functools.partial` fits what it is made of: type checkers don't look at what is missing when it is called."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
# Those that call what they are given with one argument, a connection to the database.
_TAKERS = {"run_unit", "read", "write", "run_sync"}


class Made(NamedTuple):
    """A partial as it stands in the code."""

    call: ast.Call
    holder: str  # the class that it stands in; "" for none
    unit: bool  # whether it is called with a connection


def partials(tree: ast.Module) -> Iterator[Made]:
    """All of a module; of those that are kept under a name, the uses in the same function count."""
    for holder, function in _functions(tree):
        units = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _last(node.func) in _TAKERS:
                units |= {ast.dump(one) for one in node.args[:1]}
        kept = {
            node.targets[0].id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and _is_partial(node.value)
        }
        used = {id(made) for name, made in kept.items() if ast.dump(ast.Name(name, ast.Load())) in units}
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _is_partial(node):
                yield Made(node, holder, id(node) in used or ast.dump(node) in units)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from ((node.name, inner) for inner in node.body)
        else:
            yield "", node


def _is_partial(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last(node.func) == "partial" and bool(node.args)


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def wrong(made: Made, module: Any) -> str:
    """What is wrong with a partial; "" for nothing, or where what it is made of can't be told from the code alone."""
    called = _called(made, module)
    if called is None or any(isinstance(one, ast.Starred) for one in made.call.args):
        return ""
    given: list[object] = [object() for _ in made.call.args[1:]]
    named = {keyword.arg: object() for keyword in made.call.keywords if keyword.arg is not None}
    is_open = any(keyword.arg is None for keyword in made.call.keywords)
    try:
        signature = inspect.signature(called)
        if made.unit and not is_open:
            signature.bind(*given, object(), **named)
        else:
            signature.bind_partial(*given, **named)
    except TypeError as error:
        return f"line {made.call.lineno}: {ast.unparse(made.call)}: {error}"
    return ""


def _called(made: Made, module: Any) -> Callable[..., Any] | None:
    function = made.call.args[0]
    if isinstance(function, ast.Name):
        found = getattr(module, function.id, None)
        return found if callable(found) and not _is_opaque(found) else None
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        if function.value.id == "self" and made.holder:
            method = inspect.getattr_static(getattr(module, made.holder), function.attr, None)
            if isinstance(method, staticmethod):
                return method.__func__
            if inspect.isfunction(method):
                return method.__get__(object())  # as a bound one, without an instance
            return None
        found = getattr(getattr(module, function.value.id, None), function.attr, None)
        return found if inspect.isfunction(found) else None
    return None


def _is_opaque(found: object) -> bool:
    """Whether its signature can't be had."""
    try:
        inspect.signature(found)  # type: ignore[arg-type]  # that is what is asked
    except (TypeError, ValueError):
        return True
    return False


def _modules() -> Iterator[tuple[str, Path]]:
    for base in [ROOT / "core", *sorted((ROOT / "plugins").iterdir())]:
        for path in sorted(base.glob("tidings*/**/*.py")):
            if (
                "scaffold" not in path.parts
                and path.name != "__main__.py"
                and "partial(" in path.read_text("utf-8")
            ):
                parts = path.relative_to(base).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize(
    ("name", "path"), list(_modules()), ids=lambda one: one if isinstance(one, str) else ""
)
def test_partials_fit(name: str, path: Path) -> None:
    module = importlib.import_module(name)
    found = partials(ast.parse(path.read_text("utf-8")))
    assert [said for made in found if (said := wrong(made, module))] == []


def test_most_units_of_work_are_looked_at() -> None:
    looked_at = [
        made
        for name, path in _modules()
        for made in partials(ast.parse(path.read_text("utf-8")))
        if made.unit and _called(made, importlib.import_module(name)) is not None
    ]
    assert len(looked_at) > 80


def _work(sql: object, user_id: int, *, now: float) -> None:
    """Stands for a unit of work."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run_unit(partial(_work, now=1.0))", "missing a required argument: 'user_id'"),
        ("work = partial(_work, user_id=1)\n    writer.run_unit(work)", "missing a required argument: 'now'"),
        ("partial(_work, users=1)", "unexpected keyword argument 'users'"),
        ("database.read(partial(_work, 1, 2, now=1.0))", "too many positional arguments"),
        ("run_unit(partial(_work, user_id=1, now=1.0))", ""),
    ],
)
def test_what_does_not_fit_is_found(text: str, said: str) -> None:
    (made,) = partials(ast.parse(f"def work():\n    {text}\n"))
    found = wrong(made, importlib.import_module(__name__))
    assert said in found if said else found == ""
