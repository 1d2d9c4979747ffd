"""The second line of defence: PostgreSQL itself shows a person's rows to nobody else, and no secret to the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, Table, insert, select, text
from sqlalchemy.exc import DBAPIError

from postgres_server import PostgresServer
from tidings.accounts import User, add_user
from tidings.clock import SystemClock
from tidings.database import Database
from tidings.engines import open_database
from tidings.event import UserId
from tidings.migrate import ensure_schema
from tidings.postgres import PostgresDatabase
from tidings.rowsecurity import HIDDEN, SERVICE_ONLY, owner
from tidings.schema import events, grants, journals, metadata, users

SHOWN = [table for table in metadata.sorted_tables if table.name not in SERVICE_ONLY]
OWNED = [table for table in metadata.sorted_tables if owner(table) is not None]


def row_of(table: Table, user: User) -> dict[str, Any]:
    def value(column: Any) -> Any:
        kind = column.type.python_type
        if column.name == "user_id":
            return user.id
        if kind is bytes:
            return bytes([user.id]) * 32
        return f"{table.name}-{user.name}" if kind is str else kind(user.id)

    return {column.name: value(column) for column in table.c}


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    async with postgres.database() as url:
        database = open_database(url, synchronous="OFF")
        yield database
        await database.close()


@pytest.fixture
async def people(database: Database) -> tuple[User, User]:
    """Two users, each with a row in every table."""

    def fill(connection: Connection) -> tuple[User, User]:
        now = SystemClock().now()
        two = [add_user(connection, name=name, is_admin=False, now=now) for name in ("anna", "bert")]
        for table in OWNED:
            if table not in {users, journals}:
                connection.execute(insert(table), [row_of(table, one) for one in two])
        return two[0], two[1]

    return await database.write(fill)


async def refusal(database: Database, sql: str, user_id: UserId) -> str:
    """What PostgreSQL says to a statement on a person's behalf; "" where it lets it pass."""
    try:
        await database.read(lambda connection: connection.execute(text(sql)), user_id=user_id)
    except DBAPIError as error:
        return str(error.orig)
    return ""


@pytest.mark.parametrize("table", SHOWN, ids=lambda table: table.name)
async def test_a_query_that_forgot_whose_rows_it_wants_gets_its_callers(
    database: Database, people: tuple[User, User], table: Table
) -> None:
    column = owner(table)
    assert column is not None, "a table without a person's data is for the service alone"
    for one in people:
        found = await database.read(
            lambda connection: list(connection.execute(select(column)).scalars()), user_id=one.id
        )
        assert found == [one.id]
    everybody = await database.read(lambda connection: list(connection.execute(select(column)).scalars()))
    assert sorted(everybody) == [one.id for one in people]


async def test_who_is_nobody_sees_nothing(database: Database, people: tuple[User, User]) -> None:
    def look(connection: Connection) -> list[str]:
        connection.execute(text("SELECT set_config('tidings.user_id', '', true)"))
        return list(connection.execute(select(users.c.name)).scalars())

    assert await database.read(look, user_id=people[0].id) == []


async def test_of_many_who_read_at_once_each_sees_their_own(
    database: Database, people: tuple[User, User]
) -> None:
    def look(connection: Connection) -> list[str]:
        return list(connection.execute(select(users.c.name)).scalars())

    found = await asyncio.gather(*[database.read(look, user_id=people[n % 2].id) for n in range(60)])
    assert found == [["anna"], ["bert"]] * 30


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in HIDDEN.items() for column in sorted(columns)]
)
async def test_no_secret_is_read_on_a_persons_behalf(
    database: Database, people: tuple[User, User], table: str, column: str
) -> None:
    said = await refusal(database, f"SELECT {column} FROM {table}", people[0].id)
    assert said.endswith(f"permission denied for table {table}")


@pytest.mark.parametrize("table", sorted(SERVICE_ONLY))
async def test_what_is_the_services_alone_is_not_read_on_a_persons_behalf(
    database: Database, people: tuple[User, User], table: str
) -> None:
    said = await refusal(database, f"SELECT count(*) FROM {table}", people[0].id)
    assert said.endswith(f"permission denied for table {table}")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE users SET is_admin = true",
        "DELETE FROM events",
        "INSERT INTO push_rules VALUES (1, '{}')",
        "ALTER TABLE events NO FORCE ROW LEVEL SECURITY",
        "SET ROLE tidings",
    ],
)
async def test_nothing_is_written_on_a_persons_behalf(
    database: PostgresDatabase, people: tuple[User, User], sql: str
) -> None:
    """Not even by who has stolen the login, and says BEGIN himself."""
    login = database.api_url
    connection = await asyncpg.connect(
        host=login.host,
        port=login.port,
        user=login.username,
        password=login.password,
        database=login.database,
    )
    try:
        await connection.execute(f"SELECT set_config('tidings.user_id', '{people[0].id}', false)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)
    finally:
        await connection.close()


async def test_the_login_can_do_no_more_than_read(database: Database, people: tuple[User, User]) -> None:
    """Neither login is a superuser; the API's owns nothing and can't get round the policies."""
    rights = await database.read(
        lambda connection: connection.execute(
            text(
                "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname LIKE 'tidings%' ORDER BY rolname"
            )
        ).all()
    )
    assert [tuple(row) for row in rights] == [("tidings", False, False), ("tidings_api", False, False)]
    owned = await database.read(
        lambda connection: connection.execute(
            text("SELECT count(*) FROM pg_class WHERE relowner = 'tidings_api'::regrole")
        ).scalar_one()
    )
    assert owned == 0


async def test_every_table_with_a_persons_data_is_secured_against_its_owner_too(database: Database) -> None:
    forced = await database.read(
        lambda connection: set(
            connection.execute(
                text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
            ).scalars()
        )
    )
    assert forced == {table.name for table in OWNED}


async def test_another_start_takes_back_what_was_granted_by_mistake(
    database: Database, people: tuple[User, User]
) -> None:
    def blunder(connection: Connection) -> None:
        connection.execute(text(f"GRANT SELECT (tokens) ON {grants.name} TO tidings_api"))
        connection.execute(text(f"REVOKE SELECT (data) ON {events.name} FROM tidings_api"))

    await database.write(blunder)
    assert await refusal(database, "SELECT tokens FROM grants", people[0].id) == ""
    await ensure_schema(database)
    assert await refusal(database, "SELECT tokens FROM grants", people[0].id) != ""
    assert await refusal(database, "SELECT data FROM events", people[0].id) == ""


async def test_a_login_whose_password_has_changed_is_put_right(postgres: PostgresServer) -> None:
    async with postgres.database() as url:
        await postgres.command("ALTER ROLE tidings_api PASSWORD 'another'")
        database = open_database(url, synchronous="OFF")
        try:
            await ensure_schema(database)
            assert await database.read(lambda _connection: 1, user_id=UserId(1)) == 1
        finally:
            await database.close()
