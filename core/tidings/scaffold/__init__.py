"""A new plugin: a complete distribution that installs, and whose tests pass, before its author has written a line.

The files are templates beside this module; `$name` and its like are filled in (see `string.Template`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final

from tidings import __version__
from tidings.choices import KINDS, Kind
from tidings.errors import Rejected

_NAME: Final = re.compile(r"[a-z][a-z0-9]{1,31}", re.ASCII)
_COMMON: Final = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "readme.md.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/test.yml": "workflow.yml.txt",
}
_QUALITY: Final = "quality.yaml.txt"


def new_plugin(name: str, kind: str) -> Mapping[str, str]:
    """The files of a new distribution, by their paths in its folder.

    Args:
        name: What `config.yaml` will call it: `doorbell`.
        kind: `connector`, `strategy`, `transport`, `bus` or `extra`.

    Raises:
        Rejected: The name is no short lower-case word (400).
    """
    if _NAME.fullmatch(name) is None:
        raise Rejected(
            f"{name[:40]!r} is no name for a plugin. Write 2 to 32 lower-case letters and digits, a letter first: "
            "doorbell.",
            status=400,
        )
    words = _words(name, next(one for one in KINDS if one.noun == kind))
    package = f"tidings_{name}"
    common = {path: _filled(f"common/{source}", words) for path, source in _COMMON.items()}
    return common | {
        f"{package}/__init__.py": _filled(f"kinds/{kind}.py.txt", words),
        f"{package}/quality.yaml": _filled(f"common/{_QUALITY}", words),
        f"{package}/py.typed": "",
        f"tests/test_{name}.py": _filled(f"kinds/{kind}_test.py.txt", words),
    }


def _words(name: str, kind: Kind) -> Mapping[str, str]:
    return {
        "name": name,
        "Name": name.capitalize(),
        "kind": kind.noun,
        "section": kind.section,
        "group": kind.group,
        "line": f"    {name}: {{}}",
        "version": __version__,
    }


def _filled(path: str, words: Mapping[str, str]) -> str:
    template = (files(__package__) / path).read_text("utf-8")
    return Template(template).substitute(words)
