"""Statements that run thousands of times an hour: compiled once, and run by the driver itself.

SQLAlchemy's layers take several times as long as SQLite does for a small statement, and a job needs a dozen of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")


class _Compiled(NamedTuple):
    sql: str
    names: Sequence[str]
    fixed: dict[str, Any]


class Statement:
    """One statement, for any number of runs.

    Its rows are plain tuples in the order of its columns, as the database holds them: it is for tables whose columns
    are numbers, texts and bytes.

    Args:
        statement: With a `bindparam` for each value that a run gives. Lists can't be given.
    """

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}  # by the database's dialect

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
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection)
        given = {**compiled.fixed, **values} if compiled.fixed else values
        return run_sql(connection, compiled.sql, tuple([given[name] for name in compiled.names]))

    def _compile(self, connection: Connection) -> _Compiled:
        compiled = self._statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)
        fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        one = _Compiled(compiled.string, compiled.positiontup or (), fixed)
        return self._compiled.setdefault(connection.dialect.name, one)


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
