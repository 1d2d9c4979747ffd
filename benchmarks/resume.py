"""A reader comes back a million events behind: when does the first byte come, how fast is the rest, what does it cost?

`python benchmarks/resume.py [--events 1000000]`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fanout import stream_request
from harness import FOLDER, Server, report

_EVENT = b"\nevent: message"


def open_stream(server: Server, token: str, after: str) -> tuple[socket.socket, float, bytes]:
    """A raw connection to a stream, the seconds until its first event, and what came by then."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    request = stream_request(token, "sse").replace(
        b"/api/sse/stream", f"/api/sse/stream?after={after}".encode()
    )
    started = time.perf_counter()
    connection.settimeout(30)
    connection.sendall(request)
    data = b""
    while _EVENT not in data:
        data += connection.recv(65536)
    return connection, time.perf_counter() - started, data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name))
        server.add_users(1)
        command = [sys.executable, str(FOLDER / "fill.py"), str(server.config), str(arguments.events)]
        subprocess.run(command, check=True)
        server.start()
        try:
            (token,) = server.tokens(1)
            first = []
            for _ in range(5):
                connection, seconds, _ = open_stream(server, token, "0")
                connection.close()
                first.append(seconds)
            time.sleep(1)
            before = peak = server.rss_kib()
            started = time.perf_counter()
            connection, _, data = open_stream(server, token, "0")
            received, tail, checked = data.count(_EVENT), data[1 - len(_EVENT) :], started
            while received < arguments.events:
                data = connection.recv(1 << 20)
                received += (tail + data).count(_EVENT)
                tail = (tail + data)[1 - len(_EVENT) :]
                if time.perf_counter() - checked > 0.2:
                    checked = time.perf_counter()
                    peak = max(peak, server.rss_kib())
            seconds = time.perf_counter() - started
        finally:
            server.stop()
    report(
        {
            "events": arguments.events,
            "first_byte_ms": round(sorted(first)[len(first) // 2] * 1000, 2),
            "events_per_second": round(arguments.events / seconds),
            "peak_kib": peak - before,
        }
    )


if __name__ == "__main__":
    main()
