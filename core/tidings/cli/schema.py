"""`tidings schema`: the JSON Schema of `config.yaml`, for editors."""

from __future__ import annotations

import click

from tidings.cli.output import hint, say_json
from tidings.configschema import config_schema
from tidings.plugins import find_all

_USE = "# yaml-language-server: $schema=tidings.schema.json"


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of config.yaml, with the options of every plugin that is installed.

    Editors complete and check the file with it: tidings schema > tidings.schema.json, and in the first line of
    config.yaml: # yaml-language-server: $schema=tidings.schema.json
    """
    say_json(config_schema(find_all()))
    hint(f"Put this into the first line of config.yaml: {_USE}")
