"""The command line on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from commands import CONFIG, Commands, installed
from postgres_server import PostgresServer
from tidings import postgres as postgres_module
from tidings.engines import open_database


@pytest.fixture
def cli(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        monkeypatch.setenv("TIDINGS_DATABASE", runner.run(stack.enter_async_context(postgres.database())))
        yield installed(tmp_path, "database: ${TIDINGS_DATABASE}\n" + CONFIG)
        runner.run(stack.aclose())


def test_people_and_tokens_are_made_beside_the_nodes(cli: Commands) -> None:
    cli.done("user", "add", "anna", "--admin")
    assert "tdg_" in cli.done("token", "create", "anna", "--scope", "read")
    assert "anna" in cli.done("user", "list")
    facts = json.loads(cli.done("db", "info", "--json"))
    assert facts["users"] == 1
    assert facts["size_bytes"] > 1_000_000
    assert facts["path"].endswith(f"***@127.0.0.1:{facts['path'].rsplit(':', 1)[1]}")


def test_what_is_said_of_the_database_holds_no_password(cli: Commands, postgres: PostgresServer) -> None:
    cli.done("user", "add", "anna")
    for words in (
        ("db", "info"),
        ("db", "check"),
        ("check",),
        ("doctor",),
        ("db", "upgrade"),
        ("vault", "status"),
    ):
        result = cli(*words)
        assert "Traceback" not in result.output
        assert postgres.password not in result.output, words
    assert "***@127.0.0.1" in cli.done("check")


def test_a_journal_with_a_hole_is_found(cli: Commands) -> None:
    cli.done("user", "add", "anna")
    assert cli.done("db", "check") == "No damage found.\n"
    cli.installation.write(
        lambda connection: connection.exec_driver_sql("UPDATE journals SET head = 2 WHERE user_id = 1")
    )
    said = cli.failed("db", "check")
    assert "The journal of user 1 should hold 2 events, and holds 0." in said


def test_a_restored_database_is_not_declared_so_while_a_node_works_on_it(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.done("user", "add", "anna")
    assert "1 journal began a new epoch." in cli.done("db", "restored")
    monkeypatch.setitem(postgres_module._SETTINGS, "application_name", "tidings elsewhere/7")
    with asyncio.Runner() as runner:
        node = open_database(cli.installation.settings.database)
        runner.run(node.read(lambda _connection: None))
        monkeypatch.undo()
        monkeypatch.setenv("TIDINGS_DATABASE", str(node.url.render_as_string(hide_password=False)))
        try:
            assert "elsewhere/7 (machine and process) work on this database" in cli.failed("db", "restored")
        finally:
            runner.run(node.close())


def test_an_address_where_nothing_answers_is_named_without_its_password(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_DATABASE", "postgresql+asyncpg://tidings:canary@127.0.0.1:1/tidings")
    said = cli.failed("user", "list")
    assert "The database can't be used now" in said
    assert "canary" not in said


def test_a_wrong_password_is_said(
    cli: Commands, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TIDINGS_DATABASE", f"postgresql+asyncpg://tidings:canary@127.0.0.1:{postgres.port}/postgres"
    )
    said = cli.failed("user", "list")
    assert 'password authentication failed for user "tidings"' in said
    assert "canary" not in said
