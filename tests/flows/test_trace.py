"""`--trace plugins,events` shows each call of a plugin and each step of an event, by its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog

import deliveries
from commands import installed
from tidings.config import load
from tidings.plugins import load_plugins
from tidings.runtime import running
from tidings.testing import live_server, open_stream
from tidings.testing.server import CONFIG, LiveServer
from tidings.tracing import Trace


def keeping(lines: list[dict[str, Any]]) -> Any:
    def keep(_logger: object, _method: str, event: dict[str, Any]) -> Any:
        lines.append(event)
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[keep])


async def told_of_a_push(server: LiveServer, *topics: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    Trace(topics, keeping(lines)).server(server.services)
    user = await server.add_user("ann")
    hook, token = await server.add_hook(user, "github"), await server.add_token(user)
    async with open_stream(server.client, token) as stream:
        await deliveries.send(server.client, hook, deliveries.push("1"))
        await stream.event()
        refused = await server.client.post(hook.path, content=b"{}")
        assert refused.status_code == 401
    return lines


async def test_an_event_is_followed_by_its_id(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        lines = await told_of_a_push(server, "plugins", "events")
    calls = [line["call"] for line in lines if "call" in line]
    assert calls[:2] == ["verify", "parse"]
    (parsed,) = [line for line in lines if line.get("call") == "parse"]
    (event_id,) = parsed["event_ids"]
    steps = [(line["step"], line.get("transport", "")) for line in lines if line.get("event_id") == event_id]
    assert steps == [("committed", ""), ("encoded", "sse")]
    refused = [line for line in lines if line.get("raised")]
    assert {(line["plugin"], line["call"], line["raised"]) for line in refused} == {
        ("connector/github", "verify", "Rejected")
    }


async def test_only_what_was_asked_for_is_traced(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        lines = await told_of_a_push(server, "events")
        assert lines and all("step" in line for line in lines)
    async with live_server(tmp_path, CONFIG) as server:
        assert (await server.client.get("/api/health")).status_code == 200
        assert not [line for line in server.logged if line["event"] == "trace"]


async def test_hooks_are_traced_while_the_server_is_put_together(tmp_path: Path) -> None:
    path, lines = tmp_path / "config.yaml", list[dict[str, Any]]()
    path.write_text(CONFIG)
    settings = load(path, {}).listening_on(host="127.0.0.1", port=8080)
    loaded = load_plugins(settings)
    Trace(["plugins"], keeping(lines)).hooks(loaded)
    async with running(settings, loaded, keeping([]), synchronous="OFF"):
        pass
    told = {(line["plugin"], line["call"], *line["returned"]) for line in lines}
    assert ("connector/github", "tidings_connectors", "GitHubConnector") in told
    assert ("bus/local", "tidings_buses", "LocalBus") in told


def test_an_unknown_topic_is_refused(tmp_path: Path) -> None:
    said = installed(tmp_path)("serve", "--trace", "plugin")
    assert said.exit_code == 2
    assert "there is no plugin. Known: plugins, events." in said.stderr


@pytest.mark.parametrize("topics", [(), ("events",)])
async def test_a_hook_that_nobody_asked_about_is_left_as_it_is(
    tmp_path: Path, topics: tuple[str, ...]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    loaded = load_plugins(load(path, {}))
    before = [impl.function for impl in loaded.manager.hook.tidings_connectors.get_hookimpls()]
    Trace(topics, keeping([])).hooks(loaded)
    assert [impl.function for impl in loaded.manager.hook.tidings_connectors.get_hookimpls()] == before
