"""Looking names up: everybody of a workspace once a day, and whoever turns up in between.

https://docs.slack.dev/reference/methods/users.list (Tier 2) and …/users.info (Tier 4); …/conversations.info (Tier 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from tidings.contracts import Api
from tidings.fields import obj, objs, word
from tidings_slack.api import Refusal, ask, pages
from tidings_slack.card import CHANNEL, GROUP, kind_of_conversation, person_of
from tidings_slack.fields import identity
from tidings_slack.names import Names, Person

_PAGE: Final = 500
# So many people are listed at most; of a larger workspace the others are looked up one by one.
_MOST_PAGES: Final = 4
_LIST_SECONDS: Final = 86_400.0
_FRESH_SECONDS: Final = 60.0
_MOST_AT_ONCE: Final = 10


async def list_people(api: Api, names: Names, team: str, now: datetime) -> int:
    """Learn the names of a workspace, unless that was done today; returns how many calls it took.

    Raises:
        AuthExpired, Unavailable: As `tidings_slack.api`.
    """
    at, calls = now.timestamp(), 0
    if names.is_listed(team, at, _LIST_SECONDS):
        return 0
    try:
        async for page in pages(api, "users.list", {"limit": str(_PAGE)}, most=_MOST_PAGES):
            calls += 1
            for user in objs(page, "members"):
                if found := identity(user, "id"):
                    names.note_person(team, found, person_of(user))
    except Refusal:
        calls += 1  # without the scope names are what messages bring along
    names.note_listed(team, at)
    return calls


async def look_up(api: Api, names: Names, team: str, ids: Iterable[str], now: datetime) -> int:
    """Learn the names of these people and conversations, some at once; returns how many calls it took.

    Raises:
        AuthExpired, Unavailable: As `tidings_slack.api`.
    """
    calls = 0
    for one in dict.fromkeys(ids):
        if calls >= _MOST_AT_ONCE:
            break
        if one[:1] in {"C", "G"}:
            calls += await _look_up_channel(api, names, team, one, now.timestamp())
        elif names.missing_people(team, [one]):
            calls += 1
            person = Person("")
            if one[:1] in {"U", "W"}:
                with suppress(Refusal):  # a stranger, or no right to ask: nobody need ask again
                    person = person_of(obj(await ask(api, "users.info", user=one), "user"))
            names.note_person(team, one, person)
    return calls


async def _look_up_channel(api: Api, names: Names, team: str, channel: str, at: float) -> int:
    known_at = names.channel_at(team, channel)
    if known_at is not None and at - known_at < _FRESH_SECONDS:
        return 0  # another account of the workspace was asked for it a moment ago
    name = names.channel(team, channel)
    with suppress(Refusal):
        found = obj(await ask(api, "conversations.info", channel=channel), "channel")
        if kind_of_conversation(found) in {CHANNEL, GROUP}:
            name = word(found, "name")
    names.note_channel(team, channel, name, at)
    return 1
