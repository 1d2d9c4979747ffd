from __future__ import annotations

import asyncio
import resource
import socket
from pathlib import Path

import httpx
import pytest

from tidings.config import Settings
from tidings.errors import ConfigError, Conflict
from tidings.server import allow_many_connections, bind
from tidings.testing.clock import FakeClock
from tidings.testing.server import CONFIG, live_server


def _settings(port: int, host: str = "127.0.0.1") -> Settings:
    return Settings().listening_on(host=host, port=port)


def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"can't listen on 127.0.0.1 port {port}: .*--port"):
            bind(_settings(port))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"can't listen on 192\.0\.2\.1"):
        bind(_settings(8080, "192.0.2.1"))


def test_little_is_buffered_for_a_client_that_does_not_read() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with bind(_settings(port)) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 64 * 1024


def test_the_systems_usual_limit_on_open_files_is_raised_to_what_it_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert allow_many_connections() == hard > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_second_server_on_one_database_is_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path) as first:
        with pytest.raises(Conflict, match="already uses"):
            async with live_server(tmp_path):
                pass
        assert (await first.client.get("/api/health")).json() == {"status": "ok"}
    async with live_server(tmp_path) as again:
        assert (await again.client.get("/api/health")).json() == {"status": "ok"}


async def test_a_stopping_server_takes_no_connection_but_finishes_what_it_began(tmp_path: Path) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        async with live_server(tmp_path) as server:
            alice = await server.add_user("alice")
            token = await server.add_token(alice, "send")
            gate, begun = asyncio.Event(), asyncio.Event()
            append = server.services.journal.append

            async def slow(*items: object) -> object:
                begun.set()
                await gate.wait()
                return await append(*items)  # type: ignore[arg-type] - passed on

            server.services.journal.append = slow  # type: ignore[method-assign, assignment] - to be caught in the act
            sending = asyncio.create_task(
                client.post(
                    f"{server.url}/api/sse/send",
                    json={"message": {"title": "x"}},
                    headers={"authorization": f"Bearer {token}"},
                )
            )
            await begun.wait()
            asyncio.get_running_loop().call_later(0.5, gate.set)
        assert (await sending).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)


async def test_a_server_that_is_told_to_stop_says_so_and_serves_on_for_a_while(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        live_server(tmp_path, CONFIG + "server: {leave_after: 5s}\n", clock=clock) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client,
    ):
        assert (await client.get("/api/health/ready")).json() == {"status": "ok"}
        server.stop()
        async with asyncio.timeout(20):
            while (answer := await client.get("/api/health/ready")).status_code == 200:
                await asyncio.sleep(0)
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "reason": "leaving"})
        assert (await client.get("/api/health/live")).status_code == 200
        await clock.advance(4)
        assert (await client.get("/api/health/ready")).status_code == 503
        async with asyncio.timeout(20):
            while not server.stopped:
                await clock.advance(1)
        with pytest.raises(httpx.ConnectError):
            await client.get("/api/health/live")


async def test_without_its_database_a_server_is_not_ready(tmp_path: Path) -> None:
    async with live_server(tmp_path) as server:
        server.services.health.component("database").down("the disk is full")
        answer = await server.client.get("/api/health/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "database")
        assert (await server.client.get("/api/health/live")).status_code == 200
