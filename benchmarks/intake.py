"""How many signed webhooks a second are on disk before their 2xx, and how long each takes.

`python benchmarks/intake.py [--seconds 6] [--database postgresql] [--nodes 3]` measures 1, 8 and 64 connections, for 1
and for 1,000 users, each beside a bare uvicorn application that reads the body and nothing else. Several nodes get as
many connections each. The last line is JSON.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import FOLDER, await_port, free_port, push_body, report, signed_request, write_requests
from nodes import Nodes, at_work


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


def bare(connections: int, seconds: float, file: Path) -> dict:
    """The same requests to an application that reads the body and answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(FOLDER / "bare.py"), str(port)])
    try:
        await_port(port, process)
        return load(port, connections, seconds, file, repeat=True)
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
    files = []
    for place, _server in enumerate(nodes.servers):
        files.append(folder / f"requests{place}")
        count = int(seconds * (1500 if connections == 1 else 9000))
        prepare(files[-1], count, users, seed=connections * 10_000 + users + place * 100_000_000)
    before = nodes.events_stored()
    cpu, database_cpu = nodes.cpu_seconds(), nodes.database_cpu_seconds()
    with ThreadPoolExecutor(len(files)) as threads:
        loads = [
            threads.submit(load, server.port, connections, seconds, file)
            for server, file in zip(nodes.servers, files, strict=True)
        ]
        results = [one.result() for one in loads]
    used, database_used = nodes.cpu_seconds() - cpu, nodes.database_cpu_seconds() - database_cpu
    stored = nodes.events_stored() - before
    statuses = sum((Counter(result["statuses"]) for result in results), Counter())
    accepted = sum(count for status, count in statuses.items() if status.startswith("2"))
    baseline = bare(connections, min(seconds, 4), files[0])
    for file in files:
        file.unlink()
    if stored != accepted or accepted != statuses.total():
        raise SystemExit(f"void: {accepted} answers were 2xx of {dict(statuses)}, and {stored} rows stored")
    per_second = round(sum(result["per_second"] for result in results), 1)
    return {
        "nodes": len(results),
        "connections": connections,
        "users": users,
        "events_per_second": per_second,
        "p50_ms": max(result["p50_ms"] for result in results),
        "p99_ms": max(result["p99_ms"] for result in results),
        "ratio_to_bare": round(per_second / baseline["per_second"], 3),
        "bare_per_second": baseline["per_second"],
        "cpu_us_per_event": round(used / accepted * 1e6),
        "database_cpu_us_per_event": round(database_used / accepted * 1e6),
    }


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
