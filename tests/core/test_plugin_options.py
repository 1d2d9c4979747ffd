"""Options of plugins: validated by their own models, with errors like core's, and no secret in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distributions import Site, context, failure, loaded, problems
from tidings.contracts import Connector
from tidings.plugins import collect

CANARY = "hunter2-correct-horse"
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
            "24: HERE.choice[1]: 'x' is not a whole number. Write it in digits, such as 10.",
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


def test_a_secret_option_from_a_file_never_stands_in_an_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{CANARY}\n")
    site.install(OPTIONS)
    assert problems("mine: {key: {file: key}, name: refuse}") == [
        "config.yaml:4:11: plugins.connectors.mine: refused [secret]."
    ]


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
