"""`tidings webpush`: the keys that push services know this installation by."""

from __future__ import annotations

import click

from tidings.cli.installation import Installation
from tidings.cli.output import hint, note, say, say_json, say_table
from tidings.cli.rehearsal import rehearse
from tidings.devices import Pushes
from tidings.errors import NotFound
from tidings.keys import load_push_keys, push_key_path


@click.group("webpush")
def command() -> None:
    """Show the key that push services know this server by."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def keys(installation: Installation, as_json: bool) -> None:
    """Show the public keys that browsers subscribe with; makes the first one where there is none.

    The private ones stay in their file, which every backup needs: without it each device must subscribe anew.
    """
    transports = [one for one in rehearse(installation.settings).transports if isinstance(one, Pushes)]
    if not transports:
        raise NotFound(
            "No transport that pushes is loaded. Name one in config.yaml, under plugins.transports: `webpush: {}`."
        )
    database = installation.settings.database_path
    ring = load_push_keys(database)
    transports[0].use_keys(ring.keys)
    public = transports[0].public_keys
    if as_json:
        say_json({"file": str(push_key_path(database)), "active": ring.active_id, "keys": dict(public)})
    elif len(public) == 1:
        say(public[ring.active_id])
    else:
        rows = [(one, "active" if one == ring.active_id else "still serves", public[one]) for one in public]
        say_table(("key", "use", "public key"), rows)
    if transports[0].problem:
        note(transports[0].problem)
    hint(f"The private key lies in {push_key_path(database)}. Back it up with the database.")
