"""Who sees which rows in PostgreSQL: the service's login all of them, the API's those of one person, and no secret.

That every query asks for one person's rows is the first line of defence; this is the second, for the query that
forgot to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Column, Connection, Table

from tidings.schema import metadata

#: The setting that says on whose behalf a transaction reads.
USER_SETTING: Final = "tidings.user_id"

#: What the API's login can't read at all: facts of the installation, and what nobody is shown.
SERVICE_ONLY: Final[Collection[str]] = frozenset(
    {
        *("settings", "budgets", "rates", "provisions", "alembic_version"),
        *("sessions", "login_links", "tickets", "oauth_states"),
        *("deliveries", "seen", "hints", "checkpoints", "broadcasts"),
    }
)

#: What of the other tables it can't read: secrets, sealed as they are, and the hashes of rights.
HIDDEN: Final[Mapping[str, Collection[str]]] = {
    "api_tokens": {"token_hash"},
    "grants": {"tokens", "refresh_hash", "lease"},
    "platform_webhooks": {"secret"},
    "push_subscriptions": {"identity_hash", "address"},
}

_OWN = f"(SELECT nullif(current_setting('{USER_SETTING}', true), '')::bigint)"


def owner(table: Table) -> Column[int] | None:
    """The column that says whose a row is; None for a table without a person's data."""
    if table.name == "users":
        return table.c.id
    return table.c.user_id if "user_id" in table.c else None


def secure(connection: Connection, api_role: str) -> None:
    """Put the rules in force, as far as they are not; inside a transaction of the tables' owner."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    service = quote(str(connection.exec_driver_sql("SELECT current_user").scalar_one()))
    for statement in (
        *_policies(_unsecured(connection), service),
        *_grants(connection, api_role, quote(api_role)),
    ):
        connection.exec_driver_sql(statement)


def _unsecured(connection: Connection) -> Sequence[Table]:
    secured = set(
        connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relforcerowsecurity AND relnamespace = current_schema::regnamespace"
        ).scalars()
    )
    return [
        table for table in metadata.sorted_tables if owner(table) is not None and table.name not in secured
    ]


def _policies(unsecured: Sequence[Table], service: str) -> Sequence[str]:
    statements: list[str] = []
    for table in unsecured:
        column = owner(table)
        assert column is not None
        statements += [
            f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY own ON {table.name} FOR SELECT USING ({column.name} = {_OWN})",
            f"CREATE POLICY service ON {table.name} TO {service} USING (true) WITH CHECK (true)",
        ]
    return statements


def _grants(connection: Connection, api_role: str, quoted: str) -> Sequence[str]:
    """What the API's login lacks, and what it has too much."""
    has = {
        (table, column)
        for table, column in connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.column_privileges "
            "WHERE grantee = $1 AND table_schema = current_schema AND privilege_type = 'SELECT'",
            (api_role,),
        )
    }
    may = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if table.name not in SERVICE_ONLY and column.name not in HIDDEN.get(table.name, ())
    }
    lacks = [f'GRANT SELECT ("{column}") ON {table} TO {quoted}' for table, column in sorted(may - has)]
    surplus = [
        f'REVOKE SELECT ("{column}") ON {table} FROM {quoted}'  # noqa: S608 - names of our own
        for table, column in sorted(has - may)
    ]
    return [*lacks, *surplus]
