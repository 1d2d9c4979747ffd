"""One happening is one event, whichever way it comes and however often."""

import asyncio
import json
from collections import Counter

import pytest
from sqlalchemy import delete

import deliveries
from tidings.schema import journals
from tidings.testing.server import LiveServer
from tidings.testing.streams import open_stream

pytestmark = pytest.mark.usefixtures("every_database")


async def test_the_same_delivery_fifty_times_at_once_is_one_event(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        answers = await asyncio.gather(
            *[deliveries.send(server.client, hook, deliveries.push(1), delivery="same") for _ in range(50)]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert Counter(answer.json()["duplicate"] for answer in answers) == {True: 49, False: 1}
        await deliveries.send(server.client, hook, deliveries.push(2))
        seqs = [frame.json()["sequence"] for frame in await stream.events(2)]
    assert [int(seq) for seq in seqs] == [1, 2]


async def test_the_same_happening_in_fifty_deliveries_is_one_event(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    answers = await asyncio.gather(
        *[deliveries.send(server.client, hook, deliveries.push(1)) for _ in range(50)]
    )
    assert sum(answer.json()["events"] for answer in answers) == 1
    assert (await server.services.journal.head(alice.id)).seq == 1


async def test_the_same_happening_by_two_registrations_is_one_event(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hooks = [await server.add_hook(alice, "github") for _ in range(2)]
    answers = await asyncio.gather(
        *[deliveries.send(server.client, hook, deliveries.push(1)) for hook in hooks * 10]
    )
    assert sum(answer.json()["events"] for answer in answers) == 1
    assert (await server.services.journal.head(alice.id)).seq == 1


async def test_two_users_hooks_share_a_delivery_id_and_each_user_gets_the_event(server: LiveServer) -> None:
    users = [await server.add_user(name) for name in ("alice", "bob")]
    hooks = [await server.add_hook(user, "github") for user in users]
    answers = await asyncio.gather(
        *[deliveries.send(server.client, hook, deliveries.push(1), delivery="shared") for hook in hooks * 5]
    )
    assert sum(answer.json()["events"] for answer in answers) == 2
    assert [(await server.services.journal.head(user.id)).seq for user in users] == [1, 1]


async def test_a_delivery_id_seen_before_changes_nothing_even_with_other_news(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    first = await deliveries.send(server.client, hook, deliveries.push(1), delivery="one")
    again = await deliveries.send(server.client, hook, deliveries.push(2), delivery="one")
    assert (first.json()["events"], again.json()["events"]) == (1, 0)
    assert again.json()["duplicate"] is True


async def test_many_at_once_are_each_stored_once_and_in_dense_order(server: LiveServer) -> None:
    users = [await server.add_user(f"user{number}") for number in range(5)]
    hooks = [await server.add_hook(user, "github") for user in users]
    answers = await asyncio.gather(
        *[
            deliveries.send(server.client, hook, deliveries.push(serial))
            for serial in range(60)
            for hook in (*hooks, hooks[serial % 5])
        ]
    )
    assert {answer.status_code for answer in answers} == {200}
    for user in users:
        page = await server.services.journal.last(user.id, 500)
        assert [entry.cursor.seq for entry in page.entries] == list(range(1, 61))
        assert len({entry.id for entry in page.entries}) == 60


async def test_one_removed_user_fails_nobody_else_in_the_batch(server: LiveServer) -> None:
    alice, ghost = await server.add_user("alice"), await server.add_user("ghost")
    hook, gone = await server.add_hook(alice, "github"), await server.add_hook(ghost, "github")
    assert (await deliveries.send(server.client, gone, deliveries.push(0))).status_code == 200  # cached
    # The journal goes first, as in the moment before caches learn that the user is gone.
    await server.services.writer.run_unit(
        lambda connection: connection.execute(delete(journals).where(journals.c.user_id == ghost.id))
    )
    answers = await asyncio.gather(
        *[
            deliveries.send(server.client, one, deliveries.push(serial))
            for serial in range(1, 21)
            for one in (hook, gone)
        ]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 20, 404: 20}
    assert (await server.services.journal.head(alice.id)).seq == 20


async def test_what_no_database_takes_is_neutralised_and_stored(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    odd = deliveries.issue(1)
    body = json.dumps(odd)
    body = body.replace('"Issue 1"', '"a\\ud800b\\u0000c"').replace('"number": 1', '"number": ' + "9" * 400)
    answer = await server.client.post(
        hook.path,
        content=body.encode(),
        headers=deliveries.signed(hook.secret, body.encode(), event="issues"),
    )
    assert (answer.status_code, answer.json()["events"]) == (200, 1)
    headers = {"authorization": f"Bearer {await server.add_token(alice)}"}
    (event,) = (await server.client.get("/api/events", headers=headers)).json()["events"]
    assert "\0" not in json.dumps(event, ensure_ascii=False)
