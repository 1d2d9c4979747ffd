"""Which conversations an account is a member of: what it is told of, and what is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tidings.contracts import Api
from tidings.fields import flag, objs, word
from tidings_slack.api import pages
from tidings_slack.card import kind_of_conversation
from tidings_slack.fields import identity

# "Must be an integer with a max value of 999"; fewer are asked for than could be, as Slack recommends
# (https://docs.slack.dev/reference/methods/users.conversations).
PAGE: Final = 500
_TYPES: Final = "public_channel,private_channel,mpim,im"


class Conversation(NamedTuple):
    """A conversation that an account is a member of.

    Attributes:
        kind: As `card.Place.kind`.
        name: Without `#`; "" for conversations of people.
        is_archived: Nothing more happens in it.
    """

    kind: str
    name: str
    is_archived: bool


async def memberships(api: Api) -> Mapping[str, Conversation]:
    """The conversations of the token's owner, by id.

    Raises:
        AuthExpired, Unavailable, Rejected: As `tidings_slack.api`.
    """
    found: dict[str, Conversation] = {}
    params = {"types": _TYPES, "limit": str(PAGE)}
    async for page in pages(api, "users.conversations", params):
        for one in objs(page, "channels"):
            channel = identity(one, "id")
            if channel:
                kind = kind_of_conversation(one)
                found[channel] = Conversation(kind, word(one, "name"), flag(one, "is_archived"))
    return found
