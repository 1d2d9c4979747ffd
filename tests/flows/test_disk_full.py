"""With the disk full nothing acknowledged is lost, streams stay open, and all heals when space returns."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import deliveries
import server_process
from tidings.testing.streams import open_stream

SPACE = "5m"
BALLAST_BYTES = 2 * 1024 * 1024
FILLER = "x" * 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[list[str]]:
    """A command that runs another one in a namespace where `tmp_path` is a small file system."""
    unshare = shutil.which("unshare")
    script = f'mount -t tmpfs -o size={SPACE} none "$0" && cp "$0"/../seed/* "$0" && exec "$@"'
    disk, seed = tmp_path / "disk", tmp_path / "seed"
    disk.mkdir()
    seed.mkdir()
    prefix = [unshare or "unshare", "-rm", "sh", "-c", script, str(disk)]
    server_process.write_config(seed)
    (seed / "ballast").write_bytes(bytes(BALLAST_BYTES))
    if unshare is None or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are forbidden here, so no small file system can be mounted")
    yield prefix


def _push(serial: int) -> dict[str, object]:
    return {**deliveries.push(serial), "filler": FILLER, "commits": [_commit(serial, n) for n in range(20)]}


def _commit(serial: int, number: int) -> dict[str, object]:
    return {"id": deliveries.sha(f"{serial}/{number}"), "message": FILLER[:900], "distinct": True}


async def test_a_full_disk_is_a_503_and_heals_without_a_restart(
    tmp_path: Path, small_disk: list[str]
) -> None:
    disk = tmp_path / "disk"
    # The log lies on the same disk, and can't be written either.
    logging = ["sh", "-c", 'exec "$@" 2>"$0"/log', str(disk)]
    server = server_process.start(disk, prefix=[*small_disk, *logging])
    try:
        async with server.client() as client:
            acknowledged: list[str] = []
            async with open_stream(client, server.token) as stream:
                refused = await _fill(client, server, acknowledged)
                assert int(refused.headers["retry-after"]) > 0
                assert acknowledged
                # It still answers, reads and keeps streams open.
                health = await client.get("/api/health")
                assert (health.status_code, health.json()["status"]) == (503, "unavailable")
                assert {event["id"] for event in await server.events()} == set(acknowledged)
                streamed = await stream.events(len(acknowledged))
                await stream.heartbeat()
                again = await deliveries.send(client, server.hooks[0], _push(10_000))
                assert again.status_code == 503

                (Path(f"/proc/{server.pid}/root") / disk.relative_to("/") / "ballast").unlink()
                await _until_taken(client, server, acknowledged)
                assert (await client.get("/api/health")).json()["status"] == "ok"
                streamed += await stream.events(len(acknowledged) - len(streamed))
        stored = [event["id"] for event in await server.events()]
        assert stored == acknowledged
        assert [frame.json()["id"] for frame in streamed] == acknowledged
        assert server.process.poll() is None
        assert server.stop() == 0
    finally:
        server.close()


async def _fill(
    client: httpx.AsyncClient, server: server_process.ServerProcess, acknowledged: list[str]
) -> httpx.Response:
    for serial in range(2_000):
        answer = await deliveries.send(client, server.hooks[0], _push(serial))
        if answer.status_code == 503:
            return answer
        assert answer.status_code == 200, answer.text
        acknowledged.append(_id(serial))
    raise AssertionError("The disk did not get full.")


async def _until_taken(
    client: httpx.AsyncClient, server: server_process.ServerProcess, acknowledged: list[str]
) -> None:
    async with asyncio.timeout(15):
        for serial in range(20_000, 30_000):
            answer = await deliveries.send(client, server.hooks[0], _push(serial))
            if answer.status_code == 200:
                acknowledged.append(_id(serial))
                return
            await asyncio.sleep(0.05)


def _id(serial: int) -> str:
    push = deliveries.push(serial)
    return f"github:push:1:{push['ref']}:{push['before']}:{push['after']}"


async def test_what_was_refused_is_taken_when_it_is_sent_again(tmp_path: Path, small_disk: list[str]) -> None:
    disk = tmp_path / "disk"
    server = server_process.start(disk, prefix=small_disk)
    try:
        async with server.client() as client:
            acknowledged: list[str] = []
            await _fill(client, server, acknowledged)
            many = await asyncio.gather(
                *[
                    deliveries.send(client, server.hooks[0], _push(serial), delivery=f"again-{serial}")
                    for serial in range(5_000, 5_020)
                ]
            )
            refused = [n for n, answer in zip(range(5_000, 5_020), many, strict=True) if answer.is_error]
            assert {answer.status_code for answer in many} <= {200, 503}
            assert refused
            (Path(f"/proc/{server.pid}/root") / disk.relative_to("/") / "ballast").unlink()
            await _until_taken(client, server, [])
            for serial in refused:
                answer = await deliveries.send(
                    client, server.hooks[0], _push(serial), delivery=f"again-{serial}"
                )
                assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}
        ids = [event["id"] for event in await server.events()]
        assert len(ids) == len(set(ids))
        assert set(acknowledged) | {_id(serial) for serial in range(5_000, 5_020)} <= set(ids)
    finally:
        server.close()


def test_the_payloads_are_large_enough_to_fill_the_disk() -> None:
    assert len(json.dumps(_push(1))) > 30_000
