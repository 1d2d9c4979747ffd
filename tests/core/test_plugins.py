"""Plugins of real distributions, written to a folder on sys.path."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tidings.config import KINDS, Settings, load
from tidings.context import Context
from tidings.contracts import Bus, Connector, Extra
from tidings.errors import ConfigError, PluginError
from tidings.plugins import InstalledPlugin, Loaded, LoadedPlugin, collect, installed, load_plugins

CANARY = "hunter2-correct-horse"
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
        prologue: str = PROLOGUE,
    ) -> str:
        """Install a distribution with one module and one entry point; returns the module's name."""
        module = next(names)
        (self.folder / f"{module}.py").write_text(prologue + textwrap.dedent(source), "utf-8")
        self.metadata(distribution, f"[{group}]\n{name} = {module}:{target}\n")
        return module

    def metadata(self, distribution: str, entry_points: str) -> None:
        info = self.folder / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\nSummary: Made of cardboard.\n"
        )
        (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    # A bus that is always there, so that these tests need nothing of the shipped plugins.
    Site(folder).install(
        """
        class BusPlugin(Plugin):
            @hookimpl
            def tidings_buses(self):
                return []
        """,
        name="still", distribution="still", group="tidings.buses", target="BusPlugin",
    )  # fmt: skip
    return Site(folder)


def settings(connectors: str) -> Settings:
    text = f"plugins:\n  bus: {{still: }}\n  connectors:\n{textwrap.indent(connectors, '    ')}\n"
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


# --- finding ----------------------------------------------------------------------------------------------


def test_only_what_is_named_is_imported(site: Site) -> None:
    mine = site.install(GOOD)
    other = site.install("raise SystemExit('imported')", name="other", distribution="other")
    result = loaded()
    assert [(plugin.key, plugin.distribution, plugin.bugs) for plugin in result.plugins] == [
        ("bus/still", "still 1.2", ""),
        ("connector/mine", "acme 1.2", "https://bugs.example/mine"),
    ]
    assert result.failures == []
    assert type(result.manager.get_plugin("connector/mine")).__module__ == mine
    assert other not in sys.modules


def test_installed_lists_everything_and_imports_nothing(site: Site) -> None:
    module = site.install("raise SystemExit('imported')")
    found = installed()
    assert InstalledPlugin("connector", "mine", "acme 1.2", "Made of cardboard.") in found
    assert InstalledPlugin("bus", "still", "still 1.2", "Made of cardboard.") in found
    assert [plugin.key for plugin in found] == sorted(plugin.key for plugin in found)
    assert module not in sys.modules


def test_an_unknown_name_lists_what_is_installed_and_the_near_miss(site: Site) -> None:
    site.install(GOOD)
    names = sorted({plugin.name for plugin in installed() if plugin.kind == "connector"})
    assert problems("mime:\n") == [
        (
            f"config.yaml:4:5: plugins.connectors: no connector named 'mime'. Installed: {', '.join(names)}. "
            "Did you mean 'mine'?"
        )
    ]


def test_two_distributions_with_one_name_are_both_named(site: Site) -> None:
    site.install(GOOD)
    site.install(GOOD, distribution="zenith")
    assert problems() == [
        (
            "config.yaml:4:5: plugins.connectors: acme 1.2 and zenith 1.2 offer the same connector, 'mine'. "
            "Uninstall one."
        )
    ]


def test_every_problem_with_plugins_is_told_at_once_in_the_order_of_the_file(site: Site) -> None:
    site.install("class MinePlugin(Plugin): pass")
    assert [problem.split(": ", 2)[:2] for problem in problems("a:\nmine: {x: 1, y: 2}\nb:\n")] == [
        ["config.yaml:4:5", "plugins.connectors"],
        ["config.yaml:5:12", "plugins.connectors.mine"],
        ["config.yaml:5:18", "plugins.connectors.mine"],
        ["config.yaml:6:5", "plugins.connectors"],
    ]


def test_each_kind_has_words_of_its_own() -> None:
    for field in ("section", "noun", "group", "hook"):
        assert len({getattr(kind, field) for kind in KINDS}) == len(KINDS)


# --- options ----------------------------------------------------------------------------------------------

OPTIONS = """
class Deep(BaseModel):
    password: str = ""
    inner: SecretStr | int | None = None

class MineOptions(Options):
    heartbeat: Duration = 15.0
    name: str = ""
    key: Secret = None
    secret: SecretStr | None = None
    keys: list[SecretStr] = []
    by_name: dict[str, SecretStr] = {}
    deep: Deep = Deep()
    choice: int | list[int] | None = None

    @model_validator(mode="after")
    def refuse(self):
        if self.name == "refuse":
            raise ValueError(f"refused {self.key and self.key.get_secret_value()} {self.deep.password}")
        if self.name == "defect":
            raise KeyError(self.key.get_secret_value())
        return self

class MinePlugin(Plugin):
    options_model = MineOptions

    def __init__(self, options):
        super().__init__(options)
        if options.name == "raise":
            raise RuntimeError(f"with {options.key.get_secret_value()}")

    @hookimpl
    def tidings_connectors(self, context):
        raise RuntimeError(f"with {self.options.key.get_secret_value()}")
"""


def test_options_are_the_plugins_own_model(site: Site) -> None:
    site.install(OPTIONS)
    plugin = loaded("mine: {heartbeat: 2m, name: 10.10, choice: [1, 2], keys: [123]}").plugins[1]
    options: Any = plugin.options
    assert options is plugin.plugin.options
    assert (options.heartbeat, options.name, options.choice) == (120.0, "10.10", [1, 2])
    assert options.keys[0].get_secret_value() == "123"


def test_required_is_no_option_of_the_plugin(site: Site) -> None:
    site.install(OPTIONS)
    assert loaded("mine: {required: true}").plugins[1].choice.required


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{heartbeat: soon}", "23: HERE.heartbeat: 'soon' is not a duration. Write 30s, 15m or 6h."),
        ("{heartbeat: 15}", "23: HERE.heartbeat: 15 is not a duration. Write 30s, 15m or 6h."),
        ("{heartbeat: 1:30}", "23: HERE.heartbeat: '1:30' is not a duration. Write 30s, 15m or 6h."),
        (
            "{hartbeat: 15s}",
            ("12: HERE: no key named 'hartbeat'. Known: heartbeat, name, key, secret, keys, "
            "by_name, deep, choice. Did you mean 'heartbeat'?"),
        ),
        ("{name: [a]}", "18: HERE.name: text is expected, not a list. Write text."),
        (
            "{choice: x}",
            "20: HERE.choice: 'x' is not a whole number. Write it in digits, such as 10.",
        ),
        (
            "{choice: [1, x]}",
            "20: HERE.choice: a list is not a whole number. Write it in digits, such as 10.",
        ),
        (
            "{deep: {inner: [a]}}",
            "26: HERE.deep.inner: text is expected, not a list. Write text.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_like_any_other(site: Site, options: str, expected: str) -> None:
    site.install(OPTIONS)
    told = problems(f"mine: {options}")
    assert told == [f"config.yaml:4:{expected}".replace("HERE", "plugins.connectors.mine")]


@pytest.mark.parametrize(
    "options",
    [
        "{{key: [{0}]}}",
        "{{key: {{a: {0}}}}}",
        "{{key: {0}, name: refuse}}",
        "{{secret: [{0}]}}",
        "{{secret: {{file: [{0}]}}}}",
        "{{keys: {0}}}",
        "{{keys: [[{0}]]}}",
        "{{by_name: {0}}}",
        "{{by_name: {{a: [{0}]}}}}",
        "{{deep: {0}}}",
        "{{deep: [{0}]}}",
        "{{deep: {{password: [{0}]}}}}",
        "{{deep: {{password: {0}}}, name: refuse}}",
        "{{deep: {{inner: [{0}]}}}}",
        "{{deep: {{inner: {{x: {0}}}}}}}",
        "{{key: {0}, heartbeat: {0}}}",
        "{{unknown: {0}}}",
    ],
)
def test_a_secret_option_never_stands_in_an_error(site: Site, options: str) -> None:
    site.install(OPTIONS)
    told = problems(f"mine: {options.format(CANARY)}")
    assert told
    assert not [problem for problem in told if CANARY in problem]


@pytest.mark.parametrize("name", ["raise", "defect"])
def test_a_secret_never_stands_in_the_report_of_a_failure(site: Site, name: str) -> None:
    site.install(OPTIONS)
    reason, trace = failure(f"mine: {{key: {CANARY}, name: {name}}}")
    assert "[secret]" in reason
    assert CANARY not in reason + trace


def test_a_secret_never_stands_in_the_report_of_a_failing_hook(site: Site) -> None:
    site.install(OPTIONS)
    result = loaded(f"mine: {{key: {CANARY}}}")
    assert collect(result, "tidings_connectors", context, Connector) == []
    (failed,) = result.failures
    assert "tidings_connectors raised RuntimeError: with [secret] (" in failed.reason
    assert CANARY not in failed.traceback + repr(result)


# --- isolation --------------------------------------------------------------------------------------------

NO_PLUGIN = "{module}:MinePlugin is not a subclass of tidings.hooks.Plugin. Name one in the entry point."
REASONS: list[tuple[str, str, dict[str, str]]] = [
    ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing' ({file}, line 8)", {}),
    ("1 / 0", "ZeroDivisionError: division by zero ({file}, line 8)", {}),
    ("raise SystemExit('bye')", "SystemExit: bye ({file}, line 8)", {}),
    ("def f(:", "SyntaxError: invalid syntax ({module}.py, line 8)", {}),
    ("", NO_PLUGIN, {}),
    ("MinePlugin = 7", NO_PLUGIN, {}),
    (
        "class MinePlugin(Plugin): api_version = 2",
        "it was written for plugin API 2; this tidings supports 1. Upgrade tidings.",
        {},
    ),
    (
        "class MinePlugin(Plugin): api_version = 0",
        "it was written for plugin API 0; this tidings supports 1. Upgrade acme 1.2.",
        {},
    ),
    (
        "class MinePlugin(Plugin): options_model = dict",
        "options_model of {module}:MinePlugin is not a subclass of tidings.hooks.Options. Make it one.",
        {},
    ),
    (
        "class MinePlugin(Plugin):\n    def __init__(self, options):\n        raise ValueError('no')",
        "ValueError: no ({file}, line 10)",
        {},
    ),
    (
        "class MinePlugin(Plugin):\n    @hookimpl\n    def tidings_conectors(self, context): ...",
        "implements tidings_conectors, but there is no such hook. Did you mean 'tidings_connectors'?",
        {},
    ),
    (
        "class MinePlugin(Plugin):\n    def tidings_connectors(self, context): ...",
        "has tidings_connectors without @hookimpl, so it would never be called. Decorate it.",
        {},
    ),
    ("", "its entry point '{module}:a b' is malformed. Write module:Class.", {"target": "a b"}),
    (
        "class Odd(Exception):\n    def __str__(self): raise self\nraise Odd",
        "Odd: <exception str() failed> ({file}, line 10)",
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected", "how"), REASONS, ids=[f"{case[1][:50]}" for case in REASONS])
def test_a_failing_plugin_is_reported_and_the_rest_runs_on(
    site: Site, source: str, expected: str, how: dict[str, str]
) -> None:
    module = site.install(source, **how)
    reason, _ = failure()
    assert reason == expected.format(module=module, file=site.folder / f"{module}.py")


def test_a_missing_module_is_told_apart_from_a_module_that_misses_another(site: Site) -> None:
    site.metadata("acme", "[tidings.connectors]\nmine = no_such_package.plugin:Mine\n")
    reason, _ = failure()
    assert reason == "its module no_such_package.plugin is missing. Install acme 1.2 again."


def test_a_hook_with_an_unknown_argument_is_reported(site: Site) -> None:
    site.install("class MinePlugin(Plugin):\n    @hookimpl\n    def tidings_connectors(self, kontext): ...")
    reason, _ = failure()
    assert "{'kontext'}" in reason


def test_a_failure_keeps_the_traceback_and_says_where_to_report_it(site: Site) -> None:
    module = site.install(GOOD + "    def __init__(self, options):\n        raise ValueError('no')\n")
    (failed,) = loaded().failures
    assert f'{module}.py", line' in failed.traceback
    assert failed.traceback.endswith("ValueError: no\n")
    assert failed.bugs == "https://bugs.example/mine"


def test_a_required_plugin_that_fails_stops_the_start(site: Site) -> None:
    module = site.install("1 / 0")
    assert problems("mine: {required: true}") == [
        (
            "config.yaml:4:5: plugins.connectors.mine: acme 1.2 can't be used, and it is required: "
            f"ZeroDivisionError: division by zero ({site.folder}/{module}.py, line 8)"
        )
    ]


def test_the_bus_is_always_required(site: Site) -> None:
    site.install("1 / 0", group="tidings.buses")
    Path("config.yaml").write_text("plugins: {bus: {mine: {required: false}}}\n")
    with pytest.raises(PluginError, match=r"^config\.yaml:1:17: plugins\.bus\.mine: acme 1\.2 can't be used"):
        load_plugins(load(Path("config.yaml"), {}))


def test_a_plugin_error_is_a_config_error() -> None:
    assert issubclass(PluginError, ConfigError)


# --- collecting -------------------------------------------------------------------------------------------


def test_offers_come_in_the_order_of_the_configuration(site: Site) -> None:
    site.install(GOOD)
    site.install(GOOD.replace('"mine"', '"other"'), name="other", distribution="other")
    for order in ("mine:\nother:\n", "other:\nmine:\n"):
        result = loaded(order)
        offers = collect(result, "tidings_connectors", context, Connector)
        assert [(plugin.name, offer.platform) for plugin, offer in offers] == [
            (name, name) for name in order.replace(":", "").split()
        ]
        assert result.failures == []


def test_a_hook_is_given_its_own_context(site: Site) -> None:
    site.install(GOOD.replace("[Mine()]", "[setattr(m := Mine(), 'told', context.plugin) or m]"))
    ((_, offer),) = collect(loaded(), "tidings_connectors", context, Connector)
    assert vars(offer)["told"] == "connector/mine"


def test_plugins_without_the_hook_are_passed_over(site: Site) -> None:
    site.install(GOOD)
    result = loaded()
    assert collect(result, "tidings_extras", context, Extra) == []
    assert result.failures == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise ValueError('no')", "tidings_connectors raised ValueError: no ({file}, line 11)"),
        ("yield 1 / 0", "tidings_connectors raised ZeroDivisionError: division by zero ({file}, line 11)"),
        ("raise SystemExit(3)", "tidings_connectors raised SystemExit: 3 ({file}, line 11)"),
        ("return None", "tidings_connectors returned None, not a list of Connector. Return a list."),
        (
            "return object()",
            "tidings_connectors returned an instance of object, not a list of Connector. Return a list.",
        ),
        (
            "return 'mine'",
            "tidings_connectors returned an instance of str, not a list of Connector. Return a list.",
        ),
        (
            "return [context]",
            (
                "tidings_connectors returned an instance of Context in its list, which is not a Connector. "
                "Derive its class from tidings.contracts.Connector."
            ),
        ),
    ],
)
def test_a_hook_that_fails_takes_only_its_plugin_out(site: Site, body: str, expected: str) -> None:
    hook = f"    @hookimpl\n    def tidings_connectors(self, context):\n        {body}\n"
    module = site.install(f"class MinePlugin(Plugin):\n{hook}")
    site.install(GOOD, name="other", distribution="other")
    result = loaded("mine:\nother:\n")
    offers = collect(result, "tidings_connectors", context, Connector)
    assert [plugin.name for plugin, _ in offers] == ["other"]
    (failed,) = result.failures
    assert failed.reason == expected.format(file=site.folder / f"{module}.py")
    assert [plugin.name for plugin in result.plugins] == ["still", "other"]
    assert not result.manager.has_plugin("connector/mine")


def test_an_async_hook_is_refused(site: Site) -> None:
    site.install(
        "class MinePlugin(Plugin):\n    @hookimpl\n    async def tidings_connectors(self, context): ..."
    )
    result = loaded()
    assert collect(result, "tidings_connectors", context, Connector) == []
    assert (
        result.failures[0].reason
        == "tidings_connectors is async, but hooks only register. Write a plain def."
    )


def test_a_required_plugin_whose_hook_fails_stops_the_start(site: Site) -> None:
    site.install(
        "class MinePlugin(Plugin):\n    @hookimpl\n    def tidings_buses(self): return [7]",
        group="tidings.buses",
    )
    Path("config.yaml").write_text("plugins: {bus: {mine: }}\n")
    result = load_plugins(load(Path("config.yaml"), {}))
    with pytest.raises(PluginError, match=r"plugins\.bus\.mine: acme 1\.2 can't be used.*which is not a Bus"):
        collect(result, "tidings_buses", context, Bus)


def test_a_defect_of_the_caller_is_not_blamed_on_the_plugin(site: Site) -> None:
    site.install(GOOD)
    with pytest.raises(KeyError):
        collect(loaded(), "tidings_connectors", lambda plugin: {}[plugin.key], Connector)
