"""How a plugin arrives.

An entry point in one of the groups `tidings.connectors`, `tidings.strategies`, `tidings.transports`,
`tidings.buses` and `tidings.extras` names a subclass of `Plugin`. Core imports it if `config.yaml` names it,
validates its options, builds it, registers it with pluggy and calls its hooks. Hooks only register: they
return objects that fulfil `tidings.contracts`.

Every hook is called once per plugin, at start-up, in the order of `config.yaml`, and must not block or do
I/O. If one raises, that plugin is reported and left out (with `required: true`, the start fails).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pluggy
from pydantic import BaseModel, ConfigDict

from tidings.context import Context
from tidings.contracts import Bus, Connector, Extra, Strategy, Transport

#: The version of this API; see `Plugin.api_version`.
API_VERSION = 1

_hookspec = pluggy.HookspecMarker("tidings")
#: Marks a method of a `Plugin` as one of the hooks below.
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


@dataclasses.dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server listens, and where the world reaches it: `http://127.0.0.1:8080`."""

    host: str
    port: int
    public_url: str


class HookSpecs:
    """The hooks."""

    @_hookspec
    def tidings_option_defaults(  # type: ignore[empty-body]
        self, server: ServerAddress, configured: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return options for other plugins, by plugin and name, used where `config.yaml` gives them no value.

        `configured` has what the file says: `{"connector/github": {"client_id": "…"}}`; empty values count as
        none. An extra's hook is called before the plugins it speaks of are built. A `ConfigError` that it raises
        stops the start. Since API 1.
        """

    @_hookspec
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:  # type: ignore[empty-body]
        """Return the connectors this plugin offers. Since API 1."""

    @_hookspec
    def tidings_strategies(self, context: Context) -> Iterable[Strategy]:  # type: ignore[empty-body]
        """Return the strategies this plugin offers. Since API 1."""

    @_hookspec
    def tidings_transports(self, context: Context) -> Iterable[Transport]:  # type: ignore[empty-body]
        """Return the transports this plugin offers. Since API 1."""

    @_hookspec
    def tidings_buses(self, context: Context) -> Iterable[Bus]:  # type: ignore[empty-body]
        """Return the bus this plugin offers. Since API 1."""

    @_hookspec
    def tidings_extras(self, context: Context) -> Iterable[Extra]:  # type: ignore[empty-body]
        """Return the extras this plugin offers. Since API 1."""
