"""By which addresses deliveries name accounts: somebody, everybody of a workspace, the members of a conversation.

Slack sends one delivery for each event and workspace, however many accounts may see it, and names but one of them
(https://docs.slack.dev/apis/events-api, "authorizations"). So an account is told of what happens in the conversations
that it is a member of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Whose(NamedTuple):
    """An account: somebody, or a bot, in a workspace; `enterprise` is "-" without an Enterprise organisation."""

    enterprise: str
    team: str
    user: str

    @classmethod
    def read(cls, account_key: str) -> Whose:
        """The account of this key."""
        enterprise, team, user = account_key.split(":")
        return cls(enterprise, team, user)

    @property
    def key(self) -> str:
        """The account's key."""
        return ":".join(self)


def of_person(team: str, user: str) -> str:
    """Names the account of somebody."""
    return f"user:{team}:{user}"


def of_team(team: str) -> str:
    """Names all accounts of a workspace."""
    return f"team:{team}"


def of_channel(team: str, channel: str) -> str:
    """Names the members of a conversation."""
    return f"channel:{team}:{channel}"


def all_of(whose: Whose, channels: Iterable[str]) -> tuple[str, ...]:
    """The addresses of an account that is a member of these conversations."""
    return (
        of_person(whose.team, whose.user),
        of_team(whose.team),
        *(of_channel(whose.team, channel) for channel in channels),
    )
