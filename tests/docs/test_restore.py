"""The backup of the how-to, put back on another host: webhooks, tokens and journals are as they were."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import markdown_pages as md

from deliveries import issue, send
from server_process import start, write_config
from tidings.testing.streams import open_stream

KEEP = "docs/how-to/keep-and-back-up.md"


def type_there(folder: Path, *commands: str) -> None:
    venv = folder / ".venv"
    if not venv.exists():
        venv.symlink_to(sys.prefix)
    script = "\n".join(["set -eu", *commands])
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


async def test_another_host_goes_on_and_tells_its_readers_what_it_lacks(tmp_path: Path) -> None:
    _, _, backup, put_back, new_epoch, check = md.blocks_of(KEEP, "sh")
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    write_config(old)
    server = start(old)
    try:
        async with server.client() as client:
            for number in (1, 2):
                assert (await send(client, server.hooks[0], issue(number), event="issues")).status_code == 200
            type_there(old, backup)
            for number in (3, 4, 5):
                assert (await send(client, server.hooks[0], issue(number), event="issues")).status_code == 200
            async with open_stream(client, server.token, after="0") as stream:
                known = [frame.id for frame in await stream.events(5)]
        server.stop()
    finally:
        server.close()
    shutil.copytree(old / "backup", new / "backup")
    assert (new / "backup").stat().st_mode & 0o77 == 0, "it holds everything that people were told"
    shutil.copy(old / "people.json", new)  # what the users and the platforms know
    type_there(new, put_back, new_epoch, check)
    old.rename(tmp_path / "gone")
    server = start(new)
    try:
        async with server.client() as client:
            async with open_stream(client, server.token, last_event_id=known[-1]) as stream:
                gap = await stream.next()
                told = await stream.events(2)
                assert (gap.event, gap.json()["reason"]) == ("gap", "restored")
                titles = [frame.json()["data"]["title"] for frame in told]
                assert [title.rpartition(": ")[2] for title in titles] == ["Issue 1", "Issue 2"]
                again = await send(client, server.hooks[0], issue(4), event="issues")
                assert again.status_code == 200, "the secret of the webhook was opened by the key"
                (redelivered,) = await stream.events(1)
                assert redelivered.json()["data"]["title"].endswith("Issue 4")
                assert redelivered.id not in known, (
                    "its number was given before, in another life of the journal"
                )
            assert len(await server.events()) == 3
    finally:
        server.close()
