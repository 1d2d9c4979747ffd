"""Plugins: found by entry point, imported only if named, validated, built, registered, and blamed by name.

What the operator wrote wrongly (a name, an option) stops the start, with every problem at once. What is wrong
in a plugin is contained: the plugin is left out and reported as a failure, unless it is `required`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import Distribution, EntryPoint, PackageMetadata, entry_points
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

from tidings.choices import KINDS, Kind, PluginChoice
from tidings.context import Context
from tidings.defects import Defect
from tidings.errors import ConfigError, PluginError
from tidings.hooks import API_VERSION, HookSpecs, Options, Plugin, ServerAddress
from tidings.secret import held_secrets, scrub, written_secrets
from tidings.validation import near, validate
from tidings.yamlfile import Problem, fail

if TYPE_CHECKING:
    from tidings.config import Settings

Offer = TypeVar("Offer")

#: This one and the one before: who wrote a plugin has a whole version's time to follow.
SUPPORTED_API_VERSIONS: Final = frozenset(range(max(1, API_VERSION - 1), API_VERSION + 1))


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin that an installed distribution offers.

    Attributes:
        kind: `connector`, `transport`, ….
        distribution: Name and version: `tidings 0.1.0`.
        summary: What the distribution says of itself, or "".
    """

    kind: str
    name: str
    distribution: str
    summary: str

    @property
    def key(self) -> str:
        """Its name among all plugins: `connector/github`."""
        return f"{self.kind}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """An installed plugin, imported.

    Attributes:
        plugin_class: What its entry point names; None where that can't be imported.
        problem: Why not, in one line; "" where all is well.
    """

    kind: Kind
    name: str
    distribution: str
    plugin_class: type[Plugin] | None
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin at work."""

    choice: PluginChoice
    distribution: str
    options: Options = dataclasses.field(repr=False)
    plugin: Plugin
    tracker: str = ""  # as the distribution says

    @property
    def kind(self) -> str:
        """`connector`, `transport`, …."""
        return self.choice.kind.noun

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.choice.name

    @property
    def key(self) -> str:
        """Its name among all plugins: `connector/github`."""
        return self.choice.key

    @property
    def bugs(self) -> str:
        """Where to report its defects, or ""."""
        return self.plugin.bugs or self.tracker


@dataclasses.dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that the configuration names and that doesn't work.

    Attributes:
        reason: What happened, and where in the plugin; one line.
        traceback: The exception in full, or "" where there was none.
        bugs: Where to report it, or "".
    """

    key: str
    distribution: str
    reason: str
    traceback: str = ""
    bugs: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What came of the configuration's plugins.

    Attributes:
        plugins: Those at work, in the order of the configuration. One that fails later is taken out.
        failures: Those that failed.
    """

    manager: pluggy.PluginManager
    plugins: list[LoadedPlugin]
    failures: list[PluginFailure]


def installed() -> list[InstalledPlugin]:
    """All plugins that could be named in the configuration, sorted by kind and name. Imports none."""
    found = {
        InstalledPlugin(kind.noun, point.name, _distribution(point), _summary(point))
        for kind in KINDS
        for point in entry_points(group=kind.group)
    }
    return sorted(found, key=lambda plugin: (plugin.kind, plugin.name, plugin.distribution))


def find_all() -> list[Found]:
    """All installed plugins, each imported; sorted by kind, as `KINDS` has them, and name."""
    found = []
    for kind in KINDS:
        for point in sorted(entry_points(group=kind.group), key=lambda point: point.name):
            plugin_class, problem = None, ""
            try:
                plugin_class = _plugin_class(point)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises is contained
                problem = _describe(error, point.value, [])[0]
            found.append(Found(kind, point.name, _distribution(point), plugin_class, problem))
    return found


def load_plugins(settings: Settings) -> Loaded:
    """Import, validate, build and register the plugins that `settings` names, in that order.

    Raises:
        PluginError: A plugin isn't installed, its options are wrong, or it is required and fails.
    """
    loader = _Loader()
    # Extras first: what they offer to other plugins must be known before those are built.
    extras = [choice for choice in settings.plugins if choice.kind.section == "extras"]
    for choice in extras:
        loader.load(choice)
    defaults = _option_defaults(loader.loaded, settings)
    for choice in settings.plugins:
        if choice not in extras:
            loader.load(_with_defaults(choice, defaults.get(choice.key, {})))
    if loader.problems:
        fail(loader.problems, PluginError)
    places = {choice.key: place for place, choice in enumerate(settings.plugins)}
    loader.loaded.plugins.sort(key=lambda plugin: places[plugin.key])
    return loader.loaded


def _option_defaults(loaded: Loaded, settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """What plugins offer as options of others; the first who offers one wins.

    Raises:
        ConfigError: A plugin says that it must not be used here.
    """
    server = ServerAddress(settings.server.host, settings.server.port, settings.server.public_url)
    configured = {choice.key: choice.options for choice in settings.plugins}
    arguments = {"server": server, "configured": configured}
    offers: dict[str, dict[str, Any]] = {}
    for impl in loaded.manager.hook.tidings_option_defaults.get_hookimpls():
        plugin = next(one for one in loaded.plugins if one.key == impl.plugin_name)
        try:
            result = impl.function(*[arguments[name] for name in impl.argnames])
            for key, options in _checked_options(result).items():
                offers[key] = {**options, **offers.get(key, {})}
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises is contained
            _take_out(loaded, plugin, error, "tidings_option_defaults")
    return offers


def _checked_options(result: object) -> Mapping[str, Mapping[str, Any]]:
    if isinstance(result, Mapping) and all(isinstance(options, Mapping) for options in result.values()):
        return result
    raise Defect(
        f"tidings_option_defaults returned {_named(result)}, not options by plugin. "
        'Return a mapping such as {"connector/github": {"client_id": "…"}}.'
    )


def _with_defaults(choice: PluginChoice, defaults: Mapping[str, Any]) -> PluginChoice:
    missing = {name: value for name, value in defaults.items() if choice.options.get(name) in (None, "")}
    return dataclasses.replace(choice, options={**choice.options, **missing}) if missing else choice


def collect(
    loaded: Loaded, hook_name: str, make_context: Callable[[LoadedPlugin], Context], contract: type[Offer]
) -> list[tuple[LoadedPlugin, Offer]]:
    """Call a hook of each plugin by itself, and gather what they offer, in the order of the configuration.

    A plugin that raises, or offers something else than a `contract`, is taken out and reported in
    `loaded.failures`; nothing of it is kept.

    Raises:
        PluginError: That plugin is required.
    """
    impls = {impl.plugin_name: impl for impl in getattr(loaded.manager.hook, hook_name).get_hookimpls()}
    offers: list[tuple[LoadedPlugin, Offer]] = []
    for plugin in list(loaded.plugins):
        impl = impls.get(plugin.key)
        if impl is None:
            continue
        context = make_context(plugin)
        try:
            result = impl.function(*[context for _ in impl.argnames])  # a plugin may leave the argument out
            offers += [(plugin, offer) for offer in _checked(result, hook_name, contract)]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises is contained
            _take_out(loaded, plugin, error, hook_name)
    return offers


class _Loader:
    """Loads one plugin after the other and notes what goes wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.loaded = Loaded(pluggy.PluginManager("tidings"), [], [])
        self.loaded.manager.add_hookspecs(HookSpecs)
        self._points = entry_points()

    def load(self, choice: PluginChoice) -> None:
        point = self._find(choice)
        if point is None:
            return
        secrets: list[str] = []
        bugs = tracker = _tracker(point)
        try:
            plugin_class = _plugin_class(point)
            bugs, model = plugin_class.bugs or tracker, plugin_class.options_model
            secrets += written_secrets(model, choice.options)
            options, problems = validate(model, choice.document, choice.path, choice.options)
            self.problems += problems
            if options is None:
                return
            secrets += held_secrets(options)
            plugin = plugin_class(options)
            self._register(plugin, choice.key)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises is contained
            reason, trace = _describe(error, point.value, secrets)
            failure = PluginFailure(choice.key, _distribution(point), reason, trace, bugs)
            self.loaded.failures.append(failure)
            if choice.required:
                self.problems.append(_fatal(choice, failure))
            return
        self.loaded.plugins.append(LoadedPlugin(choice, _distribution(point), options, plugin, tracker))

    def _find(self, choice: PluginChoice) -> EntryPoint | None:
        kind = choice.kind
        points = {
            _distribution(point): point for point in self._points.select(group=kind.group, name=choice.name)
        }
        if len(points) == 1:
            return next(iter(points.values()))
        if points:
            message = (
                f"{' and '.join(sorted(points))} offer the same {kind.noun}, {choice.name!r}. Uninstall one."
            )
        else:
            names = sorted(self._points.select(group=kind.group).names)
            message = f"no {kind.noun} named {choice.name!r}. Installed: {', '.join(names) or 'none'}."
            message += near(choice.name, names)
        self.problems.append(
            choice.document.problem(choice.path, message, at_key=True, label=choice.path[:-1])
        )
        return None

    def _register(self, plugin: Plugin, key: str) -> None:
        manager = self.loaded.manager
        hooks = [name for name in dir(HookSpecs) if name.startswith("tidings_")]
        for name in dir(plugin):
            marked = manager.parse_hookimpl_opts(plugin, name)
            hook = (marked and marked["specname"]) or name
            if marked is not None and hook not in hooks and not marked["optionalhook"]:
                raise Defect(f"implements {hook}, but there is no such hook.{near(hook, hooks)}")
            if marked is None and name in hooks:
                raise Defect(f"has {name} without @hookimpl, so it would never be called. Decorate it.")
        try:
            manager.register(plugin, name=key)
        except pluggy.PluginValidationError as error:
            if manager.has_plugin(key):  # pluggy 1.6 leaves it half registered
                manager.unregister(name=key)
            raise Defect(" ".join(str(error).split())) from error


def _plugin_class(point: EntryPoint) -> type[Plugin]:
    """Import what an entry point names, and check that it is a plugin this version can use."""
    try:
        module_name, attribute = point.module, point.attr
    except (AttributeError, AssertionError):  # how importlib.metadata tells of it, by version
        raise Defect(f"its entry point {point.value!r} is malformed. Write module:Class.") from None
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports isn't
        raise Defect(f"its module {module_name} is missing. Install {_distribution(point)} again.") from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise Defect(f"{point.value} is not a subclass of tidings.hooks.Plugin. Name one in the entry point.")
    if found.api_version not in SUPPORTED_API_VERSIONS:
        older = isinstance(found.api_version, int) and found.api_version < min(SUPPORTED_API_VERSIONS)
        supported = ", ".join(map(str, sorted(SUPPORTED_API_VERSIONS)))
        raise Defect(
            f"it was written for plugin API {found.api_version}; this tidings supports {supported}. "
            f"Upgrade {_distribution(point) if older else 'tidings'}."
        )
    if not (isinstance(found.options_model, type) and issubclass(found.options_model, Options)):
        raise Defect(
            f"options_model of {point.value} is not a subclass of tidings.hooks.Options. Make it one."
        )
    return found


def _checked(result: object, hook_name: str, contract: type[Offer]) -> list[Offer]:
    """What a hook returned, if all of it fulfils the contract."""
    if isinstance(result, CoroutineType):
        result.close()
        raise Defect(f"{hook_name} is async, but hooks only register. Write a plain def.")
    if isinstance(result, str | bytes) or not isinstance(result, Iterable):
        raise Defect(
            f"{hook_name} returned {_named(result)}, not a list of {contract.__name__}. Return a list."
        )
    offers = list(result)
    for offer in offers:
        if not isinstance(offer, contract):
            raise Defect(
                f"{hook_name} returned {_named(offer)} in its list, which is not a {contract.__name__}. "
                f"Derive its class from tidings.contracts.{contract.__name__}."
            )
    return offers


def _named(value: object) -> str:
    return "None" if value is None else f"an instance of {type(value).__qualname__}"


def _take_out(loaded: Loaded, plugin: LoadedPlugin, error: BaseException, hook_name: str) -> None:
    reason, trace = _describe(error, type(plugin.plugin).__module__, list(held_secrets(plugin.options)))
    if not isinstance(error, Defect):
        reason = f"{hook_name} raised {reason}"
    failure = PluginFailure(plugin.key, plugin.distribution, reason, trace, plugin.bugs)
    loaded.plugins.remove(plugin)
    loaded.manager.unregister(name=plugin.key)
    loaded.failures.append(failure)
    if plugin.choice.required:
        fail([_fatal(plugin.choice, failure)], PluginError)


def _describe(error: BaseException, module: str, secrets: list[str]) -> tuple[str, str]:
    """What happened, in one line that ends with the place in the plugin's code; and the traceback."""
    if isinstance(error, Defect):
        return scrub(str(error), secrets), ""
    package = re.split(r"[.:]", module, maxsplit=1)[0]
    own = [
        f" ({frame.f_code.co_filename}, line {line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    told = traceback.TracebackException.from_exception(error)  # copes with an exception whose str() raises
    reason = f"{type(error).__name__}: {' '.join(str(told).split())[:500]}{own[-1] if own else ''}"
    return scrub(reason, secrets), scrub("".join(told.format()), secrets)


def _fatal(choice: PluginChoice, failure: PluginFailure) -> Problem:
    message = f"{failure.distribution} can't be used, and it is required: {failure.reason}"
    return choice.document.problem(choice.path, message, at_key=True)


def _distribution(point: EntryPoint) -> str:
    if point.dist is None:
        return "an unknown distribution"
    about = _metadata(point.dist)
    return f"{about['Name']} {about['Version']}"


@functools.lru_cache(maxsize=16)
def _metadata(distribution: Distribution) -> PackageMetadata:
    """What a distribution says of itself; kept, as each question to it would have the file parsed anew."""
    return distribution.metadata


def _said(point: EntryPoint, field: str) -> list[str]:
    """This field of the metadata alone: to have all of it as `json` takes as long as all else about a plugin."""
    return (_metadata(point.dist).get_all(field) or []) if point.dist else []


def _tracker(point: EntryPoint) -> str:
    """Where the distribution says that its defects are reported."""
    urls = [one.partition(", ") for one in _said(point, "Project-URL")]
    wanted = ("issues", "bug tracker", "bug reports", "issue tracker", "tracker")
    return next((url for label, _, url in urls if label.strip().lower() in wanted), "")


def _summary(point: EntryPoint) -> str:
    return next(iter(_said(point, "Summary")), "")
