"""News reaches devices whose pages are closed: each thing once, bursts as one, nothing lost."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from push_service import Browser, PushService, serving, until
from tidings.accounts import User
from tidings.api_tokens import list_tokens, revoke_token
from tidings.contracts import Item, Notice, Principal, Sink
from tidings.event import Cursor, Entry, Event, Gap
from tidings.schema import push_subscriptions, to_stored
from tidings.selection import EVERYTHING
from tidings.sessions import add_login_link
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import open_stream

CONFIG = """\
server: {{public_url: "https://tidings.example.org"}}
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited, sessions: unlimited}}
plugins:
  connectors: {{github: {{}}}}
  transports:
    sse: {{}}
    webpush: {{services: ["localhost:{port}"], allow_private: true, gather: {gather}, pace: {pace}, most_devices: 3}}
  bus: {{local: {{}}}}
"""
_numbers = itertools.count(1)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with serving() as service:
        yield service
        assert service.refused == []


def config(service: PushService, *, gather: str = "10ms", pace: str = "0s") -> str:
    return CONFIG.format(port=service.port, gather=gather, pace=pace)


@pytest.fixture
async def server(tmp_path: Path, service: PushService) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, config(service)) as running:
        yield running


class Person:
    """A user of a server, with an API token."""

    def __init__(self, server: LiveServer, user: User, token: str) -> None:
        self.server, self.user, self.token = server, user, token

    @classmethod
    async def at(cls, server: LiveServer, name: str = "alice") -> Person:
        user = await server.add_user(name)
        return cls(server, user, await server.add_token(user))

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        answer = await self.server.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def browser(self, service: PushService) -> Browser:
        """A browser of theirs that has subscribed."""
        browser = service.browser((await self.ask("GET", "/api/push/key"))["key"])
        await self.ask("POST", "/api/push/subscriptions", browser.shown(), status=201)
        return browser

    async def devices(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", "/api/push/subscriptions"))["subscriptions"]
        return found

    async def has_news(self, *titles: str, platform: str = "github", **data: Any) -> None:
        """All of it in one transaction."""
        events = [news(title, platform=platform, **data) for title in titles]
        await self.server.services.journal.append(Item(self.user.id, events, via="webhook"))


def news(title: str, *, platform: str = "github", repository: str = "octo/repo", **data: Any) -> Event:
    return Event(
        id=f"{platform}:{next(_numbers)}",
        type=f"com.{platform}.push",
        source=f"//{platform}.com/{repository}",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        platform=platform,
        data={"title": title, "repository": repository, "actor": {"name": "octocat"}, **data},
    )


async def test_one_event_is_one_notification_that_a_browser_can_show_by_itself(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    await alice.has_news("3 commits pushed to main", text="Mend the roof", url="https://github.com/octo/repo")
    (received,) = await browser.wait_for(1)
    head = await server.services.journal.head(alice.user.id)
    assert received.message["web_push"] == 8030
    assert received.notification == {
        "title": "3 commits pushed to main",
        "body": "octocat · octo/repo\nMend the roof",
        "navigate": f"https://tidings.example.org/?event={head}",
        "lang": "en",
        "dir": "auto",
        "tag": f"tidings-{head}",
        "silent": False,
        "data": {
            "cursor": str(head),
            "count": 1,
            "platform": "github",
            "type": "com.github.push",
            "url": "https://github.com/octo/repo",
        },
    }
    assert received.headers["ttl"] == "86400"
    assert received.headers["urgency"] == "normal"
    assert len(received.topic) == 32
    assert received.claims["sub"] == "https://tidings.example.org"
    (device,) = await alice.devices()
    await until_ok(alice)
    assert (device["service"], device["label"]) == ("localhost", "localhost")


async def until_devices(
    alice: Person, are_so: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Their devices, once they are so."""
    deadline = asyncio.get_running_loop().time() + 20
    while not are_so(found := await alice.devices()):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.01)
    return found


async def until_ok(alice: Person, state: str = "ok") -> dict[str, Any]:
    """Their one device, once it is in this state."""
    (device,) = await until_devices(alice, lambda found: [one["state"] for one in found] == [state])
    return device


async def until_told(alice: Person) -> dict[str, Any]:
    """Their one device, once it has reached the head of the journal."""
    head = str(await alice.server.services.journal.head(alice.user.id))
    (device,) = await until_devices(alice, lambda found: [one["cursor"] for one in found] == [head])
    return device


async def test_a_burst_is_one_notification(server: LiveServer, service: PushService) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    await alice.has_news(*[f"Push {number}" for number in range(7)])
    (received,) = await browser.wait_for(1)
    assert received.notification["title"] == "7 new in octo/repo"
    assert received.notification["body"].split("\n") == ["Push 6", "Push 5", "Push 4", "Push 3", "and 3 more"]
    assert received.notification["data"]["count"] == 7
    # Only what came since is told next.
    await alice.has_news("Later")
    assert (await browser.wait_for(2))[1].notification["title"] == "Later"


async def test_every_device_has_a_place_of_its_own(server: LiveServer, service: PushService) -> None:
    alice, bob = await Person.at(server), await Person.at(server, "bob")
    first = await alice.browser(service)
    await alice.has_news("One")
    await first.wait_for(1)
    second, bobs = await alice.browser(service), await bob.browser(service)
    await alice.has_news("Two")
    assert [one.notification["title"] for one in await first.wait_for(2)] == ["One", "Two"]
    assert [one.notification["title"] for one in await second.wait_for(1)] == ["Two"]
    await bob.has_news("Bob's")
    assert [one.notification["title"] for one in await bobs.wait_for(1)] == ["Bob's"]
    assert len(first.received) == 2


async def test_a_restart_goes_on_from_where_each_device_stood(tmp_path: Path, service: PushService) -> None:
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
        await alice.has_news("Before")
        await browser.wait_for(1)
        await until_ok(alice)
    async with live_server(tmp_path, config(service).replace("webpush:", "# webpush:")) as server:
        alice.server = server  # nothing pushes, and nothing is asked for
        await alice.has_news("Meanwhile", "Meanwhile too")
    async with live_server(tmp_path, config(service)) as server:
        alice.server = server
        received = await browser.wait_for(2)
        assert [one.notification["data"]["count"] for one in received] == [1, 2]
        await alice.has_news("After")
        assert (await browser.wait_for(3))[2].notification["title"] == "After"
        assert len(browser.received) == 3


async def test_what_was_sent_when_the_server_died_replaces_itself(
    tmp_path: Path, service: PushService
) -> None:
    """Between the push service's answer and the commit nobody can know; the same tag and topic make it one."""
    browser_hold = asyncio.Event()
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
        browser.hold = browser_hold
        await alice.has_news("One", "Two")
        await browser.wait_for(1)  # it has it; the server does not know yet, and stops
    browser.hold = None
    browser_hold.set()
    async with live_server(tmp_path, config(service)) as server:
        alice.server = server
        await alice.has_news("Three")
        await until(lambda: sum(counts(browser)) == 3, "all three, once")
        await alice.has_news("Four")
        await until(lambda: sum(counts(browser)) == 4, "the fourth")
    first, again = browser.taken[:2]
    assert first.topic == again.topic
    assert first.notification["tag"] == again.notification["tag"]


async def settled(server: LiveServer, service: PushService) -> None:
    """Wait until all that was committed before has been pushed, or will not be."""
    witness = await Person.at(server, f"witness{next(_numbers)}")
    browser = await witness.browser(service)
    await witness.has_news("Behind everything else")
    await browser.wait_for(1)
    await server.services.scheduler.idle()


def counts(browser: Browser) -> list[int]:
    """How much each notification that is shown in the end tells of."""
    return [one["data"]["count"] for one in browser.delivered.values()]


async def test_news_is_told_once_however_often_the_push_service_fails(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.extend(
        [(503, {}, b'{"errno":202}'), (429, {"Retry-After": "0"}, b""), (500, {}, b"oops")]
    )
    await alice.has_news("One")
    await browser.wait_for_tries(1)
    await alice.has_news("Two")
    await until(lambda: sum(counts(browser)) == 2, "both, once")
    assert len({one.topic for one in browser.received[:4]}) == 1  # each try replaces the one before
    device = await until_ok(alice)
    assert (device["failures"], device["problem"], device["retry_at"]) == (0, "", None)


async def test_a_push_service_that_asks_for_patience_gets_it(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.append((429, {"Retry-After": "3600"}, b"slow down"))
    await alice.has_news("One")
    device = await until_ok(alice, "failing")
    assert "asks for patience. It answered 429: slow down." in device["problem"]
    wait = datetime.fromisoformat(device["retry_at"]) - server.services.clock.now()
    assert 3500 < wait.total_seconds() < 3700
    await alice.has_news("Two")  # makes nothing due any sooner
    await settled(server, service)
    assert len(browser.received) == 1
    # A test that is taken shows that the wait is over.
    assert (await alice.ask("POST", f"/api/push/subscriptions/{device['id']}/test"))["outcome"] == "taken"
    assert (await browser.wait_for(2))[1].notification["data"]["count"] == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (410, b'{"reason":"Unregistered"}'),
        (403, b"the VAPID credentials do not correspond to the credentials used to create the subscriptions"),
        (400, b'{"reason":"VapidPkHashMismatch"}'),
    ],
)
async def test_a_subscription_that_is_no_more_is_removed(
    server: LiveServer, service: PushService, status: int, body: bytes
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.append((status, {}, body))
    await alice.has_news("One")
    await until_devices(alice, lambda devices: not devices)
    # It is told where they look.
    page = await alice.ask("GET", "/api/events")
    assert [event["type"] for event in page["events"]] == ["com.github.push", "org.tidings.push.removed"]
    told = page["events"][1]["data"]
    assert told["title"] == "localhost gets no notifications any more"
    assert told["text"].endswith("Open tidings there, and it subscribes anew.")
    await alice.has_news("Two")
    await settled(server, service)
    assert len(browser.received) == 1
    (line,) = [line for line in server.logged if line["event"] == "push_subscription_removed"]
    assert browser.token not in repr(line)
    # The browser can subscribe anew, and is told what comes from now on.
    await alice.ask("POST", "/api/push/subscriptions", browser.shown(), status=201)
    await alice.has_news("Three")
    assert [one.notification["title"] for one in await browser.wait_for(1)] == ["Three"]


async def test_a_new_key_ends_what_was_subscribed_with_the_old_one(
    tmp_path: Path, service: PushService
) -> None:
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
    (tmp_path / "tidings.push.key").unlink()
    async with live_server(tmp_path, config(service)) as server:
        alice.server = server
        await until_devices(alice, lambda devices: not devices)
        answer = await alice.ask(
            "POST", "/api/push/subscriptions", browser.shown(key=browser.key), status=409
        )
        assert "subscribe anew" in answer["error"]["message"]
        anew = await alice.browser(service)
        await alice.has_news("One")
        await anew.wait_for(1)
    assert browser.received == []


async def test_an_old_key_kept_beside_a_new_one_still_serves(tmp_path: Path, service: PushService) -> None:
    file = tmp_path / "tidings.push.key"
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        old = await alice.browser(service)
    file.write_text("new " + "A" * 43 + "\n" + file.read_text())
    async with live_server(tmp_path, config(service)) as server:
        alice.server = server
        new = await alice.browser(service)
        assert new.key != old.key
        await alice.ask("POST", "/api/push/subscriptions", old.shown(key=old.key), status=200)
        await alice.has_news("One")
        await old.wait_for(1)
        await new.wait_for(1)


async def test_nothing_is_pushed_while_its_user_looks_at_a_page_that_shows_it(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    async with open_stream(server.client, alice.token) as stream:
        await alice.ask("POST", "/api/push/presence", {"visible": True, "page": "a"}, status=204)
        await alice.has_news("Seen")
        await stream.events(1)
        await until_told(alice)
        assert browser.received == []
        # A page that has gone out of view is no reader, though its stream is open still.
        await alice.ask("POST", "/api/push/presence", {"visible": False, "page": "a"}, status=204)
        await alice.has_news("Unseen")
        assert [one.notification["title"] for one in await browser.wait_for(1)] == ["Unseen"]
    # And a page in view without a stream shows nothing.
    await alice.ask("POST", "/api/push/presence", {"visible": True, "page": "a"}, status=204)
    await until(lambda: not server.services.fanout.subscriptions_of(alice.user.id), "the stream to end")
    await alice.has_news("Lost")
    assert (await browser.wait_for(2))[1].notification["title"] == "Lost"


class Waiting(Sink):
    """The end of a stream whose client has taken nothing yet."""

    def offer(self, frame: bytes) -> None:
        raise AssertionError("It was not started.")

    def gap(self, gap: Gap, cursor: Cursor) -> bytes:
        raise AssertionError("It was not started.")

    def notice(self, notice: Notice) -> bytes:
        return b""

    async def finish(self, reason: str) -> None:
        return


async def test_a_page_in_view_that_has_not_got_it_yet_does_not_keep_it_from_devices(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    principal = Principal(alice.user.id, "alice", "token", "token:0", frozenset({"read"}))
    await server.services.fanout.open(
        principal, Waiting(), after=None, selection=EVERYTHING, encode=Entry.cloudevent, transport="sse"
    )
    await alice.ask("POST", "/api/push/presence", {"visible": True}, status=204)
    await alice.has_news("Unseen")
    await browser.wait_for(1)


async def test_rules_choose_what_is_told(server: LiveServer, service: PushService) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    assert await alice.ask("GET", "/api/push/rules") == {
        "enabled": True, "platforms": [], "types": [], "muted_platforms": [], "muted_types": [],
    }  # fmt: skip
    await settled(server, service)  # a look that has begun goes by the rules of before
    rules: Mapping[str, Any]
    for rules in (
        {"enabled": False},
        {"platforms": ["slack"]},
        {"types": ["com.slack.*"]},
        {"muted_platforms": ["github"]},
        {"muted_types": ["com.*.push"], "platforms": ["github"]},
    ):
        await alice.ask("PUT", "/api/push/rules", rules)
        await alice.has_news(f"Withheld by {rules}")
        await until_told(alice)
        assert browser.received == []
    await alice.ask("PUT", "/api/push/rules", {"platforms": ["slack"], "muted_types": ["com.slack.typing"]})
    await alice.server.services.journal.append(
        Item(alice.user.id, [news("Withheld"), news("Told", platform="slack")], via="webhook")
    )
    (received,) = await browser.wait_for(1)
    assert received.notification["title"] == "Told"
    for wrong in ({"types": ["a b"]}, {"types": ["x"] * 51}, {"enabled": 1}, {"other": 1}, []):
        await alice.ask("PUT", "/api/push/rules", wrong, status=400)


async def test_the_test_button_says_what_the_push_service_said(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    (device,) = await alice.devices()
    path = f"/api/push/subscriptions/{device['id']}/test"
    assert device["state"] == "new"
    assert await alice.ask("POST", path) == {"outcome": "taken", "status": 201, "detail": ""}
    assert browser.received[0].notification["title"] == "Notifications work"
    assert browser.received[0].headers["urgency"] == "high"
    assert (await alice.devices())[0]["state"] == "ok"
    browser.answers.append((400, {"X-WNS-Status": "dropped"}, f"bad {browser.endpoint}".encode()))
    told = await alice.ask("POST", path)
    assert (told["outcome"], told["status"]) == ("refused", 400)
    assert "x-wns-status: dropped" in told["detail"]
    assert browser.token not in json.dumps(told)
    browser.answers.append((410, {}, b""))
    assert (await alice.ask("POST", path))["outcome"] == "gone"
    assert await alice.devices() == []
    await alice.ask("POST", path, status=404)


async def test_a_push_service_that_finds_it_too_long_gets_the_least(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.append((413, {}, b"too long"))
    await alice.has_news("One", "Two", text="long " * 500)
    (received,) = await browser.wait_for(1)
    assert received.notification["title"] == "2 new"
    assert received.topic == browser.received[0].topic
    assert len(received.plaintext) < 200


async def test_nobody_else_sees_or_touches_a_device(server: LiveServer, service: PushService) -> None:
    alice, bob = await Person.at(server), await Person.at(server, "bob")
    browser = await alice.browser(service)
    (device,) = await alice.devices()
    assert browser.token not in json.dumps(device)
    assert await bob.devices() == []
    await bob.ask("DELETE", f"/api/push/subscriptions/{device['id']}", status=404)
    await bob.ask("POST", f"/api/push/subscriptions/{device['id']}/test", status=404)
    assert len(await alice.devices()) == 1
    await settled(server, service)  # a look that has begun would still push what comes now
    await alice.ask("DELETE", f"/api/push/subscriptions/{device['id']}", status=204)
    await alice.ask("DELETE", f"/api/push/subscriptions/{device['id']}", status=404)
    await alice.has_news("One")
    await settled(server, service)
    assert browser.received == []


async def test_a_browser_belongs_to_who_subscribed_it_last(server: LiveServer, service: PushService) -> None:
    alice, bob = await Person.at(server), await Person.at(server, "bob")
    browser = await alice.browser(service)
    await bob.ask("POST", "/api/push/subscriptions", browser.shown(label="The same"), status=201)
    assert await alice.devices() == []
    assert [one["label"] for one in await bob.devices()] == ["The same"]
    await alice.has_news("Alice's")
    await bob.has_news("Bob's")
    assert [one.notification["title"] for one in await browser.wait_for(1)] == ["Bob's"]


async def test_subscribing_again_changes_keys_and_keeps_the_place(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    (before,) = await alice.devices()
    shown = browser.shown(label="Kitchen")
    assert (await alice.ask("POST", "/api/push/subscriptions", shown))["id"] == before["id"]
    assert [one["label"] for one in await alice.devices()] == ["Kitchen"]
    assert (await alice.ask("POST", "/api/push/subscriptions", browser.shown()))["label"] == "Kitchen"


async def test_a_user_has_so_many_devices_and_no_more(server: LiveServer, service: PushService) -> None:
    alice = await Person.at(server)
    browsers = [await alice.browser(service) for _ in range(3)]
    fourth = service.browser(browsers[0].key)
    told = await alice.ask("POST", "/api/push/subscriptions", fourth.shown(), status=409)
    assert "3 devices" in told["error"]["message"]
    await alice.ask("POST", "/api/push/subscriptions", browsers[0].shown(), status=200)


async def test_what_was_subscribed_by_a_right_ends_with_it(server: LiveServer, service: PushService) -> None:
    alice = await Person.at(server)
    other = Person(server, alice.user, await server.add_token(alice.user))
    browser, kept = await alice.browser(service), await other.browser(service)
    await settled(server, service)  # a look that has begun would still push what comes now
    tokens = await server.services.database.read(lambda sql: list_tokens(sql, alice.user.id))
    await server.services.writer.run_unit(lambda sql: revoke_token(sql, tokens[0].id))
    await alice.has_news("One")
    await kept.wait_for(1)
    await settled(server, service)
    assert browser.received == []
    assert len(await other.devices()) == 1


async def test_signing_out_ends_what_that_session_subscribed(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    now = server.services.clock.now()
    link = await server.services.writer.run_unit(lambda sql: add_login_link(sql, alice.user.id, now=now))
    signed_in = await server.client.get(f"/login/{link}")
    # The cookie is for https alone; a client on http would keep it to itself.
    headers = {"cookie": signed_in.headers["set-cookie"].partition(";")[0]}
    me = (await server.client.get("/api/me", headers=headers)).json()
    headers["x-csrf-token"] = me["csrf_token"]
    browser = service.browser((await alice.ask("GET", "/api/push/key"))["key"])
    path = "/api/push/subscriptions"
    refused = await server.client.post(path, json=browser.shown(), headers={"cookie": headers["cookie"]})
    assert refused.status_code == 403
    made = await server.client.post(path, json=browser.shown(), headers=headers)
    assert made.status_code == 201
    assert len(await alice.devices()) == 1
    assert (await server.client.post("/api/logout", headers=headers)).status_code == 204
    assert await alice.devices() == []


async def test_no_address_stands_in_the_database_in_clear(tmp_path: Path, service: PushService) -> None:
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
        browser.answers.append((500, {}, browser.endpoint.encode()))
        await alice.has_news("One")
        await browser.wait_for(1)
        secrets = [browser.token, *browser.keys.shown().values()]
        assert not any(secret in repr(server.logged) for secret in secrets)
        await until_ok(alice)
        metrics = server.services.metrics.expose().decode()
        assert not any(secret in metrics for secret in secrets)
        assert 'tidings_pushes_total{outcome="taken"} 1.0' in metrics
    for file in tmp_path.glob("tidings.db*"):
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), file


async def passing(clock: FakeClock, is_so: Callable[[], bool]) -> None:
    """Let time pass, a second at a time, until something is so; others work in real time meanwhile."""
    for _ in range(2000):
        if is_so():
            return
        await clock.advance(1)
        await asyncio.sleep(0.005)
    raise AssertionError("It did not happen.")


async def test_what_comes_close_together_is_gathered_and_devices_get_their_rest(
    tmp_path: Path, service: PushService
) -> None:
    clock = FakeClock(datetime.now(UTC))
    async with live_server(tmp_path, config(service, gather="2s", pace="30s"), clock=clock) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
        for title in ("One", "Two", "Three"):  # three commits, in less than two seconds
            await alice.has_news(title)
        await passing(clock, lambda: len(browser.taken) == 1)
        assert browser.taken[0].notification["title"] == "3 new in octo/repo"
        first = datetime.fromisoformat((await until_ok(alice))["last_pushed_at"])
        await alice.has_news("Four")
        await passing(clock, lambda: len(browser.taken) == 2)
        device = await until_told(alice)
        assert (datetime.fromisoformat(device["last_pushed_at"]) - first).total_seconds() >= 30


async def test_a_device_that_takes_nothing_for_two_weeks_is_removed(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.append((500, {"Retry-After": "0"}, b""))
    browser.answers.append((500, {}, b""))
    long_ago = to_stored(server.services.clock.now() - timedelta(days=14))
    await server.services.writer.run_unit(
        lambda sql: sql.execute(update(push_subscriptions).values(failing_since=long_ago, failures=19))
    )
    await alice.has_news("One")
    await until_devices(alice, lambda devices: not devices)
    assert [one.status for one in browser.received] == [500, 500]


async def test_what_is_the_operators_fault_is_in_the_health_and_removes_nothing(
    server: LiveServer, service: PushService
) -> None:
    alice = await Person.at(server)
    browser = await alice.browser(service)
    browser.answers.append((403, {}, b'{"reason":"BadJwtToken"}'))
    await alice.has_news("One")
    device = await until_ok(alice, "failing")
    health = await alice.ask("GET", "/api/health")
    assert health["status"] == "degraded"
    assert "check this machine's clock" in health["components"]["push"]["reason"]
    assert "BadJwtToken" in device["problem"]
    await alice.ask("POST", f"/api/push/subscriptions/{device['id']}/test")
    assert (await alice.ask("GET", "/api/health"))["status"] == "ok"
    await browser.wait_for(2)


async def test_a_server_that_is_not_set_up_says_so_and_keeps_nothing(
    tmp_path: Path, service: PushService
) -> None:
    bare = config(service).replace("https://tidings.example.org", "http://127.0.0.1:8080")
    async with live_server(tmp_path, bare) as server:
        alice = await Person.at(server)
        told = await alice.ask("GET", "/api/push/key")
        assert (told["ready"], len(told["key"])) == (False, 87)
        assert "plugins.transports.webpush.subject" in told["problem"]
        browser = service.browser(told["key"])
        refused = await alice.ask("POST", "/api/push/subscriptions", browser.shown(), status=409)
        assert refused["error"]["message"] == told["problem"]
        health = await alice.ask("GET", "/api/health")
        assert health["status"] == "ok"  # nothing is broken
        assert health["push"]["problem"] == told["problem"]
        assert "for tests; remove it" in health["push"]["warning"]
        warned = [line for line in server.logged if line["event"] == "webpush_allows_private"]
        assert [line["level"] for line in warned] == ["warning"]


async def test_what_subscribed_while_it_was_set_up_waits_until_it_is_again(
    tmp_path: Path, service: PushService
) -> None:
    async with live_server(tmp_path, config(service)) as server:
        alice = await Person.at(server)
        browser = await alice.browser(service)
    bare = config(service).replace("https://tidings.example.org", "http://127.0.0.1:8080")
    async with live_server(tmp_path, bare) as server:
        alice.server = server
        await alice.has_news("One")
        await until(lambda: any(line.get("kind") == "push" for line in server.logged), "the job to run")
        assert len(await alice.devices()) == 1
        (device,) = await alice.devices()
        await alice.ask("POST", f"/api/push/subscriptions/{device['id']}/test", status=409)
    async with live_server(tmp_path, config(service)) as server:
        await browser.wait_for(1)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"endpoint": "https://example.com/x"}, 400),
        ({"endpoint": "http://169.254.169.254/latest"}, 400),
        ({"endpoint": ""}, 400),
        ({"endpoint": 1}, 400),
        ({"endpoint": "https://fcm.googleapis.com/" + "x" * 2000}, 400),
        ({"keys": {}}, 400),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, 400),
        ({"label": "x" * 101}, 400),
        ({"label": "a\nb"}, 400),
        ({"key": "AAAA"}, 409),
        ({"other": 1}, 400),
        ({"expirationTime": 1e15, "label": " Kitchen "}, 201),
    ],
)
async def test_what_is_no_subscription_is_refused(
    server: LiveServer, service: PushService, change: dict[str, Any], status: int
) -> None:
    alice = await Person.at(server)
    browser = service.browser((await alice.ask("GET", "/api/push/key"))["key"])
    told = await alice.ask("POST", "/api/push/subscriptions", browser.shown() | change, status=status)
    assert len(await alice.devices()) == (status == 201)
    assert browser.token not in json.dumps(told)
    if status == 201:
        assert told["label"] == "Kitchen"
