"""`tidings vault`: the keys that secrets are sealed with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from tidings.cli.installation import Installation
from tidings.cli.output import complain, hint, note, say, say_json, say_table, verbatim
from tidings.errors import Conflict
from tidings.keys import (
    VAULT_VARIABLE,
    KeyRing,
    add_vault_key,
    load_vault_keys,
    only_rotation,
    vault_key_file,
    vault_key_path,
)
from tidings.nodekeys import note_vault_key
from tidings.sealed import Resealed, require_keys, reseal, secrets_by_key
from tidings.vault import Vault

_MOST_SAID = 10


@click.group("vault")
def command() -> None:
    """Show and change the keys that tokens and other secrets are sealed with."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def status(installation: Installation, as_json: bool) -> int:
    """Show the vault's keys, and how many secrets are sealed with each. Fails where one is missing."""
    counts = installation.read(secrets_by_key)
    path = installation.settings.database_path
    if not counts and vault_key_file(path, os.environ) is not None and not vault_key_path(path).exists():
        note("There is no key yet, and nothing to open with it. The first start makes one.")
        return 0
    ring = _keys(installation, counts)
    lacking = [key_id for key_id in counts if key_id and key_id not in ring.keys]
    if as_json:
        say_json(
            {
                "active": ring.active_id,
                "keys": {key_id: counts.get(key_id, 0) for key_id in ring.keys},
                "missing": {key_id: counts[key_id] for key_id in lacking},
                "garbled": counts.get("", 0),
            }
        )
    else:
        rows = [
            (key_id, "active" if key_id == ring.active_id else "opens", counts.get(key_id, 0))
            for key_id in ring.keys
        ]
        rows += [(key_id, "missing", counts[key_id]) for key_id in lacking]
        say_table(("key", "use", "secrets"), rows)
    for key_id in lacking:
        complain(
            f"The key {key_id} is missing, and {counts[key_id]} secret(s) with it. Put its line back into "
            f"{vault_key_path(path)}."
        )
    if counts.get(""):
        complain(f"{counts['']} secret(s) are garbled. Restore the database from a backup.")
    return 1 if lacking or counts.get("") else 0


@command.command(
    epilog=verbatim(
        "The server may run meanwhile. Old keys stay in the key file, since backups need them; a key that",
        "`tidings vault status` shows with 0 secrets can be taken out once no backup needs it.",
        "",
        "With keys in the variable TIDINGS_VAULT_KEY: put a new one first, restart the server with it,",
        "then run this with the same variable.",
    )
)
@click.option(
    "--no-new-key",
    is_flag=True,
    help="Only move secrets to the active key, such as after a rotation that was interrupted.",
)
@click.option(
    "--lost",
    is_flag=True,
    help="The key file is lost for good: make a new one. What the old keys sealed can't be opened any more.",
)
@click.pass_obj
def rotate(installation: Installation, no_new_key: bool, lost: bool) -> int:
    """Make a new key, and seal every secret with it anew."""
    database = installation.settings.database_path
    if lost:
        return _begin_anew(database)
    counts = installation.read(secrets_by_key)
    ring = _keys(installation, counts)
    require_keys(Vault(ring), counts)
    with only_rotation(database):
        if vault_key_file(database, os.environ) is None:
            note("The keys stand in the variable TIDINGS_VAULT_KEY; its first one is used.")
        elif not no_new_key:
            ring = add_vault_key(database)
        if not installation.settings.is_sqlite:
            installation.write(partial(note_vault_key, key_id=ring.active_id))
        done = asyncio.run(_reseal(installation, Vault(ring)))
    say(f"Secrets sealed anew with the key {ring.active_id}: {done.moved}.")
    for problem in done.unopened[:_MOST_SAID]:
        complain(problem)
    if done.unopened:
        complain(f"{len(done.unopened)} secret(s) could not be opened. They are as they were.")
        return 1
    if not no_new_key:
        hint("Back up the key file: secrets that are sealed from now on can't be opened without it.")
    return 0


def _begin_anew(database: Path) -> int:
    path = vault_key_path(database)
    if path.exists() or vault_key_file(database, os.environ) is None:
        raise Conflict(
            f"The vault has keys: in {path}, or in the variable {VAULT_VARIABLE}. Move them away first if they "
            "are the wrong ones."
        )
    ring = load_vault_keys(database, environment=os.environ, secrets_exist=False)
    say(f"Made {path} with the key {ring.active_id}.")
    note("Now make every webhook and connect every account anew: what was sealed before stays unreadable.")
    return 0


def _keys(installation: Installation, counts: Mapping[str, int]) -> KeyRing:
    return load_vault_keys(
        installation.settings.database_path, environment=os.environ, secrets_exist=bool(counts)
    )


async def _reseal(installation: Installation, vault: Vault) -> Resealed:
    async with installation.database() as database:
        return await reseal(database.read, database.write, vault)
