"""Who may read a channel: Discord's rules, and no for whatever is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from discord_exchanges import (
    ANN,
    AWAY,
    BEN,
    CONNECT,
    CREW,
    CREW_ROLE,
    HISTORY,
    HOME,
    VIEW,
    channel,
    guild,
    member,
    overwrite,
)
from tidings_discord.permissions import may_read

READ = VIEW | HISTORY
ADMIN = 1 << 3
OTHER_ROLE = "41771983423143999"

CASES: list[tuple[str, Any, Any, Any, bool]] = [
    # case, server, channel, member, whether they may read
    ("everybody may", guild(), channel(), member(), True),
    ("nobody may", guild(everyone=0), channel(), member(), False),
    ("seeing is not enough", guild(everyone=VIEW), channel(), member(), False),
    ("history alone is not enough", guild(everyone=HISTORY), channel(), member(), False),
    ("by a role", guild(everyone=0, **{f"r{CREW_ROLE}": READ}), channel(), member(CREW_ROLE), True),
    ("without that role", guild(everyone=0, **{f"r{CREW_ROLE}": READ}), channel(), member(), False),
    (
        "by two roles together",
        guild(everyone=0, **{f"r{CREW_ROLE}": VIEW, f"r{OTHER_ROLE}": HISTORY}),
        channel(),
        member(CREW_ROLE, OTHER_ROLE),
        True,
    ),
    ("by a role that is unknown", guild(everyone=0), channel(), member(OTHER_ROLE), False),
    ("the owner", guild(everyone=0, owner=ANN), channel("1", overwrite(HOME, deny=READ)), member(), True),
    (
        "an administrator",
        guild(everyone=0, **{f"r{CREW_ROLE}": ADMIN}),
        channel("1", overwrite(HOME, deny=READ), overwrite(ANN, deny=READ, kind=1)),
        member(CREW_ROLE),
        True,
    ),
    ("hidden from everybody", guild(), channel("1", overwrite(HOME, deny=VIEW)), member(), False),
    ("history hidden", guild(), channel("1", overwrite(HOME, deny=HISTORY)), member(), False),
    (
        "shown to everybody",
        guild(everyone=HISTORY),
        channel("1", overwrite(HOME, allow=VIEW)),
        member(),
        True,
    ),
    (
        "hidden, but shown to a role",
        guild(),
        channel(CREW, overwrite(HOME, deny=VIEW), overwrite(CREW_ROLE, allow=VIEW)),
        member(CREW_ROLE),
        True,
    ),
    (
        "hidden, shown to a role of others",
        guild(),
        channel(CREW, overwrite(HOME, deny=VIEW), overwrite(CREW_ROLE, allow=VIEW)),
        member(),
        False,
    ),
    ("hidden from a role", guild(), channel("1", overwrite(CREW_ROLE, deny=VIEW)), member(CREW_ROLE), False),
    (
        "one role hides, another shows, in any order",
        guild(),
        channel("1", overwrite(OTHER_ROLE, allow=VIEW), overwrite(CREW_ROLE, deny=VIEW)),
        member(CREW_ROLE, OTHER_ROLE),
        True,
    ),
    (
        "roles come before the member alone",
        guild(),
        channel("1", overwrite(ANN, deny=VIEW, kind=1), overwrite(CREW_ROLE, allow=VIEW)),
        member(CREW_ROLE),
        False,
    ),
    (
        "shown to the member alone",
        guild(everyone=0),
        channel("1", overwrite(ANN, allow=READ, kind=1)),
        member(),
        True,
    ),
    (
        "shown to another",
        guild(everyone=0),
        channel("1", overwrite(BEN, allow=READ, kind=1)),
        member(),
        False,
    ),
    (
        "a role of the member's number is no member",
        guild(everyone=0),
        channel("1", overwrite(ANN, allow=READ)),
        member(),
        False,
    ),
    (
        "a member of a role's number is no role",
        guild(everyone=0),
        channel("1", overwrite(CREW_ROLE, allow=READ, kind=1)),
        member(CREW_ROLE),
        False,
    ),
    ("a voice channel that may be joined", guild(everyone=READ | CONNECT), channel(kind=2), member(), True),
    ("a voice channel that may not", guild(), channel(kind=2), member(), False),
    ("a stage that may not", guild(), channel(kind=13), member(), False),
    ("an announcement channel", guild(), channel(kind=5), member(), True),
    ("a direct message", guild(), channel(kind=1), member(), False),
    ("a group", guild(), channel(kind=3), member(), False),
    ("a category", guild(), channel(kind=4), member(), False),
    ("a private thread", guild(), channel(kind=12), member(), False),
    ("a forum itself", guild(), channel(kind=15), member(), False),
    ("a kind to come", guild(), channel(kind=99), member(), False),
    ("for grown-ups", guild(), channel(nsfw=True), member(), False),
    # what is unknown
    ("no member", guild(), channel(), {}, False),
    ("another member", guild(), channel(), member(identity=BEN), False),
    ("a member without roles' list", guild(), channel(), {**member(), "roles": None}, False),
    ("odd roles", guild(), channel(), {**member(), "roles": [5]}, False),
    ("a channel of another server", guild(AWAY), channel(), member(), False),
    ("a channel of none", guild(), channel(guild_id=None), member(), False),
    ("a server without @everyone", {**guild(), "roles": []}, channel(), member(), False),
    ("a server without roles", {**guild(), "roles": None}, channel(), member(), False),
    ("odd permissions", {**guild(), "roles": [{"id": HOME, "permissions": -1}]}, channel(), member(), False),
    ("no rules at all", guild(), channel(permission_overwrites=None), member(), False),
    ("a rule that is none", guild(), channel(permission_overwrites=[7]), member(), False),
    (
        "a rule without its no",
        guild(),
        channel(permission_overwrites=[{"id": HOME, "type": 0, "allow": "0"}]),
        member(),
        False,
    ),
    (
        "a rule for a kind to come",
        guild(),
        channel("1", overwrite(HOME, kind=2)),
        member(),
        False,
    ),
    ("no server", {}, channel(), member(), False),
    ("no channel", guild(), {}, member(), False),
]


@pytest.mark.parametrize(
    ("server", "place", "who", "may"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_who_may_read(server: Any, place: Any, who: Any, may: bool) -> None:
    assert may_read(ANN, server, place, {}, who) is may


def test_nobody_may_read() -> None:
    assert not may_read("", guild(), channel(), {}, member())


@pytest.mark.parametrize("kind", [0, 5, 15, 16])
@pytest.mark.parametrize(("deny", "may"), [(0, True), (VIEW, False)])
def test_a_thread_is_read_by_who_may_read_what_it_is_in(kind: int, deny: int, may: bool) -> None:
    thread = channel("2", kind=11, permission_overwrites=None, parent_id="1")
    above = channel("1", overwrite(HOME, deny=deny), kind=kind)
    assert may_read(ANN, guild(), thread, above, member()) is may
    assert not may_read(ANN, guild(), thread, {}, member())
    assert not may_read(ANN, guild(), thread, channel("1", kind=4), member())
    assert not may_read(ANN, guild(), thread, {**above, "guild_id": AWAY}, member())
    assert not may_read(ANN, guild(), thread, {**above, "nsfw": True}, member())
