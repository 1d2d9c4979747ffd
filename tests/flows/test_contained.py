"""A plugin that raises, hangs, floods, blocks or hands over nonsense: named, shown, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from tidings.clock import SystemClock
from tidings.contracts import (
    Account,
    Asked,
    Connector,
    Extra,
    Follows,
    Keys,
    Parsed,
    Polled,
    Polls,
    Receives,
    WebhookRequest,
)
from tidings.defects import MOST_EVENTS, Defect
from tidings.event import Event
from tidings.health import Health
from tidings.hooks import Plugin, hookimpl
from tidings.loopguard import guarding
from tidings.testing import FakeClock, LiveServer, live_server
from tidings.watchdog import Watchdog

CONFIG = """
plugins:
  connectors: {clumsy: {}, github: {}}
  transports: {sse: {}}
  extras: {clumsy: {}}
"""
SIGNED = "connector/clumsy of acme 1.2, report it at https://acme.example/issues"


class Clumsy(Follows, Polls, Receives):
    """Does whatever a test lets it do."""

    platform = "clumsy"
    display_name = "Clumsy"
    asks_for = "Anything"
    poll_every_seconds = 3600.0
    shared_keys = Keys()
    parses: Callable[[], Any] = staticmethod(lambda: Parsed(()))
    polls: Callable[[], Any] = staticmethod(lambda: Polled(checkpoint={"at": 1}))

    def verify(self, request: WebhookRequest, keys: Keys, now: Any) -> None:
        return

    def parse(self, request: WebhookRequest) -> Parsed:
        return self.parses()  # type: ignore[no-any-return]  # that is the point

    def sample(self, keys: Keys, now: Any, serial: str) -> WebhookRequest:
        return WebhookRequest("POST", "/", "", {}, b"{}")

    async def follow(self, address: str) -> Account:
        return Account(key=address, name=address)

    async def poll(self, api: Any, asked: Asked) -> AsyncIterator[Polled]:
        piece = self.polls()
        yield await piece if asyncio.iscoroutine(piece) else piece


class ClumsyExtra(Extra):
    runs: Callable[[], Any] = staticmethod(lambda: None)

    async def run(self) -> None:
        self.runs()


class ClumsyPlugin(Plugin):
    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        return [Clumsy()]


class ClumsyExtraPlugin(Plugin):
    @hookimpl
    def tidings_extras(self) -> Iterable[Extra]:
        return [ClumsyExtra()]


def stumble() -> Any:
    raise ValueError("over its own feet")


def _event(number: int) -> Event:
    return Event(id=f"clumsy:{number}", type="a.b.c", source="//c", platform="clumsy", data={"title": "x"})


def flood() -> Parsed:
    return Parsed([_event(number) for number in range(MOST_EVENTS + 1)])


def flood_in_a_poll() -> Polled:
    return Polled(events=flood().events, checkpoint={"at": 2})


@pytest.fixture(autouse=True)
def acme(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path_factory.mktemp("site") / "acme-1.2.dist-info"
    info.mkdir()
    urls = "Project-URL: Homepage, https://acme.example\nProject-URL: Issues, https://acme.example/issues\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n{urls}")
    (info / "entry_points.txt").write_text(
        "[tidings.connectors]\nclumsy = clumsy_plant:ClumsyPlugin\n"
        "[tidings.extras]\nclumsy = clumsy_plant:ClumsyExtraPlugin\n"
    )
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.setitem(sys.modules, "clumsy_plant", sys.modules[__name__])


async def _deliver(server: LiveServer, platform: str) -> int:
    hook = await server.add_hook(await server.add_user(f"{platform}{time.monotonic_ns()}"), platform)
    now = server.services.clock.now()
    request = server.receiver(platform).sample(Keys((hook.secret.encode(),)), now, "1")
    return (await server.deliver(hook.path, request)).status_code


def _reason(server: LiveServer, component: str = "connector/clumsy") -> str:
    return str(server.services.health.report()[component].get("reason", ""))


@pytest.mark.parametrize(
    ("parses", "said"),
    [
        (stumble, f"ValueError: over its own feet ({__file__}, line "),
        (lambda: None, "parse returned None, not a Parsed. Return one, with events or a hint."),
        (list, "parse returned an instance of list, not a Parsed."),
        (flood, f"parse made {MOST_EVENTS + 1} events at once, and {MOST_EVENTS} are the most."),
    ],
)
async def test_a_delivery_that_a_plugin_can_t_read_is_its_own_affair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parses: Callable[[], Any], said: str
) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        monkeypatch.setattr(Clumsy, "parses", staticmethod(parses))
        assert await _deliver(server, "clumsy") == 500
        assert said in _reason(server)
        assert SIGNED in _reason(server)
        (line,) = [one for one in server.logged if one["event"] == "delivery_failed"]
        assert SIGNED in line["reason"]
        assert await _deliver(server, "github") == 200
        monkeypatch.undo()
        sys.modules["clumsy_plant"] = sys.modules[__name__]
        assert await _deliver(server, "clumsy") == 200
        assert _reason(server) == ""


async def _sleep_for_ever() -> Polled:
    await asyncio.Event().wait()
    raise AssertionError("it ended")


@pytest.mark.parametrize(
    ("polls", "said"),
    [
        (stumble, "ValueError: over its own feet"),
        (lambda: "nothing", "poll yielded an instance of str, not a Polled. Yield one, with a checkpoint."),
        (flood_in_a_poll, f"poll made {MOST_EVENTS + 1} events at once"),
    ],
)
async def test_a_poll_that_fails_is_told_in_the_connection_s_history_and_in_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, polls: Callable[[], Any], said: str
) -> None:
    clock = FakeClock()
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        monkeypatch.setattr(Clumsy, "polls", staticmethod(polls))
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        wish = {"platform": "clumsy", "address": "x"}
        made = await server.client.post("/api/connections", json=wish, headers=headers)
        path = f"/api/connections/{made.json()['id']}"
        await clock.advance(60)
        assert said in _reason(server)
        assert SIGNED in _reason(server)
        shown = (await server.client.get(path, headers=headers)).json()
        failed = [one["detail"] for one in shown["attempts"] if one["outcome"] == "failed"]
        assert failed and all(said in one for one in failed)
        assert await _deliver(server, "github") == 200


@pytest.mark.parametrize(
    ("polls", "said"),
    [
        (lambda: "nothing", "poll yielded an instance of str"),
        (
            lambda: Polled(checkpoint=7),
            "poll yielded a checkpoint that is an instance of int, not a mapping.",
        ),  # type: ignore[arg-type]
        (
            lambda: Polled(events=[{"id": 1}], checkpoint={}),
            "poll made an instance of dict among its events.",
        ),  # type: ignore[list-item]
        (flood_in_a_poll, f"poll made {MOST_EVENTS + 1} events at once"),
    ],
)
async def test_a_broken_contract_parks_the_connection_until_someone_asks_or_the_server_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, polls: Callable[[], Any], said: str
) -> None:
    clock, asked = FakeClock(), 0

    def count() -> Any:
        nonlocal asked
        asked += 1
        return polls()

    monkeypatch.setattr(Clumsy, "polls", staticmethod(count))
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        wish = {"platform": "clumsy", "address": "x"}
        made = await server.client.post("/api/connections", json=wish, headers=headers)
        path = f"/api/connections/{made.json()['id']}"

        async def shown() -> Any:
            return (await server.client.get(path, headers=headers)).json()

        await clock.advance(60)
        await clock.advance(7200)  # by then it would have been asked again many times
        assert asked == 1
        parked = await shown()
        assert parked["state"] == "parked"
        assert said in parked["reason"] and SIGNED in parked["reason"]
        page = (await server.client.get("/api/events", headers=headers)).json()
        (told,) = [one for one in page["events"] if one["type"].endswith(".parked")]
        assert said in told["data"]["text"]
        # Whose click asks for it, it is tried for once more.
        assert (await server.client.post(f"{path}/sync", headers=headers)).status_code == 202
        await clock.advance(60)
        assert asked == 2
        assert (await shown())["state"] == "parked"
    monkeypatch.setattr(Clumsy, "polls", staticmethod(lambda: Polled(checkpoint={"at": 1})))
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        await clock.advance(600)
        assert (await shown())["state"] == "connected"
        assert _reason(server) == ""


async def test_a_poll_that_hangs_is_broken_off_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        monkeypatch.setattr(Clumsy, "polls", staticmethod(_sleep_for_ever))
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        await server.client.post(
            "/api/connections", json={"platform": "clumsy", "address": "x"}, headers=headers
        )
        await clock.advance(1200)
        told = [one for one in server.logged if "had not ended after" in str(one)]
        assert told
        assert await _deliver(server, "github") == 200


async def test_work_in_the_background_that_fails_is_started_again_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClumsyExtra, "runs", staticmethod(stumble))
    async with live_server(tmp_path, CONFIG) as server:
        reason = _reason(server, "extra/ClumsyExtra")
        assert f"ValueError: over its own feet ({__file__}" in reason
        assert "of acme 1.2, report it at https://acme.example/issues" in reason
        assert await _deliver(server, "github") == 200


# --- what is left behind ---


def leave_a_task(left: list[asyncio.Task[Any]]) -> Polled:
    left += [asyncio.create_task(_sleep_for_ever()), asyncio.create_task(asyncio.sleep(1e6))]
    return Polled(checkpoint={"at": len(left)})


async def test_a_task_that_a_poll_leaves_behind_ends_with_it_and_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, left = FakeClock(), list[asyncio.Task[Any]]()
    monkeypatch.setattr(Clumsy, "polls", staticmethod(lambda: leave_a_task(left)))
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        wish = {"platform": "clumsy", "address": "x"}
        await server.client.post("/api/connections", json=wish, headers=headers)
        await clock.advance(3 * 3600)
        assert len(left) > 1
        assert all(task.cancelled() for task in left)
        line, *others = [one for one in server.logged if one["event"] == "plugin_left_tasks"]
        assert others == []
        assert line["plugin"] in {"connector/clumsy", "extra/clumsy"}
        assert f"({__file__}, line " in line["reason"]
        assert "of acme 1.2, report it at https://acme.example/issues" in line["reason"]


async def test_a_run_s_tasks_end_when_it_fails_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, left = FakeClock(), list[asyncio.Task[Any]]()

    def stumble_and_leave() -> None:
        leave_a_task(left)
        stumble()

    monkeypatch.setattr(ClumsyExtra, "runs", staticmethod(stumble_and_leave))
    async with live_server(tmp_path, CONFIG, clock=clock):
        await clock.advance(10)
        assert len(left) > 1
        assert all(task.cancelled() for task in left)


# --- holding up everybody ---


def _block(seconds: float) -> None:
    time.sleep(seconds)


def _log(lines: list[Any]) -> Any:
    def keep(_logger: object, _method: str, event: Any) -> Any:
        lines.append(event)
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[keep])


def _dog(server: LiveServer, **options: Any) -> Watchdog:
    """One that watches a server's plugins by limits of its own, and tells nobody."""
    health = Health(SystemClock(), _log([]))
    return Watchdog(server.services.loaded.plugins, health, _log([]), blocked_seconds=0.3, **options)


async def test_who_blocks_the_loop_is_named_with_the_line(tmp_path: Path) -> None:
    lines: list[Any] = []
    async with live_server(tmp_path, CONFIG) as server:
        health = Health(SystemClock(), _log(lines))
        dog = Watchdog(server.services.loaded.plugins, health, _log(lines), blocked_seconds=0.3)
        async with dog.watching():
            await asyncio.sleep(0.5)
            _block(2.5)
            for _ in range(100):
                await asyncio.sleep(0.02)
                if lines:
                    break
        (told,) = [one for one in lines if one["event"] == "plugin_holds_up"]
        assert f"It blocks the event loop ({__file__}, line " in told["reason"]
        assert "of acme 1.2, report it at https://acme.example/issues" in told["reason"]
        component = f"loop/{told['plugin']}"
        assert health.report()[component]["reason"] == told["reason"]


async def test_who_blocks_the_loop_for_seconds_in_all_is_not_called_again(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        for address in ("x", "y"):
            wish = {"platform": "clumsy", "address": address}
            await server.client.post("/api/connections", json=wish, headers=headers)

        async def shown() -> list[Any]:
            found: list[Any] = (await server.client.get("/api/connections", headers=headers)).json()[
                "connections"
            ]
            return found

        async with _dog(server, most_held_seconds=1.5, rest=server.services.upkeep.rest).watching():
            _block(0.8)
            await asyncio.sleep(0.3)
            assert {one["state"] for one in await shown()} == {"connected"}
            with pytest.raises(
                Defect, match=r"It blocked the event loop for 2 seconds in all, and was broken off\."
            ):
                _block(60)
            for _ in range(40):
                await asyncio.sleep(0.05)
                found = await shown()
                if {one["state"] for one in found} == {"parked"}:
                    break
        assert [one["state"] for one in found] == ["parked", "parked"]
        assert "It blocked the event loop for 2 seconds in all (" in found[0]["reason"]
        assert f"{__file__}, line " in found[0]["reason"] and SIGNED in found[0]["reason"]
        page = (await server.client.get("/api/events", headers=headers)).json()
        assert len([one for one in page["events"] if one["type"].endswith(".parked")]) == 2


async def test_many_calls_one_after_the_other_that_hold_up_the_loop_park_nobody(tmp_path: Path) -> None:
    rested: list[str] = []
    async with live_server(tmp_path, CONFIG) as server:
        dog = _dog(server, most_held_seconds=0.5, rest=lambda key, reason: rested.append(key))
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        async with dog.watching():
            for _ in range(20):  # in one turn of the loop, which so stands still for as long as all take
                loop.call_soon(_block, 0.1)
            loop.call_soon(done.set_result, None)
            await done
            assert rested == []
            with pytest.raises(Defect):
                _block(60)
            await asyncio.sleep(0)
        assert set(rested) == {"connector/clumsy"}


async def test_who_starts_tasks_without_end_is_named(tmp_path: Path) -> None:
    lines: list[Any] = []
    async with live_server(tmp_path, CONFIG) as server:
        dog = Watchdog(
            server.services.loaded.plugins, Health(SystemClock(), _log(lines)), _log(lines), most_tasks=50
        )
        tasks = [asyncio.create_task(_sleep_for_ever()) for _ in range(60)]
        await asyncio.sleep(0)
        async with dog.watching():
            dog.count_tasks()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        told = [one["reason"] for one in lines if one["event"] == "plugin_holds_up"]
        assert any("tasks at a time" in one and "acme 1.2" in one for one in told)


async def _is_parked(server: LiveServer, path: str, headers: dict[str, str]) -> None:
    with anyio.fail_after(60):
        while (await server.client.get(path, headers=headers)).json()["state"] != "parked":
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("where", ["polls", "parses"])
async def test_what_would_have_everybody_wait_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    ended: list[bool] = []
    monkeypatch.setattr(Clumsy, where, staticmethod(lambda: ended.append(time.sleep(0) is None)))
    async with live_server(tmp_path, CONFIG) as server:
        with guarding(server.services.loaded.plugins):
            if where == "parses":
                assert await _deliver(server, "clumsy") == 500
            else:
                token = await server.add_token(await server.add_user("ann"), "read", "send")
                headers = {"authorization": f"Bearer {token}"}
                wish = {"platform": "clumsy", "address": "x"}
                made = await server.client.post("/api/connections", json=wish, headers=headers)
                path = f"/api/connections/{made.json()['id']}"
                await _is_parked(server, path, headers)
        said = _reason(server)
        assert "It waits by time.sleep in the event loop" in said and "asyncio.to_thread" in said
        assert f"{__file__}, line " in said and SIGNED in said
        assert ended == []


async def test_from_then_on_no_poll_of_it_begins_though_nothing_is_parked_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = FakeClock(), 0

    def count() -> Polled:
        nonlocal asked
        asked += 1
        return Polled(checkpoint={"at": asked})

    monkeypatch.setattr(Clumsy, "polls", staticmethod(count))
    async with live_server(tmp_path, CONFIG, clock=clock) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        wish = {"platform": "clumsy", "address": "x"}
        made = await server.client.post("/api/connections", json=wish, headers=headers)
        path = f"/api/connections/{made.json()['id']}"
        await clock.advance(60)
        assert asked == 1
        upkeep = server.services.upkeep
        await asyncio.to_thread(upkeep.halt, "connector/clumsy")
        for _ in range(3):
            assert (await server.client.post(f"{path}/sync", headers=headers)).status_code == 202
            await clock.advance(600)
        assert asked == 1
        attempts = (await server.client.get(path, headers=headers)).json()["attempts"]
        assert attempts[0]["detail"].startswith("The connector for Clumsy blocks the event loop")
        upkeep.rest("connector/clumsy", "It blocked everybody.")
        await _is_parked(server, path, headers)
        # Whose click asks for it, it is tried for once more.
        assert (await server.client.post(f"{path}/sync", headers=headers)).status_code == 202
        await clock.advance(60)
        assert asked == 2


async def test_who_blocks_too_long_is_halted_before_the_loop_goes_on(tmp_path: Path) -> None:
    async with live_server(tmp_path, CONFIG) as server:
        halted: list[str] = []
        async with _dog(server, most_held_seconds=0.5, halt=halted.append).watching():
            await asyncio.sleep(0)
            with pytest.raises(Defect):
                _block(60)
            assert set(halted) == {"connector/clumsy"}
