"""Messages of one's own: once each, also when many ask at once, and to everyone, also across a restart."""

import asyncio
import itertools
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from tidings.accounts import add_user
from tidings.clock import SystemClock
from tidings.schema import broadcasts, events, users
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import open_stream

pytestmark = pytest.mark.usefixtures("every_database")

_numbers = itertools.count()


def _bearer(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **more}


async def test_fifty_sends_of_one_key_are_one_event(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    headers = _bearer(await server.add_token(alice, "send")) | {"idempotency-key": "order-7"}
    body = {"message": {"title": "Paid", "url": "https://example.org/7"}}
    answers = await asyncio.gather(
        *[server.client.post("/api/sse/send", json=body, headers=headers) for _ in range(50)]
    )
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert Counter(answer.json()["duplicate"] for answer in answers) == {True: 49, False: 1}
    assert len({(answer.json()["id"], answer.json()["cursor"]) for answer in answers}) == 1
    assert (await server.services.journal.head(alice.id)).seq == 1


async def test_without_a_key_every_send_is_an_event(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    headers = _bearer(await server.add_token(alice, "send"))
    for _ in range(3):
        await server.client.post("/api/sse/send", json={"message": {"title": "Hi"}}, headers=headers)
    assert (await server.services.journal.head(alice.id)).seq == 3


async def test_nobody_occupies_anothers_keys(server: LiveServer) -> None:
    boss = await server.add_user("boss", is_admin=True)
    alice = await server.add_user("alice")
    body = {"userId": "alice", "message": {"title": "Hi"}}
    for token in (await server.add_token(boss, "admin"), await server.add_token(alice, "send")):
        headers = _bearer(token) | {"idempotency-key": "same"}
        answer = await server.client.post("/api/sse/send", json=body, headers=headers)
        assert answer.json()["duplicate"] is False
    assert (await server.services.journal.head(alice.id)).seq == 2


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"title": ""},
        {"title": " "},
        {"title": 1},
        {"title": None},
        {"title": "x" * 301},
        {"title": "x", "text": 1},
        {"title": "x", "text": "x" * 4001},
        {"title": "x", "url": "javascript:alert(1)"},
        {"title": "x", "url": "https://a b"},
        {"title": "x", "url": ["https://a"]},
        {"title": "x", "more": "x" * 17_000},
    ],
)
async def test_a_message_that_can_not_be_shown_is_refused(
    shared_server: LiveServer, message: dict[str, object]
) -> None:
    alice = await shared_server.add_user(f"user{next(_numbers)}")
    headers = _bearer(await shared_server.add_token(alice, "send"))
    answer = await shared_server.client.post("/api/sse/send", json={"message": message}, headers=headers)
    assert answer.status_code in {400, 413}
    assert (await shared_server.services.journal.head(alice.id)).seq == 0


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"message"', "application/json", 400),
        (b'{"message":{"title":"x"},"other":1}', "application/json", 400),
        (b'{"message":{"title":"x"},"userId":[1]}', "application/json", 400),
        (b'{"message":{"title":"x"},"userId":1e999}', "application/json", 400),
        (b'{"message":{"title":"\\ud800"}}', "application/json", 400),
        (b'{"message":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "application/json", 400),
        (b'{"message":{"title":"x"}}', "text/plain", 415),
        (b'{"message":{"title":"x"}}', "", 415),
        (b'{"message":{"title":"' + b"x" * 300_000 + b'"}}', "application/json", 413),
    ],
)
async def test_a_body_that_is_no_message_is_refused(
    shared_server: LiveServer, body: bytes, content_type: str, status: int
) -> None:
    alice = await shared_server.add_user(f"user{next(_numbers)}")
    headers = _bearer(await shared_server.add_token(alice, "send")) | {"content-type": content_type}
    answer = await shared_server.client.post("/api/sse/send", content=body, headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é"])
async def test_a_key_has_1_to_128_visible_ascii_characters(shared_server: LiveServer, key: str) -> None:
    alice = await shared_server.add_user(f"user{next(_numbers)}")
    headers = [
        (b"authorization", f"Bearer {await shared_server.add_token(alice, 'send')}".encode()),
        (b"idempotency-key", key.encode("latin-1")),
    ]
    body = {"message": {"title": "x"}}
    answer = await shared_server.client.post("/api/sse/send", json=body, headers=headers)
    assert answer.status_code == 400


async def test_only_an_admin_broadcasts(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    boss = await server.add_user("boss", is_admin=True)
    for token in (
        await server.add_token(alice, "read", "send"),
        await server.add_token(boss, "read", "send"),
    ):
        answer = await server.client.post(
            "/api/sse/broadcast", json={"message": {"title": "x"}}, headers=_bearer(token)
        )
        assert answer.status_code == 403


async def test_a_broadcast_reaches_everyone_once_whatever_is_repeated(server: LiveServer) -> None:
    boss = await server.add_user("boss", is_admin=True)
    alice = await server.add_user("alice")
    headers = _bearer(await server.add_token(boss, "admin")) | {"idempotency-key": "all"}
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        for _ in range(3):
            answer = await server.client.post(
                "/api/sse/broadcast", json={"message": {"title": "To all"}}, headers=headers
            )
            assert answer.status_code == 202
        frame = await stream.event()
        assert frame.json()["id"] == answer.json()["id"]
        assert frame.event == "message"
        again = _bearer(headers["authorization"].partition(" ")[2])
        await server.client.post("/api/sse/broadcast", json={"message": {"title": "End"}}, headers=again)
        assert (await stream.event()).json()["data"]["title"] == "End"
    await _until_finished(server)
    assert (await server.services.journal.head(boss.id)).seq == 2


async def test_broadcasts_of_two_admins_with_one_long_key_both_go_out(server: LiveServer) -> None:
    admins = [await server.add_user(name, is_admin=True) for name in ("ann", "ben")]
    key = "k" * 128
    for admin in admins:
        headers = _bearer(await server.add_token(admin, "admin")) | {"idempotency-key": key}
        await server.client.post("/api/sse/broadcast", json={"message": {"title": "x"}}, headers=headers)
    await _until_finished(server)
    assert [(await server.services.journal.head(admin.id)).seq for admin in admins] == [2, 2]


class _MinuteLater(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(seconds=61)


async def test_a_broadcast_survives_a_restart_in_the_middle(tmp_path: Path, config: str) -> None:
    total = 1200

    def add_many(connection: Connection, now: datetime) -> None:
        for number in range(total - 1):
            add_user(connection, name=f"user{number}", is_admin=False, now=now)

    async with live_server(tmp_path, config) as before:
        boss = await before.add_user("boss", is_admin=True)
        await before.services.writer.run_unit(partial(add_many, now=before.services.clock.now()))
        token = await before.add_token(boss, "admin")
        # As if the process ended with the first commit that reaches anyone.
        before.services.journal.on_commit(lambda _entries, _seconds: before.services.writer.close())
        answer = await before.client.post(
            "/api/sse/broadcast", json={"message": {"title": "x"}}, headers=_bearer(token)
        )
        assert answer.status_code == 202
        await before.services.writer.drained()
        reached = await before.services.database.read(_reached)
        assert 0 < len(reached) < total
    # The lease of the first server's run has lapsed.
    async with live_server(tmp_path, config, clock=_MinuteLater()) as after:
        await _until_finished(after)
        reached = await after.services.database.read(_reached)
        everyone = await after.services.database.read(
            lambda connection: connection.execute(select(func.count()).select_from(users)).scalar_one()
        )
    assert everyone == total
    assert set(reached.values()) == {1}
    assert len(reached) == total


def _reached(connection: Connection) -> dict[int, int]:
    """How many events each user has."""
    counted = select(events.c.user_id, func.count()).group_by(events.c.user_id)
    return {row[0]: row[1] for row in connection.execute(counted)}


async def _until_finished(server: LiveServer) -> None:
    def unfinished(connection: Connection) -> int:
        open_ones = select(func.count()).where(broadcasts.c.finished_at.is_(None))
        return int(connection.execute(open_ones).scalar_one())

    async with asyncio.timeout(20):
        while await server.services.database.read(unfinished):
            await asyncio.sleep(0.02)
