"""How many signed webhooks a second are on disk before their 2xx, and how long each takes.

`python benchmarks/intake.py [--seconds 6]` measures 1, 8 and 64 connections, for 1 and for 1,000 users, each beside
a bare uvicorn application that reads the body and nothing else. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import FOLDER, Server, free_port, push_body, report, serving, signed_request, write_requests


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
        time.sleep(1)
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


def measure(server: Server, folder: Path, connections: int, users: int, seconds: float) -> dict:
    file = folder / "requests"
    prepare(
        file, int(seconds * (1500 if connections == 1 else 9000)), users, seed=connections * 10_000 + users
    )
    before = server.events_stored()
    cpu = server.cpu_seconds()
    result = load(server.port, connections, seconds, file)
    stored = server.events_stored() - before
    accepted = sum(count for status, count in result["statuses"].items() if status.startswith("2"))
    baseline = bare(connections, min(seconds, 4), file)
    file.unlink()
    if stored != accepted or accepted != sum(result["statuses"].values()):
        raise SystemExit(
            f"void: {accepted} answers were 2xx of {result['statuses']}, and {stored} rows stored"
        )
    return {
        "connections": connections,
        "users": users,
        "events_per_second": result["per_second"],
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "ratio_to_bare": round(result["per_second"] / baseline["per_second"], 3),
        "bare_per_second": baseline["per_second"],
        "cpu_us_per_event": round((server.cpu_seconds() - cpu) / accepted * 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--users", type=int, nargs="*", default=[1, 1000])
    arguments = parser.parse_args()
    runs = []
    for users in arguments.users:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with serving(folder, users=users) as server:
                for connections in arguments.connections:
                    runs.append(measure(server, folder, connections, users, arguments.seconds))
                    print(runs[-1], file=sys.stderr)
            server.start()
            time.sleep(1)
            idle_rss_kib, start_seconds = server.rss_kib(), server.start_seconds
            server.stop()
    report({"runs": runs, "idle_rss_kib": idle_rss_kib, "start_seconds": round(start_seconds, 2)})


if __name__ == "__main__":
    main()
