"""Three nodes for two minutes under load, of which one is killed every ten seconds; then the broker, then the database.

`make soak-nodes`, or `python tests/soak/nodes.py [--seconds 120]`. 200 webhooks a second go to any node, 200 clients
move between them, 60 consents are renewed every few seconds by a provider whose refresh tokens work once. At the end
every client must have had every acknowledged event of its user once, in order. The last line is JSON; the exit code is
1 if anything in it is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).parents[1]))

from cluster import Cluster, Node, cluster_in
from deliveries import push, sha, signed
from tidings.accounts import add_user
from tidings.api_tokens import add_token
from tidings.cli.rehearsal import rehearse
from tidings.config import load
from tidings.connecting import Connects, TokenSet
from tidings.engines import open_database
from tidings.event import Cursor
from tidings.grants import save_grant
from tidings.registrations import add_registration
from tidings.runtime import open_vault
from tidings.testing.server import Hook

NODES = 3
USERS = 40
CLIENTS = 200
PER_SECOND = 200.0
SENDERS = 20
GRANTS = 60
TOKEN_SECONDS = 20  # an access token's life
KILL_EVERY_SECONDS = 10.0
AWAY_SECONDS = 5.0  # the broker, and the database
MOVES = (5.0, 25.0)  # seconds that a client stays at a node
PATIENCE_SECONDS = 120.0  # until everybody has everything
GRACE_SECONDS = 15.0  # of a killed node's redemptions nobody knows what became of them
SILENCE_SECONDS = 15.0  # heartbeats come every second
BROKEN = (OSError, EOFError, TimeoutError, ValueError)  # how a connection to a node that dies ends
_SERIAL = re.compile(rb'"id":"github:push:[^"]*:([0-9a-f]{40})"')
_ID = re.compile(rb"^id: ?(\S+)", re.MULTILINE)


@dataclasses.dataclass
class Person:
    """A user of the installation."""

    token: str
    hook: Hook
    acknowledged: set[bytes] = dataclasses.field(default_factory=set)


# --- HTTP, as little of it as is needed: two cores are shared by all of this ---


@contextlib.asynccontextmanager
async def connected(node: Node) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(node.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in headers}


# --- the provider -----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Redemption:
    node: str
    at: float
    answered: bool = False


class Provider:
    """A token endpoint whose refresh tokens work once; a repeated one gets the same answer, and is told of."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.double_redemptions = 0
        self.double_leases = 0
        self.redeemed = 0
        self._numbers = itertools.count()
        self._answers: dict[str, tuple[str, bytes]] = {}
        self._redemptions: dict[str, list[Redemption]] = defaultdict(list)
        self._under_way: dict[str, set[str]] = defaultdict(set)  # nodes, by grant

    def first(self, grant: int) -> TokenSet:
        number = next(self._numbers)
        return TokenSet(f"access-{grant}-{number}", f"refresh-{grant}-{number}", TOKEN_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index] - clients send it
            fields = parse_qs((await reader.readexactly(length)).decode())
            node = head.split()[1].removeprefix("/")
            await self._redeem(node, fields["refresh_token"][0], reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it was killed
        finally:
            writer.close()

    async def _redeem(
        self, node: str, token: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        grant = token.split("-")[1]
        others = self._under_way[grant] - {node}
        self.double_leases += bool(others)
        for before in self._redemptions[token]:
            self.double_redemptions += before.answered and not self._was_killed(before)
        redemption = Redemption(node, time.monotonic())
        self._redemptions[token].append(redemption)
        self._under_way[grant].add(node)
        try:
            gone = asyncio.ensure_future(reader.read(1))
            done, _ = await asyncio.wait({gone}, timeout=random.uniform(0.05, 0.4))
            gone.cancel()
            if done:
                return
            writer.write(self._answer(grant, token))
            await writer.drain()
            redemption.answered = True
        finally:
            self._under_way[grant].discard(node)

    def _answer(self, grant: str, token: str) -> bytes:
        if token not in self._answers:
            self.redeemed += 1
            number = next(self._numbers)
            body = {
                "access_token": f"access-{grant}-{number}",
                "refresh_token": f"refresh-{grant}-{number}",
                "expires_in": TOKEN_SECONDS,
                "token_type": "bearer",
            }
            self._answers[token] = (grant, json.dumps(body).encode())
        body_bytes = self._answers[token][1]
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body_bytes), body_bytes)
        )

    def _was_killed(self, redemption: Redemption) -> bool:
        """Whether its node may have died before the answer was on disk."""
        killed = self.nodes[redemption.node].killed_at
        return any(redemption.at - 1 <= at <= redemption.at + GRACE_SECONDS for at in killed)


# --- the clients ------------------------------------------------------------------------------------------------


class Client:
    """Follows one user's stream, from one node to another, with nothing but its last position."""

    def __init__(self, person: Person, nodes: Sequence[Node]) -> None:
        self.person = person
        self.told: Counter[bytes] = Counter()
        self.out_of_order = 0
        self.gaps = 0
        self.resumes: list[tuple[float, float]] = []  # from when to when it had no stream
        self._nodes = nodes
        self._position = "0"
        self._left_at: float | None = None

    async def run(self) -> None:
        while True:
            running = [node for node in self._nodes if node.runs]
            if running:
                with contextlib.suppress(*BROKEN):
                    await self._follow(random.choice(running))
            self._left_at = self._left_at or time.monotonic()
            await asyncio.sleep(0.02)

    async def _follow(self, node: Node) -> None:
        request = (
            f"GET /api/sse/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.person.token}\r\n"
            f"Last-Event-ID: {self._position}\r\n\r\n"
        )
        until = time.monotonic() + random.uniform(*MOVES)
        async with connected(node) as (reader, writer):
            writer.write(request.encode())
            status, _ = await head_of(reader)
            if status != 200:
                return
            rest = b""
            while time.monotonic() < until:
                async with asyncio.timeout(SILENCE_SECONDS):
                    size = int(await reader.readline(), 16)
                    rest += (await reader.readexactly(size + 2))[:-2]
                *frames, rest = rest.split(b"\n\n")
                for frame in frames:
                    self._take(frame)

    def _take(self, frame: bytes) -> None:
        if self._left_at is not None:
            self.resumes.append((self._left_at, time.monotonic()))
            self._left_at = None
        self.gaps += b"event: gap" in frame
        if found := _ID.search(frame):
            self._take_id(found[1].decode())
        if found := _SERIAL.search(frame):
            self.told[found[1]] += 1

    def _take_id(self, text: str) -> None:
        seq, before = Cursor.parse(text).seq, Cursor.parse(self._position).seq
        self.out_of_order += seq < before
        self._position = text

    @property
    def missed(self) -> set[bytes]:
        return self.person.acknowledged - self.told.keys()


# --- the load ---------------------------------------------------------------------------------------------------


class Senders:
    """Platforms: each delivery goes to any node until one says that it is on disk."""

    def __init__(self, people: Sequence[Person], nodes: Sequence[Node]) -> None:
        self.refused = 0
        self._people = people
        self._nodes = nodes
        self._numbers = itertools.count()
        self._ends = False

    def stop(self) -> None:
        self._ends = True

    async def run(self) -> None:
        await asyncio.gather(*[self._send_on() for _ in range(SENDERS)])

    async def _send_on(self) -> None:
        due = time.monotonic() + random.uniform(0, SENDERS / PER_SECOND)
        while not self._ends:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(
                due + SENDERS / PER_SECOND, time.monotonic() - 1.0
            )  # what waited is not all sent at once
            await self._deliver(next(self._numbers))

    async def _deliver(self, number: int) -> None:
        person = self._people[number % len(self._people)]
        body = json.dumps(push(number)).encode()
        headers = signed(person.hook.secret, body, delivery=f"delivery-{number}")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {person.hook.path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        while True:
            running = [node for node in self._nodes if node.runs]
            if running:
                with contextlib.suppress(*BROKEN):
                    if await self._post(random.choice(running), head.encode() + body):
                        person.acknowledged.add(sha(f"{number}/after").encode())
                        return
                self.refused += 1
            await asyncio.sleep(0.1)

    async def _post(self, node: Node, request: bytes) -> bool:
        async with asyncio.timeout(SILENCE_SECONDS), connected(node) as (reader, writer):
            writer.write(request)
            status, headers = await head_of(reader)
            await reader.readexactly(int(headers["content-length"]))
            return status == 200


# --- the campaign -----------------------------------------------------------------------------------------------


async def people_of(cluster: Cluster, provider: Provider) -> list[Person]:
    """Users with a token, a webhook, and consents."""
    settings = load(cluster.config)
    database = open_database(settings.database)
    vault = await open_vault(settings, database)
    (github,) = [one for one in rehearse(settings).connectors if isinstance(one, Connects)]

    def add(sql: Any) -> list[Person]:
        now = datetime.now(UTC)
        people = []
        for number in range(USERS):
            user = add_user(sql, name=f"user{number}", is_admin=number == 0, now=now)
            _, token = add_token(sql, user, scopes=["read"], now=now)
            hook_id, secret = add_registration(sql, vault, user_id=user.id, platform="github", now=now)
            people.append(Person(token, Hook(hook_id, f"/api/webhooks/github/{hook_id}", secret)))
            for grant in range(number, GRANTS, USERS):
                save_grant(
                    sql,
                    vault,
                    user_id=user.id,
                    account_key=f"account-{grant}",
                    client_id="client",
                    tokens=provider.first(grant),
                    oauth=github.oauth,
                    now=now,
                )
        return people

    try:
        return await database.write(add)
    finally:
        await database.close()


async def misfortunes(cluster: Cluster, seconds: float) -> tuple[float, float]:
    """A node dies every ten seconds; then the broker goes and comes, then the database.

    Returns from when to when the database was away.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(KILL_EVERY_SECONDS)
        node = random.choice(cluster.nodes)
        say(f"kill -9 {node.name}")
        await node.stop(signal.SIGKILL)
        await node.start()
    say("the broker goes")
    cluster.broker.stop()
    await asyncio.sleep(AWAY_SECONDS)
    cluster.broker.start()
    say("the broker is back")
    await asyncio.sleep(AWAY_SECONDS)
    say("the database goes")
    gone_at = time.monotonic()
    await asyncio.to_thread(cluster.postgres.stop)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(cluster.postgres.start)
    back_at = time.monotonic()
    say("the database is back")
    await asyncio.sleep(2 * AWAY_SECONDS)
    return gone_at, back_at


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def campaign(folder: Path, seconds: float) -> dict[str, Any]:
    async with cluster_in(folder, durable=True) as cluster:
        provider = Provider()
        async with await asyncio.start_server(provider.serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for number in range(1, NODES + 1):
                client = {
                    "client_id": "client",
                    "client_secret": "planted-client-secret",
                    "token_url": f"http://127.0.0.1:{port}/node{number}",
                    "expiring_tokens": True,
                }
                cluster.add_node({"github": client})
            provider.nodes = {node.name: node for node in cluster.nodes}
            people = await people_of(cluster, provider)
            await cluster.start()
            return await under_load(cluster, people, provider, seconds)


async def under_load(
    cluster: Cluster, people: Sequence[Person], provider: Provider, seconds: float
) -> dict[str, Any]:
    clients = [Client(people[number % USERS], cluster.nodes) for number in range(CLIENTS)]
    following = [asyncio.create_task(client.run()) for client in clients]
    senders = Senders(people, cluster.nodes)
    sending = asyncio.create_task(senders.run())
    gone_at, back_at = await misfortunes(cluster, seconds)
    senders.stop()
    await sending
    say("everything is sent; waiting until everybody has it")
    until = time.monotonic() + PATIENCE_SECONDS
    while (missed := sum(len(client.missed) for client in clients)) and time.monotonic() < until:
        await asyncio.sleep(1)
        ended = [task for task in following if task.done()]
        say(
            f"{missed} still missing; {len(ended)} clients gave up {[repr(t.exception()) for t in ended][:2]}"
        )
    await asyncio.sleep(2)  # what comes twice comes now
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    # While the database is away nothing can be resumed, on whatever node.
    resumes = sorted(
        end - start
        for client in clients
        for start, end in client.resumes
        if end < gone_at or start > back_at + AWAY_SECONDS
    )
    return {
        "acknowledged": sum(len(person.acknowledged) for person in people),
        "missed": sum(len(client.missed) for client in clients),
        "duplicated": sum(count - 1 for client in clients for count in client.told.values()),
        "out_of_order": sum(client.out_of_order for client in clients),
        "gaps": sum(client.gaps for client in clients),
        "double_redemptions": provider.double_redemptions,
        "double_leases": provider.double_leases,
        "redemptions": provider.redeemed,
        "refused": senders.refused,
        "kills": sum(len(node.killed_at) for node in cluster.nodes),
        "resumes": len(resumes),
        "resume_p99_ms": round(resumes[int(len(resumes) * 0.99)] * 1000) if resumes else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long nodes are killed")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(campaign(Path(folder), arguments.seconds))
    print(json.dumps(report))
    wrong = ("missed", "duplicated", "out_of_order", "gaps", "double_redemptions", "double_leases")
    return 1 if any(report[name] for name in wrong) or not report["acknowledged"] else 0


if __name__ == "__main__":
    sys.exit(main())
