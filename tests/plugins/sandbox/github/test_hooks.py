from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from emulated_github import API, SINK, Caller, Connect, Receiver
from tidings.testing.clock import FakeClock
from tidings_sandbox.github import GitHub
from tidings_sandbox.world import World


def configured(**more: Any) -> dict[str, Any]:
    return {"url": SINK, "content_type": "json", "secret": "a secret", **more}


async def test_a_new_hook_is_sent_a_signed_ping(caller: Caller, world: World, receiver: Receiver) -> None:
    hook = await caller.hook(events=["push"])
    assert receiver.sent == []  # not before the answer
    await world.settle()
    (ping,) = receiver.sent
    assert (ping.url, ping.event) == (SINK, "ping")
    assert (ping.payload["hook_id"], ping.payload["hook"]["events"]) == (hook["id"], ["push"])
    assert ping.payload["repository"]["full_name"] == f"{caller.login}/garden"
    made = hmac.new(b"a secret", ping.body, hashlib.sha256).hexdigest()
    assert ping.headers["X-Hub-Signature-256"] == f"sha256={made}"
    assert ping.headers["X-GitHub-Hook-ID"] == str(hook["id"])
    assert ping.headers["X-GitHub-Hook-Installation-Target-Type"] == "repository"
    assert ping.headers["X-GitHub-Hook-Installation-Target-ID"] == str(ping.payload["repository"]["id"])
    assert ping.headers["User-Agent"].startswith("GitHub-Hookshot/")


async def test_the_secret_is_never_shown(caller: Caller) -> None:
    hook = await caller.hook()
    path = f"/repos/{caller.login}/garden/hooks/{hook['id']}"
    for answer in (await caller("GET", path), await caller("GET", f"{path}/config")):
        assert "a secret" not in answer.text
        assert "********" in answer.text


async def test_the_defaults_are_a_form_and_pushes(caller: Caller, world: World, receiver: Receiver) -> None:
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks", {"config": {"url": SINK}})
    assert (answer.json()["events"], answer.json()["config"]["content_type"]) == (["push"], "form")
    await world.settle()
    (ping,) = receiver.sent
    assert ping.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert msgspec.json.decode(parse_qs(ping.body.decode())["payload"][0])["hook_id"] == answer.json()["id"]
    assert "X-Hub-Signature-256" not in ping.headers


async def test_the_same_hook_twice_is_refused(caller: Caller) -> None:
    await caller.hook(events=["push", "star"])
    body = {"events": ["star", "fork"], "config": configured(secret="another")}
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "Hook already exists on this repository"
    body["events"] = ["fork"]
    assert (await caller("POST", f"/repos/{caller.login}/garden/hooks", body)).status_code == 201


async def test_an_event_has_twenty_hooks_at_most(caller: Caller) -> None:
    path = f"/repos/{caller.login}/garden/hooks"
    statuses = [
        (await caller("POST", path, {"events": ["push"], "config": {"url": f"{SINK}/{number}"}})).status_code
        for number in range(21)
    ]
    assert statuses == [201] * 20 + [422]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"config": {}},
        {"config": {"url": "ftp://example.org"}},
        {"config": {"url": SINK, "content_type": "xml"}},
        {"config": {"url": SINK}, "events": []},
        {"config": {"url": SINK}, "events": ["not_an_event"]},
        {"config": {"url": SINK}, "name": "email"},
    ],
)
async def test_a_hook_that_cannot_be_is_refused(caller: Caller, body: dict[str, Any]) -> None:
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks", body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")


async def test_who_is_no_admin_or_lacks_the_scope_finds_nothing(connect: Connect) -> None:
    owner = await connect(0)
    path = f"/repos/{owner.login}/garden/hooks"
    hook = await owner.hook()
    stranger, without, writer = (
        await connect(5),
        await connect(0, "read:org"),
        await connect(0, "write:repo_hook"),
    )
    for caller in (stranger, without):
        assert (await caller("GET", path)).status_code == 404
        assert (await caller("POST", path, {"config": {"url": SINK}})).status_code == 404
        assert (await caller("DELETE", f"{path}/{hook['id']}")).status_code == 404
    assert (await writer("GET", path)).status_code == 200
    assert (await writer("DELETE", f"{path}/{hook['id']}")).status_code == 404
    assert (await owner("DELETE", f"{path}/{hook['id']}")).status_code == 204
    assert (await owner("GET", path)).json() == []


async def test_a_change_of_the_configuration_without_a_secret_takes_it_away(caller: Caller) -> None:
    hook = await caller.hook()
    path = f"/repos/{caller.login}/garden/hooks/{hook['id']}"
    kept = await caller("PATCH", path, {"events": ["star"], "add_events": ["fork"], "active": False})
    assert (kept.json()["events"], kept.json()["active"]) == (["star", "fork"], False)
    assert "secret" in kept.json()["config"]
    lost = await caller(
        "PATCH", path, {"config": {"url": SINK, "content_type": "json"}, "remove_events": ["star"]}
    )
    assert lost.json()["events"] == ["fork"]
    assert "secret" not in lost.json()["config"]


async def test_single_fields_of_the_configuration_can_be_changed(caller: Caller) -> None:
    hook = await caller.hook()
    path = f"/repos/{caller.login}/garden/hooks/{hook['id']}/config"
    answer = await caller("PATCH", path, {"url": f"{SINK}/2"})
    assert answer.json() == {
        "content_type": "json",
        "insecure_ssl": "0",
        "url": f"{SINK}/2",
        "secret": "********",
    }


async def test_a_hook_of_an_organisation_hears_of_all_its_repositories(
    connect: Connect, world: World, receiver: Receiver
) -> None:
    owner, member = await connect(0), await connect(2)
    hook = await owner.hook("/orgs/lantern-works", events=["push"])
    assert hook["url"] == f"{API}/orgs/lantern-works/hooks/{hook['id']}"
    assert (await member("GET", "/orgs/lantern-works/hooks")).status_code == 404
    world.act("github", "push", owner.login, repository="lantern-works/lighthouse")
    world.act("github", "push", owner.login, repository=f"{owner.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping", "push"]
    push = receiver.sent[-1]
    assert push.payload["organization"]["login"] == "lantern-works"
    assert push.headers["X-GitHub-Hook-Installation-Target-Type"] == "organization"


async def test_hooks_of_one_happening_get_it_under_one_guid(
    connect: Connect, world: World, receiver: Receiver
) -> None:
    one, other = await connect(0), await connect(1)
    place = "/repos/lantern-works/lighthouse"
    await one.hook(place, events=["push"])
    await other.hook(place, events=["push"], config=configured(url=f"{SINK}/2"))
    await one.hook("/orgs/lantern-works", events=["push"], config=configured(url=f"{SINK}/3"))
    await world.settle()
    receiver.sent.clear()
    world.act("github", "push", one.login, repository="lantern-works/lighthouse")
    await world.settle()
    assert len(receiver.sent) == 3
    assert len({each.headers["X-GitHub-Delivery"] for each in receiver.sent}) == 1
    assert len({each.headers["X-GitHub-Hook-ID"] for each in receiver.sent}) == 3


async def test_a_disabled_hook_hears_nothing(caller: Caller, world: World, receiver: Receiver) -> None:
    hook = await caller.hook()
    world.github.change_hook(hook["id"], "disable")
    await world.settle()
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping"]
    shown = await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}")
    assert shown.json()["active"] is False
    world.github.change_hook(hook["id"], "enable")
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping", "push"]


async def test_a_deleted_hook_hears_of_its_end_if_it_wants_to(
    caller: Caller, world: World, receiver: Receiver
) -> None:
    deaf = await caller.hook(events=["push"])
    hook = await caller.hook(events=["meta"], config=configured(url=f"{SINK}/2"))
    for each in (deaf, hook):
        world.github.change_hook(each["id"], "delete")
    await world.settle()
    assert receiver.events() == ["ping", "ping", "meta"]
    assert receiver.sent[-1].payload["hook_id"] == hook["id"]
    answer = await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries")
    assert answer.status_code == 404
    with pytest.raises(LookupError, match="has no hook"):
        world.github.change_hook(hook["id"], "delete")


async def test_a_test_sends_the_newest_push_again_under_a_new_guid(
    caller: Caller, world: World, receiver: Receiver
) -> None:
    hook = await caller.hook(events=["push"])
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden", commits=1)
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks/{hook['id']}/tests")
    assert answer.status_code == 204
    await world.settle()
    _, push, test = receiver.sent
    assert test.payload["after"] == push.payload["after"]
    assert test.headers["X-GitHub-Delivery"] != push.headers["X-GitHub-Delivery"]


# --- the delivery log ---


async def log(caller: Caller, hook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_the_log_holds_every_delivery_with_request_and_outcome(
    caller: Caller, world: World, receiver: Receiver
) -> None:
    hook = await caller.hook()
    await world.settle()
    world.act("github", "issue_opened", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    newest, _ = await log(caller, hook)
    sent = receiver.sent[-1]
    assert newest["guid"] == sent.headers["X-GitHub-Delivery"]
    assert (newest["event"], newest["action"], newest["status"], newest["status_code"]) == (
        "issues",
        "opened",
        "OK",
        200,
    )
    assert (newest["redelivery"], newest["repository_id"]) == (False, sent.payload["repository"]["id"])
    whole = await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries/{newest['id']}")
    assert whole.json()["request"]["payload"] == sent.payload
    assert whole.json()["request"]["headers"]["X-GitHub-Event"] == "issues"
    shown = await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}")
    assert shown.json()["last_response"] == {"code": 200, "status": "active", "message": "OK"}


async def test_the_log_comes_in_pages_by_cursor(caller: Caller, world: World) -> None:
    hook = await caller.hook(events=["star"])
    for _ in range(6):
        world.act("github", "star", caller.login, repository=f"{caller.login}/garden")
        await world.settle()
    everything = [each["id"] for each in await log(caller, hook)]
    path = f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries?per_page=3"
    found, pages = [], 0
    while path:
        answer = await caller("GET", path)
        found += [each["id"] for each in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix(API)
        pages += 1
    assert (found, pages, len(found)) == (everything, 3, 7)
    assert found == sorted(found, reverse=True)
    assert (
        await caller("GET", f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries?cursor=x")
    ).status_code == 422


async def test_a_failed_delivery_is_noted_and_never_sent_again_by_itself(
    caller: Caller, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    hook = await caller.hook()
    await world.settle()
    receiver.status = 502
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    receiver.broken = True
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    await clock.advance(3600)
    await world.settle()
    refused, failed, _ = await log(caller, hook)
    assert (refused["status"], refused["status_code"]) == ("timed out", 0)
    assert (failed["status"], failed["status_code"]) == ("Invalid HTTP Response: 502", 502)
    assert [each["id"] for each in await log(caller, hook, "?status=failure")] == [failed["id"]]
    assert len(await log(caller, hook, "?status=success")) == 1


async def test_a_redelivery_keeps_the_guid_and_gets_a_new_id(
    caller: Caller, world: World, receiver: Receiver
) -> None:
    hook = await caller.hook()
    await world.settle()
    receiver.broken = True
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    receiver.broken = False
    failed = (await log(caller, hook))[0]
    path = f"/repos/{caller.login}/garden/hooks/{hook['id']}/deliveries/{failed['id']}/attempts"
    assert (await caller("POST", path)).status_code == 202
    await world.settle()
    again = (await log(caller, hook))[0]
    assert (again["guid"], again["redelivery"], again["status"]) == (failed["guid"], True, "OK")
    assert again["id"] > failed["id"]
    assert receiver.sent[-1].headers["X-GitHub-Delivery"] == failed["guid"]


async def test_deliveries_are_kept_for_three_days(caller: Caller, world: World, clock: FakeClock) -> None:
    hook = await caller.hook()
    await world.settle()
    (ping,) = await log(caller, hook)
    await clock.advance(8 * 3600 - 60)
    hidden = world.github.consents.dialect
    assert hidden.access_seconds == 28_800
    kept = world.github.deliveries(hook["id"])
    assert [each["id"] for each in kept] == [ping["id"]]
    await clock.advance(3 * 86_400)
    assert world.github.deliveries(hook["id"]) == []
    with pytest.raises(LookupError, match="keeps no delivery"):
        world.github.redeliver(ping["id"])


async def test_lost_webhooks_are_in_the_log_as_failed(
    caller: Caller, world: World, receiver: Receiver
) -> None:
    hook = await caller.hook()
    await world.settle()
    world.github.faults.lose_webhooks = 1.0
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping"]
    assert (await log(caller, hook))[0]["status"] == "timed out"
    world.github.faults.lose_webhooks = 0.0
    world.github.redeliver((await log(caller, hook))[0]["id"])
    await world.settle()
    assert receiver.events() == ["ping", "push"]


async def test_a_share_of_the_lost_is_in_no_log(caller: Caller, world: World) -> None:
    hook = await caller.hook()
    await world.settle()
    world.github.faults.lose_webhooks = 1.0
    world.github.site.outbox.unlogged_share = 0.5
    for _ in range(40):
        world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert 5 < len(await log(caller, hook, "?per_page=100")) < 36
    world.github.faults.lose_webhooks = 0.0
    world.github.site.outbox.unlogged_share = 1.0
    world.act("github", "star", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert [each["event"] for each in await log(caller, hook, "?per_page=2")] == ["watch", "star"]


async def test_delayed_webhooks_come_later_and_say_so(
    caller: Caller, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    hook = await caller.hook()
    await world.settle()
    world.github.faults.delay_webhooks_seconds = 120.0
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping"]
    await clock.advance(120)
    await world.settle()
    assert receiver.events() == ["ping", "push"]
    assert (await log(caller, hook))[0]["throttled_at"] == "2026-01-01T12:00:00Z"
    assert (await log(caller, hook))[0]["delivered_at"] == "2026-01-01T12:02:00Z"


async def test_doubled_webhooks_carry_one_guid(caller: Caller, world: World, receiver: Receiver) -> None:
    await caller.hook()
    await world.settle()
    world.github.faults.duplicate_webhooks = 1.0
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    one, other = receiver.sent[1:]
    assert one.headers["X-GitHub-Delivery"] == other.headers["X-GitHub-Delivery"]


async def test_the_control_page_sees_hooks_and_deliveries(
    caller: Caller, world: World, github: GitHub
) -> None:
    hook = await caller.hook()
    await world.settle()
    (shown,) = github.hooks()
    assert (shown["id"], shown["owner"], shown["target"], shown["url"], shown["last_status"]) == (
        hook["id"],
        caller.login,
        f"{caller.login}/garden",
        SINK,
        "active",
    )
    (delivery,) = github.deliveries()
    assert (delivery["hook_id"], delivery["event"], delivery["status_code"]) == (hook["id"], "ping", 200)
    assert {each["name"] for each in github.describe()["repositories"]} >= {"lantern-works/lighthouse"}
