"""The command line as a whole: help, configuration, errors, exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commands import CONFIG, Commands, installed
from tidings.cli import users
from tidings.cli.installation import Installation
from tidings.cli.reference import command_reference
from tidings.cli.root import COMMANDS, root
from tidings.errors import Unavailable


@pytest.fixture
def cli(tmp_path: Path) -> Commands:
    return installed(tmp_path)


def test_help_lists_every_command_with_examples_and_exit_codes() -> None:
    result = CliRunner().invoke(root, ["--help"])
    assert result.exit_code == 0
    for name, listed in COMMANDS.items():
        assert f"\n  {name} " in result.stdout
        assert listed.summary in result.stdout
        assert f"\n{listed.section}:\n" in result.stdout
    assert "Exit codes:\n  0  done\n  1  failed" in result.stdout
    assert "  tidings send-sample " in result.stdout


def test_every_listed_command_is_there_under_its_name() -> None:
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_the_reference_tells_of_every_command() -> None:
    reference = command_reference()
    for heading in (
        "tidings",
        "tidings serve",
        "tidings user add",
        "tidings token revoke",
        "tidings db prune",
    ):
        assert f"\n## {heading}\n" in f"\n{reference}"
    assert "\x1b" not in reference
    assert max(map(len, reference.splitlines())) <= 100


def test_without_a_command_it_helps_and_says_that_this_was_wrong_use() -> None:
    result = CliRunner().invoke(root, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "People and rights:" in result.stderr


def test_an_unknown_command_is_answered_with_the_near_one(cli: Commands) -> None:
    assert cli.failed("srve", code=2).startswith("tidings: There is no command 'srve'. Did you mean 'serve'?")


def test_a_missing_argument_is_wrong_use_and_shows_the_usage(cli: Commands) -> None:
    assert "Usage: tidings token create [OPTIONS] USER" in cli.failed("token", "create", code=2)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(root, ["--version"])
    assert result.stdout.startswith("tidings ")


def test_a_wrong_configuration_says_where_and_exits_with_2(cli: Commands) -> None:
    cli.config.write_text("server: {port: many}\nlog: {level: loud}\n")
    said = cli.failed("user", "list", code=2)
    assert f"tidings: {cli.config}:1:16: server.port: 'many'" in said
    assert f"tidings: {cli.config}:2:14: log.level: 'loud'" in said


def test_without_a_configuration_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, venv = tmp_path / "here", tmp_path / "project" / ".venv"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.delenv("TIDINGS_CONFIG", raising=False)
    result = CliRunner().invoke(root, ["user", "list"])
    assert result.exit_code == 2
    for place in (here, venv.parent):
        assert str(place / "config.yaml") in result.stderr
    assert "--config FILE" in result.stderr


def test_the_configuration_is_found_by_option_variable_folder_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order."""
    for name in ("option", "variable", "here", "project"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "project" / ".venv"))
    monkeypatch.setenv("TIDINGS_CONFIG", str(tmp_path / "variable" / "config.yaml"))

    def database(*options: str) -> str:
        CliRunner().invoke(root, [*options, "db", "upgrade"])
        result = CliRunner().invoke(root, [*options, "db", "info", "--json"])
        assert result.exit_code == 0, result.output
        return Path(result.stdout.partition('"path": "')[2].partition('"')[0]).parent.name

    assert database("--config", str(tmp_path / "option" / "config.yaml")) == "option"
    assert database() == "variable"
    monkeypatch.delenv("TIDINGS_CONFIG")
    assert database() == "here"
    (tmp_path / "here" / "config.yaml").unlink()
    assert database() == "project"


def test_the_command_to_copy_names_the_configuration_only_where_it_must(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/nowhere/pytest"])
    monkeypatch.setattr(sys, "prefix", str(cli.folder / ".venv"))
    executable = cli.folder / ".venv" / "bin" / "tidings"
    executable.parent.mkdir(parents=True)
    executable.touch(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(cli.folder)
    assert cli.installation.invocation == ".venv/bin/tidings"
    (cli.folder / "deep er").mkdir()
    other = cli.folder / "deep er" / "config.yaml"
    other.write_text(CONFIG)
    assert Installation(str(other)).invocation == ".venv/bin/tidings --config 'deep er/config.yaml'"
    monkeypatch.setenv("PATH", str(executable.parent))
    assert Installation(None).invocation == "tidings"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [str(executable)])
    monkeypatch.chdir(other.parent)
    assert Installation(None).invocation == str(executable)
    assert cli.installation.invocation == f"{executable} --config {cli.config}"
    monkeypatch.chdir(executable.parent)
    assert Installation(None).invocation == "./tidings"


def test_an_expected_failure_is_plain_lines_and_exit_code_1(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.done("db", "upgrade")
    monkeypatch.setattr(users, "list_users", _raising(Unavailable("The disk is gone.\nPut it \x1b[31mback.")))
    assert cli.failed("user", "list") == "tidings: The disk is gone.\ntidings: Put it \ufffd[31mback.\n"


def test_a_task_groups_wrapping_of_an_expected_failure_is_taken_off(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = ExceptionGroup("unhandled errors", [ExceptionGroup("inner", [Unavailable("No disk.")])])
    cli.done("db", "upgrade")
    monkeypatch.setattr(users, "list_users", _raising(wrapped))
    assert cli.failed("user", "list") == "tidings: No disk.\n"


def test_a_defect_shows_its_traceback_and_asks_for_a_report(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.done("db", "upgrade")
    monkeypatch.setattr(users, "list_users", _raising(ZeroDivisionError("oops")))
    result = cli("user", "list")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: oops" in result.stderr
    assert "tidings: This is a defect. Please report it" in result.stderr


def test_a_folder_that_can_not_be_made_is_named_without_a_traceback(cli: Commands) -> None:
    (cli.folder / "file").touch()
    cli.config.write_text("database: sqlite+aiosqlite:///file/tidings.db\n" + CONFIG)
    assert str(cli.folder / "file") in cli.failed("db", "upgrade")


def test_a_file_that_is_no_database_is_told_without_a_traceback(cli: Commands) -> None:
    (cli.folder / "tidings.db").write_text("Dear diary, " * 1000)
    assert "file is not a database" in cli.failed("user", "list")


def test_output_that_finds_no_space_is_told_without_a_traceback(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.done("db", "upgrade")
    monkeypatch.setattr(users, "list_users", _raising(OSError(errno.ENOSPC, "No space left on device")))
    assert "the disk is full" in cli.failed("user", "list")


def test_help_needs_none_of_the_server() -> None:
    assert _imported("from tidings.cli import root", ("sqlalchemy", "pydantic", "rich", "uvicorn")) == []


def test_serving_needs_neither_migrations_nor_clients_nor_the_other_commands() -> None:
    unneeded = ("alembic", "httpx", "joserfc", "tidings.cli.rehearsal", "tidings.cli.send_sample")
    assert _imported("import tidings.cli.serve", unneeded) == []


def _raising(error: Exception) -> object:
    def work(_connection: object) -> None:
        raise error

    return work


def _imported(statement: str, modules: tuple[str, ...]) -> list[str]:
    program = f"{statement}\nimport sys\nprint(*[name for name in {modules} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return run.stdout.split()
