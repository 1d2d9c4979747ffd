"""Every user sees their own only."""

import json

import pytest

import deliveries
from tidings.testing.server import LiveServer
from tidings.testing.streams import open_stream

pytestmark = pytest.mark.usefixtures("every_database")


async def test_two_users_never_see_each_others_events_on_streams_or_pages(server: LiveServer) -> None:
    tokens, hooks = {}, {}
    for name in ("alice", "bob"):
        user = await server.add_user(name)
        tokens[name] = await server.add_token(user)
        hooks[name] = await server.add_hook(user, "github")
    async with (
        open_stream(server.client, tokens["alice"]) as alices,
        open_stream(server.client, tokens["bob"]) as bobs,
    ):
        for number in range(6):
            name = "alice" if number % 2 else "bob"
            await deliveries.send(server.client, hooks[name], deliveries.push(f"{name}{number}", branch=name))
        for name, stream in (("alice", alices), ("bob", bobs)):
            frames = await stream.events(3)
            assert {frame.json()["subject"] for frame in frames} == {f"refs/heads/{name}"}
            assert [int(frame.json()["sequence"]) for frame in frames] == [1, 2, 3]
    for name, token in tokens.items():
        page = await server.client.get("/api/events", headers={"authorization": f"Bearer {token}"})
        assert {event["subject"] for event in page.json()["events"]} == {f"refs/heads/{name}"}
        assert len(page.json()["events"]) == 3


async def test_a_cursor_of_another_user_opens_nothing_of_theirs(server: LiveServer) -> None:
    alice, bob = await server.add_user("alice"), await server.add_user("bob")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(bob)
    await deliveries.send(server.client, hook, deliveries.push(1))
    cursor = str(await server.services.journal.head(alice.id))
    page = await server.client.get(
        "/api/events", params={"after": cursor}, headers={"authorization": f"Bearer {token}"}
    )
    assert page.json()["events"] == []
    assert page.json()["gap"]["reason"] == "restored"


async def test_a_user_id_in_the_address_must_be_ones_own(server: LiveServer) -> None:
    alice, bob = await server.add_user("alice"), await server.add_user("bob")
    token = await server.add_token(alice)
    for own in ("alice", "Alice", str(alice.id)):
        async with open_stream(server.client, token, params={"userId": own}):
            pass
    for other in ("bob", str(bob.id), "nobody", ""):
        answer = await server.client.get(
            "/api/sse/stream", params={"userId": other}, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 403, other


@pytest.mark.parametrize(
    ("scopes", "to", "status"),
    [
        (("read",), None, 403),
        (("send",), None, 200),
        (("send",), "alice", 200),
        (("send",), "bob", 403),
        (("send",), "nobody", 403),
        (("send", "read"), "bob", 403),
        (("admin",), "bob", 403),  # for a user who is no admin it is void, and can't be had
    ],
)
async def test_who_may_send_to_whom(
    server: LiveServer, scopes: tuple[str, ...], to: str | None, status: int
) -> None:
    alice = await server.add_user("alice")
    await server.add_user("bob")
    if "admin" in scopes:
        boss = await server.add_user("boss", is_admin=True)
        headers = {"authorization": f"Bearer {await server.add_token(boss, 'send')}"}
    else:
        headers = {"authorization": f"Bearer {await server.add_token(alice, *scopes)}"}
    body = {"message": {"title": "Hello"}} | ({} if to is None else {"userId": to})
    answer = await server.client.post("/api/sse/send", json=body, headers=headers)
    assert answer.status_code == status


async def test_an_admin_sends_to_others_and_they_alone_get_it(server: LiveServer) -> None:
    boss = await server.add_user("boss", is_admin=True)
    bob = await server.add_user("bob")
    headers = {"authorization": f"Bearer {await server.add_token(boss, 'admin')}"}
    async with open_stream(server.client, await server.add_token(bob)) as stream:
        body = {"userId": "bob", "message": {"title": "Hello", "text": "Bob"}}
        answer = await server.client.post("/api/sse/send", json=body, headers=headers)
        frame = await stream.event()
    assert answer.status_code == 200
    assert frame.event == "message"
    assert frame.id == answer.json()["cursor"]
    assert frame.json()["data"]["actor"]["name"] == "boss"
    assert (await server.services.journal.head(boss.id)).seq == 0


async def test_statistics_count_ones_own_streams_and_an_admins_count_all(server: LiveServer) -> None:
    alice, bob = await server.add_user("alice"), await server.add_user("bob")
    boss = await server.add_user("boss", is_admin=True)
    tokens = {user.name: await server.add_token(user) for user in (alice, bob)}
    tokens["boss"] = await server.add_token(boss, "admin")
    async with (
        open_stream(server.client, tokens["alice"]),
        open_stream(server.client, tokens["alice"]),
        open_stream(server.client, tokens["bob"]),
    ):
        counted = {
            name: (
                await server.client.get("/api/sse/stats", headers={"authorization": f"Bearer {token}"})
            ).json()
            for name, token in tokens.items()
        }
    assert {name: (one["streams"], one["users"]) for name, one in counted.items()} == {
        "alice": (2, 1),
        "bob": (1, 1),
        "boss": (3, 2),
    }


async def test_one_users_secret_signs_nothing_for_another(server: LiveServer) -> None:
    alice, bob = await server.add_user("alice"), await server.add_user("bob")
    hooks = {user.name: await server.add_hook(user, "github") for user in (alice, bob)}
    body = json.dumps(deliveries.push(1)).encode()
    answer = await server.client.post(
        hooks["alice"].path, content=body, headers=deliveries.signed(hooks["bob"].secret, body)
    )
    assert answer.status_code == 401
    assert (await server.services.journal.head(alice.id)).seq == 0
