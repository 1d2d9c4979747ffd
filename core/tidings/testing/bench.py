"""A plugin on a bench: loaded as a server loads it, and given parts that a test can look into."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import structlog

from tidings.choices import KINDS, Kind
from tidings.config import Settings, load
from tidings.context import Context
from tidings.contracts import Bus, Connector, Extra, Strategy, Transport
from tidings.errors import ConfigError
from tidings.plugins import Loaded, LoadedPlugin, collect, load_plugins
from tidings.testing.clock import FakeClock
from tidings.testing.exchanges import RecordedHttp
from tidings.testing.journal import MemoryJournal
from tidings.testing.server import LiveServer, live_server
from tidings.testing.suite import Violation, fail

CONTRACTS: Final[Mapping[str, type[Any]]] = {
    "connector": Connector,
    "strategy": Strategy,
    "transport": Transport,
    "bus": Bus,
    "extra": Extra,
}
_PLACE: Final = re.compile(r"^\S*config\.yaml:\d+:\d+: ")
PUBLIC_URL: Final = "https://tidings.example.org"


class _Untouchable:
    """A part that hooks may keep, and must not use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> NoReturn:
        raise Violation(
            f"A hook uses context.{self._name}.{attribute}. Hooks only register: keep it for later."
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """What a plugin on a bench was given.

    Attributes:
        http: The HTTP client; answers nothing until it is told to.
        logged: Every line that was logged, as fields.
    """

    clock: FakeClock
    http: RecordedHttp
    journal: MemoryJournal
    logged: list[Mapping[str, Any]]
    context: Context


def kind_of(key: str) -> Kind:
    """The kind of plugin that a key such as `connector/doorbell` names.

    Raises:
        Violation: It names none.
    """
    noun, _, name = key.partition("/")
    found = next((kind for kind in KINDS if kind.noun == noun and name), None)
    if found is None:
        nouns = ", ".join(f"{kind.noun}/NAME" for kind in KINDS)
        fail(f"{key!r} is no plugin's key. Set `plugin` of the suite to one of: {nouns}.")
    return found


def configuration(key: str, options: Mapping[str, Any]) -> str:
    """The text of a `config.yaml` with one plugin in it, and the bus that every server needs."""
    kind, name = kind_of(key), key.partition("/")[2]
    plugins = {"strategies": {}, "bus": {"local": {}}, kind.section: {name: dict(options)}}
    return json.dumps({"plugins": plugins})  # JSON is YAML


def settings_for(key: str, options: Mapping[str, Any]) -> Settings:
    """The settings of that configuration.

    Raises:
        ConfigError: The options can't be written in a configuration.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(configuration(key, options), encoding="utf-8")
        return load(path, {})


def loaded(key: str, options: Mapping[str, Any]) -> tuple[Loaded, LoadedPlugin]:
    """The plugin, found by its entry point, validated and built as a server does it.

    Raises:
        ConfigError: It isn't installed, or its options are wrong.
        Violation: It fails to load; the text says why.
    """
    try:
        found = load_plugins(settings_for(key, options))
    except ConfigError as error:  # without its place: nobody has written that file
        raise type(error)(*[_PLACE.sub("", problem) for problem in error.problems]) from error
    _raise_failure(found, key)
    return found, next(plugin for plugin in found.plugins if plugin.key == key)


def _raise_failure(found: Loaded, key: str) -> None:
    for failure in found.failures:
        if failure.key == key:
            fail(f"{key} ({failure.distribution}) fails to load: {failure.reason}")


def make_bench(key: str = "") -> Bench:
    """Parts to give to a plugin."""
    clock = FakeClock()
    http, journal = RecordedHttp(), MemoryJournal(clock)
    logged: list[Mapping[str, Any]] = []
    log = structlog.wrap_logger(
        None,
        processors=[partial(_keep, logged)],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    context = Context(
        plugin=key,
        public_url=PUBLIC_URL,
        clock=clock,
        log=log,
        journal=journal,
        streams=cast("Any", _Untouchable("streams")),
        access=cast("Any", _Untouchable("access")),
        requests=cast("Any", _Untouchable("requests")),
        http=http,
        internet=http,
    )
    return Bench(clock, http, journal, logged, context)


@contextmanager
def offered(key: str, options: Mapping[str, Any]) -> Iterator[tuple[Any, Bench]]:
    """The one object that the plugin's hook returns, and what it was given.

    Raises:
        Violation: The hook fails, or returns none or several.
    """
    found, plugin = loaded(key, options)
    bench = make_bench(key)
    kind = plugin.choice.kind
    offers = collect(found, kind.hook, lambda _: bench.context, CONTRACTS[kind.noun])
    _raise_failure(found, key)
    mine = [offer for one, offer in offers if one.key == key]
    if len(mine) != 1:
        fail(f"{kind.hook} of {key} returns {len(mine)} {kind.section}. Return one for each entry point.")
    yield mine[0], bench


@asynccontextmanager
async def serving(key: str, options: Mapping[str, Any]) -> AsyncIterator[LiveServer]:
    """A whole server with that plugin, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with live_server(Path(folder), configuration(key, options)) as server:
            yield server


def _keep(
    logged: list[Mapping[str, Any]], _logger: object, method: str, event: Mapping[str, Any]
) -> NoReturn:
    logged.append({"level": method, **event})
    raise structlog.DropEvent
