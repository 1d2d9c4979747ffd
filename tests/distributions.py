"""Throw-away distributions with plugins in them: real ones, written to a folder on sys.path."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tidings.config import Settings, load
from tidings.context import Context
from tidings.errors import PluginError
from tidings.plugins import Loaded, LoadedPlugin, load_plugins

PROLOGUE = """
'''A plugin.'''
from pydantic import SecretStr, BaseModel, model_validator
from tidings.contracts import Bus, Connector, Extra
from tidings.durations import Duration
from tidings.hooks import Options, Plugin, hookimpl
from tidings.secret import Secret
"""
GOOD = """
class Mine(Connector):
    platform = display_name = "mine"

class MinePlugin(Plugin):
    bugs = "https://bugs.example/mine"

    @hookimpl
    def tidings_connectors(self, context):
        return [Mine()]
"""
names = (f"tidings_throwaway_{number}" for number in itertools.count())


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        source: str,
        *,
        name: str = "mine",
        distribution: str = "acme",
        group: str = "tidings.connectors",
        target: str = "MinePlugin",
    ) -> str:
        """Install a distribution with one module and one entry point; returns the module's name."""
        module = next(names)
        (self.folder / f"{module}.py").write_text(PROLOGUE + textwrap.dedent(source), "utf-8")
        self.metadata(distribution, f"[{group}]\n{name} = {module}:{target}\n")
        return module

    def metadata(self, distribution: str, entry_points: str) -> None:
        info = self.folder / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\nSummary: Made of cardboard.\n"
        )
        (info / "entry_points.txt").write_text(entry_points)


def settings(connectors: str) -> Settings:
    text = f"plugins:\n  bus: {{still: }}\n  connectors:\n{textwrap.indent(connectors, '    ')}\n  strategies: {{}}\n"
    Path("config.yaml").write_text(text)
    return load(Path("config.yaml"), {})


def loaded(connectors: str = "mine:") -> Loaded:
    return load_plugins(settings(connectors))


def problems(connectors: str = "mine:") -> list[str]:
    with pytest.raises(PluginError) as caught:
        loaded(connectors)
    return list(caught.value.problems)


def failure(connectors: str = "mine:") -> tuple[str, str]:
    """The reason and the traceback of the one plugin that failed."""
    result = loaded(connectors)
    (failed,) = result.failures
    assert (failed.key, failed.distribution) == ("connector/mine", "acme 1.2")
    assert [plugin.key for plugin in result.plugins] == ["bus/still"]
    assert not result.manager.has_plugin("connector/mine")
    return failed.reason, failed.traceback


def context(plugin: LoadedPlugin) -> Context:
    """A context that says no more than whose it is: the hooks here only look at that."""
    given: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(Context))
    return Context(**given | {"plugin": plugin.key})
