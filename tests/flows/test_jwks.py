"""An application signs with keys that it publishes, and changes them while its users are connected."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from joserfc import jwt as jose
from joserfc.jwk import RSAKey

import deliveries
from tidings.testing.clock import FakeClock
from tidings.testing.readers import closed, connected, say, told
from tidings.testing.server import live_server
from tidings.testing.streams import Frame, SseReader, open_stream


class Application:
    """Signs for its users, and publishes the public halves of its keys on a real socket."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.keys: dict[str, RSAKey] = {}
        self.published: list[str] = []
        self.asked = 0
        self.url = ""

    def add_key(self, name: str) -> None:
        self.keys[name] = RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})

    def token(self, key: str, subject: str, *, seconds: int) -> str:
        expires_at = int(self.clock.now().timestamp()) + seconds
        claims = {"iss": "app", "aud": "tidings", "sub": subject, "exp": expires_at}
        return jose.encode({"alg": "RS256", "kid": key}, claims, self.keys[key])

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        keys = [self.keys[name].as_dict(private=False) for name in self.published]
        body = json.dumps({"keys": keys}).encode()
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/jwk-set+json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def publishing(clock: FakeClock) -> AsyncIterator[Application]:
    application = Application(clock)
    async with await asyncio.start_server(application.answer, "127.0.0.1", 0) as server:
        application.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        yield application


async def _all_of(stream: SseReader, clock: FakeClock) -> list[Frame]:
    """What comes until the server ends the stream, while time goes on."""

    async def read() -> list[Frame]:
        return [frame async for frame in stream]

    reading = asyncio.create_task(read())
    async with asyncio.timeout(30):
        while not reading.done():
            await clock.advance(1)
            await asyncio.sleep(0.001)  # the database is read in real time
    return await reading


async def test_keys_change_and_whoever_is_connected_stays_so(tmp_path: Path, config: str) -> None:
    clock = FakeClock()
    async with publishing(clock) as app:
        for name in ("old", "new", "foreign"):
            app.add_key(name)
        app.published = ["old"]
        auth = f"auth: {{jwt: {{algorithm: RS256, jwks_url: '{app.url}', issuer: app, audience: tidings}}}}\n"
        # Time goes by in leaps here, in which no client could answer.
        quiet = config.replace("websocket: {heartbeat: 90ms}", "websocket: {idle_timeout: 1h}").replace(
            "90ms", "15s"
        )
        async with live_server(tmp_path, auth + quiet, clock=clock) as server:
            alice = await server.add_user("alice")
            hook = await server.add_hook(alice, "github")
            token = app.token("old", "alice", seconds=100)
            async with (
                open_stream(server.client, token) as stream,
                connected(server, token) as socket,
                connected(server, token) as other,
            ):
                for one in (socket, other):
                    await told(one, "ack")
                    await say(one, type="subscribe")
                    await told(one, "ack")
                app.published = ["new"]
                await clock.advance(61)
                await say(socket, type="auth", token=app.token("new", "alice", seconds=600))
                assert (await told(socket, "ack"))["user"] == "alice"
                frames = await _all_of(stream, clock)  # the first token's life ends meanwhile
                assert (frames[-1].event, frames[-1].json()) == ("closed", {"reason": "expired"})
                assert await closed(other) == (4001, "expired")
                await deliveries.send(server.client, hook, deliveries.push(1))
                await told(socket, "event")
                await say(socket, type="auth", token=app.token("foreign", "alice", seconds=600))
                assert await closed(socket) == (4401, "unauthenticated")
            assert (
                2 <= app.asked <= 3
            )  # at first, for the new one, and for the foreign one if a minute is over
