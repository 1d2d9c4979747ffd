"""The emulated Discord answers, limits, signs and tries again as the real one is documented to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tidings.testing.clock import FakeClock
from tidings_sandbox.discord import Discord
from tidings_sandbox.discord.service import CLIENT_ID
from tidings_sandbox.discord.webhooks import DISABLED, OFF, ON
from tidings_sandbox.world import World

PUBLIC_URL = "http://127.0.0.1:8080"
BASE = f"{PUBLIC_URL}/sandbox/discord"
OTTILIE, BRAM, JUNO = "ottilie-otterbourne", "bram-quillfeather", "juno-larkspur"
ALL = "identify guilds guilds.members.read"
AGENT = {"user-agent": "DiscordBot (https://example.org, 1)"}


class Hook:
    """Takes webhook events, and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Mapping[str, str], bytes]] = []
        self.status = 204
        self.believes_all = False

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.taken.append((url, headers, body))
        if not self.believes_all and not is_signed(headers, body):
            return 401
        return self.status

    @property
    def names(self) -> list[str]:
        """What was sent with a right signature."""
        said = [json.loads(body) for _, headers, body in self.taken if is_signed(headers, body)]
        return [one["event"]["type"] if one["type"] else "PING" for one in said]


def options() -> Mapping[str, Any]:
    return Discord.options(BASE, 7, lively=False)


def is_signed(headers: Mapping[str, str], body: bytes) -> bool:
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(options()["public_key"]))
    message = headers["X-Signature-Timestamp"].encode() + body
    try:
        key.verify(bytes.fromhex(headers["X-Signature-Ed25519"]), message)
    except InvalidSignature:
        return False
    return True


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def world(clock: FakeClock, hook: Hook) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=12, send=hook)


@pytest.fixture
def discord(world: World) -> Discord:
    return world.one(Discord)


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=AGENT) as client:
        yield client


async def consent(http: httpx.AsyncClient, person: str = OTTILIE, scope: str = ALL) -> dict[str, Any]:
    """Tokens, by the whole dance."""
    asked = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": f"{PUBLIC_URL}/api/oauth/discord/callback",
        "scope": scope,
        "state": "s",
    }
    answer = await http.post("/oauth2/authorize", params=asked, data={"person": person, "decision": "accept"})
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    given = await ask(http, grant_type="authorization_code", code=code, redirect_uri=asked["redirect_uri"])
    assert given.status_code == 200, given.text
    tokens: dict[str, Any] = given.json()
    return tokens


async def ask(http: httpx.AsyncClient, path: str = "token", **form: str) -> httpx.Response:
    client = {"client_id": CLIENT_ID, "client_secret": options()["client_secret"]}
    return await http.post(f"/api/v10/oauth2/{path}", data={**client, **form})


async def get(http: httpx.AsyncClient, tokens: dict[str, Any], path: str) -> httpx.Response:
    return await http.get(f"/api/v10{path}", headers={"authorization": f"Bearer {tokens['access_token']}"})


async def bot(http: httpx.AsyncClient, path: str) -> httpx.Response:
    return await http.get(f"/api/v10{path}", headers={"authorization": f"Bot {options()['bot_token']}"})


# --- tokens ---


async def test_tokens_live_for_seven_days_and_each_refresh_token_is_good_once(
    http: httpx.AsyncClient,
) -> None:
    tokens = await consent(http)
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 604_800, ALL)
    first = await ask(http, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert first.json()["refresh_token"] != tokens["refresh_token"]
    again = await ask(http, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("path", ["token", "token/revoke"])
async def test_the_token_endpoints_take_forms_alone(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(f"/api/v10/oauth2/{path}", json={"client_id": CLIENT_ID})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("shown", ["access_token", "refresh_token"])
async def test_a_revocation_ends_all_tokens_and_is_told(
    http: httpx.AsyncClient, world: World, hook: Hook, clock: FakeClock, shown: str
) -> None:
    first, second = await consent(http), await consent(http)
    others = await consent(http, BRAM)
    assert (await ask(http, "token/revoke", token=first[shown])).status_code == 200
    assert (await get(http, second, "/users/@me")).status_code == 401
    assert (await get(http, others, "/users/@me")).status_code == 200
    await world.settle()
    assert hook.names == ["APPLICATION_DEAUTHORIZED"]
    assert (await ask(http, "token/revoke", token="of-nobody")).status_code == 200
    assert (await http.post("/api/v10/oauth2/token/revoke", data={"client_id": CLIENT_ID})).status_code == 401


# --- who asks ---


async def test_without_the_user_agent_that_it_wants_nobody_is_let_in(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v10/users/@me", headers={"user-agent": "Python-urllib/3.11"})
    assert (answer.status_code, answer.text) == (403, "error code: 1010")


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bot wrong"}, {"authorization": "token x"}],
)
async def test_without_a_living_token_the_answer_is_401(http: httpx.AsyncClient, headers: Any) -> None:
    answer = await http.get("/api/v10/users/@me", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"message": "401: Unauthorized", "code": 0})


async def test_a_path_without_a_version_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/users/@me")).json()["code"] == 50041


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/users/@me", "identify"),
        ("/users/@me/guilds", "guilds"),
        ("/users/@me/guilds/700000000000000000/member", "guilds.members.read"),
    ],
)
async def test_each_path_needs_its_scope(http: httpx.AsyncClient, path: str, scope: str) -> None:
    others = " ".join(one for one in ALL.split() if one != scope)
    assert (await get(http, await consent(http, scope=scope), path)).status_code == 200
    assert (await get(http, await consent(http, scope=others), path)).status_code == 401


async def test_no_person_s_token_opens_channels(http: httpx.AsyncClient) -> None:
    tokens = await consent(http)
    for path in (f"/channels/{options()['channels'][0]}/messages", "/guilds/700000000000000000"):
        assert (await get(http, tokens, path)).status_code == 404


# --- what is shown ---


async def test_a_person_sees_their_servers_in_pages_and_their_roles(
    http: httpx.AsyncClient, world: World
) -> None:
    tokens = await consent(http, BRAM)
    world.act("discord", "server_joined", BRAM)
    whole = (await get(http, tokens, "/users/@me/guilds")).json()
    assert [one["name"] for one in whole[:2]] == ["The Lantern", "Bram's corner"]
    assert len(whole) == 3
    pages = []
    after = "0"
    while page := (await get(http, tokens, f"/users/@me/guilds?limit=1&after={after}")).json():
        pages += page
        after = page[-1]["id"]
    assert pages == whole
    member = (await get(http, tokens, f"/users/@me/guilds/{whole[0]['id']}/member")).json()
    assert member["roles"] == ["700000000000000009"]
    assert (await get(http, tokens, "/users/@me/guilds/5/member")).status_code == 404
    assert (await get(http, tokens, "/users/@me/guilds?limit=201")).status_code == 400


async def test_messages_after_an_id_are_the_oldest_of_them_and_stand_newest_first(
    http: httpx.AsyncClient, world: World
) -> None:
    channel = options()["channels"][0]
    said = [world.act("discord", "message", BRAM, channel="talk").key.rpartition(":")[2] for _ in range(7)]
    path = f"/channels/{channel}/messages"
    assert [one["id"] for one in (await bot(http, f"{path}?limit=3")).json()] == said[:3:-1]
    after = await bot(http, f"{path}?limit=3&after={said[1]}")
    assert [one["id"] for one in after.json()] == said[4:1:-1]
    assert (await bot(http, f"/channels/{channel}")).json()["last_message_id"] == said[-1]
    assert (await bot(http, f"{path}?limit=101")).status_code == 400


async def test_the_bot_sees_the_servers_in_which_it_is(
    http: httpx.AsyncClient, discord: Discord, world: World
) -> None:
    guild = "700000000000000000"
    assert (await bot(http, f"/guilds/{guild}")).json()["owner_id"] == "800000000000000000"
    roles = (await bot(http, f"/guilds/{guild}/roles")).json()
    assert [one["name"] for one in roles] == ["@everyone", "Crew"]
    assert (await bot(http, f"/guilds/{guild}/members/800000000000000001")).status_code == 200
    assert (
        await bot(http, f"/guilds/{guild}/members/800000000000000009")
    ).status_code == 404  # of another circle
    own = discord.servers.of(world.person(BRAM))[1]
    assert (await bot(http, f"/guilds/{own.id}")).status_code == 404
    discord.servers.circle(world.person(BRAM)).channels[0].is_hidden = True
    assert (await bot(http, f"/channels/{options()['channels'][0]}")).status_code == 403


async def test_limits_are_told_in_every_answer_and_refuse_what_exceeds_them(
    http: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = f"/channels/{options()['channels'][0]}/messages"
    left = [int((await bot(http, path)).headers["x-ratelimit-remaining"]) for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    refused = await bot(http, path)
    assert (refused.status_code, refused.headers["x-ratelimit-scope"]) == (429, "user")
    assert 0 < refused.json()["retry_after"] <= 5
    other = f"/channels/{options()['channels'][1]}/messages"
    assert (await bot(http, other)).status_code == 200  # another channel's
    await clock.advance(refused.json()["retry_after"])
    assert (await bot(http, path)).status_code == 200


# --- webhook events ---


async def test_a_consent_and_its_end_are_told_with_a_signature(
    http: httpx.AsyncClient, world: World, hook: Hook, clock: FakeClock
) -> None:
    await consent(http)
    await clock.advance(3)
    await world.settle()
    happening = world.act("discord", "deauthorised", OTTILIE)
    await world.settle()
    assert hook.names == ["APPLICATION_AUTHORIZED", "APPLICATION_DEAUTHORIZED"]
    url, headers, body = hook.taken[0]  # a check comes before
    assert url == f"{PUBLIC_URL}/api/webhooks/discord"
    assert not is_signed(headers, body)
    assert json.loads(body)["type"] == 0
    assert happening in world.happenings(OTTILIE)
    with pytest.raises(LookupError, match="has let no app"):
        world.act("discord", "deauthorised", OTTILIE)


async def test_who_believes_a_wrong_signature_loses_the_address(
    world: World, discord: Discord, hook: Hook, clock: FakeClock
) -> None:
    hook.believes_all = True
    discord.webhooks.tell("APPLICATION_AUTHORIZED", {}, clock.now())
    await world.settle()
    assert (discord.webhooks.status, discord.webhooks.url) == (DISABLED, "")


async def test_an_event_is_tried_again_for_ten_minutes(
    world: World, discord: Discord, hook: Hook, clock: FakeClock
) -> None:
    hook.status = 503
    discord.webhooks.tell("APPLICATION_AUTHORIZED", {}, clock.now())
    for _ in range(130):
        await world.settle()
        await clock.advance(5)
    assert hook.names == ["APPLICATION_AUTHORIZED"] * 8
    assert discord.webhooks.status == ON  # one failure is none


@pytest.mark.parametrize(
    ("status", "believes_all", "outcome"), [(204, False, ON), (204, True, OFF), (500, False, OFF)]
)
async def test_an_address_is_checked_when_it_is_saved(
    http: httpx.AsyncClient, world: World, hook: Hook, status: int, believes_all: bool, outcome: int
) -> None:
    hook.status, hook.believes_all = status, believes_all
    url = f"{PUBLIC_URL}/api/webhooks/discord"
    body = {
        "event_webhooks_url": url,
        "event_webhooks_status": 2,
        "event_webhooks_types": ["ENTITLEMENT_CREATE"],
    }
    headers = {"authorization": f"Bot {options()['bot_token']}"}
    saved = await http.patch("/api/v10/applications/@me", json=body, headers=headers)
    assert saved.status_code == 200
    await world.settle()
    shown = (await bot(http, "/applications/@me")).json()
    assert (shown["event_webhooks_url"], shown["event_webhooks_status"]) == (url, outcome)
    assert shown["event_webhooks_types"] == ["ENTITLEMENT_CREATE"]


def test_the_hook_is_listed_and_can_be_changed(discord: Discord) -> None:
    (hook,) = discord.hooks()
    assert (hook["id"], hook["active"], hook["last_status"]) == (1, True, None)
    discord.change_hook(1, "disable")
    assert not discord.hooks()[0]["active"]
    discord.change_hook(1, "delete")
    assert discord.hooks()[0]["url"] == ""
    with pytest.raises(LookupError):
        discord.change_hook(2, "enable")
    with pytest.raises(LookupError):
        discord.redeliver(5)


# --- what happens ---


def test_of_a_message_hears_who_sees_the_channel(world: World) -> None:
    said = {
        name: world.act("discord", "message", BRAM, channel=name).key for name in ("talk", "crew", "notes")
    }
    heard = {key: {one.person for one in world.happenings() if one.key == key} for key in said.values()}
    assert len(heard[said["talk"]]) == 5
    assert heard[said["crew"]] == {OTTILIE, BRAM}
    assert heard[said["notes"]] == set()  # the operator did not choose it
    with pytest.raises(LookupError, match="sees no channel"):
        world.act("discord", "message", JUNO, channel="crew")


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("flown", {}),
        ("server_joined", {"server": "The Lantern"}),
        ("server_joined", {"server": "700000000000000000"}),
        ("server_left", {"server": "Nowhere"}),
        ("server_renamed", {"server": "Nowhere"}),
        ("role_given", {"role": "Crew"}),
        ("role_taken", {"role": "Captain"}),
        ("role_given", {"server": "Nowhere"}),
        ("message", {"channel": "attic"}),
    ],
)
def test_what_is_not_there_can_not_happen(world: World, kind: str, details: Any) -> None:
    with pytest.raises(LookupError):
        world.act("discord", kind, OTTILIE, **details)


def test_by_chance_nothing_happens_that_could_be_mistaken_for_something_else(
    world: World, discord: Discord
) -> None:
    for number in range(120):
        for kind in ("server_joined", "role_given", "message"):
            world.act("discord", kind, (OTTILIE, BRAM, JUNO)[number % 3])
    happened = world.happenings(OTTILIE, "discord")
    assert len({one.key for one in happened}) == len(happened)
    assert len(discord.servers.of(world.person(OTTILIE))) <= 8
    circle = discord.servers.circle(world.person(OTTILIE))
    assert len(circle.members[OTTILIE].roles) <= 21
    crew = next(one for one in circle.channels if one.name == "crew")
    assert {one.key for one in crew.audience()} >= {
        OTTILIE,
        BRAM,
    }  # nobody's eyes are shut after something was said


def test_a_renamed_server_is_news_for_everybody_in_it(world: World) -> None:
    world.act("discord", "server_renamed", JUNO, server="The Lantern", name="The Beacon")
    keys = {(one.person, one.key) for one in world.happenings(platform="discord")}
    assert len(keys) == 5
    assert {key for _, key in keys} == {"guild_renamed:700000000000000000:The Beacon"}


async def test_pages_and_pictures_are_there(http: httpx.AsyncClient) -> None:
    page = await http.get("/channels/1/2/<script>")
    assert "no pages of its own" in page.text
    assert "<script>" not in page.text
    picture = await http.get(f"/cdn/avatars/800000000000000003/{3:032x}.png")
    assert picture.headers["content-type"] == "image/svg+xml"


async def test_an_operator_may_choose_the_channels_of_any_number_of_circles(
    world: World, discord: Discord
) -> None:
    """What is said in a channel that was not chosen, tidings need not tell."""
    far = next(one.key for one in world.stage.people if one.number == 11)  # of the third circle
    discord.watch(2)
    world.act("discord", "message", far, channel="talk")
    assert world.happenings(far) == []
    discord.watch(3)
    world.act("discord", "message", far, channel="talk")
    assert [one.kind for one in world.happenings(far)] == ["message"]
    assert len(discord.watched) == 6


async def test_a_bot_lists_members_with_the_intent_for_it_alone(
    http: httpx.AsyncClient, discord: Discord, world: World
) -> None:
    server = discord.servers.circle(world.person(OTTILIE))
    listed = (await bot(http, f"/guilds/{server.id}/members?limit=1000")).json()
    assert listed[0]["user"]["id"] == "800000000000000000"
    assert len(listed) == 5
    rest = (await bot(http, f"/guilds/{server.id}/members?limit=2&after={listed[2]['user']['id']}")).json()
    assert rest == listed[3:]
    discord.api.has_members = False
    assert (await bot(http, f"/guilds/{server.id}/members?limit=1000")).status_code == 403


async def test_a_bot_lists_the_channels_that_it_may_see(
    http: httpx.AsyncClient, discord: Discord, world: World
) -> None:
    server = discord.servers.circle(world.person(OTTILIE))
    server.channels[0].is_hidden = True
    listed = (await bot(http, f"/guilds/{server.id}/channels")).json()
    assert [one["name"] for one in listed] == ["crew", "notes"]
    assert listed[0]["permission_overwrites"]
    assert (await bot(http, "/guilds/5/channels")).status_code == 404
