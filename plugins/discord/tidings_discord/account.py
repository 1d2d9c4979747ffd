"""What Discord shows of an account with its consent: the profile, the servers, the roles there.

Nothing else is open to an app: no messages, no friends, no direct messages
(https://docs.discord.com/developers/topics/oauth2, "OAuth2 Scopes", 2026).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from tidings.contracts import Answer, Api
from tidings.errors import Unavailable
from tidings.event import Event
from tidings.fields import Object, as_object, obj, raw, word
from tidings_discord.cards import PROFILE_FIELDS, Teller, profile_of
from tidings_discord.fields import snowflake

#: The most servers that a call gives; nobody can be in more.
PAGE: Final = 200

_REFUSED: Final = 401
_HIDDEN: Final = 403
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
    while True:
        answer = await _granted(api, f"/users/@me/guilds?limit={PAGE}{after}")
        if answer is None:
            return None
        page = _servers(answer)
        if not page.keys() - found.keys() and page:
            raise Unavailable("Discord answers with the same page of servers again.")
        found |= page
        if len(page) < PAGE:
            return found
        after = f"&after={max(page, key=int)}"


async def read_member(api: Api, guild_id: str) -> Object | None:
    """Who the account is in a server, with its roles and its profile; None for no member.

    Raises:
        LookupError: The scope `guilds.members.read` was not granted.
        AuthExpired, Unavailable, Rejected: As `Api.request`; `Unavailable` also where it is somebody else.
    """
    answer = await _granted(api, f"/users/@me/guilds/{guild_id}/member", accept={_GONE})
    if answer is None:
        raise LookupError("guilds.members.read")
    if answer.status == _GONE:
        return None
    found = as_object(answer.json())
    if snowflake(obj(found, "user"), "id") not in {"", api.account_key}:
        raise Unavailable("Discord answers with something else than this account's membership.")
    return found


async def _granted(api: Api, path: str, accept: Collection[int] = ()) -> Answer | None:
    """An answer; None where the scope for it was not granted.

    Discord says 401 where it lacks, but also where the token is dead, and now and then where it is neither
    (discord/discord-api-docs#6769). So the profile, which every consent opens, is asked for: that refreshes a dead
    token. Only who is refused once more after that lacks the scope.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    answer = await api.request("GET", path, accept={_REFUSED, _HIDDEN, *accept})
    if answer.status == _REFUSED:
        await read_own_profile(api)
        answer = await api.request("GET", path, accept={_REFUSED, _HIDDEN, *accept})
    return None if answer.status in {_REFUSED, _HIDDEN} else answer


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
