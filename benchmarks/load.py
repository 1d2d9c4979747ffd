"""A load generator for one core: keeps N connections busy with prepared HTTP/1.1 requests.

Run as a process of its own: `python load.py HOST PORT CONNECTIONS SECONDS FILE`. FILE holds requests, each after
its length in 8 hex digits. Prints one JSON object: answers by status, seconds, latencies in ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last is answered."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.sent_at = 0.0
        self.over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        request = self.run.next()
        if request is None:
            self.over = True
            self.run.finished()
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.buffer = data
            return
        start = data.lower().find(b"content-length:", 0, end)
        length = int(data[start + 15 : data.index(b"\r\n", start)]) if start >= 0 else 0
        if len(data) < end + 4 + length:
            self.buffer = data
            return
        self.buffer = b""
        self.run.answered(data[9:12], time.perf_counter() - self.sent_at)
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over:
            self.run.failed(error or ConnectionError("the server closed the connection"))


class Run:
    """One run: its requests, and what came of them."""

    def __init__(self, requests: list[bytes], connections: int, seconds: float, repeat: bool) -> None:
        self.requests = requests
        self.open = connections
        self.place = 0
        self.repeat = repeat
        self.deadline = time.perf_counter() + seconds
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        if time.perf_counter() >= self.deadline:
            return None
        if self.place >= len(self.requests):
            if not self.repeat:
                return None
            self.place = 0
        self.place += 1
        return self.requests[self.place - 1]

    def answered(self, status: bytes, seconds: float) -> None:
        self.statuses[status.decode()] += 1
        self.latencies.append(seconds)

    def finished(self) -> None:
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def main(host: str, port: int, connections: int, seconds: float, file: Path, repeat: bool) -> None:
    data = file.read_bytes()
    requests, place = [], 0
    while place < len(data):
        size = int(data[place : place + 8], 16)
        requests.append(data[place + 8 : place + 8 + size])
        place += 8 + size
    del data
    loop = asyncio.get_running_loop()
    run = Run(requests, connections, seconds, repeat)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(run), host, port)
    await run.done
    elapsed = time.perf_counter() - started
    latencies = sorted(run.latencies)

    def percentile(share: float) -> float:
        return round(latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000, 2)

    report = {
        "statuses": dict(run.statuses),
        "seconds": round(elapsed, 3),
        "per_second": round(len(latencies) / elapsed),
        "p50_ms": percentile(0.5),
        "p99_ms": percentile(0.99),
        "max_ms": percentile(1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    host, port, connections, seconds, file, *rest = sys.argv[1:]
    uvloop.run(main(host, int(port), int(connections), float(seconds), Path(file), rest == ["--repeat"]))
