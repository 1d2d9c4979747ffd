"""`plugins.md`: hooks and contracts, from their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from types import ModuleType

from generator.markdown import prose, table

from tidings import (
    bus,
    connecting,
    connectors,
    context,
    contracts,
    devices,
    hooks,
    items,
    runtime,
    strategies,
)
from tidings.choices import KINDS


def plugins_page() -> str:
    """`plugins.md`."""
    steps = re.findall(r'collect\(loaded, "(\w+)"', inspect.getsource(runtime))
    chain = "\n  → ".join(["named in config.yaml", "imported", "options validated", "built", *steps])
    kinds = table(
        ("under `plugins:`", "entry-point group", "hook"),
        [(f"`{kind.section}`", f"`{kind.group}`", f"`{kind.hook}`") for kind in KINDS],
    )
    return (
        "# Plugins\n\nHow to write one: [a plugin of your own](../how-to/write-a-plugin.md). Every public name: "
        "[public API](public-api.md). The suites that plugins pass: [conformance](conformance.md).\n\n## Hooks\n\n"
        + prose(hooks.__doc__ or "").partition("\n")[2].lstrip()
        + f"\n{kinds}\nA plugin's life until the server listens:\n\n"
        + f"```text\n{chain}\n  → listening\n```\n"
        + _classes(hooks)
        + f"\n## Context\n\n{(context.__doc__ or '').strip()}\n"
        + _classes(context)
        + f"\n## Contracts\n\n{prose((contracts.__doc__ or '').partition(chr(10))[2])}"
        + _classes(contracts)
        + "".join(
            f"\n## {title}\n\n{prose(module.__doc__ or '')}{_classes(module)}"
            for title, module in (
                ("Connectors", connectors),
                ("Calling a platform, connecting accounts", connecting),
                ("Strategies", strategies),
                ("Buses", bus),
                ("Devices", devices),
                ("Items of the journal", items),
            )
        )
        + "\n## Failures\n\nA plugin tells core of a failure by one of three words; see [Errors](errors.md#in-python): "
        "`Unavailable`, `AuthExpired` and `Rejected`. Any other exception is a defect of the plugin, and is "
        "contained and logged under its name.\n"
    )


def _classes(module: ModuleType) -> str:
    parts = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = [ast.unparse(base) for base in node.bases]
            kind = " (protocol)" if "Protocol" in bases else ""
            parts.append(f"\n### {node.name}{kind}\n\n{prose(ast.get_docstring(node) or '')}")
            for inner in node.body:
                public = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name[0] != "_"
                if public and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    parts.append(_method(inner))
    return "".join(parts)


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    marks = {ast.unparse(one) for one in node.decorator_list}
    told = prose(ast.get_docstring(node) or "")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if "property" in marks:
        return f"\n#### {node.name}\n\n```python\n{node.name}{returns.replace(' ->', ':')}\n```\n\n{told}"
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"\n#### {node.name}\n\n```python\n{prefix}def {node.name}({ast.unparse(node.args)}){returns}\n```\n\n{told}"
