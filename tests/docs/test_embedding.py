"""The how-to on embedding, done letter by letter."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import markdown_pages as md

import npm
from tidings.testing.server import CONFIG, live_server

EMBED = "docs/how-to/embed-in-your-web-application.md"
CLIENT = md.ROOT / "clients" / "javascript"
SECRET = "0123456789abcdef" * 4
PROGRAM = """
import { tidingsToken } from "./token.mjs";
import { follow } from "./follow.mjs";
const [url, user, cursor] = process.argv.slice(2);
const keep = { get: () => cursor, set: (at) => console.log(at) };
console.info = () => {};
follow(url, async () => tidingsToken(user), (event) => console.log(event.data.title), keep);
"""


async def test_a_page_follows_with_a_jwt_of_one_s_own_and_resumes(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("node")
    token, follow, get_token = md.blocks_of(EMBED, "js")
    (tmp_path / "token.mjs").write_text(token)
    (tmp_path / "follow.mjs").write_text(follow)
    (tmp_path / "get.mjs").write_text(get_token)
    (tmp_path / "run.mjs").write_text(PROGRAM)
    subprocess.run(["node", "--check", "get.mjs"], cwd=tmp_path, check=True)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "tidings-client").symlink_to(CLIENT)
    (shown,) = md.blocks_of(EMBED, "yaml")
    (tmp_path / "server").mkdir()
    config = CONFIG + shown.replace("  public_url: https://tidings.example.org\n", "")
    environ = {"TIDINGS_JWT_SECRET": SECRET}
    async with live_server(tmp_path / "server", config, environ=environ) as server:
        origin = {"origin": "https://app.example.org", "access-control-request-method": "GET"}
        allowed = await server.client.options("/api/sse/stream", headers=origin)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example.org"
        user = await server.add_user("ada")
        bearer = {"authorization": f"Bearer {await server.add_token(user, 'read', 'send')}"}

        async def hear(title: str, *cursor: str) -> str:
            """Run the page until it shows this; the position that it keeps then."""
            message = {"message": {"title": title}}
            answer = await server.client.post("/api/sse/send", json=message, headers=bearer)
            answer.raise_for_status()
            page = await asyncio.create_subprocess_exec(
                "node", "run.mjs", server.url, "ada", *cursor,
                cwd=tmp_path, stdout=subprocess.PIPE, env={**environ, "PATH": os.environ["PATH"]},
            )  # fmt: skip
            assert page.stdout is not None
            try:
                lines = [await asyncio.wait_for(page.stdout.readline(), 20) for _ in range(2)]
            finally:
                page.kill()
                await page.communicate()
            assert lines[0].decode().strip() == title
            return lines[1].decode().strip()

        first = await hear("one")
        assert await hear("two", first) != first


def test_the_component_has_the_types_of_the_hooks(tmp_path: Path) -> None:
    npm.install_in_place(CLIENT, "the JavaScript client")
    (component,) = md.blocks_of(EMBED, "tsx")
    (tmp_path / "news.tsx").write_text(component)
    react = CLIENT / "node_modules" / "@types" / "react"
    paths = {
        "tidings-client/react": [str(CLIENT / "types" / "react.d.ts")],
        "react": [str(react / "index.d.ts")],
        "react/jsx-runtime": [str(react / "jsx-runtime.d.ts")],
    }
    config = {
        "extends": str(CLIENT / "tsconfig.json"),
        "include": [str(tmp_path / "news.tsx")],
        "compilerOptions": {"paths": paths, "types": []},
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    command = [str(CLIENT / "node_modules" / ".bin" / "tsc"), "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""
    assert done.returncode == 0
