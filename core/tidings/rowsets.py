"""Statements about many rows at once, in the words of each database.

SQLite is given rows as VALUES, up to 64 with each statement, so that a few prepared statements serve every batch.
PostgreSQL is given each column as an array, so that one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, Table, text

from tidings.statements import Statement, run_sql

_LARGEST_CHUNK = 64
_UPPER_HEX = {"sqlite": "hex(t.{})", "postgresql": "upper(encode(t.{}, 'hex'))"}


def insert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    on_conflict: str = "",
) -> None:
    """Insert many rows with few statements: far fewer hand-overs of Python's lock than row by row.

    Args:
        connection: Inside a transaction.
        table: Where to.
        columns: What each row has.
        rows: The rows.
        on_conflict: What follows ON CONFLICT, as SQLite and PostgreSQL both understand it; "" for an error. What
            must be unique are the first columns then, and no two rows are equal in them.
    """
    if connection.dialect.name == "postgresql":
        if on_conflict:
            rows = sorted(rows)  # whoever locks in order blocks nobody for ever
        if rows:
            run_sql(connection, _insert_arrays(table, columns, on_conflict), _arrays(rows))
        return
    for start in range(0, len(rows), _LARGEST_CHUNK):
        chunk = rows[start : start + _LARGEST_CHUNK]
        run_sql(
            connection,
            _insert_values(table, columns, len(chunk), on_conflict),
            tuple([value for row in chunk for value in row]),
        )


class LookUp(NamedTuple):
    """A question: the `columns` of the rows of `table` whose `key` columns equal one of `keys`.

    Attributes:
        lock: Whether nobody else may change the rows before this transaction has ended. On SQLite nobody may anyway;
            on PostgreSQL they are locked in the order of their keys, before the other questions are asked.
    """

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    keys: Sequence[tuple[Any, ...]]
    lock: bool = False


def look_up(connection: Connection, questions: Sequence[LookUp]) -> list[list[list[Any]]]:
    """Answer several questions with few statements, one index seek for each key.

    Each answer is a list of rows; a row can come more than once, and bytes come as upper-case hex. The answers
    come as JSON in one row, because Python's lock changes hands for every row that SQLite returns. Row values
    with IN would say it shorter, but SQLite answers them with a scan of the whole table.
    """
    if connection.dialect.name == "postgresql":
        return _look_up_arrays(connection, questions)
    answers: list[list[list[Any]]] = [[] for _ in questions]
    for start in range(0, max(len(question.keys) for question in questions), _LARGEST_CHUNK):
        sizes, values = [], []
        for question in questions:
            chunk = _padded(question.keys[start : start + _LARGEST_CHUNK])
            sizes.append((question.table, question.key, question.columns, len(chunk)))
            values += [value for key in chunk for value in key]
        row = run_sql(connection, _look_up_values(tuple(sizes)), tuple(values)).fetchone()
        for answer, found in zip(answers, row, strict=True):
            answer.extend(msgspec.json.decode(found))
    return answers


def update_rows(
    connection: Connection,
    table: Table,
    sets: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    key: tuple[str, ...],
    values: Mapping[str, Any],
) -> int:
    """Change many rows with few statements; returns how many were changed.

    Args:
        connection: Inside a transaction.
        table: Where.
        sets: What follows SET; `run` is the row given, and has no column that the table has not.
        columns: What each row given has.
        rows: The rows given.
        key: The columns that must be the same in both.
        values: What else `sets` names.
    """
    if connection.dialect.name == "postgresql":
        arrays = {f"v{place}": array for place, array in enumerate(_arrays(rows))}
        return _update_arrays(table, sets, columns, key).run(connection, **values, **arrays) if rows else 0
    changed = 0
    for start in range(0, len(rows), _LARGEST_CHUNK):
        chunk = _padded(rows[start : start + _LARGEST_CHUNK])
        flat = {f"v{place}": value for place, value in enumerate(value for row in chunk for value in row)}
        changed += _update_values(table, sets, columns, key, len(chunk)).run(connection, **values, **flat)
    return changed


def _padded(chunk: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """With the last row again, up to a power of two: a few prepared statements serve every batch."""
    rows = list(chunk)
    return rows + [rows[-1]] * ((1 << (len(rows) - 1).bit_length()) - len(rows)) if rows else rows


# --- SQLite -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _insert_values(table: Table, columns: tuple[str, ...], rows: int, on_conflict: str) -> str:
    insert = f"INSERT INTO {table.name} ({', '.join(columns)}) {_values(len(columns), rows)}"
    return f"{insert} ON CONFLICT {on_conflict}" if on_conflict else insert


@lru_cache(maxsize=1024)
def _look_up_values(sizes: tuple[tuple[Table, tuple[str, ...], tuple[str, ...], int], ...]) -> str:
    tables, answers = [], []
    for place, (table, key, columns, rows) in enumerate(sizes):
        if not rows:
            answers.append("'[]'")
            continue
        names = ", ".join(f"k{number}" for number in range(len(key)))
        tables.append(f"q{place}({names}) AS ({_values(len(key), rows)})")
        wanted = ", ".join(_as_json(table, column, "sqlite") for column in columns)
        # CROSS JOIN keeps SQLite from turning the order round.
        found = f"FROM q{place} CROSS JOIN {table.name} AS t WHERE {_same(key)}"
        answers.append(f"(SELECT json_group_array(json_array({wanted})) {found})")
    return f"WITH {', '.join(tables)} SELECT {', '.join(answers)}"


@lru_cache(maxsize=64)
def _update_values(
    table: Table, sets: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int
) -> Statement:
    same = " AND ".join(f"{table.name}.{column} = run.{column}" for column in key)
    if rows == 1:  # most are alone, and a join takes SQLite twice as long as a seek
        sql = f"UPDATE {table.name} SET {sets} WHERE {same}"  # noqa: S608 - no value among them
        return Statement(text(re.sub(r"\brun\.(\w+)", lambda name: f":v{columns.index(name[1])}", sql)))
    places = [
        f"({', '.join(f':v{row * len(columns) + column}' for column in range(len(columns)))})"
        for row in range(rows)
    ]
    sql = (
        f"WITH run({', '.join(columns)}) AS (VALUES {', '.join(places)}) "  # noqa: S608 - no value among them
        f"UPDATE {table.name} SET {sets} FROM run WHERE {same}"
    )
    return Statement(text(sql))


def _values(columns: int, rows: int) -> str:
    return "VALUES " + ", ".join([f"({', '.join('?' * columns)})"] * rows)


# --- PostgreSQL ---------------------------------------------------------------------------------------------


def _look_up_arrays(connection: Connection, questions: Sequence[LookUp]) -> list[list[list[Any]]]:
    """Rows are locked first, each table's by a statement of its own: what the others then see is no older."""
    answers: list[list[list[Any]]] = [[] for _ in questions]
    others = []
    for place, question in enumerate(questions):
        if not question.keys:
            continue
        if question.lock:
            sql = _lock_arrays(question.table, question.key, question.columns)
            answers[place] = [
                list(row) for row in run_sql(connection, sql, _arrays(question.keys)).fetchall()
            ]
        else:
            others.append((place, question))
    if others:
        shapes = tuple((question.table, question.key, question.columns) for _, question in others)
        values = [array for _, question in others for array in _arrays(question.keys)]
        row = run_sql(connection, _find_arrays(shapes), tuple(values)).fetchone()
        for (place, _), found in zip(others, row, strict=True):
            answers[place] = msgspec.json.decode(found)
    return answers


@lru_cache(maxsize=64)
def _insert_arrays(table: Table, columns: tuple[str, ...], on_conflict: str) -> str:
    source = f"SELECT * FROM {_unnest(table, columns)}"  # noqa: S608 - likewise
    insert = f"INSERT INTO {table.name} ({', '.join(columns)}) {source}"
    return f"{insert} ON CONFLICT {on_conflict}" if on_conflict else insert


@lru_cache(maxsize=64)
def _lock_arrays(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    names = ", ".join(f"k{number}" for number in range(len(key)))
    wanted = ", ".join(_as_json(table, column, "postgresql") for column in columns)
    order = ", ".join(f"t.{column}" for column in key)
    return (
        f"SELECT {wanted} FROM {_unnest(table, key)} AS q({names}) "  # noqa: S608 - no value among them
        f"JOIN {table.name} AS t ON {_same(key)} ORDER BY {order} FOR NO KEY UPDATE OF t"
    )


@lru_cache(maxsize=64)
def _find_arrays(shapes: tuple[tuple[Table, tuple[str, ...], tuple[str, ...]], ...]) -> str:
    answers, place = [], 1
    for table, key, columns in shapes:
        names = ", ".join(f"k{number}" for number in range(len(key)))
        wanted = ", ".join(_as_json(table, column, "postgresql") for column in columns)
        answers.append(
            f"(SELECT coalesce(json_agg(json_build_array({wanted})), '[]')::text "  # noqa: S608 - likewise
            f"FROM {_unnest(table, key, place)} AS q({names}) JOIN {table.name} AS t ON {_same(key)})"
        )
        place += len(key)
    return f"SELECT {', '.join(answers)}"


@lru_cache(maxsize=64)
def _update_arrays(table: Table, sets: str, columns: tuple[str, ...], key: tuple[str, ...]) -> Statement:
    same = " AND ".join(f"{table.name}.{column} = run.{column}" for column in key)
    arrays = ", ".join(
        f"CAST(:v{place} AS {_array_type(table, column)})" for place, column in enumerate(columns)
    )
    source = f"unnest({arrays}) AS run({', '.join(columns)})"
    return Statement(text(f"UPDATE {table.name} SET {sets} FROM {source} WHERE {same}"))  # noqa: S608 - likewise


def _unnest(table: Table, columns: tuple[str, ...], first: int = 1) -> str:
    places = enumerate(columns, first)
    return f"unnest({', '.join(f'${place}::{_array_type(table, column)}' for place, column in places)})"


def _array_type(table: Table, column: str) -> str:
    kind = table.c[column].type
    if isinstance(kind, BigInteger | Integer):
        return "bigint[]"
    if isinstance(kind, Boolean):
        return "boolean[]"
    return "bytea[]" if isinstance(kind, LargeBinary) else "text[]"


def _arrays(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple([list(column) for column in zip(*rows, strict=True)])


# --- both ---------------------------------------------------------------------------------------------------


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"t.{column} = k{number}" for number, column in enumerate(key))


def _as_json(table: Table, column: str, dialect: str) -> str:
    return (
        _UPPER_HEX[dialect].format(column) if isinstance(table.c[column].type, LargeBinary) else f"t.{column}"
    )
