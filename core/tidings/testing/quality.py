"""Exemptions: which standard tests a plugin does not pass, and why.

They stand in a file `quality.yaml` in the plugin's package, so that whoever installs the plugin has them too:

    connector/doorbell:
      exempt:
        refuses-what-is-stale: The bell signs no time; a ring that is sent again has its id again.

An exemption without a reason is an error, and so is one of a test that is passed or that there is not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import yaml

from tidings.choices import KINDS
from tidings.errors import PluginError

#: The name of the file.
FILE: Final = "quality.yaml"
_FEWEST_WORDS: Final = 3  # "n/a" is no reason


def exemptions(key: str) -> Mapping[str, str]:
    """The reason of each exemption of the plugin `key` (`connector/github`), by standard test. Imports no plugin.

    Raises:
        PluginError: The file can't be read, or says something else than exemptions with reasons.
    """
    path = quality_file(key)
    if path is None:
        return {}
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PluginError(f"{path}: it can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise PluginError(f"{path}: plugins are expected here, such as `{key}:`.")
    about = said.get(key, {})
    if not isinstance(about, dict) or set(about) != {"exempt"} & set(about):
        raise PluginError(f"{path}: {key}: the one key here is `exempt`. Write the exemptions below it.")
    return _checked(path, key, about.get("exempt") or {})


def quality_file(key: str) -> Path | None:
    """Where the exemptions of an installed plugin stand; None where there are none."""
    kind, _, name = key.partition("/")
    group = next((one.group for one in KINDS if one.noun == kind), "")
    for point in entry_points(group=group, name=name):
        # The top-level package alone: looking for a module in it would import it.
        spec = importlib.util.find_spec(point.module.partition(".")[0])
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / FILE
            if path.is_file():
                return path
    return None


def _checked(path: Path, key: str, exempt: object) -> Mapping[str, str]:
    if not isinstance(exempt, dict):
        raise PluginError(f"{path}: {key}: exempt: standard tests and reasons are expected here.")
    for rule, reason in exempt.items():
        if not isinstance(reason, str) or len(reason.split()) < _FEWEST_WORDS:
            raise PluginError(f"{path}: {key}: exempt: {rule}: there is no reason. Write one, in a sentence.")
    return exempt
