"""What the benchmarks share: a real server process on a throw-away database, signed payloads, JSON reports."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECRET = "benchmark-secret-benchmark-secret"
_CONFIG = """
server: {{host: 127.0.0.1, port: {port}}}
database: {database}
limits: {{api: unlimited, sessions: unlimited, webhooks: unlimited}}
log: {{format: json}}
plugins:
  connectors: {{github: {{webhook_secret: {secret}}}}}
  transports: {transports}
  bus: {bus}
"""
_WORDS = [
    "fix",
    "add",
    "remove",
    "tidy",
    "speed",
    "document",
    "journal",
    "cursor",
    "fan-out",
    "stream",
    "retry",
    "token",
    "webhook",
    "poll",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process listens."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise SystemExit(f"{process.args} has ended: {process.returncode}")
        time.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A tidings server in a process of its own; of several in one folder each has its number."""

    def __init__(
        self,
        folder: Path,
        transports: str = "{sse: {heartbeat: 15s}}",
        *,
        database: str = "sqlite+aiosqlite:///tidings.db",
        bus: str = "{local: {}}",
        number: int = 0,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / (f"config{number}.yaml" if number else "config.yaml")
        self.config.write_text(
            _CONFIG.format(port=self.port, secret=SECRET, transports=transports, database=database, bus=bus)
        )
        self.database = folder / "tidings.db"
        self.process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cli(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tidings", "--config", str(self.config), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def add_users(self, count: int) -> None:
        """Add users u1…uN straight into the database: the CLI would take a process for each."""
        subprocess.run(
            [sys.executable, str(FOLDER / "add_users.py"), str(self.config), str(count)], check=True
        )

    def tokens(self, count: int) -> list[str]:
        """A token for each of the users u1…uN."""
        command = [sys.executable, str(FOLDER / "add_tokens.py"), str(self.config), str(count)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def start(self) -> None:
        started = time.perf_counter()
        log = (self.folder / "server.log").open("ab")
        command = [sys.executable, "-m", "tidings", "--config", str(self.config), "serve"]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/health", timeout=5) as answer:
                    answer.read()
                break
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None:
                    raise SystemExit((self.folder / "server.log").read_text()[-3000:]) from None
                time.sleep(0.01)
        self.start_seconds = time.perf_counter() - started

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)

    def rss_kib(self) -> int:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_seconds(self) -> float:
        assert self.process is not None
        return cpu_seconds(self.process.pid)

    def events_stored(self) -> int:
        with sqlite3.connect(self.database) as connection:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


@contextmanager
def serving(folder: Path, *, users: int, transports: str = "{sse: {heartbeat: 15s}}") -> Iterator[Server]:
    """A started server with that many users."""
    server = Server(folder, transports)
    server.add_users(users)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def push_body(random_: random.Random, commits: int = 4) -> bytes:
    """A push payload of about 7 KB, like GitHub's, another push each time."""
    return _template(commits)(random_.randbytes(20).hex(), random_.randbytes(20).hex())


def _template(commits: int):
    made = _TEMPLATES.get(commits)
    if made is None:
        made = _TEMPLATES[commits] = _make_template(commits)
    return made


_TEMPLATES: dict[int, object] = {}


def _make_template(commits: int):
    source = random.Random(7)
    user = {
        "login": "octocat", "id": 583231, "node_id": "MDQ6VXNlcjU4MzIzMQ==",
        "avatar_url": "https://avatars.example.test/u/583231?v=4", "url": "https://api.example.test/users/octocat",
        "html_url": "https://github.com/octocat", "type": "User", "site_admin": False,
    }  # fmt: skip
    repository = {
        "id": 1296269, "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5", "name": "hello-world",
        "full_name": "octo/hello-world", "private": False, "owner": user,
        "html_url": "https://github.com/octo/hello-world", "description": "A first repository",
        "created_at": 1296068472, "pushed_at": 1795000000, "default_branch": "main",
        **{f"{name}_url": f"https://api.example.test/repos/octo/hello-world/{name}{{/sha}}" for name in (
            "forks", "keys", "collaborators", "teams", "hooks", "issue_events", "events", "assignees", "branches",
            "tags", "blobs", "git_tags", "git_refs", "trees", "statuses", "languages", "stargazers", "contributors",
            "subscribers", "subscription", "commits", "git_commits", "comments", "issue_comment", "contents",
            "compare", "merges", "archive", "downloads", "issues", "pulls", "milestones", "notifications", "labels",
        )},
    }  # fmt: skip
    made = [
        {
            "id": source.randbytes(20).hex(), "tree_id": source.randbytes(20).hex(), "distinct": True,
            "message": " ".join(source.choices(_WORDS, k=9)), "timestamp": "2026-11-20T12:00:00+01:00",
            "url": f"https://github.com/octo/hello-world/commit/{source.randbytes(20).hex()}",
            "author": {"name": "The Octocat", "email": "octocat@example.test", "username": "octocat"},
            "committer": {"name": "The Octocat", "email": "octocat@example.test", "username": "octocat"},
            "added": [f"src/{source.choice(_WORDS)}.py"], "removed": [],
            "modified": [f"src/{word}.py" for word in source.choices(_WORDS, k=3)],
        }
        for _ in range(commits)
    ]  # fmt: skip
    payload = {
        "ref": "refs/heads/main", "before": "B" * 40, "after": "A" * 40, "repository": repository,
        "pusher": {"name": "octocat", "email": "octocat@example.test"}, "sender": user, "created": False,
        "deleted": False, "forced": False, "base_ref": None,
        "compare": "https://github.com/octo/hello-world/compare/main", "commits": made, "head_commit": made[-1],
    }  # fmt: skip
    head, middle = json.dumps(payload).split("B" * 40)
    middle, tail = middle.split("A" * 40)
    return lambda before, after: f"{head}{before}{middle}{after}{tail}".encode()


def signed_request(body: bytes, path: str, guid: str) -> bytes:
    """A whole HTTP/1.1 request with GitHub's headers."""
    signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {guid}\r\n"
        "X-GitHub-Hook-ID: 292430182\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n"
        "X-GitHub-Hook-Installation-Target-ID: 1296269\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\n\r\n"
    ).encode() + body


def write_requests(file: Path, requests: Sequence[bytes]) -> None:
    """In the form that load.py reads."""
    with file.open("wb") as out:
        for request in requests:
            out.write(b"%08x" % len(request))
            out.write(request)


def report(result: object) -> None:
    """The last line of every benchmark."""
    print(json.dumps(result))
