"""The tutorial and the how-tos, done letter by letter against a server."""

import asyncio
import importlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import markdown_pages as md
import pytest

from tidings.testing.server import CONFIG, live_server
from tidings.testing.streams import open_stream

TUTORIAL = "docs/tutorial/first-events.md"
EMBED = "docs/how-to/embed-the-stream.md"
WEBSOCKET = "docs/how-to/use-a-websocket.md"
KEEP = "docs/how-to/keep-and-back-up.md"
PLUGIN = "docs/how-to/write-a-plugin.md"

Needs = Callable[..., None]


# --- the tutorial -------------------------------------------------------------------------------------------


def test_the_tutorial_works(clone: Any, needs: Needs) -> None:
    needs("curl")
    commands = [text for text in md.blocks_of(TUTORIAL, "sh") if "apt install" not in text]
    assert commands.pop(0) == "make run\n"  # as the next line does
    welcome = clone.serve()
    promised = md.blocks_of(TUTORIAL, "text")[0]
    assert _shape(welcome) == _shape(promised)
    message = next(place for place, text in enumerate(commands) if "kettle-1" in text)
    commands.insert(message, commands[message])  # "Type the same command again"
    printed = clone.type(*[_ending(text) for text in commands])
    assert "Sent a sample of GitHub to me: 1 new event stored." in printed
    assert "Sent 3 samples of GitHub to me: 3 new events stored." in printed
    answer = json.loads(md.blocks_of(TUTORIAL, "text")[1])
    first, again = (json.loads(line) for line in re.findall(r'\{"id":.*?\}', printed)[:2])
    assert {**first, "cursor": ""} == {**answer, "cursor": ""}
    assert first["cursor"].endswith("-5")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert re.search(r'"events":\[\{.*"title":"The kettle is on"', printed)
    assert printed.count("event: webhook_received") == 4
    assert printed.count("event: message") == 1
    assert len(re.findall(r"^\d{4}-\d\d-\d\d .* tidings  The kettle is on", printed, re.MULTILINE)) == 1
    assert len(re.findall(r'^\{"specversion"', printed, re.MULTILINE)) == 2
    assert re.search(r"http://127\.0\.0\.1:\d+/login/\S+$", printed, re.MULTILINE)
    clone.stop()
    assert "For a login link:" in clone.serve()


def _ending(text: str) -> str:
    """The same command, where it would go on for ever, with an end."""
    text = re.sub(r"^curl -N ", "curl -N --max-time 1 ", text)
    if "--max-time" in text:
        return f"{text.rstrip()} 2>/dev/null || true"
    return f"{text.rstrip()} | head -n 5" if text == ".venv/bin/tidings tail\n" else text


def _shape(welcome: str) -> str:
    """What the first start prints, without what differs each time."""
    return re.sub(r"\S*/login/\S+", "LINK", re.sub(r":\d{4,5}\b", "", welcome)).strip()


# --- embedding ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def _running(command: Sequence[str], **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, **more)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()


async def _shell(script: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, f"{script}\n{errors.decode()}"
    return out.decode()


async def test_programs_and_pages_follow_the_stream_and_resume(tmp_path: Path, needs: Needs) -> None:
    needs("node", "curl")
    program, sign = md.blocks_of(EMBED, "python")
    own_page, other_page, ticket_page = md.blocks_of(EMBED, "js")
    (tmp_path / "follow.py").write_text(program)
    (tmp_path / "sign.py").write_text(sign)
    (tmp_path / "follow.mjs").write_text(other_page)
    (tmp_path / "run.mjs").write_text(
        'import { follow } from "./follow.mjs";\n'
        "const [url, jwt] = process.argv.slice(2);\n"
        "follow(url, async () => jwt, (event) => console.log(event.data.title));\n"
    )
    for number, script in enumerate((own_page, ticket_page)):
        (tmp_path / f"page{number}.mjs").write_text(script)
        await _shell(f"node --check {tmp_path}/page{number}.mjs")
    environ = {"TIDINGS_JWT_SECRET": "0123456789abcdef" * 4}
    config = f"{CONFIG}{md.blocks_of(EMBED, 'yaml')[0]}"
    async with live_server(tmp_path, config, environ=environ) as server:
        user = await server.add_user("ada")
        token = await server.add_token(user, "read", "send")
        bearer = {"authorization": f"Bearer {token}"}
        secret = environ["TIDINGS_JWT_SECRET"]
        jwt = await _shell(f"TIDINGS_JWT_SECRET={secret} {sys.executable} {tmp_path}/sign.py ada")

        async def say(title: str) -> None:
            answer = await server.client.post(
                "/api/sse/send", json={"message": {"title": title}}, headers=bearer
            )
            answer.raise_for_status()

        async with (
            _running([sys.executable, str(tmp_path / "follow.py"), server.url, token]) as python,
            _running(["node", str(tmp_path / "run.mjs"), server.url, jwt.strip()]) as javascript,
        ):
            for title in ("one", "two"):
                await say(title)
            for follower in (python, javascript):
                assert [await _line(follower), await _line(follower)] == ["one", "two"]
            open_now = server.services.fanout.subscriptions()
            assert {one.principal.kind for one in open_now} == {"token", "jwt"}
            await server.services.fanout.end({one.principal.key: "restart" for one in open_now})
            await say("three")
            assert [await _line(python), await _line(javascript)] == ["three", "three"]

        ask = next(text for text in md.blocks_of(EMBED, "sh") if "api/tickets" in text)
        said = await _shell(f"TOKEN={token}\n" + ask.replace("http://127.0.0.1:8080", server.url))
        assert json.loads(said).keys() == json.loads(md.blocks_of(EMBED, "text")[0]).keys()
        async with open_stream(server.client, params={"ticket": json.loads(said)["ticket"]}):
            pass
        newcomer = await _shell(f"TIDINGS_JWT_SECRET={secret} {sys.executable} {tmp_path}/sign.py grace")
        me = await server.client.get("/api/me", headers={"authorization": f"Bearer {newcomer.strip()}"})
        assert me.json()["user"]["name"] == "grace"
        asked = {"origin": "https://app.example.org", "access-control-request-method": "GET"}
        allowed = await server.client.options("/api/sse/stream", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example.org"


async def test_programs_and_pages_use_a_websocket_and_resume(tmp_path: Path, needs: Needs) -> None:
    needs("node")
    (program,), (page,) = md.blocks_of(WEBSOCKET, "python"), md.blocks_of(WEBSOCKET, "js")
    (tmp_path / "listen.py").write_text(program)
    (tmp_path / "listen.mjs").write_text(page)
    (tmp_path / "run.mjs").write_text(
        'import { listen } from "./listen.mjs";\n'
        "const [url, jwt] = process.argv.slice(2);\n"
        "listen(url, async () => jwt, (event) => console.log(event.data.title));\n"
    )
    has_websocket = (await _shell('node -p "typeof WebSocket"')).strip() == "function"
    node = ["node", *([] if has_websocket else ["--experimental-websocket"])]  # before Node 22
    async with live_server(tmp_path, CONFIG) as server:
        token = await server.add_token(await server.add_user("ada"), "read", "send")
        url = server.url.replace("http://", "ws://") + "/ws"
        headers = {"authorization": f"Bearer {token}"}

        async def say(title: str) -> None:
            message = {"message": {"title": title}}
            (await server.client.post("/api/sse/send", json=message, headers=headers)).raise_for_status()

        async with (
            _running([sys.executable, str(tmp_path / "listen.py"), url, token]) as python,
            _running([*node, str(tmp_path / "run.mjs"), url, token]) as javascript,
        ):
            for title in ("one", "two"):
                await say(title)
            for follower in (python, javascript):
                assert [await _line(follower), await _line(follower)] == ["one", "two"]
            open_now = server.services.fanout.subscriptions()
            assert [one.transport for one in open_now] == ["websocket", "websocket"]
            await server.services.fanout.end({one.principal.key: "restart" for one in open_now})
            await say("three")
            assert [await _line(python), await _line(javascript)] == ["three", "three"]


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


# --- backup -------------------------------------------------------------------------------------------------


def test_a_backup_is_made_beside_the_server_and_restored_under_a_new_epoch(clone: Any) -> None:
    blocks = md.blocks_of(KEEP, "sh")
    prune, info, backup, put_back, new_epoch, check = blocks
    clone.serve()
    token = clone.type(
        ".venv/bin/tidings send-sample >/dev/null", ".venv/bin/tidings token create me --scope read"
    )
    url, headers = f"http://127.0.0.1:{clone.port}/api/events", {"authorization": f"Bearer {token.strip()}"}
    assert "Cut 0 events." in clone.type(prune)
    assert re.search(r"events +1\n", clone.type(info))
    clone.type(backup)
    clone.type(".venv/bin/tidings send-sample")
    with httpx.Client(trust_env=False) as client:
        known = client.get(url, headers=headers).json()
    assert len(known["events"]) == 2
    clone.stop()
    aside = "mkdir aside && mv tidings.db* tidings.vault.key aside"
    assert "No damage found." in clone.type(aside, put_back, new_epoch, check)
    clone.serve()
    clone.type(".venv/bin/tidings send-sample --count 2")  # past the old head
    with httpx.Client(trust_env=False) as client:
        page = client.get(url, params={"after": known["cursor"]}, headers=headers).json()
    assert page["gap"]["reason"] == "restored"
    assert len(page["events"]) == 3
    assert page["events"][0]["id"] == known["events"][0]["id"]


# --- a plugin -----------------------------------------------------------------------------------------------


async def test_the_plugin_of_the_how_to_installs_and_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Needs
) -> None:
    needs("curl", "openssl")
    (project,) = md.blocks_of(PLUGIN, "toml")
    source, test = md.blocks_of(PLUGIN, "python")
    install, _, ring = md.blocks_of(PLUGIN, "sh")
    folder, site = tmp_path / "tidings-doorbell", tmp_path / "site"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(project)
    (folder / "tidings_doorbell.py").write_text(source)
    # Into a folder of its own, so that the environment of the tests stays as it is.
    elsewhere = install.replace(".venv/bin/python", sys.executable).replace("./tidings-doorbell", str(folder))
    await _shell(f"{elsewhere.strip()} --target {site} --quiet --disable-pip-version-check")
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    try:
        given: dict[str, Any] = {}
        exec(compile(test, PLUGIN, "exec"), given)
        (tmp_path / "test").mkdir()
        await given["test_a_ring_is_told_once"](tmp_path / "test")
        async with live_server(tmp_path, md.blocks_of(PLUGIN, "yaml")[0]) as server:
            hook = await server.add_hook(await server.add_user("me"), "doorbell")
            setting = f"SECRET={hook.secret}\nURL={server.url}{hook.path}\n"
            assert json.loads(await _shell(setting + ring)) == json.loads(md.blocks_of(PLUGIN, "text")[0])
            forged = await server.client.post(hook.path, content=b"{}", headers={"x-signature": "ü".encode()})
            assert forged.status_code == 401
            (told,) = (await server.services.journal.last(await _first_user(server), 10)).entries
            assert json.loads(bytes(told.data))["title"] == "Somebody is at the front door"
    finally:
        sys.modules.pop("tidings_doorbell", None)


async def _first_user(server: Any) -> Any:
    from tidings.accounts import list_users

    return (await server.services.database.read(list_users))[0].id
