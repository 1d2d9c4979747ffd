"""How a plugin arrives.

An entry point in one of the groups `tidings.connectors`, `tidings.transports`, `tidings.buses` and
`tidings.extras` names a subclass of `Plugin`. Core imports it if `config.yaml` names it, validates its
options, builds it, registers it with pluggy and calls its hooks. Hooks only register: they return objects
that fulfil `tidings.contracts`.

Every hook is called once per plugin, at start-up, in the order of `config.yaml`, and must not block or do
I/O. If one raises, that plugin is reported and left out (with `required: true`, the start fails).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pluggy
from pydantic import BaseModel, ConfigDict

from tidings.context import Context
from tidings.contracts import Bus, Connector, Extra, Transport

API_VERSION = 1

_hookspec = pluggy.HookspecMarker("tidings")
hookimpl = pluggy.HookimplMarker("tidings")


class Options(BaseModel):
    """Base of a plugin's options: what stands under its name in `config.yaml`. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Plugin:
    """What an entry point names.

    Attributes:
        options_model: Validates the plugin's part of `config.yaml`.
        api_version: The version of this API that the plugin was written for.
        bugs: Where to report its defects.
    """

    options_model: ClassVar[type[Options]] = Options
    api_version: ClassVar[int] = API_VERSION
    bugs: ClassVar[str] = ""

    def __init__(self, options: Options) -> None:
        self.options = options


class HookSpecs:
    """The hooks."""

    @_hookspec
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:  # type: ignore[empty-body]
        """Return the connectors this plugin offers. Since API 1."""

    @_hookspec
    def tidings_transports(self, context: Context) -> Iterable[Transport]:  # type: ignore[empty-body]
        """Return the transports this plugin offers. Since API 1."""

    @_hookspec
    def tidings_buses(self, context: Context) -> Iterable[Bus]:  # type: ignore[empty-body]
        """Return the bus this plugin offers. Since API 1."""

    @_hookspec
    def tidings_extras(self, context: Context) -> Iterable[Extra]:  # type: ignore[empty-body]
        """Return the extras this plugin offers. Since API 1."""
