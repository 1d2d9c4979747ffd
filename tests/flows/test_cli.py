"""The command line and a real server, as processes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from commands import CONFIG

PROGRAM = (sys.executable, "-c", "from tidings.cli import main; main()")
LINK = re.compile(r"http://127\.0\.0\.1:\d+/login/[\w-]{43}")
DEADLINE_SECONDS = 60.0


@dataclasses.dataclass
class Site:
    """An installation, and how to call tidings for it from elsewhere."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [*PROGRAM, "--config", str(self.config), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                text=True,
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, "--config", str(self.config), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    def done(self, *arguments: str) -> str:
        run = self.run(*arguments)
        assert run.returncode == 0, run.stderr
        return run.stdout

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


class Server:
    """`tidings serve`, listening."""

    def __init__(self, site: Site) -> None:
        self.process = site.start("serve")
        self.banner = read_until(self.process, "tidings", lines=2)
        found = re.search(r"runs at (http://127\.0\.0\.1:\d+)\n", self.banner)
        assert found, self.banner + site.log
        self.url = found[1]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to stop; its exit code, and how many seconds it took."""
        before = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(DEADLINE_SECONDS)
        return code, time.monotonic() - before


def read_until(process: subprocess.Popen[str], text: str, *, lines: int) -> str:
    """What a process prints, up to where at least so many lines are there and nothing follows at once."""
    assert process.stdout is not None
    read = ""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        patience = 0.0 if text in read and read.count("\n") >= lines else deadline - time.monotonic()
        if not select.select([process.stdout], [], [], patience)[0]:
            break
        chunk = os.read(process.stdout.fileno(), 65536).decode()
        if not chunk:
            break
        read += chunk
    return read


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "config.yaml").write_text(CONFIG)
    return Site(folder)


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    """The first start of a new installation."""
    server = Server(site)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


def test_the_first_start_prints_one_link_that_logs_in_once(site: Site, server: Server) -> None:
    (link,) = LINK.findall(server.banner)
    assert link.startswith(server.url)
    first = httpx.get(link)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert "tidings_session=" in first.headers["set-cookie"]
    assert httpx.get(link).status_code == 410
    assert link.rpartition("/")[2] not in site.log


def test_the_command_it_prints_makes_something_happen_that_tail_shows(site: Site, server: Server) -> None:
    (command,) = re.findall(r"\n  (\S.* send-sample)\n", server.banner)
    assert f"--config {site.config} send-sample" in command
    assert site.done("send-sample") == "Sent a sample of GitHub to me: 1 new event stored.\n"
    event = json.loads(site.done("tail", "--json", "--limit", "1"))
    assert (event["type"], event["via"]) == ("com.github.push", "webhook")


def test_tail_follows_and_ends_at_ctrl_c_and_when_nobody_reads(site: Site, server: Server) -> None:
    followers = [site.start("tail", "me", "-n", "0", "--json") for _ in range(2)]
    lines = site.start("tail", "-n", "0")
    try:
        seen: list[str] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        running = [*followers, lines]
        while len(seen) < len(running) and time.monotonic() < deadline:
            site.done("send-sample")  # until each has begun
            seen = [read for read in (_available(process) for process in running) if read]
        assert json.loads(seen[0].splitlines()[0])["type"] == "com.github.push"
        assert "  github  3 commits pushed" in seen[2]
        followers[0].send_signal(signal.SIGINT)
        assert followers[1].stdout is not None
        followers[1].stdout.close()
        lines.send_signal(signal.SIGINT)
        assert [process.wait(DEADLINE_SECONDS) for process in running] == [0, 0, 0]
        assert "Traceback" not in site.log
    finally:
        for process in (*followers, lines):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _available(process: subprocess.Popen[str]) -> str:
    """What a process has printed within a second, read once more each time it is called."""
    assert process.stdout is not None
    read = getattr(process, "read_so_far", "")
    if select.select([process.stdout], [], [], 1.0 if not read else 0.0)[0]:
        read += os.read(process.stdout.fileno(), 65536).decode()
    process.read_so_far = read  # type: ignore[attr-defined]  # kept where it belongs
    return read


def test_a_token_works_at_the_running_server_until_it_is_revoked(site: Site, server: Server) -> None:
    token = site.done("token", "create", "me", "--scope", "read").strip()
    headers = {"authorization": f"Bearer {token}"}
    answer = httpx.get(f"{server.url}/api/me", headers=headers)
    assert (answer.status_code, answer.json()["user"]["name"]) == (200, "me")
    (listed,) = json.loads(site.done("token", "list", "--json"))
    site.done("token", "revoke", str(listed["id"]))
    deadline = time.monotonic() + 5
    while (answer := httpx.get(f"{server.url}/api/me", headers=headers)).status_code == 200:
        assert time.monotonic() < deadline
    assert answer.status_code == 401
    assert token not in site.log


def test_a_user_added_beside_the_server_gets_a_link_that_works_and_news(site: Site, server: Server) -> None:
    link = site.done("user", "add", "alice").splitlines()[1].removeprefix("link: ")
    assert httpx.get(link).status_code == 303
    url = site.done("webhook", "add", "github", "alice").splitlines()[0].removeprefix("url: ")
    assert url.startswith(f"{server.url}/api/webhooks/github/whk")
    assert "2 samples of GitHub to alice: 2 new events" in site.done(
        "send-sample", "--user", "alice", "--count", "2"
    )
    assert json.loads(site.done("db", "info", "--json"))["users"] == 2
    assert site.done("db", "prune") == "Cut 0 events.\n"


def test_a_sample_that_is_refused_is_told_with_the_servers_reason(site: Site, server: Server) -> None:
    run = site.run("send-sample", "--url", f"{server.url}/elsewhere")
    assert run.returncode == 1
    assert "answered 404" in run.stderr


def test_a_second_server_on_the_same_database_is_refused(site: Site, server: Server) -> None:
    run = site.run("serve", "--port", server.url.rpartition(":")[2])
    assert (run.returncode, run.stdout) == (1, "")
    said = f"tidings: Another tidings server (process {server.process.pid}) already uses {site.folder}"
    assert run.stderr.startswith(said)
    assert "Traceback" not in run.stderr
    assert site.done("send-sample").startswith("Sent")  # the first one is still known


def test_a_port_that_is_taken_is_told_as_a_matter_of_configuration(server: Server, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    run = Site(tmp_path).run("serve", "--port", server.url.rpartition(":")[2])
    assert run.returncode == 2
    assert run.stderr.startswith("tidings: server: can't listen on 127.0.0.1 port")


def test_a_stop_is_quick_and_good_and_the_next_start_shows_no_secret(site: Site, server: Server) -> None:
    code, seconds = server.stop()
    assert code == 0
    assert seconds < 5
    again = Server(site)
    try:
        assert not LINK.search(again.banner)
        assert "user link me" in again.banner
        assert again.stop(signal.SIGINT)[0] == 0
    finally:
        again.process.kill()
        again.process.wait()
        assert again.process.stdout is not None
        again.process.stdout.close()


def test_what_looks_like_a_mistake_in_the_configuration_is_in_the_log_of_the_start(tmp_path: Path) -> None:
    config = CONFIG.replace("github: {}", "github: {webhook_secret: guessable}")
    (tmp_path / "config.yaml").write_text(config + "limits: {max_body: 25}\n")
    site = Site(tmp_path)
    server = Server(site)
    server.stop()
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert "limits.max_body is 25 bytes" in site.log
    assert "config.yaml:4:41: plugins.connectors.github.webhook_secret: this has fewer than 16" in site.log
    assert "guessable" not in site.log


def test_a_user_added_before_the_first_start_is_the_only_one_then(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    site = Site(tmp_path)
    site.done("user", "add", "carol")
    server = Server(site)
    try:
        assert "user link carol" in server.banner
        assert [user["name"] for user in json.loads(site.done("user", "list", "--json"))] == ["carol"]
    finally:
        assert server.stop()[0] == 0
        assert server.process.stdout is not None
        server.process.stdout.close()
