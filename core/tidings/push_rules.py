"""What a user wants to be told of by push."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, select

from tidings.contracts import Selection
from tidings.database import Insert
from tidings.event import UserId
from tidings.schema import push_rules
from tidings.selection import parse_selection


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all devices of a user are told of.

    With `enabled` false, nothing. Else what is in one of `platforms` and of one of `types`, where an empty list lets
    everything through, unless it is in one of `muted_platforms` or of one of `muted_types`. Types are CloudEvents types
    with `*` for any characters: `com.github.*`.
    """

    enabled: bool = True
    platforms: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    muted_platforms: tuple[str, ...] = ()
    muted_types: tuple[str, ...] = ()

    def selection(self) -> Selection:
        """The rules at work.

        Raises:
            Rejected: A list is too long, or a pattern has characters that none can have (400).
        """
        return _Selection(self)


EVERYTHING: Final = Rules()


class _Selection:
    def __init__(self, rules: Rules) -> None:
        self._enabled = rules.enabled
        self._wanted = parse_selection(",".join(rules.types), ",".join(rules.platforms))
        self._muted = [
            parse_selection(",".join(types), ",".join(platforms))
            for types, platforms in ((rules.muted_types, ()), ((), rules.muted_platforms))
            if types or platforms
        ]

    def matches(self, type: str, platform: str) -> bool:  # noqa: A002 - the CloudEvents attribute's name
        """See `tidings.contracts.Selection.matches`."""
        return (
            self._enabled
            and self._wanted.matches(type, platform)
            and not any(muted.matches(type, platform) for muted in self._muted)
        )


def find_rules(sql: Connection, user_id: UserId) -> Rules:
    """A user's rules; without any, everything is told."""
    text = sql.execute(select(push_rules.c.rules).where(push_rules.c.user_id == user_id)).scalar()
    return EVERYTHING if text is None else msgspec.json.decode(text, type=Rules)


def set_rules(sql: Connection, user_id: UserId, rules: Rules) -> None:
    """Replace a user's rules."""
    text = msgspec.json.encode(rules).decode()
    statement = Insert(push_rules).values(user_id=user_id, rules=text)
    sql.execute(statement.on_conflict_do_update(index_elements=[push_rules.c.user_id], set_={"rules": text}))
