"""From a signed webhook to the line in an open stream: 500 a second over 1,000 users with 1,000 streams.

`python benchmarks/live.py`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import uvloop

from fanout import at_rate, stream_request, webhooks_for
from harness import report, serving
from streams import percentiles

_AFTER = re.compile(rb'"id":"github:push:[^"]*:([0-9a-f]{40})"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name), users=arguments.users) as server:
        requests = [stream_request(token, "sse") for token in server.tokens(arguments.users)]
        webhooks, keys, _ = webhooks_for(
            arguments.users, int(arguments.per_second * arguments.seconds), seed=5
        )
        latencies, lost = uvloop.run(
            at_rate([server.port], requests, webhooks, keys, arguments.per_second, _AFTER.findall, "sse")
        )
        result = percentiles(latencies)
    report(
        {
            "events_per_second": arguments.per_second,
            "streams": arguments.users,
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "lost": lost,
        }
    )


if __name__ == "__main__":
    main()
