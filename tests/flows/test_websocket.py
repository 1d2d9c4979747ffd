"""What a WebSocket alone has: who may open one, what may be said, and how it ends."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt as jose
from joserfc.jwk import OctKey
from websockets.exceptions import InvalidStatus

import connecting
import deliveries
from connecting import SANDBOX
from tidings.accounts import User, remove_user
from tidings.api_tokens import list_tokens, revoke_token
from tidings.sessions import add_login_link, digest, end_session, find_sessions
from tidings.testing.readers import closed, connected, heard, say, told
from tidings.testing.server import LiveServer, live_server

PROMISED_SECONDS = 5
SECRET = "0123456789abcdef0123456789abcdef"
ALLOWED = "https://app.example.org"
_numbers = itertools.count()


@pytest.fixture(scope="module")
async def ws_server(tmp_path_factory: pytest.TempPathFactory, config: str) -> AsyncIterator[LiveServer]:
    more = (
        f"auth: {{jwt: {{secret: {SECRET}, issuer: app, audience: tidings}}}}\n"
        f"server: {{allowed_origins: ['{ALLOWED}']}}\n"
    )
    async with live_server(tmp_path_factory.mktemp("ws"), more + config) as running:
        yield running
        assert [line for line in running.logged if line["event"] in {"stream_failed", "task_failed"}] == []


@pytest.fixture
async def alice(ws_server: LiveServer) -> User:
    return await ws_server.add_user(f"user{next(_numbers)}")


async def _cookie(server: LiveServer, user: User) -> str:
    now = server.services.clock.now()
    link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    answer = await server.client.get(f"/login/{link}")
    server.client.cookies.clear()
    return f"tidings_session={answer.cookies['tidings_session']}"


async def _ticket(server: LiveServer, token: str) -> str:
    answer = await server.client.post("/api/tickets", headers={"authorization": f"Bearer {token}"})
    return str(answer.json()["ticket"])


def _jwt(subject: str, *, expires_in: float = 60, scope: str = "read") -> str:
    claims = {
        "iss": "app",
        "aud": "tidings",
        "sub": subject,
        "exp": int(time.time() + expires_in),
        "scope": scope,
    }
    return jose.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


async def _refused(server: LiveServer, **how: Any) -> tuple[int, str]:
    """The answer to a handshake that is not completed."""
    with pytest.raises(InvalidStatus) as caught:
        async with connected(server, **how):
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


# --- opening ------------------------------------------------------------------------------------------------


async def test_a_program_says_who_it_is_in_a_header(ws_server: LiveServer, alice: User) -> None:
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        assert await heard(socket) == {"type": "ack", "of": "auth", "user": alice.name, "expires_at": None}


async def test_a_header_that_is_no_good_is_answered_before_anything_is_opened(
    ws_server: LiveServer, alice: User
) -> None:
    assert await _refused(ws_server, token="tdg_nobody") == (401, "unauthenticated")
    assert await _refused(ws_server, token=await ws_server.add_token(alice, "send")) == (403, "forbidden")
    token = await ws_server.add_token(alice)
    assert await _refused(ws_server, token=token, path="/ws?userId=nobody") == (403, "forbidden")
    async with connected(ws_server, token, path=f"/ws?userId={alice.name}") as socket:
        await told(socket, "ack")


@pytest.mark.parametrize("origin", [None, ALLOWED, "own"])
async def test_a_page_that_may_says_it_in_its_first_message(
    ws_server: LiveServer, alice: User, origin: str | None
) -> None:
    origin = ws_server.url if origin == "own" else origin
    async with connected(ws_server, origin=origin) as socket:
        await say(socket, type="auth", token=_jwt(alice.name), id="a1")
        answer = await told(socket, "ack")
        assert (answer["of"], answer["id"], answer["user"]) == ("auth", "a1", alice.name)
        assert answer["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{ALLOWED}.evil.example", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("credentials", ["none", "token", "cookie", "ticket"])
async def test_a_page_of_another_address_opens_nothing_whatever_it_has(
    ws_server: LiveServer, alice: User, origin: str, credentials: str
) -> None:
    token = await ws_server.add_token(alice)
    how: dict[str, Any] = {
        "none": {},
        "token": {"token": token},
        "cookie": {"headers": {"cookie": await _cookie(ws_server, alice)}},
        "ticket": {"path": f"/ws?ticket={await _ticket(ws_server, token)}"},
    }[credentials]
    assert await _refused(ws_server, origin=origin, **how) == (403, "forbidden")


async def test_a_session_opens_one_from_our_own_page_alone(ws_server: LiveServer, alice: User) -> None:
    cookie = {"cookie": await _cookie(ws_server, alice)}
    async with connected(ws_server, headers=cookie, origin=ws_server.url) as socket:
        assert (await told(socket, "ack"))["user"] == alice.name
    # A browser always names the origin; without it nothing vouches for the page.
    assert await _refused(ws_server, headers=cookie) == (403, "forbidden")
    foreign = {**cookie, "sec-fetch-site": "cross-site"}
    assert await _refused(ws_server, headers=foreign) == (403, "forbidden")


async def test_a_session_that_has_ended_leaves_it_to_the_first_message(
    ws_server: LiveServer, alice: User
) -> None:
    stale = {"cookie": "tidings_session=none-that-is-known"}
    async with connected(ws_server, headers=stale, origin=ws_server.url) as socket:
        await say(socket, type="auth", token=await ws_server.add_token(alice))
        assert (await told(socket, "ack"))["user"] == alice.name


@pytest.mark.parametrize("where", ["address", "message"])
async def test_a_ticket_opens_its_one_stream_and_serves_its_reconnects(
    ws_server: LiveServer, alice: User, where: str
) -> None:
    ticket = await _ticket(ws_server, await ws_server.add_token(alice))
    for _ in range(2):
        path = f"/ws?ticket={ticket}" if where == "address" else "/ws"
        async with connected(ws_server, path=path) as socket:
            if where == "message":
                await say(socket, type="auth", ticket=ticket)
            assert (await told(socket, "ack"))["user"] == alice.name
    answer = await ws_server.client.get("/api/sse/stream", params={"ticket": ticket})
    assert answer.status_code == 401
    async with connected(ws_server, path=f"/ws?ticket={ticket}&another=1") as socket:
        assert await closed(socket) == (4401, "unauthenticated")


@pytest.mark.parametrize("word", ["token", "ticket"])
async def test_credentials_that_are_no_good_are_told_and_end_it(ws_server: LiveServer, word: str) -> None:
    async with connected(ws_server) as socket:
        await say(socket, type="auth", id="x", **{word: "n\u00f6 \ud83d\ude00"})
        error = await told(socket, "error")
        assert (error["code"], error["id"]) == ("unauthenticated", "x")
        assert await closed(socket) == (4401, "unauthenticated")


async def test_a_ticket_in_the_address_that_is_no_good_is_told_and_ends_it(ws_server: LiveServer) -> None:
    async with connected(ws_server, path="/ws?ticket=nobody", origin=ws_server.url) as socket:
        assert (await told(socket, "error"))["code"] == "unauthenticated"
        assert await closed(socket) == (4401, "unauthenticated")


async def test_credentials_that_may_not_read_end_it(ws_server: LiveServer, alice: User) -> None:
    async with connected(ws_server) as socket:
        await say(socket, type="auth", token=await ws_server.add_token(alice, "send"))
        assert (await told(socket, "error"))["code"] == "forbidden"
        assert await closed(socket) == (4403, "forbidden")


async def test_nothing_is_told_to_nobody(ws_server: LiveServer) -> None:
    for message in ({"type": "subscribe"}, {"type": "sync", "connection": "c"}):
        async with connected(ws_server) as socket:
            await say(socket, **message)
            assert (await told(socket, "error"))["code"] == "unauthenticated"
            assert await closed(socket) == (4401, "unauthenticated")


async def test_credentials_of_another_user_end_it(ws_server: LiveServer, alice: User) -> None:
    bob = await ws_server.add_user(f"user{next(_numbers)}")
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        await told(socket, "ack")
        await say(socket, type="auth", token=await ws_server.add_token(bob))
        assert (await told(socket, "error"))["code"] == "forbidden"
        assert await closed(socket) == (4403, "forbidden")


async def test_where_the_plugin_is_not_named_there_is_no_such_route(tmp_path: Path, config: str) -> None:
    without = config.replace(", websocket: {heartbeat: 90ms}", "")
    assert without != config
    async with live_server(tmp_path, without) as server:
        assert await _refused(server) == (404, "not_found")


async def test_another_address_is_no_websocket(ws_server: LiveServer) -> None:
    for path in ("/", "/ws/", "/api/events", "/wss"):
        with pytest.raises(InvalidStatus) as caught:
            async with connected(ws_server, path=path):
                pass
        assert caught.value.response.status_code in {403, 404}, path
    answer = await ws_server.client.get("/ws")
    assert answer.status_code == 404


# --- commands -----------------------------------------------------------------------------------------------


async def test_a_second_subscription_takes_the_place_of_the_first(ws_server: LiveServer, alice: User) -> None:
    hook = await ws_server.add_hook(alice, "github")
    await deliveries.send(ws_server.client, hook, deliveries.push(1))
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        await told(socket, "ack")
        await say(socket, type="subscribe", types=["com.github.issues"], id="s1")
        assert (await told(socket, "ack"))["id"] == "s1"
        await say(socket, type="subscribe", after="0", id="s2")
        answer = await told(socket, "ack")
        assert (answer["id"], answer["cursor"]) == ("s2", "0")
        first = await told(socket, "event")
        await deliveries.send(ws_server.client, hook, deliveries.push(2))
        second = await told(socket, "event")
        assert [one["cursor"][-2:] for one in (first, second)] == ["-1", "-2"]
    async with asyncio.timeout(10):
        while any(one.principal.user_id == alice.id for one in ws_server.services.fanout.subscriptions()):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "rejected"),
        ("", "rejected"),
        ("[]", "rejected"),
        ('{"type":"shout"}', "rejected"),
        ('{"typ":"ping"}', "rejected"),
        ('{"type":"ping","extra":1}', "rejected"),
        ('{"type":"ping","id":1}', "rejected"),
        ('{"type":"auth"}', "rejected"),
        ('{"type":"auth","token":"a","ticket":"b"}', "rejected"),
        ('{"type":"subscribe","types":"com.github.push"}', "rejected"),
        ('{"type":"subscribe","types":["[a-z]"]}', "rejected"),
        ('{"type":"subscribe","after":"yesterday"}', "invalid_cursor"),
        ('{"type":"sync","connection":"nobodys"}', "not_found"),
        ('{"type":"sync"}', "rejected"),
        ("[" * 10_000, "rejected"),
    ],
)
async def test_what_can_not_be_used_is_told_and_the_rest_goes_on(
    ws_server: LiveServer, alice: User, message: str, code: str
) -> None:
    hook = await ws_server.add_hook(alice, "github")
    async with connected(ws_server, await ws_server.add_token(alice, "read", "send")) as socket:
        await told(socket, "ack")
        await say(socket, type="subscribe")
        await told(socket, "ack")
        await socket.send(message)
        error = await told(socket, "error")
        assert error["code"] == code
        assert error["message"]
        await say(socket, type="ping", id="p")
        assert (await told(socket, "pong"))["id"] == "p"
        await deliveries.send(ws_server.client, hook, deliveries.push(1))
        await told(socket, "event")


async def test_a_sync_needs_the_scope_send(ws_server: LiveServer, alice: User) -> None:
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        await told(socket, "ack")
        await say(socket, type="sync", connection="c", id="1")
        error = await told(socket, "error")
        assert (error["code"], error["id"]) == ("forbidden", "1")
        await say(socket, type="ping")
        assert await told(socket, "pong") == {"type": "pong"}


async def test_a_sync_has_the_platform_asked_and_counts_as_a_request(tmp_path: Path) -> None:
    config = SANDBOX.replace("{sse: {}}", "{sse: {}, websocket: {}}").replace("api: unlimited", "api: 3/1h")
    async with live_server(tmp_path, config) as server:
        ada = await server.add_user("ada")
        async with connecting.browser(server, ada) as browser:
            connection = await browser.connect("github", "ottilie-otterbourne")
            token = await server.add_token(ada, "read", "send")
            async with connected(server, token) as socket:
                await told(socket, "ack")
                await say(socket, type="subscribe", platforms=["github"])
                await told(socket, "ack")
                await say(socket, type="sync", connection=connection, id="s")
                answer = await told(socket, "ack")
                assert (answer["of"], answer["connection"], answer["id"]) == ("sync", connection, "s")
                while (await heard(socket))["type"] not in {"event", "notice"}:
                    pass  # what it found, or that it found nothing
                for _ in range(2):
                    await say(socket, type="sync", connection=connection)
                await say(socket, type="sync", connection=connection)
                while (message := await heard(socket))["type"] != "error":
                    pass
                assert message["code"] == "rate_limited"
            await browser.send("DELETE", f"/api/connections/{connection}")
            other = await server.add_token(ada, "read", "send")
            async with connected(server, other) as socket:
                await told(socket, "ack")
                await say(socket, type="sync", connection=connection)
                assert (await told(socket, "error"))["code"] in {"conflict", "not_found"}


# --- endings ------------------------------------------------------------------------------------------------


async def _subscribed(socket: Any) -> None:
    await told(socket, "ack")
    await say(socket, type="subscribe")
    await told(socket, "ack")


async def test_revoking_a_token_closes_its_sockets_and_no_others(ws_server: LiveServer, alice: User) -> None:
    token, other = await ws_server.add_token(alice), await ws_server.add_token(alice)
    async with connected(ws_server, token) as socket, connected(ws_server, other) as bystander:
        await _subscribed(socket)
        await _subscribed(bystander)
        (first, _) = sorted(
            await ws_server.services.database.read(partial(list_tokens, user_id=alice.id)),
            key=lambda one: one.id,
        )
        async with asyncio.timeout(PROMISED_SECONDS):
            await ws_server.services.writer.run_unit(partial(revoke_token, token_id=first.id))
            assert await closed(socket) == (4002, "revoked")
        await say(bystander, type="ping")
        await told(bystander, "pong")
    assert await _refused(ws_server, token=token) == (401, "unauthenticated")


async def test_ending_a_session_closes_its_sockets(ws_server: LiveServer, alice: User) -> None:
    cookie = await _cookie(ws_server, alice)
    hashed = digest(cookie.partition("=")[2])
    found = await ws_server.services.database.read(partial(find_sessions, digests=[hashed]))
    async with connected(ws_server, headers={"cookie": cookie}, origin=ws_server.url) as socket:
        await _subscribed(socket)
        async with asyncio.timeout(PROMISED_SECONDS):
            await ws_server.services.writer.run_unit(partial(end_session, principal=found[hashed]))
            assert await closed(socket) == (4003, "signed_out")


async def test_removing_a_user_closes_their_sockets(ws_server: LiveServer, alice: User) -> None:
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        await _subscribed(socket)
        async with asyncio.timeout(PROMISED_SECONDS):
            await ws_server.services.writer.run_unit(partial(remove_user, user_id=alice.id))
            assert await closed(socket) == (4004, "user_removed")


async def test_a_right_that_ended_before_the_subscription_closes_it_all_the_same(
    ws_server: LiveServer, alice: User
) -> None:
    async with connected(ws_server, await ws_server.add_token(alice)) as socket:
        await told(socket, "ack")
        (token,) = await ws_server.services.database.read(partial(list_tokens, user_id=alice.id))
        await ws_server.services.writer.run_unit(partial(revoke_token, token_id=token.id))
        await say(socket, type="subscribe")
        async with asyncio.timeout(PROMISED_SECONDS):
            assert await closed(socket) == (4002, "revoked")


async def test_a_stopping_server_opens_nothing_more(tmp_path: Path, config: str) -> None:
    async with live_server(tmp_path, config) as server:
        token = await server.add_token(await server.add_user("alice"))
        async with connected(server, token) as socket, connected(server, token) as waiting:
            await _subscribed(socket)
            await told(waiting, "ack")
            await server.services.fanout.drain()
            assert await closed(socket) == (1012, "restart")
            await say(waiting, type="subscribe")
            error = await told(waiting, "error")
            assert (error["code"], error["retry_after_seconds"]) == ("unavailable", 2)
            assert await closed(waiting) == (1013, "unavailable")


async def test_a_defect_ends_one_connection_with_a_word(
    tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_server(tmp_path, config) as server:
        alice = await server.add_user("alice")
        token = await server.add_token(alice)
        async with connected(server, token) as socket, connected(server, token) as other:
            await _subscribed(other)
            await told(socket, "ack")
            monkeypatch.setattr("tidings_transports.conversation.parse_selection", lambda *_: 1 / 0)
            await say(socket, type="subscribe")
            assert await closed(socket) == (1011, "failed")
            await say(other, type="ping")
            await told(other, "pong")
        assert [line["event"] for line in server.logged if line["level"] == "error"] == ["stream_failed"]
