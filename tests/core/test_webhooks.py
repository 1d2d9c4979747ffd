from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams import Scene, scene_in
from tidings.contracts import Connector, Keys, Parsed, Receives, WebhookRequest
from tidings.durations import Rate
from tidings.errors import Rejected, Unavailable
from tidings.event import Event, UserId
from tidings.metrics import Metrics
from tidings.ratelimit import Limiter
from tidings.registrations import Target
from tidings.webhooks import Webhooks


class Parrot(Connector, Receives):
    """A platform that signs with the secret itself, and sends what it is to do."""

    platform = "parrot"
    display_name = "Parrot"
    shared_keys = Keys((b"shared",))

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        if request.headers.get("x-secret", "").encode() not in keys.secrets:
            raise Rejected("Not signed.")
        if request.headers.get("x-defect") == "verify":
            raise RuntimeError("a defect")

    def parse(self, request: WebhookRequest) -> Parsed:
        if request.headers.get("x-defect") == "parse":
            raise ZeroDivisionError("a defect")
        wish = json.loads(request.body)
        events = [
            Event(id=f"parrot:{n}", type="com.parrot", source="//p", platform="parrot", data={})
            for n in wish["events"]
        ]
        return Parsed(events, wish.get("delivery", ""), "talk")

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        raise AssertionError("nobody asks a parrot for a sample")


class Mute(Connector):
    platform = "mute"
    display_name = "Mute"


class Desk:
    """A webhook endpoint without a socket."""

    def __init__(self, scene: Scene, **limits: Any) -> None:
        self.scene = scene
        self.targets = {
            ("parrot", "hook"): Target(scene.alice, "alice", "hook", (b"secret",)),
            ("parrot", "open"): Target(scene.bob, "bob", "user:2:parrot", ()),
            ("parrot", "ghost"): Target(UserId(999), "ghost", "ghost", (b"secret",)),
        }
        self.asked: list[tuple[str, str]] = []
        self.before_answering: list[asyncio.Event] = []
        options = {"most_bytes": 1000, "failures": None, "registration_limits": None, **limits}
        self.webhooks = Webhooks(
            {"parrot": Parrot(), "mute": Mute()},
            self,  # type: ignore[arg-type] - has the one method that is used
            scene.journal,
            scene.store.clock,
            scene.log,
            Metrics(),
            scene.health,
            **options,
        )

    async def get(self, address: tuple[str, str]) -> Target | None:
        self.asked.append(address)
        target = self.targets.get(address)
        for event in self.before_answering:
            await event.wait()
        return target

    async def post(
        self,
        ref: str = "hook",
        body: bytes | Mapping[str, Any] = b'{"events": [1]}',
        *,
        platform: str = "parrot",
        secret: str = "secret",
        address: str = "192.0.2.7",
        **headers: str,
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        messages = [{"type": "http.request", "body": content, "more_body": False}]
        sent: list[Any] = []
        named = {"x-secret": secret, **{name.replace("_", "-"): text for name, text in headers.items()}}
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/api/webhooks/{platform}/{ref}",
            "path_params": {"platform": platform, "ref": ref},
            "query_string": b"",
            "headers": [(name.encode(), text.encode()) for name, text in named.items()],
            "client": (address, 1234),
        }

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.webhooks(scope, receive, send)
        if not sent:
            return 0, {}, {}
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], json.loads(sent[1]["body"]), answered

    async def seq(self, user: UserId) -> int:
        return (await self.scene.journal.head(user)).seq


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as scene:
        yield scene


async def test_a_signed_delivery_is_stored_before_it_is_answered(scene: Scene) -> None:
    desk = Desk(scene)
    status, answer, _ = await desk.post(body={"events": [1, 2], "delivery": "d"})
    assert (status, answer) == (200, {"status": "stored", "events": 2, "duplicate": False})
    assert await desk.seq(scene.alice) == 2
    status, answer, _ = await desk.post(body={"events": [3], "delivery": "d"})
    assert (status, answer) == (200, {"status": "stored", "events": 0, "duplicate": True})


async def test_a_delivery_without_news_is_taken(scene: Scene) -> None:
    status, answer, _ = await Desk(scene).post(body={"events": []})
    assert (status, answer) == (200, {"status": "stored", "events": 0, "duplicate": False})


async def test_shared_keys_verify_only_where_the_target_has_none_of_its_own(scene: Scene) -> None:
    desk = Desk(scene)
    assert (await desk.post("open", secret="shared"))[0] == 200
    assert (await desk.post("hook", secret="shared"))[0] == 401
    assert await desk.seq(scene.alice) == 0


async def test_a_connector_that_can_not_verify_can_not_receive(scene: Scene) -> None:
    status, answer, _ = await Desk(scene).post(platform="mute")
    assert (status, answer["error"]["code"]) == (404, "refused")


async def test_what_is_not_signed_is_never_parsed(scene: Scene) -> None:
    status, _, _ = await Desk(scene).post(secret="wrong", x_defect="parse")
    assert status == 401
    assert scene.health.status == "ok"


@pytest.mark.parametrize("where", ["verify", "parse"])
async def test_a_plugins_defect_is_a_500_that_the_log_explains(scene: Scene, where: str) -> None:
    desk = Desk(scene)
    status, answer, _ = await desk.post(x_defect=where)
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "a defect" not in json.dumps(answer)
    assert scene.health.report()["connector/parrot"]["status"] == "down"
    assert [line for line in scene.logged if line["event"] == "delivery_failed"]
    assert (await desk.post())[0] == 200
    assert scene.health.report()["connector/parrot"]["status"] == "up"


async def test_a_user_who_is_gone_is_a_404(scene: Scene) -> None:
    status, answer, _ = await Desk(scene).post("ghost")
    assert (status, answer["error"]["code"]) == (404, "refused")


async def test_a_target_is_read_once_until_something_changes(scene: Scene) -> None:
    desk = Desk(scene)
    for _ in range(3):
        assert (await desk.post())[0] == 200
    assert desk.asked == [("parrot", "hook")]
    del desk.targets["parrot", "hook"]
    desk.webhooks.forget_targets()
    assert (await desk.post())[0] == 404


async def test_what_was_read_before_a_change_is_not_kept_after_it(scene: Scene) -> None:
    """Else a removed registration could receive for ever."""
    desk = Desk(scene)
    gate = asyncio.Event()
    desk.before_answering.append(gate)
    slow = asyncio.create_task(desk.post())
    await asyncio.sleep(0)
    assert desk.asked == [("parrot", "hook")]
    del desk.targets["parrot", "hook"]
    desk.webhooks.forget_targets()
    gate.set()
    assert (await slow)[0] == 200  # it came before the change
    assert (await desk.post())[0] == 404


async def test_what_is_not_known_is_asked_for_again(scene: Scene) -> None:
    desk = Desk(scene)
    assert (await desk.post("new"))[0] == 404
    desk.targets["parrot", "new"] = desk.targets["parrot", "hook"]
    assert (await desk.post("new"))[0] == 200


async def test_few_targets_are_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.webhooks._MOST_TARGETS", 3)
    desk = Desk(scene)
    for number in range(10):
        desk.targets["parrot", f"n{number}"] = desk.targets["parrot", "hook"]
        assert (await desk.post(f"n{number}"))[0] == 200
    assert len(desk.webhooks._targets) <= 3


async def test_a_body_may_be_as_large_as_allowed_and_not_larger(scene: Scene) -> None:
    desk = Desk(scene)
    body = b'{"events": []}'
    assert (await desk.post(body=body + b" " * (1000 - len(body))))[0] == 200
    assert (await desk.post(body=body + b" " * (1001 - len(body))))[0] == 413
    assert (await desk.post(body=body, content_length="1001"))[0] == 413


async def test_failures_are_counted_by_address_and_never_stop_what_is_signed(scene: Scene) -> None:
    desk = Desk(scene, failures=Limiter(Rate(3, 60), policy="webhooks"))
    wrong = [(await desk.post(secret="wrong"))[0] for _ in range(4)]
    assert wrong == [401, 401, 401, 429]
    status, _, headers = await desk.post("nowhere")
    assert (status, headers["Retry-After"]) == (429, "60")
    assert (await desk.post(secret="wrong", address="192.0.2.8"))[0] == 401
    assert (await desk.post())[0] == 200
    await scene.store.clock.advance(60)
    assert (await desk.post(secret="wrong"))[0] == 401


async def test_a_registration_has_a_limit_only_where_it_is_configured(scene: Scene) -> None:
    desk = Desk(scene, registration_limits=Limiter(Rate(2, 60), policy="registration"))
    answers = [await desk.post(body={"events": [number]}) for number in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert answers[2][1]["error"]["code"] == "rate_limited"
    assert int(answers[2][2]["Retry-After"]) == 60
    assert await desk.seq(scene.alice) == 2
    # What is not signed uses nothing up.
    assert (await desk.post("open", secret="wrong"))[0] == 401
    assert (await desk.post("open", secret="shared"))[0] == 200


async def test_a_journal_that_is_away_is_a_503(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_item: object) -> None:
        raise Unavailable("The disk is full.", retry_after_seconds=12.4)

    monkeypatch.setattr(scene.journal, "enqueue", away)
    status, answer, headers = await Desk(scene).post()
    assert (status, headers["retry-after"], answer["error"]["code"]) == (503, "12", "unavailable")


async def test_a_sender_who_leaves_in_the_middle_gets_no_answer(scene: Scene) -> None:
    desk = Desk(scene)
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": b'{"events"', "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "method": "POST",
        "path": "/x",
        "path_params": {"platform": "parrot", "ref": "hook"},
        "query_string": b"",
        "headers": [(b"x-secret", b"secret")],
        "client": None,
    }

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await desk.webhooks(scope, receive, send)
    assert sent == []
    assert await desk.seq(scene.alice) == 0


async def test_a_header_that_came_twice_has_both_values(scene: Scene) -> None:
    assert (await Desk(scene).post(secret="secret, secret"))[0] == 401


async def test_each_delivery_is_one_line_in_the_log(scene: Scene) -> None:
    desk = Desk(scene)
    await desk.post(body={"events": [1], "delivery": "d7"})
    await desk.post(secret="wrong")
    lines = [line for line in scene.logged if line["event"] == "delivery"]
    assert [line["outcome"] for line in lines] == ["stored", "refused"]
    assert (lines[0]["kind"], lines[0]["delivery"], lines[0]["event_id"]) == ("talk", "d7", "parrot:1")
    assert (lines[1]["reason"], lines[1]["address"]) == ("Not signed.", "192.0.2.7")
