"""Statements that run thousands of times an hour: compiled once, and run by the driver itself.

SQLAlchemy's layers take several times as long as SQLite does for a small statement, and a job needs a dozen of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")


class Statement:
    """One statement, for any number of runs.

    Its rows are plain tuples in the order of its columns, as the database holds them: it is for tables whose columns
    are numbers, texts and bytes.

    Args:
        statement: With a `bindparam` for each value that a run gives. Lists can't be given.
    """

    __slots__ = ("_fixed", "_names", "_sql", "_statement")

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._sql = ""
        self._names: Sequence[str] = ()
        self._fixed: dict[str, Any] = {}

    def rows(self, connection: Connection, /, **values: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        return cast("list[tuple[Any, ...]]", self._run(connection, values).fetchall())

    def row(self, connection: Connection, /, **values: Any) -> tuple[Any, ...] | None:
        """The first row; None where there is none."""
        return cast("tuple[Any, ...] | None", self._run(connection, values).fetchone())

    def run(self, connection: Connection, /, **values: Any) -> int:
        """Run it; returns how many rows it changed."""
        return int(self._run(connection, values).rowcount)

    def _run(self, connection: Connection, values: dict[str, Any]) -> Any:
        if not self._sql:
            self._compile(connection)
        given = {**self._fixed, **values} if self._fixed else values
        return run_sql(connection, self._sql, tuple([given[name] for name in self._names]))

    def _compile(self, connection: Connection) -> None:
        compiled = self._statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)
        self._names = compiled.positiontup or ()
        self._fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._sql = compiled.string


def run_sql(connection: Connection, sql: str, values: tuple[Any, ...]) -> Any:
    """Run a statement in the database's own language; returns its cursor."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return driver.execute(sql, values)
    return connection.exec_driver_sql(sql, values)  # SQLite beside a thread of its own, or another database


def transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction of SQLite's that the driver begins and ends; SQLAlchemy must leave that alone."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        driver.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:  # it may have rolled back by itself
            driver.execute("ROLLBACK")
        raise
    return result
