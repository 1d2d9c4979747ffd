"""Which database a URL means."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from tidings.config import Settings
from tidings.database import Database
from tidings.sqlite import SqliteDatabase


def open_database(
    url: str, *, api_url: str | None = None, synchronous: str = "FULL", keeps_time: bool = True
) -> Database:
    """The database at `url`; nothing is opened before it is used.

    Args:
        url: SQLAlchemy URL: `sqlite+aiosqlite:////var/lib/tidings/tidings.db`, `postgresql+asyncpg://…`.
        api_url: PostgreSQL's login that reads on people's behalf; None for the one that tidings makes.
        synchronous: Anything but FULL gives up the promise that a 2xx means on disk.
        keeps_time: Whether leases are measured by the database's clock, where it has one.
    """
    if make_url(url).get_backend_name() == "postgresql":
        from tidings.postgres import PostgresDatabase  # noqa: PLC0415 - its driver is an extra

        return PostgresDatabase(url, api_url=api_url, synchronous=synchronous, keeps_time=keeps_time)
    return SqliteDatabase(url, synchronous=synchronous)


def configured(settings: Settings, *, synchronous: str = "FULL", keeps_time: bool = True) -> Database:
    """The database that a configuration names; see `open_database`."""
    api = settings.database_api
    return open_database(
        settings.database,
        api_url=None if api is None else api.get_secret_value(),
        synchronous=synchronous,
        keeps_time=keeps_time,
    )


def is_missing(settings: Settings) -> bool:
    """Whether SQLite's file has yet to be made."""
    return settings.is_sqlite and not settings.database_path.exists()


def size_bytes(connection: Connection) -> int:
    """How large the database is, without what is free inside a file of SQLite's."""
    if connection.dialect.name == "postgresql":
        statement = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(statement).scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return int(pages - free) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def others_at_work(connection: Connection) -> list[str]:
    """The other processes of tidings that are connected to PostgreSQL's database; none are known of SQLite's."""
    if connection.dialect.name != "postgresql":
        return []
    found = connection.exec_driver_sql(
        "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'tidings %' AND application_name <> current_setting('application_name') "
        "ORDER BY application_name"
    ).scalars()
    return [str(name).removeprefix("tidings ") for name in found]


def integrity_problems(connection: Connection) -> list[str]:
    """What is broken inside the database; reads all of it."""
    if connection.dialect.name == "postgresql":
        return _lost_events(connection)
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
    return [str(problem) for problem in found if problem != "ok"]


def _lost_events(connection: Connection) -> list[str]:
    """Journals with holes. Reading them checks the checksums of their pages, where the cluster has them."""
    rows = connection.exec_driver_sql(
        "SELECT j.user_id, j.head - j.floor, count(e.data) FROM journals j "
        "LEFT JOIN events e ON e.user_id = j.user_id AND e.seq > j.floor AND e.seq <= j.head "
        "GROUP BY j.user_id, j.head, j.floor HAVING count(e.data) <> j.head - j.floor ORDER BY j.user_id"
    )
    return [
        f"The journal of user {user} should hold {due} events, and holds {found}."
        for user, due, found in rows
    ]
