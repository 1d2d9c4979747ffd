"""What a module offers, from its source: constants, classes with how they are made, functions."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from types import ModuleType

from generator.markdown import prose

_LINE = 100
# Decorators that say how a function is called.
_TOLD = frozenset({"classmethod", "staticmethod", "contextmanager", "asynccontextmanager"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def members_of(module: ModuleType, only: Collection[str] = ()) -> str:
    """What is public in a module, in its order, as sections of the third level.

    Args:
        module: Which.
        only: Names; all if there are none.
    """
    source = inspect.getsource(module)
    body = ast.parse(source).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    sections = _members(body, classes, source.splitlines())
    return "".join(text for name, text in sections if not only or name in only)


def _members(
    body: list[ast.stmt], classes: Mapping[str, ast.ClassDef], lines: list[str]
) -> Iterator[tuple[str, str]]:
    for node, following in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                bases = [ast.unparse(base) for base in node.bases]
                kind = " (protocol)" if "Protocol" in bases else ""
                text = f"\n### {name}{kind}\n\n{_made(node, classes)}{prose(ast.get_docstring(node) or '')}"
                for inner in node.body:
                    if isinstance(inner, _Function) and not inner.name.startswith("_"):
                        text += f"\n#### {inner.name}\n\n{_function(inner)}"
                yield name, text
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                yield name, f"\n### {name}\n\n{_function(node)}"
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if said := _said(lines, node.lineno, following):
                    yield name, f"\n### {name}\n\n{said}\n"


def _said(lines: list[str], number: int, following: ast.stmt | None) -> str:
    """What stands of a constant above it, behind `#:`, or as a text below it."""
    match following:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    said: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.startswith("#:"):
            break
        said.insert(0, line.removeprefix("#:").strip())
    return "\n".join(said)


def _made(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> str:
    """How one is made, where that is for others than core to do."""
    arguments = [one for one in _arguments(node, classes) if not one.lstrip("*").startswith("_")]
    return _code(node.name, arguments, "") if arguments else ""


def _arguments(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[str]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return _parameters(inner.args)[1:]
    if not _has_fields(node, classes):
        return []
    fields = _fields(node, classes)
    options = [ast.unparse(one) for one in [*node.decorator_list, *node.keywords]]
    return ["*", *fields] if fields and any("kw_only=True" in one for one in options) else fields


def _has_fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether it is a dataclass, a struct or a tuple with names, or derives from one of this module."""
    marks = [ast.unparse(one) for one in [*node.decorator_list, *node.bases]]
    known = [classes[one] for one in marks if one in classes]
    return bool(re.search(r"dataclass|Struct|NamedTuple", " ".join(marks))) or any(
        _has_fields(one, classes) for one in known
    )


def _fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[str]:
    bases = [ast.unparse(base) for base in node.bases]
    fields = [field for base in bases if base in classes for field in _fields(classes[base], classes)]
    own = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    for one in own:
        kind = ast.unparse(one.annotation)
        fields += [] if "ClassVar" in kind else [f"{ast.unparse(one.target)}: {kind}{_default(one.value)}"]
    return fields


def _default(value: ast.expr | None) -> str:
    """A field's default as it would be written in a call."""
    if not isinstance(value, ast.Call) or not ast.unparse(value.func).endswith("field"):
        return f" = {_value(value)}" if value is not None else ""
    given = {one.arg: one.value for one in value.keywords}
    if "default" in given:
        return f" = {_value(given['default'])}"
    return f" = {_value(given['default_factory'])}()" if "default_factory" in given else ""


def _value(value: ast.expr) -> str:
    """A default; what only the module itself knows says nothing to others."""
    text = ast.unparse(value)
    return "..." if text.startswith("_") else text


def _function(node: _Function) -> str:
    marks = {ast.unparse(one) for one in node.decorator_list}
    told = prose(ast.get_docstring(node) or "")
    returns = ast.unparse(node.returns) if node.returns else ""
    if "property" in marks:
        return f"```python\n{node.name}: {returns}\n```\n\n{told}"
    prefix = "".join(f"@{mark}\n" for mark in sorted(marks & _TOLD))
    prefix += "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    return _code(prefix + node.name, _parameters(node.args), f" -> {returns}" if returns else "") + told


def _parameters(arguments: ast.arguments) -> list[str]:
    """Each parameter as it is written; as `ast` has it, with spaces around the default of a typed one."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [*arguments.defaults]
    found = [_parameter(one, value) for one, value in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        found.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg is not None:
        found.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        found.append("*")
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found += [_parameter(one, value) for one, value in named]
    if arguments.kwarg is not None:
        found.append(f"**{_parameter(arguments.kwarg, None)}")
    return found


def _parameter(one: ast.arg, value: ast.expr | None) -> str:
    kind = f": {ast.unparse(one.annotation)}" if one.annotation is not None else ""
    if value is None:
        return one.arg + kind
    return f"{one.arg}{kind}{' = ' if kind else '='}{_value(value)}"


def _code(head: str, arguments: list[str], tail: str) -> str:
    """A signature, on several lines where one would be long."""
    text = f"{head}({', '.join(arguments)}){tail}"
    if len(text) > _LINE:
        text = f"{head}(\n" + "".join(f"    {one},\n" for one in arguments) + f"){tail}"
    return f"```python\n{text}\n```\n\n"
