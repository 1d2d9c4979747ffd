"""Brings a database to the schema of this version of tidings. Alembic is imported only where there is work."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from tidings.database import Database
from tidings.errors import Conflict

_FOLDER = Path(str(resources.files("tidings"))) / "migrations"


def revisions() -> list[str]:
    """The revisions this version knows, oldest first: the numbers its migrations' files begin with."""
    return sorted(file.name[:4] for file in (_FOLDER / "versions").glob("[0-9]*.py"))


def current(connection: Connection) -> str | None:
    """The revision of the database, or None where there are no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return found


def upgrade(connection: Connection) -> bool:
    """Run the migrations that are missing.

    Returns:
        Whether there were any.

    Raises:
        Conflict: The database belongs to a newer version of tidings.
    """
    known = revisions()
    found = current(connection)
    if found == known[-1]:
        return False
    if found is not None and found not in known:
        raise Conflict(
            f"The database has schema {found}, and this version of tidings knows up to {known[-1]}. "
            "Install the version that wrote it, or a newer one; nothing was changed."
        )
    from alembic import command  # noqa: PLC0415 - costs 20 MB and is needed once per upgrade
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
    return True


async def ensure_schema(database: Database) -> bool:
    """Create or upgrade the tables if that is needed; says whether it was.

    Raises:
        Conflict: The database belongs to a newer version of tidings.
        Unavailable: The database can't be used.
    """
    return await database.prepare(upgrade)
