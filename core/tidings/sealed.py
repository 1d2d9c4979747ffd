"""Which columns hold secrets that the vault has sealed, and how all of them move to another key.

Whoever seals a secret for one of these columns names the place with `SealedColumn.row_name`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, Table, and_, exists, func, or_, select, update

from tidings.errors import ConfigError
from tidings.schema import grants, oauth_states, platform_webhooks, provisions, push_subscriptions
from tidings.vault import Vault, VaultError

T = TypeVar("T")

#: Runs a unit of work and returns what it returns: a transaction that reads, or one that writes.
Run = Callable[[Callable[[Connection], T]], Awaitable[T]]

_CHUNK = 200
_LONGEST_ID = 16
# A server that still seals with the old key takes the new one as soon as it looks; one pass more finds the rest.
_MOST_PASSES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed secrets; "" in it is none.

    Attributes:
        key: The column that names the row.
    """

    table: Table
    column: Column[Any]
    key: Column[Any]

    @property
    def name(self) -> str:
        """`grants.tokens`."""
        return f"{self.table.name}.{self.column.name}"

    def row_name(self, key: str | bytes) -> str:
        """How the vault's associated data names the row with this key."""
        return key.hex() if isinstance(key, bytes) else key


WEBHOOK_SECRET: Final = SealedColumn(platform_webhooks, platform_webhooks.c.secret, platform_webhooks.c.id)
GRANT_TOKENS: Final = SealedColumn(grants, grants.c.tokens, grants.c.id)
STATE_VERIFIER: Final = SealedColumn(oauth_states, oauth_states.c.verifier, oauth_states.c.state_hash)
PROVISION_CREDENTIALS: Final = SealedColumn(provisions, provisions.c.credentials, provisions.c.platform)
PUSH_ADDRESS: Final = SealedColumn(push_subscriptions, push_subscriptions.c.address, push_subscriptions.c.id)
SEALED: Final = (WEBHOOK_SECRET, GRANT_TOKENS, STATE_VERIFIER, PROVISION_CREDENTIALS, PUSH_ADDRESS)


class Resealed(NamedTuple):
    """What a rotation has done.

    Attributes:
        moved: How many secrets it sealed anew.
        unopened: Those that it could not open, each said in a sentence; they are as they were.
    """

    moved: int
    unopened: Sequence[str]


def secrets_exist(connection: Connection) -> bool:
    """Whether the database holds secrets that the vault has sealed."""
    found = [exists().where(sealed.column != "") for sealed in SEALED]
    return bool(connection.execute(select(or_(*found))).scalar())


def secrets_by_key(connection: Connection) -> Mapping[str, int]:
    """How many secrets are sealed with each key; "" stands for what is no sealed secret at all."""
    counts: Counter[str] = Counter()
    for sealed in SEALED:
        beginning = func.substr(sealed.column, 1, _LONGEST_ID + 4)
        for text in connection.execute(select(beginning).where(sealed.column != "")).scalars():
            version, _, rest = text.partition(".")
            key_id, point, _ = rest.partition(".")
            counts[key_id if version == "v1" and point else ""] += 1
    return counts


def require_keys(vault: Vault, counts: Mapping[str, int]) -> None:
    """Make sure that the vault has every key that something was sealed with.

    Raises:
        ConfigError: It lacks one.
    """
    lacking = {key_id: count for key_id, count in counts.items() if key_id and key_id not in vault.key_ids}
    if lacking:
        names = ", ".join(f"{key_id} ({count} secret(s))" for key_id, count in sorted(lacking.items()))
        raise ConfigError(
            f"The vault lacks keys that secrets were sealed with: {names}. It has {', '.join(vault.key_ids)}. Put "
            "their lines back into the key file. Nothing was changed."
        )


async def reseal(read: Run[Any], write: Run[Any], vault: Vault) -> Resealed:
    """Seal every secret with the vault's active key, some hundred at a time, beside whoever else writes.

    A secret is replaced only if it is still the one that was opened; one that changed meanwhile is left for the
    next pass. One that can't be opened stays as it is.

    Args:
        read: Runs a read transaction.
        write: Runs a write transaction.
        vault: Has the old keys and, first, the new one.

    Raises:
        Unavailable: The database is away. What was moved stays so; the rest follows with the next call.
    """
    moved = 0
    unopened: list[str] = []
    for _ in range(_MOST_PASSES):
        unopened, found = [], 0
        for sealed in SEALED:
            after: Any = None
            while rows := await read(
                partial(_old_ones, sealed=sealed, active_id=vault.active_id, after=after)
            ):
                after = rows[-1][0]
                changes = _seal_anew(vault, sealed, rows, unopened)
                found += len(changes)
                moved += await write(partial(_replace, sealed=sealed, changes=changes))
        if not found:
            break
    return Resealed(moved, unopened)


def _old_ones(
    connection: Connection, sealed: SealedColumn, active_id: str, after: Any
) -> Sequence[tuple[Any, str]]:
    """Secrets under other keys, in order of their rows."""
    wanted = and_(sealed.column != "", ~sealed.column.startswith(f"v1.{active_id}.", autoescape=True))
    if after is not None:
        wanted = and_(wanted, sealed.key > after)
    rows = connection.execute(
        select(sealed.key, sealed.column).where(wanted).order_by(sealed.key).limit(_CHUNK)
    )
    return [(row[0], row[1]) for row in rows]


def _seal_anew(
    vault: Vault, sealed: SealedColumn, rows: Sequence[tuple[Any, str]], unopened: list[str]
) -> list[tuple[Any, str, str]]:
    changes = []
    for key, old in rows:
        place = {"table": sealed.table.name, "column": sealed.column.name, "row": sealed.row_name(key)}
        try:
            changes.append((key, old, vault.seal(vault.open(old, **place), **place)))
        except VaultError as error:
            unopened.append(str(error))
    return changes


def _replace(connection: Connection, sealed: SealedColumn, changes: Sequence[tuple[Any, str, str]]) -> int:
    moved = 0
    for key, old, new in changes:
        unchanged = and_(sealed.key == key, sealed.column == old)
        moved += connection.execute(
            update(sealed.table).where(unchanged).values({sealed.column: new})
        ).rowcount
    return moved
