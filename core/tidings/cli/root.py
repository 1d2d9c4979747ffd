"""`tidings` itself: global options, help, errors and exit codes. A command is imported when it is used."""

from __future__ import annotations

import dataclasses
import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import metadata
from typing import Any, Final

import click

import tidings
from tidings.cli.installation import Installation
from tidings.cli.output import complain, verbatim
from tidings.errors import ConfigError, InvalidCursor, Rejected, TidingsError

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2

_INTRODUCTION = "Tells you of everything new in the accounts you already have, as it happens.\n\n" + verbatim(
    "First steps, each in a terminal of its own:",
    "  tidings serve          start the server; the first start prints a login link",
    "  tidings send-sample    make something happen",
    "  tidings tail           watch it happen",
    "",
    "News from a repository of yours at GitHub:",
    "  tidings webhook add github me",
    "",
    "Help on a command:",
    "  tidings token create --help",
)
_WHERE = (
    "config.yaml is looked for in this order: --config, the variable TIDINGS_CONFIG, this folder, and the "
    "folder that holds tidings' virtual environment. So every command works from any folder."
)
_EXIT_CODES = (
    ("0", "done"),
    ("1", "failed: the error says what to do"),
    ("2", "wrong use, or a wrong configuration"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A command as `tidings --help` lists it.

    Attributes:
        section: The heading it stands under.
        module: Where it is: `command` in this module of `tidings.cli`.
        summary: One line.
    """

    section: str
    module: str
    summary: str


COMMANDS: Final = {
    "serve": Listed("The server", "serve", "Start the server."),
    "check": Listed("The server", "check", "Check config.yaml and its plugins; start nothing."),
    "doctor": Listed("The server", "doctor", "Examine the set-up; print what to register at each platform."),
    "plugins": Listed("The server", "plugins", "List the plugins installed, chosen and failed."),
    "schema": Listed("The server", "schema", "Print the JSON Schema of config.yaml, for editors."),
    "plugin": Listed("The server", "plugin", "Make a plugin of your own, and check one."),
    "webpush": Listed("The server", "webpush", "Show the key that push services know this server by."),
    "user": Listed("People and rights", "users", "Add, list and remove users; make login links."),
    "token": Listed("People and rights", "tokens", "Make, list and revoke API tokens."),
    "webhook": Listed("The news", "webhooks", "Make the addresses that platforms send news to."),
    "send-sample": Listed("The news", "send_sample", "Send a signed example to the running server."),
    "tail": Listed("The news", "tail", "Follow a user's news in this terminal."),
    "audit": Listed("The news", "audit", "Compare what a platform says it sent with what arrived."),
    "vault": Listed("The database", "vault", "Show and change the keys that secrets are sealed with."),
    "db": Listed("The database", "db", "Upgrade, inspect, prune and check the database."),
}
_WIDEST = max(map(len, COMMANDS))


class Root(click.Group):
    """Lists commands under headings, imports one when it is used, and turns errors into lines and codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        listed = COMMANDS.get(cmd_name)
        if listed is None:
            return None
        command = importlib.import_module(f"tidings.cli.{listed.module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with.

        Raises:
            click.UsageError: There is none of that name; it says which is near.
        """
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, without importing any."""
        for section in dict.fromkeys(listed.section for listed in COMMANDS.values()):
            with formatter.section(section):
                listed = [
                    (name.ljust(_WIDEST), command.summary)
                    for name, command in COMMANDS.items()
                    if command.section == section
                ]
                formatter.write_dl(listed)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write where the configuration is looked for, and what the exit codes mean."""
        formatter.write_paragraph()
        formatter.write_text(_WHERE)
        with formatter.section("Exit codes"):
            formatter.write_dl(_EXIT_CODES)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        """Run a command and exit."""
        extra |= {"prog_name": "tidings", "standalone_mode": False}
        try:
            code = super().main(args, **extra)
        except Exception as error:  # noqa: BLE001 - every error ends here, as lines and an exit code
            code = _report(error)
        sys.exit(code if isinstance(code, int) else DONE)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that `ctx` holds."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has seen enough. What is still buffered must not fail at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


@click.group(cls=Root, help=_INTRODUCTION, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    metavar="FILE",
    envvar="TIDINGS_CONFIG",
    show_envvar=True,
    help="The configuration. Stands before the command.",
)
@click.version_option(tidings.__version__, prog_name="tidings", message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context, config: str | None) -> None:
    """Tells you of everything new in the accounts you already have, the moment it happens."""
    ctx.obj = Installation(config)


def main() -> None:
    """Run the command line; the entry point `tidings`."""
    root.main()


def _report(error: Exception) -> int:
    """Say what went wrong, on standard error; returns the exit code."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # a task group's wrapping
    code = FAILED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        code = WRONG_USE
    elif isinstance(error, click.UsageError):
        complain(error.format_message())
        if error.ctx is not None:
            complain(f"{error.ctx.get_usage()}\nMore: {error.ctx.command_path} --help")
        code = WRONG_USE
    elif isinstance(error, click.Abort):
        complain("Stopped.")
    elif isinstance(error, TidingsError):
        complain(str(error))
        code = WRONG_USE if isinstance(error, ConfigError | Rejected | InvalidCursor) else FAILED
    elif isinstance(error, OSError) and error.filename is not None:
        complain(f"{error.filename}: {error.strerror}. Check the path, its owner and its mode.")
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        complain("What this prints can't be written: the disk is full.")
    else:
        traceback.print_exception(error)
        complain(f"This is a defect. Please report it, with the lines above, {_tracker()}.")
    return code


def _tracker() -> str:
    """Where defects are reported, as the installed distribution says."""
    urls = dict(url.split(", ", 1) for url in metadata("tidings").get_all("Project-URL") or ())
    return f"at {urls['Issues']}" if "Issues" in urls else "to whoever gave you tidings"
