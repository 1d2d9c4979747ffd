"""`public-api.md`: every public name, and what is promised about it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from generator.markdown import table
from generator.usage import usages

import tidings
from tidings import testing
from tidings.deprecated import DEPRECATIONS
from tidings.hooks import API_VERSION
from tidings.plugins import SUPPORTED_API_VERSIONS
from tidings.surface import MODULES

#: The names of the last release, by which a change is noticed.
RELEASED: Final = Path(__file__).with_name("released_api.txt")
_INTRODUCTION: Final = """# Public API

Plugins may use what stands here, and nothing else of `tidings`; names that begin with an underscore are private \
everywhere. Most of it can be imported from `tidings` itself.

- Within a version of the plugin API nothing here is removed or changed in a way that breaks a plugin. Names are added.
- A plugin declares the version that it was written for (`Plugin.api_version`). This version is {version}; {supported}.
- What goes away is deprecated first, for at least one minor version and one version of the plugin API. Using it \
warns, with the name to use instead and the version that removes it.
- Each name says since which version it is there, and where an example of it stands; the tests run the examples. What \
it takes and raises, and in which units, stands with it in [Plugins](plugins.md), [Tools](tools.md), [Test \
kit](test-kit.md), [Conformance](conformance.md), [Errors](errors.md) and [Configuration](config.md).
- Until 1.0 the API may change between minor versions; the [changelog](../../CHANGELOG.md) names each change.

## Deprecated

{deprecated}
"""


def surface() -> dict[str, str]:
    """Each public name, in full, and its signature: `connectors.Polls.poll` -> `(self, api: Api, asked: Asked)`."""
    found = {f"tidings.{name}": "" for name in tidings.__all__}
    found |= {f"tidings.testing.{name}": "" for name in testing.__all__}
    for module in sorted(MODULES):
        found |= {f"tidings.{module}.{name}": text for name, text in _names(module)}
    return found


def _names(module: str) -> Iterator[tuple[str, str]]:
    spec = importlib.util.find_spec(f"tidings.{module}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"surface.MODULES names tidings.{module}, and there is no such module.")
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        yield from _of(node, "")


def _of(node: ast.stmt, prefix: str) -> Iterator[tuple[str, str]]:
    """The public names that a statement makes."""
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        yield f"{prefix}{node.name}", f"({', '.join(map(ast.unparse, node.bases))})"
        for inner in node.body:
            yield from _of(inner, f"{prefix}{node.name}.")
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        yield f"{prefix}{node.name}", f"({ast.unparse(node.args)}){returns}"
    elif isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and not target.id.startswith("_"):
            yield (
                f"{prefix}{target.id}",
                ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else "",
            )


def released() -> tuple[str, dict[str, str]]:
    """The version of the last release, and its public names."""
    version, *lines = RELEASED.read_text("utf-8").splitlines()
    return version, dict(line.split("\t") for line in lines)


def written(version: str, names: Mapping[str, str]) -> str:
    """That, as it is kept."""
    return "".join([f"{version}\n", *[f"{name}\t{text}\n" for name, text in sorted(names.items())]])


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The names that came, went or look different, without the module: `Polls.poll`."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return sorted({_short(name) for name in names})


def _short(name: str) -> str:
    parts = name.removeprefix("tidings.").removeprefix("testing.").split(".")
    return ".".join(parts[1:] if parts[0] in MODULES else parts)


def example_of(name: str) -> str:
    """Where a name is shown, as markdown; "" for a member, which is shown with what it belongs to.

    What can be imported from `tidings` too is shown by that.
    """
    shown = usages()
    module, _, inner = name.removeprefix("tidings.").partition(".")
    if not inner:
        homes = [f"tidings.{one}.{module}" for one in sorted(MODULES)]
        return next((shown[one] for one in [name, *homes] if one in shown), "")
    return shown.get(name) or shown.get(f"tidings.{inner}") or shown.get(f"tidings.contracts.{inner}") or ""


def public_api_page() -> str:
    """`public-api.md`."""
    version, before = released()
    rows = {module: list[tuple[str, str, str, str]]() for module in ["", "testing", *sorted(MODULES)]}
    for name, text in surface().items():
        short = name.removeprefix("tidings.")
        module = short.partition(".")[0]
        module = module if module in rows else ""
        since = version if name in before else "unreleased"
        shown = short.removeprefix(f"{module}.") if module else short
        rows[module].append((f"`{shown}`", f"`{text}`" if text else "", since, example_of(name)))
    supported = " and ".join(str(one) for one in sorted(SUPPORTED_API_VERSIONS))
    gone = [
        (f"`tidings.{name}`", one.since, one.removed_in, f"`tidings.{one.instead}`")
        for name, one in DEPRECATIONS.items()
    ]
    deprecated = table(("name", "since", "removed in", "instead"), gone) if gone else "Nothing."
    parts = [
        _INTRODUCTION.format(
            version=API_VERSION, supported=f"version {supported} is supported", deprecated=deprecated
        )
    ]
    for module, listed in rows.items():
        title = f"tidings.{module}" if module else "tidings"
        parts.append(f"\n## {title}\n\n{table(('name', 'signature', 'since', 'example'), listed)}")
    return "".join(parts)
