"""Registrations: webhook addresses, each with a secret of its own, sealed by the vault."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, delete, exists, insert, select

from tidings.accounts import find_users, random_letters
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, increase
from tidings.schema import from_stored, platform_webhooks, to_stored, users
from tidings.vault import Vault

_ID = re.compile(r"whk[a-z2-7]{24}", re.ASCII)
_ID_LETTERS = 24
_SECRET_BYTES = 32

_table = platform_webhooks


@dataclasses.dataclass(frozen=True, slots=True)
class Registration:
    """What may be told of a registration."""

    id: str
    user_id: UserId
    user_name: str
    platform: str
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where deliveries to one webhook address go.

    Attributes:
        registration_id: `whk…`, or `user:{user_id}:{platform}` where the address names the user.
        secrets: Any of them may have signed; empty means the connector's shared keys.
    """

    user_id: UserId
    user_name: str
    registration_id: str
    secrets: tuple[bytes, ...] = dataclasses.field(repr=False)


def add_registration(
    connection: Connection, vault: Vault, *, user_id: UserId, platform: str, now: datetime
) -> tuple[str, str]:
    """Make a registration; returns its id and its secret."""
    registration_id = f"whk{random_letters(_ID_LETTERS)}"
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        insert(_table).values(
            user_id=user_id,
            id=registration_id,
            platform=platform,
            connection_id="",
            secret=vault.seal(secret.encode(), table=_table.name, column="secret", row=registration_id),
            created_at=to_stored(now),
        )
    )
    increase(connection, REGISTRATIONS_CHANGED)
    return registration_id, secret


def list_registrations(connection: Connection, user_id: UserId | None = None) -> Sequence[Registration]:
    """The registrations of one user, or of all, oldest first."""
    statement = select(
        _table.c.id, _table.c.user_id, users.c.name, _table.c.platform, _table.c.created_at
    ).join(users, users.c.id == _table.c.user_id)
    if user_id is not None:
        statement = statement.where(_table.c.user_id == user_id)
    rows = connection.execute(statement.order_by(_table.c.created_at, _table.c.id))
    return [
        Registration(row.id, UserId(row.user_id), row.name, row.platform, from_stored(row.created_at))
        for row in rows
    ]


def remove_registration(
    connection: Connection, registration_id: str, *, user_id: UserId | None = None
) -> None:
    """Remove a registration; deliveries to it are refused from now on.

    Args:
        connection: To the database.
        registration_id: Which one.
        user_id: Whose it must be; None for anybody's.

    Raises:
        NotFound: There is no such registration.
    """
    statement = delete(_table).where(_table.c.id == registration_id)
    if user_id is not None:
        statement = statement.where(_table.c.user_id == user_id)
    if connection.execute(statement).rowcount == 0:
        raise NotFound(f"There is no registration {registration_id[:80]!r}. List them: tidings webhook list.")
    increase(connection, REGISTRATIONS_CHANGED)


def find_targets(
    connection: Connection, vault: Vault, addresses: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Target]:
    """Where deliveries to `/api/webhooks/{platform}/{ref}` go, with three statements for any number of addresses.

    Args:
        connection: To the database.
        vault: Opens the secrets.
        addresses: Pairs of a platform's id and of a registration's id, or a user's id or name.

    Returns:
        A target for each address; those that lead nowhere are left out.

    Raises:
        VaultError: A secret can't be opened.
    """
    registrations = _registrations(
        connection, _table.c.id, {ref for _, ref in addresses if _ID.fullmatch(ref)}
    )
    by_id = {(row.platform, row.id): row for row in registrations}
    found = {
        address: Target(UserId(row.user_id), row.name, row.id, (_open(vault, row.secret, row.id),))
        for address in addresses
        if (row := by_id.get(address)) is not None
    }
    owners = find_users(connection, {ref for platform, ref in addresses if (platform, ref) not in found})
    own: dict[tuple[str, int], list[bytes]] = {}
    for row in _registrations(connection, _table.c.user_id, {user.id for user in owners.values()}):
        own.setdefault((row.platform, row.user_id), []).append(_open(vault, row.secret, row.id))
    for platform, ref in addresses:
        user = owners.get(ref)
        if user is not None:
            secrets_ = tuple(own.get((platform, user.id), ()))
            found[platform, ref] = Target(user.id, user.name, f"user:{user.id}:{platform}", secrets_)
    return found


def find_target(connection: Connection, vault: Vault, *, platform: str, ref: str) -> Target:
    """Where deliveries to one address go; see `find_targets`.

    Raises:
        NotFound: There is no such registration or user.
        VaultError: A secret can't be opened.
    """
    target = find_targets(connection, vault, [(platform, ref)]).get((platform, ref))
    if target is None:
        raise NotFound(
            f"There is no {platform} registration and no user {ref[:80]!r}. Make a registration: "
            f"tidings webhook add {platform} USER."
        )
    return target


def _registrations(
    connection: Connection, column: Column[Any], values: Collection[Any]
) -> Sequence[Row[Any, Any, Any, Any, Any]]:
    if not values:
        return []
    statement = (
        select(_table.c.id, _table.c.user_id, users.c.name, _table.c.platform, _table.c.secret)
        .join(users, users.c.id == _table.c.user_id)
        .where(column.in_(values))
        .order_by(_table.c.created_at.desc(), _table.c.id)
    )
    return connection.execute(statement).all()


def secrets_exist(connection: Connection) -> bool:
    """Whether the database holds secrets that the vault has sealed."""
    return bool((connection.execute(select(exists(select(_table.c.id))))).scalar())


def _open(vault: Vault, sealed: str, registration_id: str) -> bytes:
    return vault.open(sealed, table=_table.name, column="secret", row=registration_id)
