"""`tidings vault rotate` beside a server that works."""

import asyncio
import json
from pathlib import Path

import deliveries
from commands import Commands
from tidings.sealed import secrets_by_key
from tidings.testing.server import LiveServer


async def test_keys_are_rotated_while_webhooks_come_in(server: LiveServer, tmp_path: Path) -> None:
    cli = Commands(tmp_path / "config.yaml")
    alice = await server.add_user("alice")
    known, unknown = [await server.add_hook(alice, "github") for _ in range(2)]
    await deliveries.send(server.client, known, deliveries.push(0))
    rotated = asyncio.Event()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while not rotated.is_set():
            sent += 1
            answer = await deliveries.send(server.client, known, deliveries.push(sent))
            assert answer.status_code == 200

    async def rotate() -> None:
        for _ in range(2):
            await asyncio.to_thread(cli.done, "vault", "rotate")
        rotated.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        group.create_task(rotate())
    # What the server remembers is dropped, so that it opens secrets under the new key.
    server.services.webhooks.forget_targets()
    for hook in (known, unknown):
        assert (await deliveries.send(server.client, hook, deliveries.push("after"))).status_code == 200
    # What it seals from now on is sealed with the new key too.
    await server.add_hook(alice, "github")
    active = json.loads(await asyncio.to_thread(cli.done, "vault", "status", "--json"))["active"]
    assert await server.services.database.read(secrets_by_key) == {active: 3}
