"""Which plugins `config.yaml` names: read without importing any."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from tidings.durations import shorten
from tidings.validation import near
from tidings.yamlfile import Document, KeyPath, Problem


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin.

    Attributes:
        section: Its word under `plugins` in `config.yaml`: `connectors`.
        noun: One of it: `connector`.
        group: The entry-point group: `tidings.connectors`.
        hook: The hook that its plugins implement: `tidings_connectors`.
        defaults: The plugins used where the file names none of this kind.
        single: Whether there is one of the kind, which tidings can't do without.
    """

    section: str
    noun: str
    group: str
    hook: str
    defaults: tuple[str, ...] = ()
    single: bool = False


KINDS: Final = (
    Kind("connectors", "connector", "tidings.connectors", "tidings_connectors"),
    Kind(
        "strategies",
        "strategy",
        "tidings.strategies",
        "tidings_strategies",
        defaults=("webhook", "polling"),
    ),
    Kind("transports", "transport", "tidings.transports", "tidings_transports"),
    Kind("bus", "bus", "tidings.buses", "tidings_buses", defaults=("local",), single=True),
    Kind("extras", "extra", "tidings.extras", "tidings_extras"),
)


@dataclasses.dataclass(frozen=True)
class PluginChoice:
    """A plugin that the file names.

    Attributes:
        options: What stands under its name, not yet validated.
        required: Whether tidings must not start without it.
        document: The file, for messages.
        path: The plugin's key in it.
    """

    kind: Kind
    name: str
    options: Mapping[str, Any] = dataclasses.field(repr=False)
    required: bool
    document: Document = dataclasses.field(repr=False)
    path: KeyPath

    @property
    def key(self) -> str:
        """Its name among all plugins: `connector/github`."""
        return f"{self.kind.noun}/{self.name}"


_BOOLS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def choices_in(document: Document) -> tuple[list[PluginChoice], list[Problem]]:
    """The plugins that the file names, in its order, and what is wrong with how it names them."""
    kinds = {kind.section: kind for kind in KINDS}
    choices: list[PluginChoice] = []
    problems: list[Problem] = []
    sections = _mapping(document, ("plugins",), document.value.get("plugins"), problems)
    for section in dict.fromkeys([*sections, *(kind.section for kind in KINDS if kind.defaults)]):
        path: KeyPath = ("plugins", section)
        kind = kinds.get(section)
        if kind is None:
            message = f"no kind of plugin named {shorten(section)}. Known: {', '.join(kinds)}."
            message += near(section, kinds)
            problems.append(document.problem(path, message, at_key=True, label=("plugins",)))
            continue
        named = _mapping(document, path, sections.get(section), problems)
        if kind.single and len(named) > 1:
            message = (
                f"there is one {kind.noun}, not {len(named)}. Keep one of {', '.join(map(shorten, named))}."
            )
            problems.append(document.problem(path, message, at_key=True))
        if not named and (kind.single or section not in sections):
            named = dict.fromkeys(kind.defaults)
        choices += [_choice(document, kind, name, value, problems) for name, value in named.items()]
    return choices, problems


def _choice(
    document: Document, kind: Kind, name: str, value: object, problems: list[Problem]
) -> PluginChoice:
    path: KeyPath = ("plugins", kind.section, name)
    options = dict(_mapping(document, path, value, problems))
    required = options.pop("required", False)
    if isinstance(required, str):
        required = _BOOLS.get(required.lower())
    if not isinstance(required, bool):
        problems.append(
            document.problem((*path, "required"), "this is neither true nor false. Write one of them.")
        )
    return PluginChoice(kind, name, options, required is True or kind.single, document, path)


def _mapping(document: Document, path: KeyPath, value: object, problems: list[Problem]) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    # What stands here instead may be a secret: `github: …`. So it isn't shown.
    if value is not None and path not in document.broken:
        message = "keys with values are expected here. Write them below this key, indented, or {} for none."
        problems.append(document.problem(path, message))
    return {}
