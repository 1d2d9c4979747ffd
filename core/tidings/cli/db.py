"""`tidings db`: the database itself."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from sqlalchemy import Connection, func, select

from tidings.cli.installation import Installation
from tidings.cli.output import complain, readable_size, say, say_json, say_table
from tidings.cli.rehearsal import SILENT
from tidings.database import Database, integrity_problems, size_bytes
from tidings.health import Health
from tidings.migrate import current, ensure_schema
from tidings.retention import Policy, Retention
from tidings.schema import journals, users
from tidings.writer import Writer


@click.group("db")
def command() -> None:
    """Upgrade, inspect, prune and check the database. All of it works beside a running server."""


@command.command()
@click.pass_obj
def upgrade(installation: Installation) -> None:
    """Create the tables, or bring them to this version. `tidings serve` does so by itself."""

    async def run() -> tuple[bool, str | None]:
        database = Database(installation.settings.database)
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
            "path": str(installation.settings.database_path),
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
        writing = asyncio.create_task(writer.run())
        try:
            return await Retention(writer, clock, SILENT, Policy(kept.days, kept.events_per_user)).cut()
        finally:
            writer.close()
            await writing


@command.command()
@click.pass_obj
def check(installation: Installation) -> None:
    """Read the whole database and look for damage. Exit code 1 if there is any."""
    problems = installation.read(integrity_problems)
    for problem in problems:
        complain(problem)
    if problems:
        complain(f"{installation.settings.database_path} is damaged. Restore it from a backup.")
        raise click.exceptions.Exit(1)
    say("No damage found.")
