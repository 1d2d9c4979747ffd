"""What Discord shows becomes events: each change once, no history, messages for those alone who may read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discord_exchanges import (
    ANN,
    AWAY,
    CREW,
    CREW_ROLE,
    HOME,
    NOW,
    TALK,
    VIEW,
    Discord,
    answered,
    channel,
    guild,
    overwrite,
)
from tidings.contracts import Asked, Polled
from tidings.errors import Rejected, Unavailable
from tidings.event import Event
from tidings_discord.bot import Bot
from tidings_discord.poll import Terms, poll
from tidings_discord.site import DISCORD


class Watcher:
    """Polls an account as core does: each piece is committed, its checkpoint kept."""

    def __init__(self, discord: Discord, *channels: str, roles: bool = True) -> None:
        self.discord = discord
        self.channels = channels
        self.roles = roles
        self.roles_seconds = 0.0
        self.every_seconds = 3600.0
        self.bot: Bot | None = discord.bot() if channels else None
        self.checkpoint: Mapping[str, Any] = {}
        self.settings: Mapping[str, Any] = {}
        self.now = NOW
        self.events: list[Event] = []

    @property
    def kinds(self) -> list[str]:
        return [event.type.removeprefix("com.discord.") for event in self.events]

    @property
    def said(self) -> list[str]:
        return [event.data["text"] for event in self.events if event.type == "com.discord.message"]

    async def poll(self, *, urgent: bool = False, after_seconds: float = 3600.0) -> Sequence[Polled]:
        """So much later."""
        self.now += timedelta(seconds=after_seconds)
        await self.discord.clock.advance(after_seconds)
        asked = Asked(
            checkpoint=json.loads(json.dumps(self.checkpoint)),
            now=self.now,
            every_seconds=self.every_seconds,
            is_urgent=urgent,
            settings=self.settings,
        )
        pieces = []
        terms = Terms(DISCORD, self.bot, self.channels, self.roles, self.roles_seconds, self.every_seconds)
        asking = poll(self.discord, asked, terms)
        async for piece in asking:
            pieces.append(piece)
            self.events += piece.events
            self.checkpoint = piece.checkpoint
        return pieces


@pytest.fixture
def watcher(discord: Discord) -> Watcher:
    return Watcher(discord)


@pytest.fixture
def reader(discord: Discord) -> Watcher:
    return Watcher(discord, TALK)


# --- servers, roles, profile ---


async def test_what_was_there_before_is_not_news(watcher: Watcher) -> None:
    watcher.discord.roles[HOME] = [CREW_ROLE]
    await watcher.poll()
    await watcher.poll()
    assert watcher.events == []


async def test_joining_renaming_and_leaving_are_told_once(watcher: Watcher) -> None:
    discord = watcher.discord
    await watcher.poll()
    discord.mine[AWAY] = "Far Away"
    await watcher.poll()
    await watcher.poll()
    discord.mine[AWAY] = "Near By"
    await watcher.poll()
    await watcher.poll()
    del discord.mine[AWAY]
    await watcher.poll()
    await watcher.poll()
    assert [event.data["title"] for event in watcher.events] == [
        "Joined Far Away",
        "Far Away is called Near By now",
        "Left Near By",
    ]
    assert watcher.kinds == ["guild_joined", "guild_renamed", "guild_left"]
    assert [event.data["server"]["id"] for event in watcher.events] == [AWAY] * 3


async def test_a_second_joining_is_another_one(watcher: Watcher) -> None:
    await watcher.poll()
    for _ in range(3):
        watcher.discord.mine[AWAY] = "Far Away"
        await watcher.poll()
        del watcher.discord.mine[AWAY]
        await watcher.poll()
    assert watcher.kinds == ["guild_joined", "guild_left"] * 3
    assert len({event.id for event in watcher.events}) == 6


async def test_a_connection_that_begins_anew_gives_other_ids(discord: Discord) -> None:
    """Ids that were told once are remembered for long, and must not swallow what happens later."""
    ids = set()
    for life in range(2):
        watcher = Watcher(discord)
        watcher.now += timedelta(days=life)
        await watcher.poll()
        discord.mine[AWAY] = "Far Away"
        await watcher.poll()
        del discord.mine[AWAY]
        ids |= {event.id for event in watcher.events}
    assert len(ids) == 2


async def test_a_poll_whose_end_was_lost_gives_the_same_ids_again(watcher: Watcher) -> None:
    await watcher.poll()
    kept = watcher.checkpoint
    watcher.discord.mine[AWAY] = "Far Away"
    watcher.discord.profile["global_name"] = "Annie"
    await watcher.poll()
    watcher.checkpoint = kept
    await watcher.poll()
    first, again = watcher.events[:2], watcher.events[2:]
    assert [event.id for event in first] == [event.id for event in again]


async def test_roles_that_were_given_or_taken_are_told_with_their_names_where_the_bot_sees_them(
    reader: Watcher,
) -> None:
    discord = reader.discord
    await reader.poll()
    discord.roles[HOME] = [CREW_ROLE]
    await reader.poll()
    discord.roles[HOME] = []
    await reader.poll()
    assert [event.data["title"] for event in reader.events] == [
        "Role given in The Lantern: Role 36",
        "Role taken in The Lantern: Role 36",
    ]
    assert [event.data["role"] for event in reader.events] == [{"id": CREW_ROLE, "name": "Role 36"}] * 2


async def test_without_a_bot_a_role_has_no_name(watcher: Watcher) -> None:
    await watcher.poll()
    watcher.discord.roles[HOME] = [CREW_ROLE]
    await watcher.poll()
    (event,) = watcher.events
    assert event.data["title"] == "Role given in The Lantern: without a name here"
    assert "only where the bot" in event.data["text"]


async def test_roles_of_many_servers_are_looked_at_in_turn(watcher: Watcher) -> None:
    discord = watcher.discord
    discord.mine = {str(number): f"Server {number}" for number in range(1000, 1012)}
    for _ in range(3):
        await watcher.poll()
        assert sum("/member" in path for path in discord.asked) == 5
        discord.asked.clear()
    discord.roles = {key: [CREW_ROLE] for key in discord.mine}
    for _ in range(3):
        await watcher.poll()
    assert sorted(event.data["server"]["id"] for event in watcher.events) == sorted(discord.mine)


async def test_a_server_that_was_left_and_joined_anew_has_no_old_roles(watcher: Watcher) -> None:
    discord = watcher.discord
    discord.roles[HOME] = [CREW_ROLE]
    await watcher.poll()
    del discord.mine[HOME]
    await watcher.poll()
    discord.mine[HOME], discord.roles[HOME] = "The Lantern", []
    await watcher.poll()
    assert watcher.kinds == ["guild_left", "guild_joined"]


@pytest.mark.parametrize(
    ("change", "title", "changed"),
    [
        ({"global_name": "Annie"}, "Called Annie now", ["global_name"]),
        ({"username": "annie", "global_name": None}, "Called annie now", ["username", "global_name"]),
        ({"avatar": "8342729096ea3675442027381ff50dfe"}, "Another picture", ["avatar"]),
    ],
)
async def test_a_changed_profile_is_told(
    watcher: Watcher, change: dict[str, Any], title: str, changed: list[str]
) -> None:
    await watcher.poll()
    watcher.discord.profile |= change
    await watcher.poll()
    await watcher.poll()
    (event,) = watcher.events
    assert (event.type, event.data["title"], event.data["changed"]) == (
        "com.discord.profile_changed",
        title,
        changed,
    )


async def test_more_servers_than_a_page_are_all_read(watcher: Watcher) -> None:
    watcher.discord.mine = {str(number): f"Server {number}" for number in range(1000, 1450)}
    await watcher.poll()
    assert len(watcher.checkpoint["guilds"]) == 450
    pages = [path for path in watcher.discord.asked if path.startswith("/users/@me/guilds?")]
    assert pages == [
        "/users/@me/guilds?limit=200",
        "/users/@me/guilds?limit=200&after=1199",
        "/users/@me/guilds?limit=200&after=1399",
    ]
    assert watcher.events == []


async def test_as_many_servers_as_there_are_are_read(watcher: Watcher) -> None:
    watcher.discord.mine = {str(number): f"Server {number}" for number in range(1000, 3100)}
    await watcher.poll()
    assert len(watcher.checkpoint["guilds"]) == 2100
    watcher.discord.mine["5000"] = "The last one"
    await watcher.poll()
    assert [event.data["title"] for event in watcher.events] == ["Joined The last one"]


async def test_a_page_that_comes_again_is_no_list(watcher: Watcher) -> None:
    watcher.discord.mine = {str(number): f"Server {number}" for number in range(1000, 1200)}
    request = watcher.discord.request

    async def stuck(method: str, url: str, **more: Any) -> Any:
        return await request(method, url.partition("&after=")[0], **more)

    watcher.discord.request = stuck  # type: ignore[method-assign] - a Discord that turns no page
    with pytest.raises(Unavailable, match="same page"):
        await watcher.poll()


@pytest.mark.parametrize("path", ["/users/@me/guilds", f"/users/@me/guilds/{HOME}/member"])
async def test_a_refusal_by_chance_hides_no_news(watcher: Watcher, path: str) -> None:
    """Discord now and then refuses good tokens; who takes that for a missing scope passes over what happened."""
    await watcher.poll()
    watcher.discord.mine[AWAY], watcher.discord.roles[HOME] = "Far Away", [CREW_ROLE]
    watcher.discord.refusals = [path]
    await watcher.poll()
    assert watcher.kinds == ["guild_joined", "role_added"]


async def test_without_the_scope_servers_are_left_alone_and_nobody_is_said_to_have_left(
    watcher: Watcher,
) -> None:
    await watcher.poll()
    watcher.discord.ungranted = {"guilds"}
    await watcher.poll()
    watcher.discord.ungranted = set()
    await watcher.poll()
    assert watcher.events == []


async def test_without_the_scope_roles_are_left_alone(watcher: Watcher) -> None:
    watcher.discord.ungranted = {"guilds.members.read"}
    watcher.discord.mine = {str(number): f"Server {number}" for number in range(1000, 1012)}
    await watcher.poll()
    assert sum("/member" in path for path in watcher.discord.asked) == 1  # one refusal is enough
    assert watcher.events == []


async def test_roles_are_not_asked_for_where_the_operator_does_not_want_it(discord: Discord) -> None:
    watcher = Watcher(discord, roles=False)
    await watcher.poll()
    assert not [path for path in discord.asked if "/member" in path]


# --- messages ---


async def test_messages_are_told_once_in_order_and_no_history(reader: Watcher) -> None:
    discord = reader.discord
    discord.say(10, "long ago")
    await reader.poll()
    for number in (11, 13, 12):
        discord.say(number, f"m{number}")
    await reader.poll()
    await reader.poll()
    discord.say(14, "m14")
    await reader.poll(urgent=True)
    assert reader.said == ["m11", "m12", "m13", "m14"]
    assert reader.events[0].id == f"discord:message:{TALK}:11"


async def test_the_first_message_of_an_empty_channel_is_news(reader: Watcher) -> None:
    await reader.poll()
    reader.discord.say(5, "first")
    await reader.poll()
    assert reader.said == ["first"]


async def test_a_channel_without_news_costs_no_call_for_messages(reader: Watcher) -> None:
    reader.discord.say(10)
    await reader.poll()
    reader.discord.asked_by_bot.clear()
    await reader.poll()
    assert not [path for path in reader.discord.asked_by_bot if "messages" in path]


async def test_ten_thousand_messages_between_two_polls_are_all_told(reader: Watcher) -> None:
    await reader.poll()
    for number in range(1, 10_001):
        reader.discord.messages[TALK].append({"id": str(number), "content": str(number), "type": 0})
    reader.discord.channels[TALK]["last_message_id"] = "10000"
    waits = []
    while True:
        pieces = await reader.poll()
        waits.append(pieces[-1].next_in_seconds)
        if waits[-1] is None:
            break
    assert reader.said == [str(number) for number in range(1, 10_001)]
    assert set(waits[:-1]) == {60.0}
    assert len(waits) == 11


async def test_each_page_is_committed_by_itself(reader: Watcher) -> None:
    await reader.poll()
    for number in range(1, 251):
        reader.discord.say(number, str(number))
    pieces = [piece for piece in await reader.poll() if piece.events]
    assert [len(piece.events) for piece in pieces] == [100, 100, 50]
    assert [piece.checkpoint["channels"][TALK] for piece in pieces] == ["100", "200", "250"]


async def test_an_outage_in_the_middle_loses_nothing_and_repeats_nothing(reader: Watcher) -> None:
    await reader.poll()
    for number in range(1, 251):
        reader.discord.say(number, str(number))
    send, seen = reader.discord.send, 0

    async def fail_once(*given: Any, **more: Any) -> Any:
        nonlocal seen
        seen += "messages" in given[1]
        if seen == 2:
            seen += 1
            raise Unavailable("away")
        return await send(*given, **more)

    reader.discord.send = fail_once  # type: ignore[method-assign] - an outage
    with pytest.raises(Unavailable):
        await reader.poll()
    await reader.poll()
    assert reader.said == [str(number) for number in range(1, 251)]


async def test_who_may_not_read_a_channel_hears_nothing_of_it(discord: Discord) -> None:
    discord.channels[CREW] = channel(CREW, overwrite(HOME, deny=VIEW), overwrite(CREW_ROLE, allow=VIEW))
    watcher = Watcher(discord, TALK, CREW)
    await watcher.poll()
    discord.say(11, "for all")
    discord.say(12, "for the crew", CREW)
    await watcher.poll()
    assert watcher.said == ["for all"]
    assert not [path for path in discord.asked_by_bot if path.startswith(f"/channels/{CREW}/messages")]


async def test_who_comes_to_read_a_channel_hears_what_is_said_from_then_on(discord: Discord) -> None:
    discord.channels[CREW] = channel(CREW, overwrite(HOME, deny=VIEW), overwrite(CREW_ROLE, allow=VIEW))
    watcher = Watcher(discord, CREW)
    await watcher.poll()
    discord.say(11, "before", CREW)
    discord.roles[HOME] = [CREW_ROLE]
    await watcher.poll()
    discord.say(12, "after", CREW)
    await watcher.poll()
    discord.roles[HOME] = []
    discord.say(13, "too late", CREW)
    await watcher.poll()
    discord.roles[HOME] = [CREW_ROLE]
    await watcher.poll()
    assert watcher.said == ["after"]


async def test_channels_of_servers_of_others_cost_no_calls_once_they_are_known(discord: Discord) -> None:
    discord.channels[CREW] = channel(CREW, guild_id=AWAY)
    watcher = Watcher(discord, TALK, CREW)
    await watcher.poll()
    discord.asked_by_bot.clear()
    await watcher.poll()
    assert not [path for path in discord.asked_by_bot if CREW in path or AWAY in path]


@pytest.mark.parametrize("gone", ["from the list", "as the bot sees it", "both"])
async def test_who_left_a_server_hears_nothing_of_it_any_more(reader: Watcher, gone: str) -> None:
    discord, reader.roles = reader.discord, False
    await reader.poll()
    if gone != "as the bot sees it":
        del discord.mine[HOME]
    if gone != "from the list":
        discord.members.discard(ANN)
    discord.say(11, "among us")
    await reader.poll()
    assert reader.said == []
    assert TALK not in reader.checkpoint["channels"]


async def test_without_the_scope_for_servers_the_bot_s_word_is_enough(reader: Watcher) -> None:
    reader.discord.ungranted = {"guilds", "guilds.members.read"}
    await reader.poll()
    reader.discord.say(11, "hello")
    await reader.poll()
    assert reader.said == ["hello"]


@pytest.mark.parametrize("path", [f"/channels/{TALK}", f"/guilds/{HOME}", f"/guilds/{HOME}/members/{ANN}"])
async def test_what_the_bot_can_not_see_for_a_moment_is_told_to_nobody_and_later_whole(
    reader: Watcher, path: str
) -> None:
    reader.roles = False  # else the account's own word counts
    reader.discord.hidden[f"/guilds/{HOME}/members?limit=1000"] = 403
    await reader.poll()
    reader.discord.hidden[path] = 403
    reader.discord.say(11, "hello")
    await reader.poll()
    assert reader.said == []
    del reader.discord.hidden[path]
    await reader.poll()
    assert reader.said == ["hello"]


async def test_a_thread_whose_channel_can_not_be_seen_for_a_moment_is_told_later(discord: Discord) -> None:
    discord.channels["7"] = channel("7", kind=11, parent_id=TALK, name="a thread", permission_overwrites=None)
    watcher = Watcher(discord, "7")
    await watcher.poll()
    discord.hidden[f"/channels/{TALK}"] = 403
    discord.say(11, "within", "7")
    await watcher.poll()
    assert watcher.said == []
    discord.hidden.clear()
    await watcher.poll()
    assert watcher.said == ["within"]


async def test_what_was_said_before_the_bot_could_read_it_is_no_news(reader: Watcher) -> None:
    discord = reader.discord
    discord.say(10, "long ago")
    discord.channels[TALK]["last_message_id"] = None  # as of a channel that the bot sees, but may not read
    discord.hidden[f"/channels/{TALK}/messages?limit=1"] = 403
    await reader.poll()
    discord.hidden.clear()
    await reader.poll()
    discord.say(11, "just now")
    await reader.poll()
    assert reader.said == ["just now"]


async def test_what_was_said_while_the_bot_was_shut_out_of_a_channel_is_told_when_it_is_back(
    reader: Watcher,
) -> None:
    await reader.poll()
    reader.discord.hidden[f"/channels/{TALK}"] = 403
    reader.discord.say(11, "meanwhile")
    await reader.poll()
    reader.discord.hidden.clear()
    await reader.poll()
    assert reader.said == ["meanwhile"]


@pytest.mark.parametrize("missing", ["roles", "owner", "overwrites"])
async def test_what_is_unknown_about_the_rules_means_that_nothing_is_told(
    reader: Watcher, missing: str
) -> None:
    await reader.poll()
    if missing == "roles":
        reader.discord.guilds[HOME] = {**guild(), "roles": None}
    elif missing == "owner":
        reader.discord.guilds[HOME] = {**guild(everyone=0), "owner_id": None}
    else:
        del reader.discord.channels[TALK]["permission_overwrites"]
    reader.discord.say(11, "hello")
    await reader.poll()
    assert reader.said == []


async def test_a_user_chooses_channels(discord: Discord) -> None:
    discord.channels[CREW] = channel(CREW)
    watcher = Watcher(discord, TALK, CREW)
    await watcher.poll()
    watcher.settings = {"messages": [CREW, "5"]}
    discord.say(11, "talk")
    discord.say(12, "crew", CREW)
    await watcher.poll()
    assert watcher.said == ["crew"]
    watcher.settings = {"messages": "all"}
    discord.say(13, "talk again")
    await watcher.poll()  # from now on
    discord.say(14, "and again")
    await watcher.poll()
    assert watcher.said == ["crew", "and again"]
    watcher.settings = {"messages": []}
    discord.say(15, "unheard")
    await watcher.poll()
    assert watcher.said == ["crew", "and again"]


async def test_a_thread_is_read_by_the_rules_of_its_channel(discord: Discord) -> None:
    discord.channels["7"] = channel("7", kind=11, parent_id=TALK, name="a thread", permission_overwrites=None)
    watcher = Watcher(discord, "7")
    await watcher.poll()
    discord.say(11, "within", "7")
    await watcher.poll()
    discord.channels[TALK]["permission_overwrites"] = [overwrite(HOME, deny=VIEW)]
    discord.say(12, "hidden", "7")
    await watcher.poll()
    assert watcher.said == ["within"]


async def test_roles_that_can_not_be_had_do_not_keep_messages_nor_the_roles_before_them(
    reader: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    discord, request = reader.discord, reader.discord.request
    discord.mine[AWAY] = "Far Away"
    await reader.poll()

    async def fail(method: str, url: str, **more: Any) -> Any:
        if url == f"/users/@me/guilds/{AWAY}/member":
            raise Unavailable("Discord answers 502.")
        return await request(method, url, **more)

    monkeypatch.setattr(discord, "request", fail)
    discord.roles |= {HOME: [CREW_ROLE], AWAY: [CREW_ROLE]}
    discord.say(1, "hello")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await reader.poll()
    assert reader.kinds == ["role_added", "message"]
    monkeypatch.undo()
    await reader.poll()
    assert reader.kinds == ["role_added", "message", "role_added"]


async def test_a_refused_bot_does_not_keep_the_account_s_own_news(reader: Watcher) -> None:
    await reader.poll()
    reader.discord.mine[AWAY] = "Far Away"
    reader.discord.scripted = [answered(401, {"message": "401: Unauthorized"})]
    with pytest.raises(Rejected, match="bot_token"):
        await reader.poll()
    assert reader.kinds == ["guild_joined"]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["join", "leave", "rename", "give", "take", "poll"]), st.integers(1, 3)),
        max_size=25,
    )
)
async def test_polls_tell_exactly_how_what_is_shown_has_changed(steps: list[tuple[str, int]]) -> None:
    discord = Discord()
    discord.mine, watcher = {}, Watcher(discord)
    await watcher.poll()
    shown: dict[str, tuple[str, frozenset[str]]] = {}
    for serial, (kind, number) in enumerate([*steps, ("poll", 1)]):
        key = str(1000 + number)
        if kind == "join":
            discord.mine.setdefault(key, f"S{number}")
        elif kind == "leave":
            discord.mine.pop(key, None)
            discord.roles.pop(key, None)
        elif kind == "rename" and key in discord.mine:
            discord.mine[key] = f"S{number}.{serial}"
        elif kind == "give" and key in discord.mine:
            discord.roles[key] = [CREW_ROLE]
        elif kind == "take":
            discord.roles.pop(key, None)
        elif kind == "poll":
            before = len(watcher.events)
            await watcher.poll()
            now = {one: (name, frozenset(discord.roles.get(one, []))) for one, name in discord.mine.items()}
            assert sorted(watcher.kinds[before:]) == sorted(_differences(shown, now))
            shown = now
    assert len({event.id for event in watcher.events}) == len(watcher.events)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = ["guild_joined" for one in now if one not in before]
    found += ["guild_left" for one in before if one not in now]
    for one in before.keys() & now.keys():
        found += ["guild_renamed"] if before[one][0] != now[one][0] else []
        found += ["role_added"] * len(now[one][1] - before[one][1])
        found += ["role_removed"] * len(before[one][1] - now[one][1])
    return found


# --- many accounts of one server ---


class Neighbours:
    """Accounts of one server, which share their installation's bot, and are asked for every four hours."""

    def __init__(self, discord: Discord, count: int = 2) -> None:
        self.discord = discord
        self.all = [Watcher(discord, TALK) for _ in range(count)]
        for one in self.all:
            one.bot, one.every_seconds, one.roles_seconds = self.all[0].bot, 4 * 3600.0, 86_400.0

    async def poll(self, number: int, in_seconds: float, *, urgent: bool = False) -> float | None:
        """Poll one of them so much later; returns when it wants to be asked again."""
        one = self.all[number]
        one.now = NOW + timedelta(seconds=self.discord.clock.monotonic())
        self.discord.asked.clear()
        self.discord.asked_by_bot.clear()
        pieces = await one.poll(after_seconds=in_seconds, urgent=urgent)
        return pieces[-1].next_in_seconds


async def test_what_the_bot_saw_for_one_account_serves_the_others(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    for number in (0, 1, 0, 1):
        await neighbours.poll(number, 2 * 3600)
    discord.say(11, "hello")
    discord.roles[HOME] = [CREW_ROLE]
    await neighbours.poll(0, 2 * 3600)
    assert discord.asked == ["/users/@me/guilds?limit=200"]
    assert len(discord.asked_by_bot) == 4  # the members, the channel, its server, its messages
    discord.say(12, "and then")
    assert await neighbours.poll(1, 300) == 4 * 3600 - 300  # so that nothing comes later for it
    assert (discord.asked, discord.asked_by_bot) == (["/users/@me/guilds?limit=200"], [])
    for one in neighbours.all:
        assert one.said == ["hello"]
        assert one.kinds == ["role_added", "message"]
    await neighbours.poll(1, 4 * 3600 - 300)
    assert neighbours.all[1].said == ["hello", "and then"]


async def test_a_role_that_was_made_a_moment_ago_has_its_name(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    for number in (0, 1, 0):
        await neighbours.poll(number, 2 * 3600)
    made = "41771983423143999"
    discord.guilds[HOME], discord.roles[HOME] = guild(**{f"r{made}": 0}), [made]
    await neighbours.poll(1, 61, urgent=True)
    assert [event.data["role"]["name"] for event in neighbours.all[1].events] == ["Role 99"]


async def test_what_is_too_old_to_be_believed_is_asked_for_anew(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    for number in (0, 1, 0):
        await neighbours.poll(number, 2 * 3600)
    discord.say(11, "hello")
    assert await neighbours.poll(1, 1801) is None
    assert neighbours.all[1].said == ["hello"]


async def test_who_wants_to_know_now_is_not_told_how_it_was_half_an_hour_ago(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    for number in (0, 1, 0):
        await neighbours.poll(number, 2 * 3600)
    discord.say(11, "hello")
    await neighbours.poll(1, 61, urgent=True)
    assert neighbours.all[1].said == ["hello"]


async def test_what_another_account_saw_before_does_not_undo_what_this_one_knows(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    for number in (0, 1, 0):
        await neighbours.poll(number, 2 * 3600)
    discord.roles[HOME], discord.profile = [CREW_ROLE], {**discord.profile, "global_name": "Annie"}
    neighbours.all[1].bot = None
    neighbours.all[1].roles_seconds = 0.0
    await neighbours.poll(1, 300)  # by its own consent alone
    neighbours.all[1].bot = neighbours.all[0].bot
    await neighbours.poll(1, 300)
    assert neighbours.all[1].kinds == ["profile_changed", "role_added"]


async def test_without_a_list_of_members_each_account_asks_for_itself(discord: Discord) -> None:
    neighbours = Neighbours(discord)
    discord.hidden[f"/guilds/{HOME}/members?limit=1000"] = 403
    for number in (0, 1, 0, 1):
        await neighbours.poll(number, 2 * 3600)
    discord.say(11, "hello")
    discord.roles[HOME] = [CREW_ROLE]
    await neighbours.poll(0, 2 * 3600)
    assert discord.asked == ["/users/@me/guilds?limit=200", f"/users/@me/guilds/{HOME}/member"]
    assert neighbours.all[0].kinds == ["role_added", "message"]


async def test_where_the_bot_reads_nothing_roles_are_looked_at_seldom(discord: Discord) -> None:
    discord.mine[AWAY] = "Far Away"
    neighbours = Neighbours(discord, 1)
    looked = 0
    for _ in range(12):  # two days
        await neighbours.poll(0, 4 * 3600)
        looked += f"/users/@me/guilds/{AWAY}/member" in discord.asked
    assert looked == 2


async def test_a_refused_bot_is_shown_to_who_is_in_none_of_its_servers_too(discord: Discord) -> None:
    stranger, reader = Watcher(discord, TALK), Watcher(discord, TALK)
    reader.bot = stranger.bot
    await reader.poll()
    discord.mine = {AWAY: "Far Away"}
    await stranger.poll()
    discord.mine[HOME] = "The Lantern"
    discord.scripted = [answered(401, {"message": "401: Unauthorized"})]
    with pytest.raises(Rejected, match="bot_token"):
        await reader.poll()
    del discord.mine[HOME]
    discord.asked_by_bot.clear()
    stranger.now -= timedelta(hours=1)
    with pytest.raises(Rejected, match="bot_token"):
        await stranger.poll(after_seconds=60)
    assert discord.asked_by_bot == []
