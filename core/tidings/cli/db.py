"""`tidings db`: the database itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click
from sqlalchemy import Connection, func, select, update

from tidings.accounts import new_epoch
from tidings.cli.installation import Installation
from tidings.cli.output import complain, hint, readable_size, say, say_json, say_table
from tidings.cli.rehearsal import SILENT
from tidings.config import database_url
from tidings.copying import copy
from tidings.engines import (
    configured,
    integrity_problems,
    open_database,
    others_at_work,
    size_bytes,
)
from tidings.errors import Conflict, NotFound
from tidings.health import Health
from tidings.keys import push_key_path, session_key_path, vault_key_path
from tidings.migrate import current, ensure_schema
from tidings.retention import Policy, Retention
from tidings.schema import journals, users
from tidings.serverlock import ServerLock
from tidings.sqlite import SqliteDatabase
from tidings.writer import Writer


@click.group("db")
def command() -> None:
    """Upgrade, inspect, prune and check the database, beside a running server or without one."""


@command.command()
@click.pass_obj
def upgrade(installation: Installation) -> None:
    """Create the tables, or bring them to this version. `tidings serve` does so by itself."""

    async def run() -> tuple[bool, str | None]:
        database = configured(installation.settings)
        try:
            return await ensure_schema(database), await database.read(current)
        finally:
            await database.close()

    changed, revision = asyncio.run(run())
    say(f"Upgraded to schema {revision}." if changed else f"Nothing to do: the schema is {revision}.")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def info(installation: Installation, as_json: bool) -> None:
    """Show where the database is, how large, and what is in it."""

    def work(connection: Connection) -> dict[str, Any]:
        # A journal has no holes, so this is exact, and a million events need not be counted.
        events = select(func.coalesce(func.sum(journals.c.head - journals.c.floor), 0))
        return {
            "path": configured(installation.settings).place,
            "size_bytes": size_bytes(connection),
            "revision": current(connection),
            "users": connection.execute(select(func.count()).select_from(users)).scalar_one(),
            "events": int(connection.execute(events).scalar_one()),
        }

    facts = installation.read(work)
    if as_json:
        say_json(facts)
        return
    facts["size"] = readable_size(facts.pop("size_bytes"))
    say_table(("what", "value"), list(facts.items()))


@command.command()
@click.pass_obj
def prune(installation: Installation) -> None:
    """Cut now what `retention` in config.yaml no longer keeps. The server does so every hour."""
    cut = asyncio.run(_prune(installation))
    say(f"Cut {cut} event{'' if cut == 1 else 's'}.")


async def _prune(installation: Installation) -> int:
    clock, kept = installation.clock, installation.settings.retention
    async with installation.database() as database:
        writer = Writer(database, Health(clock, SILENT).component("database"), clock.monotonic)
        try:
            return await Retention(writer, clock, SILENT, Policy(kept.days, kept.events_per_user)).cut()
        finally:
            writer.close()
            await writer.drained()


@command.command()
@click.pass_obj
def restored(installation: Installation) -> None:
    """Say that this database was put back from a backup; with the server stopped.

    Readers have seen events that the backup lacks, and their numbers will be given again, to others. Every journal
    begins a new epoch, so that each reader is told of the gap and reads anew.
    """
    if (holder := installation.holder) is not None:
        raise Conflict(f"The server at {holder.url} is running. Stop it, then type this again.")

    def work(connection: Connection) -> int:
        _refuse_others(connection)
        user_ids = list(connection.execute(select(journals.c.user_id)).scalars())
        for user_id in user_ids:
            statement = update(journals).where(journals.c.user_id == user_id).values(epoch=new_epoch())
            connection.execute(statement)
        return len(user_ids)

    count = installation.write(work)
    say(f"{count} journal{'' if count == 1 else 's'} began a new epoch.")


def _refuse_others(connection: Connection) -> None:
    if others := others_at_work(connection):
        raise Conflict(
            f"{', '.join(others)} (machine and process) work on this database. Stop them, then type this again."
        )


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy_(source: str, target: str) -> None:
    """Copy a whole installation into an empty database, with every server stopped.

    FROM and TO are URLs as `database` in config.yaml is one; a path after three slashes is relative to this folder.
    Ids, cursors and sealed secrets stay what they are, so that clients go on where they stood; the key files must
    come along.
    """
    copied = asyncio.run(_copy(source_url := database_url(source), database_url(target)))
    say_table(("table", "rows"), [(name, rows) for name, rows in copied.items() if rows])
    say(f"Copied {sum(copied.values())} rows.")
    if source_url.startswith("sqlite"):
        path = SqliteDatabase(source_url).path
        names = ", ".join(str(one(path)) for one in (vault_key_path, session_key_path, push_key_path))
        hint(
            f"Keep the key files ({names}): with PostgreSQL they lie beside config.yaml, as tidings.vault.key …."
        )


async def _copy(source_url: str, target_url: str) -> Mapping[str, int]:
    source, target = open_database(source_url), open_database(target_url)
    try:
        for one in (source, target):
            if isinstance(one, SqliteDatabase) and (holder := ServerLock(one.path).holder()) is not None:
                raise Conflict(f"The server at {holder.url} is running. Stop it, then type this again.")
        if isinstance(source, SqliteDatabase) and not source.path.exists():
            raise NotFound(f"There is no database at {source.path}.")
        for one in (source, target):
            await one.read(_refuse_others)
        return await copy(source, target)
    finally:
        await source.close()
        await target.close()


@command.command()
@click.pass_obj
def check(installation: Installation) -> None:
    """Read the whole database and look for damage. Exit code 1 if there is any."""
    problems = installation.read(integrity_problems)
    for problem in problems:
        complain(problem)
    if problems:
        complain(f"{configured(installation.settings).place} is damaged. Restore it from a backup.")
        raise click.exceptions.Exit(1)
    say("No damage found.")
