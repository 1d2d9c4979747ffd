"""A right that ends closes the streams that live by it, within five seconds, and says why."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

import deliveries
from tidings.accounts import User, remove_user
from tidings.api_tokens import list_tokens, revoke_token
from tidings.sessions import add_login_link, digest, end_session, find_sessions
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import Frame, SseReader, open_stream

PROMISED_SECONDS = 5
SECRET = "0123456789abcdef0123456789abcdef"
_numbers = itertools.count()


@pytest.fixture(scope="module")
async def jwt_server(tmp_path_factory: pytest.TempPathFactory, config: str) -> AsyncIterator[LiveServer]:
    jwt = f"auth: {{jwt: {{secret: {SECRET}, issuer: app, audience: tidings}}}}\n"
    async with live_server(tmp_path_factory.mktemp("jwt"), jwt + config) as running:
        yield running


async def _newcomer(server: LiveServer) -> User:
    return await server.add_user(f"user{next(_numbers)}")


async def _ending(stream: SseReader) -> Frame:
    """The stream's last frame."""
    async with asyncio.timeout(PROMISED_SECONDS):
        frames = [frame async for frame in stream]
    return frames[-1]


def _reason(frame: Frame) -> str:
    assert frame.event == "closed"
    return str(frame.json()["reason"])


async def _revoke_all(server: LiveServer, user: User) -> None:
    tokens = await server.services.database.read(partial(list_tokens, user_id=user.id))
    for token in tokens:
        await server.services.writer.run_unit(partial(revoke_token, token_id=token.id))


async def _sign_in(server: LiveServer, user: User) -> dict[str, str]:
    now = server.services.clock.now()
    link = await server.services.writer.run_unit(partial(add_login_link, user_id=user.id, now=now))
    answer = await server.client.get(f"/login/{link}")
    assert answer.status_code == 303
    value = answer.cookies["tidings_session"]
    server.client.cookies.clear()
    return {"cookie": f"tidings_session={value}", "sec-fetch-site": "same-origin"}


def _jwt(subject: str, *, expires_in: float) -> str:
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    claims = {"iss": "app", "aud": "tidings", "sub": subject, "exp": int(time.time() + expires_in)}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(SECRET.encode(), signed, hashlib.sha256))).decode()


async def test_revoking_a_token_closes_its_streams_and_no_others(shared_server: LiveServer) -> None:
    alice, bob = await _newcomer(shared_server), await _newcomer(shared_server)
    hook = await shared_server.add_hook(bob, "github")
    async with (
        open_stream(shared_server.client, await shared_server.add_token(alice)) as first,
        open_stream(shared_server.client, await shared_server.add_token(alice)) as second,
        open_stream(shared_server.client, await shared_server.add_token(bob)) as bystander,
    ):
        await _revoke_all(shared_server, alice)
        assert [_reason(await _ending(stream)) for stream in (first, second)] == ["revoked", "revoked"]
        await deliveries.send(shared_server.client, hook, deliveries.push(1))
        assert (await bystander.event()).event == "webhook_received"


async def test_revoking_over_the_api_closes_at_once(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    token = await shared_server.add_token(alice)
    headers = {"authorization": f"Bearer {token}"}
    (known,) = (await shared_server.client.get("/api/tokens", headers=headers)).json()["tokens"]
    async with open_stream(shared_server.client, token) as stream:
        answer = await shared_server.client.delete(f"/api/tokens/{known['id']}", headers=headers)
        assert answer.status_code == 204
        assert _reason(await _ending(stream)) == "revoked"
    again = await shared_server.client.get("/api/sse/stream", headers=headers)
    assert again.status_code == 401


async def test_ending_a_session_closes_its_streams(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    session = await _sign_in(shared_server, alice)
    hashed = digest(session["cookie"].partition("=")[2])
    found = await shared_server.services.database.read(partial(find_sessions, digests=[hashed]))
    shared_server.client.headers.update(session)
    async with open_stream(shared_server.client) as stream:
        for name in ("cookie", "sec-fetch-site"):
            del shared_server.client.headers[name]
        await shared_server.services.writer.run_unit(partial(end_session, principal=found[hashed]))
        assert _reason(await _ending(stream)) == "signed_out"


async def test_signing_out_needs_the_csrf_token_and_closes_at_once(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    session = await _sign_in(shared_server, alice)
    shared_server.client.headers.update(session)
    async with open_stream(shared_server.client) as stream:
        refused = await shared_server.client.post("/api/logout")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf")
        me = (await shared_server.client.get("/api/me")).json()
        answer = await shared_server.client.post("/api/logout", headers={"x-csrf-token": me["csrf_token"]})
        for name in session:
            del shared_server.client.headers[name]
        assert answer.status_code == 204
        assert _reason(await _ending(stream)) == "signed_out"


async def test_removing_a_user_closes_their_streams_and_their_webhooks(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    hook = await shared_server.add_hook(alice, "github")
    assert (await deliveries.send(shared_server.client, hook, deliveries.push(0))).status_code == 200
    async with open_stream(shared_server.client, await shared_server.add_token(alice)) as stream:
        await shared_server.services.writer.run_unit(partial(remove_user, user_id=alice.id))
        # Also in the second before caches learn of it.
        assert (await deliveries.send(shared_server.client, hook, deliveries.push(1))).status_code == 404
        assert _reason(await _ending(stream)) == "user_removed"
    assert (await deliveries.send(shared_server.client, hook, deliveries.push(2))).status_code == 404


async def test_a_token_that_expires_closes_its_streams(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    soon = shared_server.services.clock.now().timestamp() + 1
    expires_at = type(alice.created_at).fromtimestamp(soon, alice.created_at.tzinfo)
    token = await shared_server.add_token(alice, expires_at=expires_at)
    async with open_stream(shared_server.client, token) as stream:
        assert _reason(await _ending(stream)) == "expired"


async def test_a_jwt_closes_its_streams_at_exp(jwt_server: LiveServer) -> None:
    alice = await _newcomer(jwt_server)
    async with (
        open_stream(jwt_server.client, _jwt(alice.name, expires_in=2)) as short,
        open_stream(jwt_server.client, _jwt(str(alice.id), expires_in=60)) as long,
    ):
        assert _reason(await _ending(short)) == "expired"
        await long.heartbeat()


async def test_a_client_with_fresh_rights_resumes_where_it_was_closed(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    hook = await shared_server.add_hook(alice, "github")
    async with open_stream(shared_server.client, await shared_server.add_token(alice)) as stream:
        await deliveries.send(shared_server.client, hook, deliveries.push(1))
        seen = await stream.event()
        await _revoke_all(shared_server, alice)
        await _ending(stream)
    await deliveries.send(shared_server.client, hook, deliveries.push(2))
    fresh = await shared_server.add_token(alice)
    async with open_stream(shared_server.client, fresh, last_event_id=seen.id) as stream:
        assert (await stream.event()).json()["id"].endswith(deliveries.sha("2/after"))


async def test_a_stopping_server_tells_streams_to_come_back(tmp_path: Path, config: str) -> None:
    async with live_server(tmp_path, config) as server:
        alice = await server.add_user("alice")
        token = await server.add_token(alice)
        opened = asyncio.Event()

        async def read() -> Frame:
            async with open_stream(server.client, token) as stream:
                opened.set()
                return await _ending(stream)

        reading = asyncio.create_task(read())
        await opened.wait()
        await server.services.fanout.drain()
        assert _reason(await reading) == "restart"
        refused = await server.client.get("/api/sse/stream", headers={"authorization": f"Bearer {token}"})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0


async def test_a_ticket_opens_its_one_stream_and_serves_its_reconnects(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    hook = await shared_server.add_hook(alice, "github")
    ticket = await _ticket(shared_server, await shared_server.add_token(alice))
    params = {"ticket": ticket, "types": "com.github.*"}
    async with open_stream(shared_server.client, params=params) as stream:
        await deliveries.send(shared_server.client, hook, deliveries.push(1))
        seen = await stream.event()
    await deliveries.send(shared_server.client, hook, deliveries.push(2))
    async with open_stream(shared_server.client, params=params, last_event_id=seen.id) as stream:
        assert (await stream.event()).id.endswith("-2")
    for other in ({"ticket": ticket}, {"ticket": ticket, "types": "com.github.push"}):
        answer = await shared_server.client.get("/api/sse/stream", params=other)
        assert answer.status_code == 401, other
    for path in ("/api/events", "/api/me", "/api/sse/stats"):
        assert (await shared_server.client.get(path, params={"ticket": ticket})).status_code == 401, path


async def test_a_ticket_ends_with_the_right_that_made_it(shared_server: LiveServer) -> None:
    alice = await _newcomer(shared_server)
    ticket = await _ticket(shared_server, await shared_server.add_token(alice))
    async with open_stream(shared_server.client, params={"ticket": ticket}) as stream:
        await _revoke_all(shared_server, alice)
        assert _reason(await _ending(stream)) == "revoked"
    answer = await shared_server.client.get("/api/sse/stream", params={"ticket": ticket})
    assert answer.status_code == 401


async def _ticket(server: LiveServer, token: str) -> str:
    answer = await server.client.post("/api/tickets", headers={"authorization": f"Bearer {token}"})
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])
