"""Checks a plugin's distribution: what its metadata says, and what its suites of standard tests say of it."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from tidings.choices import KINDS
from tidings.errors import Rejected
from tidings.testing.suite import Suite

_METADATA: Final = "metadata"


class Checked(NamedTuple):
    """One thing that was checked.

    Attributes:
        plugin: The plugin's key: `connector/doorbell`; the distribution's name for what is about all of it.
        rule: The standard test, or `metadata`.
        outcome: `passed`, `failed` or `exempt`.
        detail: Why; "" where it passed.
    """

    plugin: str
    rule: str
    outcome: str
    detail: str = ""


def check(folder: Path) -> list[Checked]:
    """Check the distribution in this folder.

    Raises:
        Rejected: The folder is not that of a distribution with plugins (400).
    """
    project = _project(folder)
    keys = _keys(project)
    if not keys:
        groups = ", ".join(kind.group for kind in KINDS)
        raise Rejected(f"{folder / 'pyproject.toml'}: no entry point in any of {groups}.", status=400)
    found = list(_metadata(folder, project, keys))
    if _missing(keys):
        return found  # every test would say no more than that
    suites = [suite for module in _modules(folder, project) for suite in _suites(module)]
    for key in keys:
        mine = [suite for suite in suites if suite.plugin == key]
        if not mine:
            detail = f"No suite is about it. Write one: class Test…(…Suite) with plugin = {key!r}, in tests/."
            found.append(Checked(key, "has-a-suite", "failed", detail))
        found += _once([Checked(key, *result) for suite in mine for result in suite.results()])
    return found


def _once(results: Sequence[Checked]) -> list[Checked]:
    """The same with each reason told once: what does not load fails every test alike."""
    first: dict[str, str] = {}
    return [
        one._replace(detail=f"As {first[one.detail]}.")
        if one.detail and first.setdefault(one.detail, one.rule) != one.rule
        else one
        for one in results
    ]


def _project(folder: Path) -> Mapping[str, Any]:
    path = folder / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:  # a TOMLDecodeError is a ValueError
        raise Rejected(f"{path}: it can't be read: {error}", status=400) from error


def _keys(project: Mapping[str, Any]) -> list[str]:
    points = project.get("project", {}).get("entry-points", {})
    return [f"{kind.noun}/{name}" for kind in KINDS for name in points.get(kind.group, {})]


def _metadata(folder: Path, project: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Checked]:
    about = project.get("project", {})
    name = str(about.get("name", folder.name))
    problems = []
    if not any(
        str(one).partition("[")[0].startswith("tidings") for one in [name, *about.get("dependencies", ())]
    ):
        problems.append("It does not depend on tidings.")
    if not about.get("readme") or not (folder / str(about["readme"])).is_file():
        problems.append("It has no README.")
    if missing := _missing(keys):
        problems.append(f"{', '.join(missing)}: not installed. Run: python -m pip install -e {folder}")
    for problem in problems:
        yield Checked(name, _METADATA, "failed", problem)
    if not problems:
        yield Checked(name, _METADATA, "passed")


def _missing(keys: Sequence[str]) -> list[str]:
    """Those that are not installed."""
    installed = {f"{kind.noun}/{point.name}" for kind in KINDS for point in entry_points(group=kind.group)}
    return sorted(set(keys) - installed)


def _modules(folder: Path, project: Mapping[str, Any]) -> Iterator[ModuleType]:
    """The test modules that have to do with suites, imported."""
    pytest_options = project.get("tool", {}).get("pytest", {}).get("ini_options", {})
    tests = [folder / str(one) for one in pytest_options.get("testpaths", ["tests"])]
    added = [str((folder / str(one)).resolve()) for one in pytest_options.get("pythonpath", [])]
    added += [str(one.resolve()) for one in tests]
    sys.path[:0] = added
    try:
        for path in sorted(path for one in tests for path in one.rglob("test_*.py")):
            if "Suite):" in path.read_text("utf-8"):
                yield _imported(path)
    finally:
        for one in added:
            sys.path.remove(one)


def _imported(path: Path) -> ModuleType:
    name = f"tidings_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Rejected(f"{path}: it is no Python module.", status=400)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _suites(module: ModuleType) -> Iterator[type[Suite]]:
    for one in vars(module).values():
        if isinstance(one, type) and issubclass(one, Suite) and one.__name__.startswith("Test"):
            yield one
