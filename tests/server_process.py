"""A server in a process of its own, to be killed, traced, or left without disk space.

Run as a script it is that process: `python server_process.py FOLDER [SYNCHRONOUS]`.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

import canaries
from tidings.testing.server import Hook

CONFIG = """\
server: {{port: {port}}}
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited, webhooks: unlimited}}
log: {{format: json}}
plugins:
  connectors: {{github: {{}}}}
  transports: {{sse: {{heartbeat: 300ms}}}}
  bus: {{local: {{}}}}
"""


@dataclasses.dataclass
class ServerProcess:
    """A running process and what its first line says."""

    process: subprocess.Popen[bytes]
    pid: int  # of the server, also where another command runs it
    url: str
    token: str
    hooks: list[Hook]
    log: Path

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(60)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        canaries.watch.scan(self.log)

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False, verify=False, limits=limits)

    async def events(self) -> list[dict[str, Any]]:
        """The whole journal of the first user."""
        events: list[dict[str, Any]] = []
        after: str | None = "0"
        async with self.client() as client:
            while after is not None:
                answer = await client.get(
                    "/api/events",
                    params={"after": after, "limit": 500},
                    headers={"authorization": f"Bearer {self.token}"},
                )
                answer.raise_for_status()
                events += answer.json()["events"]
                after = answer.json()["next"]
        return events


def write_config(folder: Path) -> None:
    """A configuration with a free port, kept over restarts."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yaml").write_text(CONFIG.format(port=port))


def start(
    folder: Path,
    *,
    prefix: Sequence[str] = (),
    synchronous: str = "FULL",
) -> ServerProcess:
    """Start a server on `folder` and wait until it takes requests; its log is `folder`.log.

    Args:
        prefix: A command that runs the server: `strace …`.
    """
    command = [*prefix, sys.executable, __file__, str(folder), synchronous]
    log = folder.with_name(folder.name + ".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        process.stdout.close()
        raise RuntimeError(f"The server did not start:\n{log.read_text()[-3000:]}")
    said = json.loads(line)
    hooks = [Hook(**hook) for hook in said["hooks"]]
    return ServerProcess(process, said["pid"], said["url"], said["token"], hooks, log)


async def _serve(folder: Path, synchronous: str) -> None:
    from tidings import logs
    from tidings.accounts import add_user, find_user
    from tidings.api_tokens import add_token
    from tidings.config import load
    from tidings.plugins import load_plugins
    from tidings.registrations import add_registration
    from tidings.runtime import running
    from tidings.server import HttpServer, bind
    from tidings.testing.listening import overheard

    canaries.begin(tell=lambda found: print(f"{canaries.PLANTED}: {found}", file=sys.stderr, flush=True))
    settings = load(folder / "config.yaml")
    log = logs.configure(format="json", level="info")
    loaded = load_plugins(settings)
    people = folder / "people.json"
    async with running(settings, loaded, log, synchronous=synchronous) as services:
        now = services.clock.now()

        def add(connection: Any) -> dict[str, Any]:
            user = find_user(connection, "alice") or add_user(
                connection, name="alice", is_admin=True, now=now
            )
            hooks = []
            for _ in range(3):
                hook_id, secret = add_registration(
                    connection, services.vault, user_id=user.id, platform="github", now=now
                )
                path = f"/api/webhooks/github/{hook_id}"
                hooks.append({"id": hook_id, "path": path, "secret": secret})
            _, token = add_token(connection, user, scopes=["read", "send"], now=now)
            return {"token": token, "hooks": hooks}

        if not people.exists():
            people.write_text(json.dumps(await services.writer.run_unit(add)))
        said = json.loads(people.read_text())
        said |= {"url": f"http://127.0.0.1:{settings.server.port}", "pid": os.getpid()}
        server = HttpServer(
            services, started=lambda: print(json.dumps(said), flush=True), protocol=overheard()
        )
        await server.serve([bind(settings)])


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1]), sys.argv[2]))
