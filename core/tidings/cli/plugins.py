"""`tidings plugins`: what is installed, what is chosen, and what became of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import click

from tidings.cli.installation import Installation
from tidings.cli.output import complain, say, say_json, say_table
from tidings.cli.rehearsal import rehearse
from tidings.config import Settings
from tidings.errors import ConfigError, PluginError
from tidings.plugins import installed
from tidings.testing.quality import exemptions


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """One plugin.

    Attributes:
        state: `loaded`, `failed`, `not chosen`, or `chosen` where the start would fail.
        exempt: The standard tests that it does not pass, each with the reason that its `quality.yaml` gives.
    """

    kind: str
    name: str
    state: str
    distribution: str
    reason: str = ""
    exempt: Mapping[str, str] = dataclasses.field(default_factory=dict)


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def command(installation: Installation, as_json: bool) -> None:
    """List the plugins: loaded, failed with the reason, or installed and not chosen in config.yaml.

    Exit code 1 if one that config.yaml names fails, 2 if the server could not start with it.
    """
    settings = installation.settings
    problem: ConfigError | None = None
    try:
        rows = _rehearsed(settings)
    except ConfigError as error:
        problem = error
        rows = _unrehearsed(settings)
    if as_json:
        say_json([dataclasses.asdict(row) for row in rows])
    else:
        say_table(
            ("kind", "name", "state", "from"),
            [(row.kind, row.name, row.state, row.distribution) for row in rows],
        )
        _say_exemptions(rows)
    if problem is not None:
        raise problem
    failed = [row for row in rows if row.state == "failed"]
    for row in failed:
        complain(f"{row.kind}/{row.name}: {row.reason}")
    if failed:
        raise click.exceptions.Exit(1)


def _say_exemptions(rows: Sequence[_Row]) -> None:
    exempt = [(f"{row.kind}/{row.name}", rule, why) for row in rows for rule, why in row.exempt.items()]
    if exempt:
        say("\nStandard tests that plugins don't pass, and why:\n")
        say_table(("plugin", "test", "why"), exempt)


def _rehearsed(settings: Settings) -> list[_Row]:
    loaded = rehearse(settings).loaded
    states = {plugin.key: ("loaded", "") for plugin in loaded.plugins}
    states |= {failure.key: ("failed", failure.reason) for failure in loaded.failures}
    return _rows(states)


def _unrehearsed(settings: Settings) -> list[_Row]:
    return _rows({choice.key: ("chosen", "") for choice in settings.plugins})


def _rows(states: dict[str, tuple[str, str]]) -> list[_Row]:
    """Chosen ones first, each sort by kind and name."""
    rows = []
    for plugin in installed():
        state, reason = states.get(plugin.key, ("not chosen", ""))
        exempt = {} if state == "not chosen" else _exemptions(plugin.key)
        rows.append(_Row(plugin.kind, plugin.name, state, plugin.distribution, reason, exempt))
    return sorted(rows, key=lambda row: row.state == "not chosen")


def _exemptions(key: str) -> Mapping[str, str]:
    try:
        return exemptions(key)
    except PluginError as error:
        complain(str(error))
        return {}
