from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from stores import Store, opened
from tidings import sqlite as sqlite_module
from tidings.engines import open_database
from tidings.errors import Conflict, Unavailable
from tidings.rowsets import LookUp, look_up
from tidings.schema import deliveries, events, journals, seen
from tidings.serverlock import ServerLock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def test_the_writer_syncs_every_commit_and_readers_see_a_snapshot(tmp_path: Path) -> None:
    database = open_database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    try:
        for run in (database.write, database.read):
            pragmas = await run(
                lambda connection: [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("synchronous", "journal_mode", "foreign_keys")
                ]
            )
            assert pragmas == [2, "wal", 1]  # 2 is FULL
    finally:
        await database.close()


async def test_a_write_takes_the_lock_at_its_beginning(store: Store) -> None:
    """So that read-then-write never fails half-way because another process wrote."""

    def other_process(connection: Connection) -> str:
        with closing(sqlite3.connect(store.database.path, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return str(error)
            finally:
                other.rollback()
        return ""

    assert await store.write(other_process) == "database is locked"


async def test_a_lock_that_another_process_keeps_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite_module._CONNECT_ARGS, "timeout", 0.05)
    async with opened(tmp_path) as store:
        other = sqlite3.connect(store.database.path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="database is locked"):
                await store.write(lambda connection: None)
            other.execute("ROLLBACK")
            assert await store.write(lambda connection: 1) == 1
        finally:
            other.close()


async def test_a_statements_own_failure_is_not_the_databases(store: Store) -> None:
    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.exec_driver_sql("INSERT INTO settings VALUES ('a', 'b')")

    with pytest.raises(IntegrityError):
        await store.database.write(twice)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database" * 1000)
    database = open_database(f"sqlite+aiosqlite:///{path}")
    try:
        for run in (database.read, database.write):
            with pytest.raises(Unavailable):
                await run(lambda connection: connection.exec_driver_sql("SELECT 1"))
    finally:
        await database.close()


async def test_look_up_finds_what_there_is_of_many_keys(store: Store) -> None:
    rows = [(user, f"r{number}", "d") for user in (1, 2) for number in range(100)]

    def fill_and_look(connection: Connection) -> list[list[list[object]]]:
        for row in rows:
            connection.exec_driver_sql("INSERT INTO deliveries VALUES (?, ?, ?, 0)", row)
        connection.exec_driver_sql("INSERT INTO seen VALUES (1, x'00ff', 5)")
        key = ("user_id", "registration_id", "delivery_id")
        wanted = [*rows[:130], (3, "r1", "d"), (1, "nothing", "d")]
        return look_up(
            connection,
            (
                LookUp(deliveries, key, key, wanted),
                LookUp(seen, ("user_id", "id_hash"), ("id_hash", "at"), [(1, b"\x00\xff"), (2, b"\x00\xff")]),
                LookUp(journals, ("user_id",), ("user_id",), []),
            ),
        )

    found, hashes, nothing = await store.write(fill_and_look)
    assert {tuple(row) for row in found} == set(rows[:130])
    assert {tuple(row) for row in hashes} == {("00FF", 5)}
    assert nothing == []


@pytest.mark.parametrize("keys", [1, 3, 64, 65, 200])
async def test_look_up_seeks_in_an_index_and_never_scans(store: Store, keys: int) -> None:
    tables = (
        (events, ("user_id", "id")),
        (deliveries, ("user_id", "registration_id", "delivery_id")),
        (seen, ("user_id", "id_hash")),
    )
    plans: list[str] = []

    def explain(connection: Connection) -> None:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        statements: list[str] = []
        driver.set_trace_callback(statements.append)  # each statement with its values, as SQLite runs it
        for table, key in tables:
            look_up(connection, (LookUp(table, key, key, [(1, *["x"] * (len(key) - 1))] * keys),))
        driver.set_trace_callback(None)
        for statement in statements:
            plans.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}"))

    await store.write(explain)
    tables_touched = [plan for plan in plans if re.search(r"\bt\b", plan)]
    assert tables_touched
    assert all(plan.startswith("SEARCH t USING") for plan in tables_touched), plans


async def test_reading_from_a_cursor_is_an_index_seek(store: Store) -> None:
    def explain(connection: Connection) -> list[str]:
        statement = "EXPLAIN QUERY PLAN SELECT * FROM events WHERE user_id=1 AND seq>5 ORDER BY seq LIMIT 5"
        return [row[3] for row in connection.exec_driver_sql(statement)]

    (plan,) = await store.read(explain)
    assert plan.startswith("SEARCH events USING")
    assert "user_id=? AND seq>?" in plan


def test_a_second_server_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    first, second = ServerLock(tmp_path / "tidings.db"), ServerLock(tmp_path / "tidings.db")
    first.acquire()
    try:
        with pytest.raises(Conflict, match=rf"process {os.getpid()}\).*tidings\.db\. Stop it"):
            second.acquire()
    finally:
        first.release()
    second.acquire()
    second.release()


def test_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from tidings.serverlock import ServerLock\n"
        "lock = ServerLock(Path(sys.argv[1])); lock.acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "tidings.db"
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    lock = ServerLock(path)
    lock.acquire()
    lock.release()


async def test_many_reads_at_once_share_few_connections(store: Store) -> None:
    results = await asyncio.gather(
        *[
            store.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())
            for _ in range(50)
        ]
    )
    assert results == [1] * 50


async def test_readers_who_leave_in_the_middle_take_no_connection_with_them(store: Store) -> None:
    def slow(connection: Connection) -> int:
        statement = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT max(i) FROM n"
        return int(connection.exec_driver_sql(statement).scalar_one())

    for turns in range(60):
        reading = asyncio.create_task(store.read(slow))
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    async with asyncio.timeout(5):
        assert await asyncio.gather(*[store.read(slow) for _ in range(10)]) == [2000] * 10
