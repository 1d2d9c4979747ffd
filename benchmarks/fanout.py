"""How fast one event reaches 5,000 streams of one user, and 1,000 events a second reach 5,000 users.

`python benchmarks/fanout.py [--transport sse|websocket] [--subscribers 5000]`. Each scenario also runs against a bare
uvloop protocol that only writes the same bytes. With `--database postgresql --nodes 3` the streams of both are spread
over three nodes that NATS connects. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from harness import (
    FOLDER,
    Server,
    await_port,
    cpu_seconds,
    free_port,
    push_body,
    report,
    serving,
    signed_request,
)
from nodes import at_work
from streams import Subscriber, WebSocketSubscriber, percentiles, posters, send_at_rate, subscribe

_AFTER = re.compile(rb'"id":"github:push:[^"]*:([0-9a-f]{40})"')
KINDS = {"sse": Subscriber, "websocket": WebSocketSubscriber}
TRANSPORTS = {
    "sse": "{sse: {heartbeat: 15s}}",
    "websocket": "{sse: {heartbeat: 15s}, websocket: {connections: unlimited}}",
}
_ROUNDS = 30
_TICK_SECONDS = 0.01  # the least CPU time that the kernel tells apart
_WARM_UP = 3
_SECONDS = 8.0


def stream_request(token: str, transport: str) -> bytes:
    if transport == "websocket":
        return (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    return (
        f"GET /api/sse/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Accept: text/event-stream\r\n\r\n"
    ).encode()


def send_request(token: str, number: int) -> bytes:
    body = json.dumps({"message": {"title": f"Event {number}", "text": "x" * 60}}).encode()
    return (
        f"POST /api/sse/send HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def bare_post(path: str, frame: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(frame)}\r\n\r\n".encode() + frame


class Bare:
    """The bare server, as a process."""

    def __enter__(self) -> Bare:
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, str(FOLDER / "bare_stream.py"), str(self.port)])
        await_port(self.port, self.process)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)


class Audience:
    """Many streams of one server that all get what is published there."""

    def __init__(self, server: Server | Bare, transport: str) -> None:
        self._server = server
        self._kind = KINDS[transport]
        self._arrivals: list[float] = []
        self._complete = asyncio.Event()
        self._streams: list[Subscriber | WebSocketSubscriber] = []
        self.frame = b""  # as it came last
        self.latencies: list[float] = []
        self.last: list[float] = []
        self.cpu_seconds = 0.0  # of the server's, for what counts

    async def gather(self, requests: Sequence[bytes]) -> None:
        """Open a stream with each of the requests."""
        self._streams = await subscribe(self._server.port, requests, self._received, self._kind)
        (self._poster,) = await posters(self._server.port, 1)

    def _received(self, data: bytes) -> None:
        if b"heartbeat" in data:
            return
        self._arrivals.append(time.perf_counter())
        if len(self._arrivals) == len(self._streams):
            self.frame = data
            self._complete.set()

    def expect(self) -> None:
        """Another event is about to be published."""
        self._arrivals.clear()
        self._complete.clear()

    def post(self, request: bytes) -> None:
        self._poster.post(request)

    async def complete(self) -> float:
        """Wait until everyone has it; when that was."""
        async with asyncio.timeout(30):
            await self._complete.wait()
        return self._arrivals[-1]

    async def hear(self, request: bytes, *, counts: bool = True) -> None:
        """Publish one event and wait until everyone has it."""
        self.expect()
        started = time.perf_counter()
        self.post(request)
        await self.complete()
        await asyncio.sleep(0.1)
        if counts:
            self.latencies += [arrival - started for arrival in self._arrivals]
            self.last.append(self._arrivals[-1] - started)


async def side_by_side(
    server: Server, bare: Bare, token: str, subscribers: int, transport: str, rounds: int
) -> tuple[Audience, Audience, int]:
    """Rounds with either server in turn, so that whatever else this machine does meets both; and the memory used."""
    ours, theirs = Audience(server, transport), Audience(bare, transport)
    await ours.gather([stream_request(token, transport)] * subscribers)
    for number in range(_WARM_UP):
        await ours.hear(send_request(token, number), counts=False)
    rss_kib = server.rss_kib()
    await theirs.gather([b"GET /all HTTP/1.1\r\n\r\n"] * subscribers)
    for _ in range(_WARM_UP):
        await theirs.hear(bare_post("/all", ours.frame), counts=False)
    used = server.cpu_seconds(), bare.cpu_seconds()
    for number in range(rounds):
        await ours.hear(send_request(token, number))
        await theirs.hear(bare_post("/all", ours.frame))
    ours.cpu_seconds = server.cpu_seconds() - used[0]
    theirs.cpu_seconds = bare.cpu_seconds() - used[1]
    return ours, theirs, rss_kib


async def at_rate(
    ports: Sequence[int], requests: Sequence[bytes], webhooks: list[bytes], keys: list[bytes], per_second: float,
    key_of: Callable[[bytes], list[bytes]], transport: str,
) -> tuple[list[float], int]:  # fmt: skip
    """Webhooks at a fixed rate, each to one stream: latencies from the instant due, and how many never came.

    Streams and webhooks are spread over the ports, so that of three nodes another one takes what two in three hear.
    """
    due: dict[bytes, float] = {}
    latencies: list[float] = []

    def received(data: bytes) -> None:
        now = time.perf_counter()
        latencies.extend(now - due.pop(key) for key in key_of(data))

    subscribers = []
    for place, port in enumerate(ports):
        subscribers += await subscribe(port, requests[place :: len(ports)], received, KINDS[transport])
    of_each = [await posters(port, 32 // len(ports)) for port in ports]
    connections = [one for turn in zip(*of_each, strict=True) for one in turn]
    await send_at_rate(connections, webhooks, per_second, lambda place, at: due.__setitem__(keys[place], at))
    deadline = time.perf_counter() + 10
    while due and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    refused = [status for one in connections for status in one.statuses if status >= 300]
    if refused:
        raise SystemExit(f"void: webhooks were refused with {set(refused)}")
    for subscriber in subscribers:
        subscriber.transport.close()
    return latencies, len(due)


def one_user(folder: Path, subscribers: int, transport: str, rounds: int) -> dict:
    with serving(folder, users=1, transports=TRANSPORTS[transport]) as server, Bare() as bare:
        (token,) = server.tokens(1)
        before = server.rss_kib()
        ours, theirs, rss_kib = uvloop.run(side_by_side(server, bare, token, subscribers, transport, rounds))
    return {
        "scenario": "one_user",
        "transport": transport,
        "subscribers": subscribers,
        **percentiles(ours.latencies),
        "last_ms": middle(ours.last),
        "bare_last_ms": middle(theirs.last),
        "ratio_to_bare": round(middle(ours.last) / middle(theirs.last), 2),
        "cpu_ms": round(ours.cpu_seconds / rounds * 1000, 1),
        "bare_cpu_ms": round(theirs.cpu_seconds / rounds * 1000, 1),
        "cpu_ratio_to_bare": round(ours.cpu_seconds / max(theirs.cpu_seconds, _TICK_SECONDS), 2),
        "frame_bytes": len(ours.frame),
        "kib_per_connection": round((rss_kib - before) / subscribers, 1),
    }


def webhooks_for(users: int, count: int, seed: int) -> tuple[list[bytes], list[bytes], list[int]]:
    """Signed pushes to random users, the commit that identifies each, and the user."""
    source = random.Random(seed)
    requests, keys, owners = [], [], []
    for _ in range(count):
        body = push_body(source)
        owner = source.randrange(users) + 1
        keys.append(json.loads(body)["after"].encode())
        owners.append(owner)
        requests.append(signed_request(body, f"/api/webhooks/github/u{owner}", source.randbytes(16).hex()))
    return requests, keys, owners


def many_users(
    folder: Path, users: int, per_second: float, transport: str, *, seconds: float, database: str, count: int
) -> dict:
    with at_work(
        folder, users=users, database=database, count=count, transports=TRANSPORTS[transport]
    ) as nodes:
        tokens = nodes.servers[0].tokens(users)
        before = nodes.rss_kib()
        cpu, database_cpu = nodes.cpu_seconds(), nodes.database_cpu_seconds()
        webhooks, keys, owners = webhooks_for(users, int(per_second * seconds), seed=3)
        frame = b""

        def key_of(data: bytes) -> list[bytes]:
            nonlocal frame
            found = _AFTER.findall(data)
            if found:
                frame = data
            return found

        latencies, lost = uvloop.run(
            at_rate(
                [server.port for server in nodes.servers],
                [stream_request(token, transport) for token in tokens],
                webhooks,
                keys,
                per_second,
                key_of,
                transport,
            )
        )
        after = nodes.rss_kib()
        used, database_used = nodes.cpu_seconds() - cpu, nodes.database_cpu_seconds() - database_cpu
    key = _AFTER.findall(frame)[0]
    with Bare() as bare:
        bare_latencies, _ = uvloop.run(
            at_rate(
                [bare.port],
                [f"GET /{number} HTTP/1.1\r\n\r\n".encode() for number in range(1, users + 1)],
                [
                    bare_post(f"/{owner}", frame.replace(key, one))
                    for owner, one in zip(owners, keys, strict=True)
                ],
                keys,
                per_second,
                _AFTER.findall,
                transport,
            )
        )
    result = percentiles(latencies)
    return {
        "scenario": "many_users",
        "database": database,
        "nodes": count,
        "transport": transport,
        "subscribers": users,
        "events_per_second": per_second,
        **result,
        "lost": lost,
        "bare_p99_ms": percentiles(bare_latencies)["p99_ms"],
        "ratio_to_bare": round(result["p99_ms"] / percentiles(bare_latencies)["p99_ms"], 2),
        "kib_per_connection": round((after - before) / users, 1),
        # With the opening of the streams, which each cost a few reads.
        "cpu_us_per_event": round(used / len(keys) * 1e6),
        "database_cpu_us_per_event": round(database_used / len(keys) * 1e6),
    }


def middle(seconds: list[float]) -> float:
    return round(sorted(seconds)[len(seconds) // 2] * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=sorted(KINDS), default="sse")
    parser.add_argument("--subscribers", type=int, default=5000)
    parser.add_argument("--per-second", type=float, default=1000)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--seconds", type=float, default=_SECONDS)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--nodes", type=int, default=1)
    arguments = parser.parse_args()
    database, count = arguments.database, arguments.nodes

    def one(folder: Path) -> dict:
        if database == "sqlite":
            return one_user(folder, arguments.subscribers, arguments.transport, arguments.rounds)
        from fanout_nodes import one_user_at  # noqa: PLC0415 - it stands on this file

        return one_user_at(folder, arguments.subscribers, arguments.transport, database, count)

    def many(folder: Path) -> dict:
        return many_users(
            folder,
            arguments.subscribers,
            arguments.per_second,
            arguments.transport,
            seconds=arguments.seconds,
            database=database,
            count=count,
        )

    runs = []
    for scenario in (one, many):
        with tempfile.TemporaryDirectory() as name:
            runs.append(scenario(Path(name)))
            print(runs[-1], file=sys.stderr)
    report({"runs": runs})


if __name__ == "__main__":
    main()
