"""How many signed webhooks a second are on disk before their 2xx, and how long each takes.

`python benchmarks/intake.py [--seconds 6] [--database postgresql] [--nodes 3]` measures 1, 8 and 64 connections, for 1
and for 1,000 users, each in turns with a bare uvicorn application that reads the body and nothing else: what else the
machine does then takes from both alike. Latencies are those of the worst turn. Several nodes get as many connections
each. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from harness import FOLDER, await_port, free_port, push_body, report, signed_request, write_requests
from nodes import Nodes, at_work

_TURNS = 3  # of the servers and of the bare application, one after the other


def load(port: int, connections: int, seconds: float, file: Path, *, repeat: bool = False) -> dict:
    command = [
        sys.executable,
        str(FOLDER / "load.py"),
        "127.0.0.1",
        str(port),
        str(connections),
        str(seconds),
    ]
    output = subprocess.run(
        [*command, str(file), *(["--repeat"] if repeat else [])], check=True, capture_output=True, text=True
    )
    return json.loads(output.stdout)


@contextmanager
def bare() -> Iterator[int]:
    """The port of an application that reads the body and answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(FOLDER / "bare.py"), str(port)])
    try:
        await_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def prepare(file: Path, count: int, users: int, seed: int) -> None:
    source = random.Random(seed)
    write_requests(
        file,
        [
            signed_request(
                push_body(source), f"/api/webhooks/github/u{number % users + 1}", source.randbytes(16).hex()
            )
            for number in range(count)
        ],
    )


def measure(nodes: Nodes, folder: Path, connections: int, users: int, seconds: float) -> dict:
    turns, bare_turns = [], []
    accepted, used, database_used = 0, 0.0, 0.0
    with bare() as port:
        for turn in range(_TURNS):
            files = []
            for place, _server in enumerate(nodes.servers):
                files.append(folder / f"requests{place}")
                count = int(seconds / _TURNS * (1500 if connections == 1 else 12_000))
                seed = connections * 10_000 + users + place * 100_000_000 + turn * 1_000_000_000
                prepare(files[-1], count, users, seed)
            before = nodes.events_stored()
            cpu, database_cpu = nodes.cpu_seconds(), nodes.database_cpu_seconds()
            with ThreadPoolExecutor(len(files)) as threads:
                loads = [
                    threads.submit(load, server.port, connections, seconds / _TURNS, file)
                    for server, file in zip(nodes.servers, files, strict=True)
                ]
                turns.append([one.result() for one in loads])
            used += nodes.cpu_seconds() - cpu
            database_used += nodes.database_cpu_seconds() - database_cpu
            accepted += _accepted(turns[-1], nodes.events_stored() - before)
            bare_turns.append(load(port, connections, min(seconds, 4) / _TURNS, files[0], repeat=True))
            for file in files:
                file.unlink()
    per_second = fmean(sum(result["per_second"] for result in turn) for turn in turns)
    bare_per_second = fmean(turn["per_second"] for turn in bare_turns)
    return {
        "nodes": len(nodes.servers),
        "connections": connections,
        "users": users,
        "events_per_second": round(per_second, 1),
        "p50_ms": max(result["p50_ms"] for turn in turns for result in turn),
        "p99_ms": max(result["p99_ms"] for turn in turns for result in turn),
        "ratio_to_bare": round(per_second / bare_per_second, 3),
        "bare_per_second": round(bare_per_second, 1),
        "cpu_us_per_event": round(used / accepted * 1e6),
        "database_cpu_us_per_event": round(database_used / accepted * 1e6),
    }


def _accepted(results: list[dict], stored: int) -> int:
    """How many answers were 2xx, which must be all, and as many rows."""
    statuses = sum((Counter(result["statuses"]) for result in results), Counter())
    accepted = sum(count for status, count in statuses.items() if status.startswith("2"))
    if stored != accepted or accepted != statuses.total():
        raise SystemExit(f"void: {accepted} answers were 2xx of {dict(statuses)}, and {stored} rows stored")
    return accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--users", type=int, nargs="*", default=[1, 1000])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--nodes", type=int, default=1)
    arguments = parser.parse_args()
    runs = []
    for users in arguments.users:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with at_work(folder, users=users, database=arguments.database, count=arguments.nodes) as nodes:
                server = nodes.servers[0]
                for connections in arguments.connections:
                    runs.append(measure(nodes, folder, connections, users, arguments.seconds))
                    print(runs[-1], file=sys.stderr)
                server.stop()
                server.start()
                time.sleep(1)
                idle_rss_kib, start_seconds = server.rss_kib(), server.start_seconds
    idle = {"idle_rss_kib": idle_rss_kib, "start_seconds": round(start_seconds, 2)}
    report({"database": arguments.database, "runs": runs, **idle})


if __name__ == "__main__":
    main()
