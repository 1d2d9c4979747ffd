"""What Discord shows of an account with its consent: the profile, the servers, the roles there.

Nothing else is open to an app: no messages, no friends, no direct messages
(https://docs.discord.com/developers/topics/oauth2, "OAuth2 Scopes", 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Answer, Api
from tidings.errors import Unavailable
from tidings.event import Event
from tidings.fields import Object, as_object, raw, word
from tidings_discord.cards import PROFILE_FIELDS, Teller, profile_of
from tidings_discord.fields import snowflake, snowflakes

#: The most servers that a call gives; nobody can be in more.
PAGE: Final = 200

_MOST_PAGES: Final = 10
# Discord says 401 where a token is dead, and where it lacks the scope; `/users/@me`, asked first, tells which.
_UNGRANTED: Final = frozenset({401, 403})
_GONE: Final = 404


async def read_profile(api: Api) -> Object:
    """The account's profile.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    return as_object((await api.request("GET", "/users/@me")).json())


async def read_own_profile(api: Api) -> Object:
    """Likewise, of an account that is known already.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`; `Unavailable` also where it is not this account's.
    """
    user = await read_profile(api)
    if snowflake(user, "id") != api.account_key:
        raise Unavailable("Discord answers with something else than this account's profile.")
    return user


async def read_guilds(api: Api) -> Mapping[str, str] | None:
    """The names of the servers that the account is in, by id; None where the scope `guilds` was not granted.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`; `Unavailable` also where it is no list of servers: one
            that can't be read must not look as if it had been left.
    """
    found: dict[str, str] = {}
    after = ""
    for _ in range(_MOST_PAGES):
        answer = await api.request("GET", f"/users/@me/guilds?limit={PAGE}{after}", accept=_UNGRANTED)
        if answer.status in _UNGRANTED:
            return None
        page = _servers(answer)
        found |= page
        if len(page) < PAGE:
            break
        after = f"&after={max(page, key=int)}"
    return found


async def read_roles(api: Api, guild_id: str) -> Sequence[str] | None:
    """The ids of the account's roles in a server, None for no member.

    Raises:
        LookupError: The scope `guilds.members.read` was not granted.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    path = f"/users/@me/guilds/{guild_id}/member"
    answer = await api.request("GET", path, accept={*_UNGRANTED, _GONE})
    if answer.status in _UNGRANTED:
        raise LookupError("guilds.members.read")
    return None if answer.status == _GONE else snowflakes(as_object(answer.json()), "roles")


def tell_profile(teller: Teller, before: Object, user: Object) -> list[Event]:
    """The change of a profile, if it is another one than before; `before` is empty at first."""
    now = profile_of(user)
    changed = [field for field in PROFILE_FIELDS if before and now[field] != raw(before, field)]
    return [teller.profile(before, changed)] if changed else []


def tell_guilds(teller: Teller, before: Mapping[str, Any], now: Mapping[str, str]) -> list[Event]:
    """The servers that were joined, left or renamed, in the order of their ids."""
    found = []
    for guild_id in sorted({*before, *now}, key=int):
        old, new = str(before.get(guild_id, "")), now.get(guild_id, "")
        if not old:
            found.append(teller.guild("guild_joined", guild_id, new))
        elif not new:
            found.append(teller.guild("guild_left", guild_id, old))
        elif old != new:
            found.append(teller.guild("guild_renamed", guild_id, new, before=old))
    return found


def _servers(answer: Answer) -> Mapping[str, str]:
    """The names of the servers in a page, by id."""
    listed = answer.json()
    page = [as_object(one) for one in listed] if isinstance(listed, list) else [{}]
    found = {snowflake(one, "id"): word(one, "name") or snowflake(one, "id") for one in page}
    if "" in found:
        raise Unavailable("Discord answers with something else than a list of servers.")
    return found
