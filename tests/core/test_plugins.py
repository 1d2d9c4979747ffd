"""Plugins: found, built, registered, and contained when they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from distributions import GOOD, Site, context, failure, loaded, problems
from tidings.config import KINDS, load
from tidings.contracts import Bus, Connector, Extra
from tidings.errors import ConfigError, PluginError
from tidings.plugins import InstalledPlugin, collect, installed, load_plugins

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


def test_a_hook_may_have_another_name_than_its_method(site: Site) -> None:
    site.install(
        GOOD.replace("@hookimpl", "@hookimpl(specname='tidings_connectors')").replace(
            "def tidings_c", "def c"
        )
    )
    assert [offer.platform for _, offer in collect(loaded(), "tidings_connectors", context, Connector)] == [
        "mine"
    ]


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
