"""That all nodes of one installation have the same keys: what one of them sealed or signed, the others must open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, select
from structlog.typing import FilteringBoundLogger

from tidings.config import Settings
from tidings.database import Database, Insert
from tidings.errors import ConfigError
from tidings.keys import (
    VAULT_VARIABLE,
    key_ids,
    load_vault_keys,
    push_key_path,
    session_key_path,
    vault_key_path,
)
from tidings.schema import settings as facts


async def compare_keys(settings: Settings, database: Database, log: FilteringBoundLogger) -> None:
    """Compare this node's keys with those of the installation, as far as either has any.

    A file of SQLite's has one server, whose keys are the installation's.

    Raises:
        ConfigError: Another node has keys of which this one has none, or its vault can't open what others seal.
    """
    if settings.is_sqlite:
        return
    known = await database.read(_known)
    # After that: of nodes that share a folder and start at once, one makes a key's file before it tells of it.
    files, ours = _files(settings.database_path), _ours(settings.database_path)
    for purpose, key_id in known.items():
        if purpose not in ours:
            raise ConfigError(
                f"{files[purpose]} is missing, and another node of this installation has one. Copy it from there, "
                "then start again."
            )
        if key_id in ours[purpose]:
            continue
        if purpose == "vault":
            raise ConfigError(
                f"{files[purpose]} lacks the key {key_id}, by which other nodes of this installation seal secrets. "
                "Copy the file from one of them, then start again."
            )
        log.warning("keys_differ", file=str(files[purpose]), advice="Every node needs the same; copy it.")


async def note_keys(settings: Settings, database: Database) -> None:
    """Tell the nodes to come of the keys that are new."""
    if settings.is_sqlite:
        return
    known = await database.read(_known)
    new = {purpose: ids[0] for purpose, ids in _ours(settings.database_path).items() if purpose not in known}
    if new:
        await database.write(partial(_note, new))


def _files(path: Path) -> Mapping[str, Path]:
    return {"vault": vault_key_path(path), "session": session_key_path(path), "push": push_key_path(path)}


def _ours(path: Path) -> Mapping[str, list[str]]:
    """The ids of this node's keys by their purpose, as far as it has any; the active one first."""
    ids = {purpose: key_ids(file) for purpose, file in _files(path).items()}
    if os.environ.get(VAULT_VARIABLE, "").strip():
        ids["vault"] = list(load_vault_keys(path, environment=os.environ, secrets_exist=True).keys)
    return {purpose: found for purpose, found in ids.items() if found}


def note_vault_key(connection: Connection, key_id: str) -> None:
    """From now on secrets are sealed with this one."""
    _note({"vault": key_id}, connection)


def _known(connection: Connection) -> Mapping[str, str]:
    rows = connection.execute(select(facts.c.key, facts.c.value).where(facts.c.key.startswith("key:")))
    return {row.key.removeprefix("key:"): row.value for row in rows}


def _note(ids: Mapping[str, str], connection: Connection) -> None:
    for purpose, key_id in ids.items():
        statement = Insert(facts).values(key=f"key:{purpose}", value=key_id)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[facts.c.key], set_={"value": key_id})
        )
