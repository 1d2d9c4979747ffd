"""An installation of several nodes: PostgreSQL, NATS and `tidings serve`, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml

from broker import Broker, broker_in
from postgres_server import PostgresServer, postgres_server
from tidings.config import load

_START_SECONDS = 60


class Node:
    """One `tidings serve`, at a port of its own."""

    def __init__(self, name: str, config: Path, port: int) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.killed_at: list[float] = []
        self._config = config
        self._log = config.with_suffix(".log")
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        command = [sys.executable, "-m", "tidings", "--config", str(self._config), "serve"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        said = b""
        assert self._process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            while b"runs at" not in said:
                line = await self._process.stdout.readline()
                assert line, f"{self.name} did not start:\n{self.log()[-3000:]}"
                said += line
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while await stream.read(4096):
            pass

    async def stop(self, how: int = signal.SIGTERM) -> None:
        if self.runs:
            assert self._process is not None
            if how == signal.SIGKILL:
                self.killed_at.append(time.monotonic())
            self._process.send_signal(how)
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/api/health/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Cluster:
    """Nodes on one database and one broker; `folder` has their settings, and the keys that they share."""

    def __init__(self, folder: Path, postgres: PostgresServer, broker: Broker, database_url: str) -> None:
        self.folder = folder
        self.postgres = postgres
        self.broker = broker
        self.database_url = database_url
        self.nodes: list[Node] = []

    def add_node(self, connectors: dict[str, Any] | None = None, **server: Any) -> Node:
        name = f"node{len(self.nodes) + 1}"
        port = _free_port()
        config = self.folder / f"{name}.yaml"
        settings = {
            "server": {"port": port, "public_url": "http://127.0.0.1:9", **server},
            "database": self.database_url,
            "limits": {"api": "unlimited", "webhooks": "unlimited"},
            "log": {"format": "json"},
            "plugins": {
                "connectors": connectors or {"github": {}},
                "transports": {"sse": {"heartbeat": "1s"}, "webpush": {"allow_private": True}},
                "bus": {"nats": {"servers": [self.broker.url]}},
            },
        }
        config.write_text(yaml.safe_dump(msgspec.to_builtins(settings)))
        load(config, os.environ)
        node = Node(name, config, port)
        self.nodes.append(node)
        return node

    @property
    def config(self) -> Path:
        """The settings of the first node, for what is done without a server."""
        return self.folder / "node1.yaml"

    async def start(self) -> None:
        await asyncio.gather(*[node.start() for node in self.nodes])

    async def stop(self) -> None:
        await asyncio.gather(*[node.stop(signal.SIGKILL) for node in self.nodes])


@asynccontextmanager
async def cluster_in(folder: Path, *, durable: bool = False) -> AsyncIterator[Cluster]:
    """A database and a broker without nodes; what was started is stopped at the end."""
    with postgres_server(durable=durable) as postgres, broker_in(folder / "nats") as broker:
        async with postgres.database() as url:
            cluster = Cluster(folder, postgres, broker, url)
            try:
                yield cluster
            finally:
                await cluster.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
