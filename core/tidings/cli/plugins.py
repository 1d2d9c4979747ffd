"""`tidings plugins`: what is installed, what is chosen, and what became of it."""

from __future__ import annotations

import dataclasses

import click

from tidings.cli.installation import Installation
from tidings.cli.output import complain, say_json, say_table
from tidings.cli.rehearsal import rehearse
from tidings.config import Settings
from tidings.errors import ConfigError
from tidings.plugins import installed


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """One plugin; `state` is `loaded`, `failed`, `not chosen`, or `chosen` where the start would fail."""

    kind: str
    name: str
    state: str
    distribution: str
    reason: str = ""


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
    if problem is not None:
        raise problem
    failed = [row for row in rows if row.state == "failed"]
    for row in failed:
        complain(f"{row.kind}/{row.name}: {row.reason}")
    if failed:
        raise click.exceptions.Exit(1)


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
        rows.append(_Row(plugin.kind, plugin.name, state, plugin.distribution, reason))
    return sorted(rows, key=lambda row: row.state == "not chosen")
