"""From a signed webhook to a line on a stream."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

import deliveries
from tidings.contracts import Keys
from tidings.testing.server import LiveServer
from tidings.testing.streams import open_stream

pytestmark = pytest.mark.usefixtures("every_database")


async def test_a_signed_webhook_is_a_line_on_the_stream(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    sample = server.receiver("github").sample(Keys((hook.secret.encode(),)), datetime.now(UTC), "1")
    async with open_stream(server.client, token) as stream:
        answer = await server.deliver(hook.path, sample)
        frame = await stream.event()
    assert answer.status_code == 200
    assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}
    assert frame.event == "webhook_received"
    told = frame.json()
    assert told["cursor"] == frame.id
    assert told["type"] == "com.github.push"
    assert told["id"].startswith("github:push:1296269:refs/heads/main:")
    assert told["data"]["title"] == "3 commits pushed to main in octo/repo"


async def test_a_frame_holds_a_valid_cloudevent(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        await deliveries.send(server.client, hook, deliveries.issue(7), event="issues")
        told = (await stream.event()).json()
    required = {"specversion", "id", "source", "type", "datacontenttype", "data"}
    extensions = {"sequence", "recordedtime", "platform", "via", "cursor"}
    assert required | extensions <= told.keys()
    assert all(name.isascii() and name.isalnum() and name.islower() for name in told)
    assert told["specversion"] == "1.0"
    assert told["source"] == "//github.com/octo/repo"
    assert told["subject"] == "issues/7"
    assert datetime.fromisoformat(told["recordedtime"]).tzinfo is not None
    assert int(told["sequence"]) == 1
    assert {"title", "text", "url", "actor"} <= told["data"].keys()


async def test_a_form_body_is_understood_like_json(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    body = b"payload=" + quote(json.dumps(deliveries.push(1))).encode()
    headers = deliveries.signed(hook.secret, body) | {"content-type": "application/x-www-form-urlencoded"}
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        answer = await server.client.post(hook.path, content=body, headers=headers)
        frame = await stream.event()
    assert answer.status_code == 200
    assert frame.json()["type"] == "com.github.push"


async def test_a_ping_says_that_the_webhook_is_connected(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    ping = {"zen": "Keep it logically awesome.", "hook_id": 1, "repository": {"full_name": "octo/repo"}}
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        answer = await deliveries.send(server.client, hook, ping, event="ping")
        frame = await stream.event()
    assert answer.status_code == 200
    assert frame.json()["type"] == "com.github.ping"


async def test_the_address_may_be_a_users_name_or_id(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    for number, ref in enumerate(["alice", "ALICE", str(alice.id)]):
        body = json.dumps(deliveries.push(number)).encode()
        path = f"/api/webhooks/github/{ref}"
        answer = await server.client.post(path, content=body, headers=deliveries.signed(hook.secret, body))
        assert answer.status_code == 200, ref


async def test_each_delivery_is_logged_once_without_payload_or_secret(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    await deliveries.send(server.client, hook, deliveries.push(1), delivery="one-delivery")
    async with open_stream(server.client, await server.add_token(alice)):
        pass  # the delivery's own line comes after its answer; by now it is there
    (line,) = [line for line in server.logged if line["event"] == "delivery"]
    assert line["user"] == alice.id
    assert line["registration"] == hook.id
    assert line["delivery"] == "one-delivery"
    assert line["outcome"] == "stored"
    assert line["event_id"].startswith("github:push:1:")
    text = repr(server.logged)
    assert hook.secret not in text
    assert "octocat" not in text


async def test_every_stream_of_a_user_gets_every_event_in_order(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    total, readers = 40, 30

    async def read(opened: asyncio.Barrier) -> list[int]:
        async with open_stream(server.client, token) as stream:
            await opened.wait()
            return [int(frame.id.rpartition("-")[2]) for frame in await stream.events(total)]

    opened = asyncio.Barrier(readers + 1)
    async with asyncio.TaskGroup() as group:
        readings = [group.create_task(read(opened)) for _ in range(readers)]
        await opened.wait()
        for answer in asyncio.as_completed(
            [deliveries.send(server.client, hook, deliveries.push(serial)) for serial in range(total)]
        ):
            assert (await answer).status_code == 200
    assert [reading.result() for reading in readings] == [list(range(1, total + 1))] * readers
