"""What a plugin that misbehaves costs the others: from a signed webhook of GitHub's to the line in an open stream.

`python benchmarks/isolation.py [--does raises hangs breaks leaks floods waits computes] [--accounts 20]`: the same
load each time, with a second connector whose accounts are polled every second and do that, and its ratio to the same
with one that does nothing. It begins when the measuring does. `seconds_harmed` is for how long news took more than
250 ms: what computes harms until it is parked, so this says more of it than a percentile. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import urllib.request
from pathlib import Path

import uvloop

from fanout import at_rate, stream_request, webhooks_for
from harness import FOLDER, Server, report
from streams import percentiles

_AFTER = re.compile(rb'"id":"github:push:[^"]*:([0-9a-f]{40})"')
_HARMED_SECONDS = 0.25
_WAYS = ["raises", "hangs", "breaks", "leaks", "floods", "waits", "computes"]


def install(folder: Path) -> None:
    """Make the plugin one of an installed distribution."""
    info = folder / "clumsy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clumsy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tidings.connectors]\nclumsy = clumsy:ClumsyPlugin\n")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(FOLDER)])


def follow(server: Server, token: str, address: str) -> None:
    request = urllib.request.Request(
        f"{server.url}/api/connections",
        json.dumps({"platform": "clumsy", "address": address}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def measure(does: str, *, users: int, accounts: int, per_second: float, seconds: float) -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder)
        server = Server(folder)
        start = folder / "start"
        options = {"does": does, "once_there_is": str(start)}
        text = server.config.read_text()
        server.config.write_text(
            text.replace("connectors: {", f"connectors: {{clumsy: {json.dumps(options)}, ")
        )
        server.add_users(users)
        tokens = server.tokens(users)
        server.start()
        try:
            for number in range(accounts):
                follow(server, tokens[number % users], f"account-{number}")
            requests = [stream_request(token, "sse") for token in tokens]
            webhooks, keys, _ = webhooks_for(users, int(per_second * seconds), seed=5)
            start.touch()
            latencies, lost = uvloop.run(
                at_rate([server.port], requests, webhooks, keys, per_second, _AFTER.findall, "sse")
            )
            rss_kib = server.rss_kib()
        finally:
            server.stop()
    result = percentiles(latencies)
    return {
        "does": does,
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "last_ms": result["last_ms"],
        "seconds_harmed": round(sum(one > _HARMED_SECONDS for one in latencies) / per_second, 2),
        "lost": lost,
        "rss_mib": rss_kib // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--does", nargs="*", choices=_WAYS, default=_WAYS)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--per-second", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    load = {
        "users": arguments.users,
        "accounts": arguments.accounts,
        "per_second": arguments.per_second,
        "seconds": arguments.seconds,
    }
    without = measure("nothing", **load)
    print(without, file=sys.stderr)
    runs = []
    for does in arguments.does:
        run = measure(does, **load)
        runs.append({**run, "p99_ratio": round(run["p99_ms"] / without["p99_ms"], 2)})
        print(runs[-1], file=sys.stderr)
    report({**load, "without": without, "runs": runs})


if __name__ == "__main__":
    main()
