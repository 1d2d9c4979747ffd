"""`tidings plugin`: makes a plugin of one's own, and checks one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tidings.choices import KINDS
from tidings.cli.installation import executable, python
from tidings.cli.output import complain, note, say, say_table
from tidings.errors import Conflict
from tidings.plugincheck import Checked, check
from tidings.scaffold import new_plugin

_NOUNS = [kind.noun for kind in KINDS]


@click.group("plugin")
def command() -> None:
    """Make a plugin of your own, and check one."""


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(_NOUNS), required=True, help="What it is.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to; a new folder tidings-NAME here, if not given.",
)
def new(name: str, kind: str, folder: Path | None) -> None:
    """Make a new plugin: a distribution of its own that installs, and whose tests pass, as it is."""
    made = new_plugin(name, kind)
    folder = folder or Path(f"tidings-{name}")
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} exists and is not empty. Name another with --folder.")
    for path, text in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    say(str(folder))
    note(
        f"Install it beside tidings: {shlex.join([python(), '-m', 'pip', 'install', '-e', f'{folder}[test]'])}"
    )
    note(f"Check it: {shlex.join([executable(), 'plugin', 'check', str(folder)])}")


@command.command("check")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--verbose", is_flag=True, help="List the tests that are passed, too.")
def run_check(path: Path, verbose: bool) -> None:
    """Check the plugins of a distribution: its metadata, and tidings' standard tests by its own suites.

    PATH is its folder, in which pyproject.toml lies. It must be installed. Exit code 1 if anything fails.
    """
    checked = check(path)
    rows = [
        (one.plugin, one.rule, one.outcome, one.detail)
        for one in checked
        if verbose or one.outcome != "passed"
    ]
    if rows:
        say_table(("plugin", "test", "outcome", "why"), rows)
    say(_summary(checked))
    if any(one.outcome == "failed" for one in checked):
        complain("Not all is as it must be; the lines above say what to do.")
        raise click.exceptions.Exit(1)


def _summary(checked: list[Checked]) -> str:
    counts = {word: sum(one.outcome == word for one in checked) for word in ("passed", "exempt", "failed")}
    return f"{counts['passed']} passed, {counts['exempt']} exempt, {counts['failed']} failed"
