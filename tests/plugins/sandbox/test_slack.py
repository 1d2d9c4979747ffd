"""The emulated Slack answers as the real one is documented to."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tidings.testing.clock import FakeClock
from tidings_sandbox.slack.oauth import ROBOT
from tidings_sandbox.slack.workspace import BOT_USER, TEAM, user_of
from tidings_sandbox.world import World

PUBLIC_URL = "http://127.0.0.1:8080"
SITE = f"{PUBLIC_URL}/sandbox/slack"
OTTILIE, BRAM, JUNO = "ottilie-otterbourne", "bram-quillfeather", "juno-larkspur"
SCOPES = (
    "channels:read,groups:read,im:read,mpim:read,channels:history,groups:history,im:history,mpim:history,"
    "reactions:read,users:read"
)


class Receiver:
    """What tidings would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Mapping[str, str], bytes]] = []
        self.status = 200

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == f"{PUBLIC_URL}/api/webhooks/slack"
        self.sent.append((headers, body))
        return self.status

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.sent]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one["event"] for one in self.bodies if "event" in one]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def world(clock: FakeClock, receiver: Receiver) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=12, send=receiver, platforms={"slack"})


class Site:
    """Slack, as somebody's app sees it."""

    def __init__(self, world: World, http: httpx.AsyncClient, clock: FakeClock) -> None:
        app = world.slack.consents.app("sandbox-slack")
        assert app is not None
        self.app, self.world, self.http, self.clock = app, world, http, clock

    async def consent(self, person: str, **asked: str) -> dict[str, str]:
        parameters = {
            "client_id": "sandbox-slack",
            "redirect_uri": f"{PUBLIC_URL}/api/oauth/slack/callback",
            "state": "the-state",
            **asked,
        }
        form = {"person": person, "decision": "accept"}
        answer = await self.http.post(f"{SITE}/oauth/v2/authorize", params=parameters, data=form)
        assert answer.status_code == 302, answer.text
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        return {name: values[0] for name, values in query.items()}

    async def ask(self, **form: str) -> dict[str, Any]:
        form = {"client_id": "sandbox-slack", "client_secret": self.app.client_secret, **form}
        answer = await self.http.post(f"{SITE}/api/oauth.v2.access", data=form)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    async def connect(
        self, person: str = OTTILIE, *, user_scope: str = SCOPES, **asked: str
    ) -> dict[str, Any]:
        code = (await self.consent(person, user_scope=user_scope, **asked))["code"]
        return await self.ask(code=code, redirect_uri=f"{PUBLIC_URL}/api/oauth/slack/callback")

    async def api(self, person: str = OTTILIE, **asked: str) -> Api:
        answer = await self.connect(person, **asked)
        return Api(self.http, answer["authed_user"]["access_token"])


class Api:
    """The Web API with somebody's token."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http, self.token = http, token

    async def call(self, method: str, **params: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self.http.get(f"{SITE}/api/{method}", params=params, headers=headers)

    async def get(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app)) as client:
        yield client


@pytest.fixture
def site(world: World, http: httpx.AsyncClient, clock: FakeClock) -> Site:
    return Site(world, http, clock)


def number(world: World, key: str) -> str:
    return user_of(world.person(key))


# --- consent and tokens -------------------------------------------------------------------------------------------


async def test_a_person_s_rights_stand_within_the_answer_and_tokens_do_not_end(
    site: Site, world: World
) -> None:
    answer = await site.connect()
    assert answer["ok"] is True
    assert "access_token" not in answer
    person = answer["authed_user"]
    assert (person["id"], person["token_type"], person["scope"]) == (number(world, OTTILIE), "user", SCOPES)
    assert not {"expires_in", "refresh_token"} & person.keys()
    assert (answer["team"]["id"], answer["enterprise"], answer["is_enterprise_install"]) == (
        TEAM,
        None,
        False,
    )


async def test_a_bots_rights_stand_at_the_top_beside_a_person_s(site: Site) -> None:
    answer = await site.connect(scope="channels:read,channels:history", user_scope="users:read")
    assert (answer["token_type"], answer["scope"]) == ("bot", "channels:read,channels:history")
    assert answer["bot_user_id"] == BOT_USER
    assert answer["authed_user"]["scope"] == "users:read"
    who = await Api(site.http, answer["access_token"]).get("auth.test")
    assert (who["user_id"], who["ok"]) == (BOT_USER, True)


async def test_with_rotation_tokens_end_and_a_refresh_puts_them_at_the_top(site: Site, world: World) -> None:
    world.slack.consents.dialect.expires = "always"
    person = (await site.connect())["authed_user"]
    assert person["expires_in"] == 43_200
    again = await site.ask(grant_type="refresh_token", refresh_token=person["refresh_token"])
    assert (again["ok"], again["token_type"]) == (True, "user")
    assert "authed_user" not in again
    assert again["refresh_token"] != person["refresh_token"]
    # within a short time of grace the old one brings the same; then it is dead, while the old access token goes on
    assert await site.ask(grant_type="refresh_token", refresh_token=person["refresh_token"]) == again
    await site.clock.advance(60)
    dead = await site.ask(grant_type="refresh_token", refresh_token=person["refresh_token"])
    assert dead == {"ok": False, "error": "invalid_refresh_token"}
    assert (await Api(site.http, person["access_token"]).get("auth.test"))["ok"] is True
    await site.clock.advance(43_200)
    assert await Api(site.http, person["access_token"]).get("auth.test") == {
        "ok": False,
        "error": "token_expired",
    }


async def test_tokens_can_be_made_to_end_only_where_they_end_at_all(site: Site, world: World) -> None:
    api = await site.api()
    assert world.slack.consents.expire_access() == 0
    assert (await api.get("auth.test"))["ok"] is True
    world.slack.consents.dialect.expires = "always"
    assert world.slack.consents.expire_access(OTTILIE) == 1
    assert (await api.get("auth.test"))["error"] == "token_expired"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"code": "invented"}, "invalid_code"),
        ({"client_secret": "guess"}, "bad_client_secret"),
        ({"grant_type": "password"}, "invalid_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "invented"}, "invalid_refresh_token"),
    ],
)
async def test_errors_of_the_token_endpoint_have_status_200(
    site: Site, form: dict[str, str], error: str
) -> None:
    assert await site.ask(**form) == {"ok": False, "error": error}


async def test_a_code_is_good_once_and_for_its_address(site: Site) -> None:
    code = (await site.consent(OTTILIE, user_scope=SCOPES))["code"]
    assert (await site.ask(code=code, redirect_uri="http://127.0.0.1:1/other"))["error"] == "bad_redirect_uri"
    code = (await site.consent(OTTILIE, user_scope=SCOPES))["code"]
    assert (await site.ask(code=code))["ok"] is True
    assert (await site.ask(code=code))["error"] == "invalid_code"


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxp-invented", "invalid_auth"), ("x", "invalid_auth")]
)
async def test_without_a_good_token_the_answer_says_so_with_status_200(
    site: Site, token: str, error: str
) -> None:
    assert (await Api(site.http, token).get("auth.test"))["error"] == error


async def test_a_token_that_is_given_back_ends_the_consent_and_is_told(
    site: Site, receiver: Receiver, world: World
) -> None:
    api, other = await site.api(), await site.api(BRAM)
    assert (await api.get("auth.revoke"))["revoked"] is True
    assert (await api.get("auth.test"))["error"] == "token_revoked"
    await world.settle()
    assert [one["type"] for one in receiver.events] == ["tokens_revoked"]
    assert receiver.events[0]["tokens"] == {"oauth": [number(world, OTTILIE)], "bot": []}
    await other.get("auth.revoke")
    await world.settle()
    assert [one["type"] for one in receiver.events[1:]] == ["tokens_revoked", "app_uninstalled"]


async def test_with_rotation_a_token_that_is_given_back_leaves_the_app(
    site: Site, receiver: Receiver, world: World
) -> None:
    world.slack.consents.dialect.expires = "always"
    person = (await site.connect())["authed_user"]
    api = Api(site.http, person["access_token"])
    await api.get("auth.revoke")
    assert (await api.get("auth.test"))["ok"] is False
    assert (await site.ask(grant_type="refresh_token", refresh_token=person["refresh_token"]))["ok"] is True
    await world.settle()
    assert receiver.events == []


async def test_an_uninstalled_app_has_no_consents(site: Site, world: World) -> None:
    api = await site.api()
    assert (await api.get("apps.uninstall", client_id="sandbox-slack", client_secret="guess"))["ok"] is False
    good = {"client_id": "sandbox-slack", "client_secret": site.app.client_secret}
    assert (await api.get("apps.uninstall", **good))["ok"] is True
    assert world.slack.consents.living() == []


# --- the Web API --------------------------------------------------------------------------------------------------


async def test_who_one_is(site: Site, world: World) -> None:
    api = await site.api()
    who = await api.get("auth.test")
    assert (who["team_id"], who["user_id"]) == (TEAM, number(world, OTTILIE))
    user = (await api.get("users.info", user=who["user_id"]))["user"]
    assert user["profile"]["display_name"] == "Ottilie"
    assert (await api.get("users.info", user="U0NOBODY"))["error"] == "user_not_found"
    assert len((await api.get("users.list", limit=200))["members"]) == 13
    assert (await api.get("team.info")) == {
        "ok": False,
        "error": "missing_scope",
        "needed": "team:read",
        "provided": ",".join(sorted(SCOPES.split(","))),
    }


async def test_everybody_is_a_member_of_some_channels_and_not_of_others(site: Site) -> None:
    async def names(person: str) -> set[str]:
        page = await (await site.api(person)).get(
            "users.conversations", types="public_channel,private_channel,im"
        )
        return {one["name"] for one in page["channels"]}

    assert await names(OTTILIE) == {"general", "crew-0", "board-0"}
    assert await names("wren-thistledown") == {"general", "crew-1", "board-1"}
    found = await (await site.api()).get("users.conversations")
    assert {one["name"] for one in found["channels"]} == {
        "general",
        "crew-0",
    }  # public ones alone, unless asked


async def test_lists_have_pages_and_cursors(site: Site) -> None:
    api = await site.api()
    first = await api.get("users.list", limit=8)
    second = await api.get("users.list", limit=8, cursor=first["response_metadata"]["next_cursor"])
    assert (len(first["members"]), len(second["members"])) == (8, 5)
    assert second["response_metadata"]["next_cursor"] == ""
    assert (await api.get("users.list", cursor="nonsense"))["error"] == "invalid_cursor"
    assert (await api.get("users.list", limit=0))["error"] == "invalid_limit"
    assert (await api.get("users.list", limit=1000))["error"] == "invalid_limit"


async def test_a_history_comes_newest_first_within_its_bounds(site: Site, world: World) -> None:
    api = await site.api()
    stamps = [world.act("slack", "message", BRAM, channel="crew-0").key.split(":")[3] for _ in range(5)]
    page = await api.get("conversations.history", channel="C0CREW00000", limit=2)
    assert ([one["ts"] for one in page["messages"]], page["has_more"]) == (stamps[:2:-1], True)
    within = await api.get("conversations.history", channel="C0CREW00000", oldest=stamps[0], latest=stamps[3])
    assert [one["ts"] for one in within["messages"]] == stamps[2:0:-1]
    both = await api.get(
        "conversations.history", channel="C0CREW00000", oldest=stamps[0], latest=stamps[3], inclusive="true"
    )
    assert [one["ts"] for one in both["messages"]] == stamps[3::-1]


async def test_answers_stand_in_their_thread_alone(site: Site, world: World) -> None:
    api = await site.api()
    thread = world.act("slack", "message", BRAM, channel="crew-0").key.split(":")[3]
    answers = [
        world.act("slack", "reply", OTTILIE, channel="crew-0", ts=thread).key.split(":")[3] for _ in range(3)
    ]
    (parent,) = (await api.get("conversations.history", channel="C0CREW00000"))["messages"]
    assert (parent["reply_count"], parent["latest_reply"], parent["thread_ts"]) == (3, answers[-1], thread)
    page = await api.get("conversations.replies", channel="C0CREW00000", ts=thread, oldest=answers[0])
    assert [one["ts"] for one in page["messages"]] == [thread, *answers[1:]]
    assert (await api.get("conversations.replies", channel="C0CREW00000", ts="1.0"))[
        "error"
    ] == "thread_not_found"


async def test_what_one_is_no_member_of_is_hidden_unless_it_is_public(site: Site) -> None:
    api = await site.api("wren-thistledown")
    assert (await api.get("conversations.history", channel="C0CREW00000"))["ok"] is True
    assert (await api.get("conversations.history", channel="G0BOARD00000"))["error"] == "channel_not_found"
    answer = await site.connect(scope="channels:read,channels:history", user_scope="")
    bot = Api(site.http, answer["access_token"])
    assert (await bot.get("conversations.history", channel="C0CREW00000"))["error"] == "not_in_channel"


async def test_each_kind_of_conversation_needs_its_scope(site: Site) -> None:
    api = await site.api(user_scope="channels:read,channels:history")
    assert (await api.get("users.conversations", types="public_channel"))["ok"] is True
    refused = await api.get("users.conversations", types="public_channel,private_channel")
    assert (refused["error"], refused["needed"]) == ("missing_scope", "groups:read")
    assert (await api.get("conversations.history", channel="G0BOARD00000"))["needed"] == "groups:history"


async def test_one_call_too_many_is_told_to_wait(site: Site, clock: FakeClock) -> None:
    api, other = await site.api(), await site.api(BRAM)
    for _ in range(20):
        assert (await api.get("users.list"))["ok"] is True
        await clock.advance(1)
    for one in (api, other):  # by workspace and app, not by account
        answer = await one.call("users.list")
        assert (answer.status_code, answer.json()) == (429, {"ok": False, "error": "ratelimited"})
        assert answer.headers["retry-after"] == "40"
    assert (await api.get("users.conversations"))["ok"] is True
    await clock.advance(40)
    assert (await api.get("users.list"))["ok"] is True


async def test_a_lively_workspace_takes_any_number_of_calls(site: Site, world: World) -> None:
    api = await site.api()
    world.become_lively()
    for _ in range(21):
        assert (await api.get("users.list"))["ok"] is True


@pytest.mark.parametrize(("path", "status"), [("/api/chat.postMessage", 200), ("/nothing", 404)])
async def test_what_is_not_there_is_an_error(site: Site, path: str, status: int) -> None:
    answer = await site.http.get(f"{SITE}{path}")
    assert (answer.status_code, answer.json()["ok"]) == (status, False)


# --- the Events API -----------------------------------------------------------------------------------------------


async def test_each_event_is_sent_once_for_the_whole_workspace_and_signed(
    site: Site, world: World, receiver: Receiver
) -> None:
    for person in (OTTILIE, BRAM, JUNO):
        await site.connect(person)
    world.act("slack", "message", BRAM, channel="crew-0", text="Hello")
    await world.settle()
    ((headers, body),) = receiver.sent
    signed = b"v0:" + headers["X-Slack-Request-Timestamp"].encode() + b":" + body
    secret = world.slack.events.signing_secret.encode()
    assert headers["X-Slack-Signature"] == "v0=" + hmac.digest(secret, signed, "sha256").hex()
    assert abs(int(headers["X-Slack-Request-Timestamp"]) - world.slack.now().timestamp()) < 2
    envelope = json.loads(body)
    assert (envelope["type"], envelope["team_id"]) == ("event_callback", TEAM)
    assert len(envelope["authorizations"]) == 1
    assert envelope["event"]["text"] == "Hello"
    assert envelope["event"]["channel_type"] == "channel"


async def test_an_event_that_is_sent_late_is_signed_when_it_is_sent(
    site: Site, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    await site.connect(OTTILIE)
    world.slack.faults.delay_webhooks_seconds = 3600.0
    world.act("slack", "hear", OTTILIE)
    await clock.advance(3600)
    await world.settle()
    ((headers, _),) = receiver.sent
    assert headers["X-Slack-Request-Timestamp"] == str(int(clock.now().timestamp()))


async def test_what_nobody_who_agreed_can_see_is_not_sent(
    site: Site, world: World, receiver: Receiver
) -> None:
    await site.connect(OTTILIE)
    world.act("slack", "message", "wren-thistledown", channel="board-1")
    await world.settle()
    assert receiver.sent == []
    world.act("slack", "channel_created", "wren-thistledown", name="new")
    await world.settle()
    assert [one["type"] for one in receiver.events] == ["channel_created"]


async def test_what_fails_is_sent_again_at_once_then_after_a_minute_and_after_five(
    site: Site, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    await site.connect()
    receiver.status = 500
    world.act("slack", "message", BRAM, channel="crew-0")
    counts = []
    for seconds in (0, 59, 1, 299, 1, 3600):
        await clock.advance(seconds)
        await world.settle()
        counts.append(len(receiver.sent))
    assert counts == [2, 2, 3, 3, 4, 4]
    assert [headers.get("X-Slack-Retry-Num") for headers, _ in receiver.sent] == [None, "1", "2", "3"]
    assert {headers.get("X-Slack-Retry-Reason") for headers, _ in receiver.sent[1:]} == {"http_error"}
    assert len({body for _, body in receiver.sent}) == 1


async def test_delayed_events_come_every_hour_for_a_day(
    site: Site, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    await site.connect()
    world.slack.events.delayed_events = True
    receiver.status = 0
    world.act("slack", "message", BRAM, channel="crew-0")
    for _ in range(30):
        await clock.advance(3600)
        await world.settle()
    assert len(receiver.sent) == 28


async def test_too_many_events_are_said_to_be_once_a_minute(
    site: Site, world: World, receiver: Receiver, clock: FakeClock
) -> None:
    await site.connect()
    world.slack.events.most_per_hour = 2
    for _ in range(5):
        world.act("slack", "message", BRAM, channel="crew-0")
    await clock.advance(60)
    world.act("slack", "message", BRAM, channel="crew-0")
    await world.settle()
    assert [one["type"] for one in receiver.bodies] == [
        "event_callback",
        "event_callback",
        "app_rate_limited",
        "app_rate_limited",
    ]
    assert receiver.bodies[-1]["minute_rate_limited"] % 60 == 0


async def test_the_request_url_is_asked_before_events_are_sent_to_it(
    site: Site, world: World, receiver: Receiver
) -> None:
    await site.connect()
    world.slack.change_hook(1, "disable")
    world.act("slack", "message", BRAM, channel="crew-0")
    await world.settle()
    assert receiver.sent == []
    receiver.status = 401
    world.slack.change_hook(1, "enable")
    await world.settle()
    assert receiver.bodies[-1]["type"] == "url_verification"
    assert world.slack.hooks()[0]["active"] is False
    receiver.status = 200
    world.slack.change_hook(1, "enable")
    await world.settle()
    assert world.slack.hooks()[0]["active"] is True
    with pytest.raises(LookupError):
        world.slack.change_hook(2, "enable")


async def test_a_bot_is_sent_what_happens_where_it_was_invited(
    site: Site, world: World, receiver: Receiver
) -> None:
    await site.connect(scope="channels:read,channels:history", user_scope="")
    assert any(ROBOT in one.scopes for one in world.slack.consents.living())
    world.act("slack", "message", BRAM, channel="crew-0")
    await world.settle()
    assert receiver.sent == []
    channel = world.slack.workspace.named("crew-0")
    assert channel is not None
    channel.members.add(BOT_USER)
    world.act("slack", "message", BRAM, channel="crew-0")
    await world.settle()
    assert receiver.bodies[0]["authorizations"][0]["is_bot"] is True


# --- what happens -------------------------------------------------------------------------------------------------


def told(world: World, person: str) -> list[str]:
    return [one.kind for one in world.happenings(person, "slack")]


def test_what_happens_is_to_be_told_to_every_member_but_who_did_it(world: World) -> None:
    happening = world.act("slack", "message", BRAM, channel="crew-0")
    assert happening.key.startswith(f"slack:{TEAM}:C0CREW00000:")
    assert (told(world, OTTILIE), told(world, JUNO), told(world, BRAM)) == (["message"], ["message"], [])
    assert told(world, "wren-thistledown") == []


def test_everything_can_be_made_to_happen(world: World) -> None:
    details = {"join": {"channel": "crew-1"}}
    for kind in world.slack.kinds:
        found = world.act("slack", kind, OTTILIE, **details.get(kind, {}))
        assert found.kind == kind.removeprefix("hear_").replace("hear", "message")


def test_what_one_hears_is_told_to_oneself(world: World) -> None:
    for kind in world.slack.small:
        assert world.act("slack", kind, JUNO).person == JUNO
    assert set(told(world, JUNO)) >= {"message", "reply", "edit", "direct"}


def test_who_is_alone_in_their_small_channels_hears_in_the_one_of_all(
    clock: FakeClock, receiver: Receiver
) -> None:
    world = World(clock, seed=7, public_url=PUBLIC_URL, people=25, send=receiver, platforms={"slack"})
    last = next(person for person in world.stage.people if person.number == 24)
    keys = {world.act("slack", "hear", last.key).person for _ in range(20)}
    assert keys == {last.key}


def test_chance_edits_no_message_twice(world: World) -> None:
    edited = [world.act("slack", "hear_edit", OTTILIE, channel="general", by=BRAM) for _ in range(3)]
    assert len({one.key.partition(":edited:")[0] for one in edited}) == 3


def test_who_joins_hears_from_then_on_and_who_left_no_more(world: World) -> None:
    wren = "wren-thistledown"
    world.act("slack", "join", wren, channel="crew-0")
    assert told(world, OTTILIE) == ["join"]
    world.act("slack", "message", BRAM, channel="crew-0")
    assert told(world, wren) == ["message"]
    world.act("slack", "leave", wren, channel="crew-0")
    world.act("slack", "message", BRAM, channel="crew-0")
    assert told(world, wren) == ["message"]
    world.act("slack", "join", OTTILIE, channel="crew-0", to=wren)
    assert told(world, wren) == ["message", "join"]


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("nothing", {}),
        ("hear_nothing", {}),
        ("message", {"channel": "nowhere"}),
        ("message", {"channel": "crew-1"}),
        ("reply", {"ts": "1.0"}),
        ("edit", {"ts": "1.0"}),
        ("direct", {"to": "nobody"}),
        ("hear", {"by": "nobody"}),
        ("join", {"channel": "general"}),
        ("join", {"channel": "nowhere"}),
        ("message", {"text": 7}),
    ],
)
def test_what_is_not_there_can_not_happen(world: World, kind: str, details: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        world.act("slack", kind, OTTILIE, **details)


def test_stamps_only_grow(world: World) -> None:
    stamps = [world.slack.workspace.ts() for _ in range(100)]
    assert stamps == sorted(set(stamps))
