"""An installation grows out of its file: copied into PostgreSQL, its hooks, tokens and cursors go on."""

import asyncio
import os
from pathlib import Path

import deliveries
from commands import installed
from postgres_server import PostgresServer
from tidings.testing.server import live_server
from tidings.testing.streams import open_stream


async def test_hooks_tokens_and_cursors_go_on_in_postgresql(
    tmp_path: Path, config: str, postgres: PostgresServer
) -> None:
    async with live_server(tmp_path, config) as server:
        alice = await server.add_user("alice")
        hook, token = await server.add_hook(alice, "github"), await server.add_token(alice)
        async with open_stream(server.client, token) as stream:
            for serial in range(3):
                await deliveries.send(server.client, hook, deliveries.push(serial))
            cursor = (await stream.events(2))[-1].id

    async with postgres.database() as url:
        cli = installed(tmp_path)
        said = await asyncio.to_thread(
            cli.done, "db", "copy", f"sqlite+aiosqlite:///{tmp_path}/tidings.db", url
        )
        assert "events" in said
        assert postgres.password not in said
        moved = config.replace("sqlite+aiosqlite:///tidings.db", "${TIDINGS_DATABASE}")
        environ = {**os.environ, "TIDINGS_DATABASE": url}
        async with (
            live_server(tmp_path, moved, environ=environ) as server,
            open_stream(server.client, token, last_event_id=cursor) as stream,
        ):
            repeated = await deliveries.send(server.client, hook, deliveries.push(2))
            assert repeated.json()["events"] == 0
            answer = await deliveries.send(server.client, hook, deliveries.push(3))
            assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}
            told = await stream.events(2)
            assert [int(frame.json()["sequence"]) for frame in told] == [3, 4]
            assert all(frame.event == "webhook_received" for frame in told)
