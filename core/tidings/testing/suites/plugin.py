"""What every plugin must be, whatever its kind."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from tidings import __all__ as names
from tidings.configschema import described, undescribed
from tidings.loopguard import INSTEAD
from tidings.plugins import collect
from tidings.surface import MODULES
from tidings.testing.bench import CONTRACTS, Bench, kind_of, loaded, make_bench, offered
from tidings.testing.blocking import noticing_blocks
from tidings.testing.quiet import listening_for_io
from tidings.testing.suite import Suite, require, standard

_KIT: Final = "testing"


class PluginSuite(Suite):
    """What every plugin must be.

    Attributes:
        options: What stands under the plugin's name in `config.yaml`. Give every secret a value, so that the suite can
            look for it where it must not be.
        alternatives: Other options, where some secrets exclude one another; in these nothing else is looked at.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    alternatives: ClassVar[Sequence[Mapping[str, Any]]] = ()

    @contextmanager
    def offered(self) -> Iterator[tuple[Any, Bench]]:
        """What the plugin's hook returns, and the parts that it was given."""
        with offered(self.plugin, self.options) as found:
            yield found

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Look, while a standard test runs, whether the plugin blocks the event loop, and everybody with it.

        Raises:
            Violation: It does; the text says where.
        """
        with noticing_blocks() as found:
            yield
        if not found:
            return
        _, plugin = loaded(self.plugin, self.options)
        for block in found:
            place = block.place_in(type(plugin.plugin).__module__)
            require(
                place is None,
                f"It blocks the event loop: it {block.what} ({place}). Nothing else moves in the server meanwhile. "
                f"{INSTEAD}.",
            )

    @standard
    def test_arrives_by_its_entry_point(self) -> None:
        """It is installed, loads with its options, and offers one object that fulfils its contract."""
        with self.offered() as (offer, _):
            require(offer is not None, "The hook returns nothing.")

    @standard
    def test_registers_without_input_or_output(self) -> None:
        """Its constructor and its hook open no file, no socket and no process: they run before anything is ready."""
        with self.offered():
            pass  # what it imports is imported now
        found, plugin = loaded(self.plugin, self.options)
        bench, kind = make_bench(self.plugin), plugin.choice.kind
        with listening_for_io() as heard:
            type(plugin.plugin)(plugin.options)
            collect(found, kind.hook, lambda _: bench.context, CONTRACTS[kind.noun])
        require(
            not heard,
            f"While it registers it does: {', '.join(heard)}. Do that in `run`, or when it is asked for.",
        )

    @standard
    def test_imports_what_is_public(self) -> None:
        """It uses no private module or name of tidings, so that no change of those can break it."""
        _, plugin = loaded(self.plugin, self.options)
        private = [
            f"{path.name}:{line}: {name}"
            for path in _sources(type(plugin.plugin).__module__)
            for line, name in private_names(path.read_text("utf-8"))
        ]
        require(not private, f"It imports what is not public: {', '.join(private)}.")

    @standard
    def test_describes_its_options(self) -> None:
        """Each option says what it is for, in a description or under `Attributes:`, for editors and the reference."""
        _, plugin = loaded(self.plugin, self.options)
        silent = undescribed(type(plugin.plugin).options_model)
        require(not silent, f"These options say nowhere what they are for: {', '.join(silent)}.")

    @standard
    def test_shows_no_secret(self) -> None:
        """No secret of its options stands in what it logs while it registers, or in how it and its offer look."""
        _, plugin = loaded(self.plugin, self.options)
        properties = described(type(plugin.plugin).options_model).get("properties", {})
        secrets = sorted(name for name, one in properties.items() if _is_secret(one))
        chosen = (self.options, *self.alternatives)
        missing = [name for name in secrets if not any(name in options for options in chosen)]
        require(not missing, f"Give these secrets a value in `options` of the suite: {', '.join(missing)}.")
        for options in chosen:
            _, plugin = loaded(self.plugin, options)
            with offered(self.plugin, options) as (offer, bench):
                shown = [plugin.plugin, plugin.options, offer, bench.logged]
                text = " ".join(map(repr, shown))
            told = [name for name in secrets if name in options and str(options[name]) in text]
            require(not told, f"The value of {', '.join(told)} stands in a repr or a log line.")

    @property
    def name(self) -> str:
        """The plugin's name, without its kind."""
        kind_of(self.plugin)
        return self.plugin.partition("/")[2]


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """What a source imports of tidings that isn't public, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in imported:
            package, _, rest = name.partition(".")
            parts = rest.split(".")
            is_public = parts[0] in MODULES | {_KIT, "__version__", *names}
            if (
                package == "tidings"
                and rest
                and (not is_public or any(one.startswith("_") and not one.startswith("__") for one in parts))
            ):
                yield node.lineno, name


def _sources(module: str) -> list[Path]:
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return []
    if spec.submodule_search_locations:
        return sorted(Path(spec.origin).parent.rglob("*.py"))
    return [Path(spec.origin)]


def _is_secret(option: Mapping[str, Any]) -> bool:
    return any("file" in one.get("properties", {}) for one in option.get("anyOf", ()))
