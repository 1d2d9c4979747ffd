"""The reference of the command line, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tidings.cli.root import root

_WIDTH = 96


def command_reference() -> str:
    """Every command's help, as Markdown, for `docs/reference/cli.md`."""
    return "\n".join(_sections(root, None, "tidings"))


def _sections(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    context = click.Context(
        command, parent, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH, color=False,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _sections(found, context, inner)
