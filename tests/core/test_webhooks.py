from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from streams import Scene, scene_in
from tidings.contracts import Connector, Hint, Keys, Parsed, Receives, Reply, WebhookRequest
from tidings.durations import Rate
from tidings.errors import Rejected, Unavailable
from tidings.event import Event, UserId
from tidings.hints import read_hints
from tidings.keysets import KeySets
from tidings.lookups import Lookups
from tidings.metrics import Metrics
from tidings.outbound import Outbound
from tidings.ratelimit import Limiter
from tidings.registrations import Target, find_addressed
from tidings.schema import connection_addresses, jobs
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
        addresses = tuple(wish.get("addresses", ()))
        return Parsed(
            events,
            wish.get("delivery", ""),
            "talk",
            addresses,
            wish.get("signal", ""),
            Hint(tuple(wish["hint"])) if "hint" in wish else None,
            Reply(204) if "empty" in wish else Reply(202, b"pong") if "pong" in wish else None,
            tuple(wish.get("apart_from", ())),
            datetime.fromisoformat(wish["signalled_at"]) if "signalled_at" in wish else None,
        )

    def unknown(self, request: WebhookRequest) -> Reply | None:
        return Reply(200, b"gone") if request.headers.get("x-secret") == "stale" else None

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        raise AssertionError("nobody asks a parrot for a sample")


class Mute(Connector):
    platform = "mute"
    display_name = "Mute"


class Account:
    """Keeps account of deliveries."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bool]] = []
        self.untaken: list[str] = []
        self.signals: list[tuple[str, Mapping[str, UserId], str]] = []
        self.signalled_at: list[datetime | None] = []
        self.refuses = False

    def delivered(
        self, user_id: UserId, connection_id: str, registration_id: str, now: datetime, *, has_news: bool
    ) -> None:
        self.taken.append((connection_id, registration_id, has_news))

    def failed(self, user_id: UserId, connection_id: str) -> None:
        self.untaken.append(connection_id)

    def failed_common(self, platform: str) -> None:
        self.untaken.append(f"common:{platform}")

    async def signal(
        self, signal: str, connections: Mapping[str, UserId], registration_id: str, at: datetime | None = None
    ) -> None:
        if self.refuses:
            raise Unavailable("The database is away.")
        self.signals.append((signal, connections, registration_id))
        self.signalled_at.append(at)


class Desk:
    """A webhook endpoint without a socket."""

    def __init__(self, scene: Scene, **limits: Any) -> None:
        self.scene = scene
        self.targets = {
            ("parrot", "hook"): Target(scene.alice, "alice", "hook", (b"secret",)),
            ("parrot", "open"): Target(scene.bob, "bob", "user:2:parrot", ()),
            ("parrot", "ghost"): Target(UserId(999), "ghost", "ghost", (b"secret",)),
            ("parrot", "con"): Target(scene.bob, "bob", "whk", (b"secret",), "con1", "repo:7"),
        }
        self.asked: list[tuple[str, str]] = []
        self.before_answering: list[asyncio.Event] = []
        self.account = Account()
        options = {"most_bytes": 1000, "failures": None, "registration_limits": None, **limits}
        self.webhooks = Webhooks(
            {"parrot": Parrot(), "mute": Mute()},
            self,  # type: ignore[arg-type] - has the one method that is used
            Lookups(scene.store.database, find_addressed),
            self.account,
            KeySets(Outbound(), scene.store.clock),
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
            "path": f"/api/webhooks/{platform}/{ref}".removesuffix("/"),
            "path_params": {"platform": platform, **({"ref": ref} if ref else {})},
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
        self.body = sent[1]["body"]
        is_json = answered.get("content-type") == "application/json"
        return sent[0]["status"], json.loads(self.body) if is_json else {}, answered

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


async def test_a_hint_is_kept_with_the_delivery_that_brought_it(scene: Scene) -> None:
    desk = Desk(scene)
    await desk.post("con", {"events": [], "delivery": "1", "hint": []})
    await desk.post("con", {"events": [], "delivery": "1", "hint": []})  # sent again: no news
    await desk.post("con", {"events": [], "delivery": "2", "hint": []})
    await desk.post("con", {"events": [], "delivery": "3", "hint": ["repo:8"]})
    await desk.post("hook", {"events": [], "hint": []})  # a person made it: there is nothing to ask
    hints = await scene.store.read(lambda sql: read_hints(sql, scene.bob, "con1"))
    assert hints == {"repo:7": 2, "repo:8": 1}
    wanted = await scene.store.read(
        lambda sql: sql.execute(select(jobs.c.kind, jobs.c.key, jobs.c.platform, jobs.c.wanted)).all()
    )
    assert [tuple(row) for row in wanted] == [("sync", "con1", "parrot", 3)]


async def test_a_platform_gets_the_answer_that_it_takes(scene: Scene) -> None:
    desk = Desk(scene)
    status, _, headers = await desk.post(body={"events": [1], "empty": True})
    assert (status, desk.body) == (204, b"")
    assert "content-length" not in headers
    assert "content-type" in headers  # Discord wants one even where nothing follows
    status, _, headers = await desk.post(body={"events": [2], "pong": True})
    assert (status, desk.body, headers["content-type"]) == (202, b"pong", "text/plain; charset=utf-8")
    assert await desk.seq(scene.alice) == 2


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


async def test_a_platform_that_takes_no_404_is_answered_as_it_wants(scene: Scene) -> None:
    """Such an answer counts as no failure, and nothing of the delivery is kept."""
    desk = Desk(scene, failures=Limiter(Rate(1, 60.0), policy="test"))
    for _ in range(3):
        status, _, headers = await desk.post("new", secret="stale", body={"events": [1], "hint": []})
        assert (status, desk.body, headers["content-type"]) == (200, b"gone", "text/plain; charset=utf-8")
    assert [line["outcome"] for line in scene.logged if line["event"] == "delivery"] == ["unknown"] * 3
    assert (await desk.seq(scene.alice), desk.account.taken) == (0, [])
    assert (await desk.post("hook", secret="stale"))[0] == 401  # what stands is verified as ever


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


async def test_news_of_a_connection_carry_its_id_and_what_arrived_is_accounted_for(scene: Scene) -> None:
    desk = Desk(scene)
    assert (await desk.post("con", {"events": [1]}))[0] == 200
    assert (await desk.post("con", {"events": []}))[0] == 200
    assert (await desk.post("con", secret="wrong"))[0] == 401
    (entry,) = (await scene.journal.last(scene.bob, 10)).entries
    assert entry.connection_id == "con1"
    assert desk.account.taken == [("con1", "whk", True), ("con1", "whk", False)]
    assert desk.account.untaken == []


async def test_what_a_delivery_says_about_the_webhook_is_acted_upon_before_the_answer(scene: Scene) -> None:
    desk = Desk(scene)
    assert (await desk.post("con", {"events": [1], "signal": "removed"}))[0] == 200
    assert desk.account.signals == [("removed", {"con1": 2}, "whk")]
    desk.account.refuses = True
    assert (await desk.post("con", {"events": [2], "signal": "removed"}))[0] == 503
    assert await desk.seq(scene.bob) == 1


async def test_when_it_came_to_what_is_said_is_handed_on(scene: Scene) -> None:
    desk = Desk(scene)
    at = "2026-11-01T12:00:00+00:00"
    assert (await desk.post("con", {"events": [], "signal": "revoked", "signalled_at": at}))[0] == 200
    assert (await desk.post("con", {"events": [], "signal": "revoked"}))[0] == 200
    assert desk.account.signalled_at == [datetime.fromisoformat(at), None]


async def test_a_person_s_own_webhook_can_say_nothing_about_any_connection(scene: Scene) -> None:
    desk = Desk(scene)
    assert (await desk.post("hook", {"events": [1], "signal": "revoked"}))[0] == 200
    assert desk.account.signals == []


async def test_a_delivery_that_could_not_be_taken_is_noted_for_recovery(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(scene)

    def away(_item: object) -> None:
        raise Unavailable("The disk is full.")

    assert (await desk.post("con", x_defect="parse"))[0] == 500
    monkeypatch.setattr(scene.journal, "enqueue", away)
    assert (await desk.post("con"))[0] == 503
    assert (await desk.post("hook"))[0] == 503
    assert desk.account.untaken == ["con1", "con1"]
    await address(scene, scene.alice, "team:1", "con1")
    assert (await desk.post("", {"events": [1], "addresses": ["team:1"]}, secret="shared"))[0] == 503
    assert (await desk.post("", {"events": [1], "addresses": ["team:1"]}, secret="wrong"))[0] == 401
    assert desk.account.untaken == ["con1", "con1", "common:parrot"]


async def address(scene: Scene, user: UserId, address: str, connection_id: str) -> None:
    row = {"user_id": user, "platform": "parrot", "address": address, "connection_id": connection_id}
    await scene.store.write(lambda sql: sql.execute(insert(connection_addresses).values(**row)))


async def test_the_common_address_serves_all_whom_a_delivery_names(scene: Scene) -> None:
    desk = Desk(scene)
    await address(scene, scene.alice, "team:1", "con1")
    await address(scene, scene.alice, "team:2", "con2")
    await address(scene, scene.bob, "team:1", "con3")
    wish = {"events": [1], "delivery": "d", "addresses": ["team:1", "team:2", "team:9"], "signal": "verified"}
    status, answer, _ = await desk.post("", wish, secret="shared")
    assert (status, answer) == (200, {"status": "stored", "events": 2, "duplicate": False})
    assert [await desk.seq(user) for user in (scene.alice, scene.bob)] == [1, 1]
    assert [
        (await scene.journal.last(user, 9)).entries[0].connection_id for user in (scene.alice, scene.bob)
    ] == [
        "con1",
        "con3",
    ]
    assert desk.account.taken == [("con1", "", True), ("con3", "", True), ("con2", "", True)]
    assert desk.account.signals == [
        ("verified", dict.fromkeys(("con1", "con2"), scene.alice) | {"con3": scene.bob}, "")
    ]
    status, answer, _ = await desk.post("", wish, secret="shared")
    assert (status, answer) == (200, {"status": "stored", "events": 0, "duplicate": True})


async def test_who_did_it_is_left_out_though_an_address_names_them(scene: Scene) -> None:
    desk = Desk(scene)
    await address(scene, scene.alice, "room:1", "con1")
    await address(scene, scene.alice, "person:1", "con1")
    await address(scene, scene.alice, "room:1", "con2")
    await address(scene, scene.bob, "room:1", "con3")
    wish = {"events": [1], "addresses": ["room:1"], "apart_from": ["person:1", "person:9"]}
    status, answer, _ = await desk.post("", wish, secret="shared")
    assert (status, answer) == (200, {"status": "stored", "events": 2, "duplicate": False})
    assert [one for one, _, _ in desk.account.taken] == ["con2", "con3"]
    (entry,) = (await scene.journal.last(scene.alice, 9)).entries
    assert entry.connection_id == "con2"


async def test_the_common_address_takes_what_names_nobody_here(scene: Scene) -> None:
    desk = Desk(scene)
    for wish in ({"events": [1]}, {"events": [1], "addresses": ["team:9"]}):
        status, answer, _ = await desk.post("", wish, secret="shared")
        assert (status, answer) == (200, {"status": "ignored", "events": 0, "duplicate": False})


async def test_the_common_address_is_verified_with_shared_keys_alone(scene: Scene) -> None:
    desk = Desk(scene)
    await address(scene, scene.alice, "team:1", "con1")
    assert (await desk.post("", {"events": [1], "addresses": ["team:1"]}, secret="secret"))[0] == 401
    assert (await desk.post("", platform="mute", secret="shared"))[0] == 404
    assert await desk.seq(scene.alice) == 0
