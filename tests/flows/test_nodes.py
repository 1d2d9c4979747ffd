"""Several nodes on one PostgreSQL: each takes what comes, and all have the same keys."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

import deliveries
from postgres_server import PostgresServer
from tidings.engines import open_database
from tidings.errors import ConfigError
from tidings.nodekeys import compare_keys
from tidings.testing.server import LiveServer, live_server

KEYS = ("tidings.vault.key", "tidings.session.key")


@asynccontextmanager
async def node(folder: Path, config: str, url: str) -> AsyncIterator[LiveServer]:
    """A node in a folder of its own, as on a machine of its own."""
    folder.mkdir(exist_ok=True)
    config = config.replace("sqlite+aiosqlite:///tidings.db", "${TIDINGS_DATABASE}")
    async with live_server(folder, config, environ={**os.environ, "TIDINGS_DATABASE": url}) as server:
        yield server


def copy_keys(source: Path, target: Path) -> None:
    target.mkdir()
    for name in KEYS:
        shutil.copy2(source / name, target / name)


async def test_either_node_takes_a_webhook_and_the_other_tells_of_it(
    tmp_path: Path, config: str, postgres: PostgresServer
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with postgres.database() as url, node(one, config, url) as first:
        copy_keys(one, two)
        async with node(two, config, url) as second:
            alice = await first.add_user("alice")
            hook, token = await second.add_hook(alice, "github"), await first.add_token(alice)
            for serial, server in enumerate((first, second, first, second)):
                answer = await deliveries.send(server.client, hook, deliveries.push(serial))
                assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}
            again = await deliveries.send(first.client, hook, deliveries.push(3))
            assert again.json()["events"] == 0
            for server in (first, second):
                page = await server.client.get("/api/events", headers={"authorization": f"Bearer {token}"})
                assert [int(event["sequence"]) for event in page.json()["events"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", KEYS)
async def test_a_node_without_the_keys_of_the_others_does_not_start(
    tmp_path: Path, config: str, postgres: PostgresServer, name: str
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with postgres.database() as url, node(one, config, url):
        copy_keys(one, two)
        (two / name).unlink()
        with pytest.raises(ConfigError, match=rf"{name} is missing, and another node .* Copy it from there"):
            async with node(two, config, url):
                pass
        assert not (two / name).exists()


async def test_a_key_that_a_node_in_the_same_folder_makes_during_a_start_is_seen(
    tmp_path: Path, config: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres.database() as url, node(tmp_path / "one", config, url) as first:
        key = tmp_path / "one" / "tidings.session.key"
        aside = key.rename(tmp_path / "aside")
        database = open_database(url)
        read = database.read

        async def reading(work: Callable[[Connection], Any]) -> Any:
            found = await read(work)
            aside.rename(key)
            return found

        monkeypatch.setattr(database, "read", reading)
        try:
            await compare_keys(first.services.settings, database, first.services.log)
        finally:
            await database.close()


async def test_a_node_with_another_vault_does_not_start(
    tmp_path: Path, config: str, postgres: PostgresServer
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with postgres.database() as url, node(two, config, url):
        pass
    async with postgres.database() as url, node(one, config, url):
        with pytest.raises(
            ConfigError, match=r"tidings\.vault\.key lacks the key [a-z2-7]{8}, by which other"
        ):
            async with node(two, config, url):
                pass


async def test_a_node_with_another_sessions_key_says_so(
    tmp_path: Path, config: str, postgres: PostgresServer
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with postgres.database() as url, node(two, config, url):
        pass
    async with postgres.database() as url, node(one, config, url):
        shutil.copy2(one / "tidings.vault.key", two / "tidings.vault.key")
        async with node(two, config, url) as second:
            (line,) = [line for line in second.logged if line["event"] == "keys_differ"]
            assert line["file"].endswith("tidings.session.key")
