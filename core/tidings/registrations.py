"""Registrations: webhook addresses, each with a secret of its own, sealed by the vault.

Some a person made, to be entered at the platform by hand; others tidings makes at the platform for a connection.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, insert, select

from tidings.accounts import find_users, random_letters, remove_owned
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, increase
from tidings.schema import (
    connection_addresses,
    from_stored,
    platform_webhooks,
    to_stored,
    users,
)
from tidings.upstreams import ACTIVE, WANTED
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
        connection_id: Whose news it is; "" where a person made the registration.
        watches: The key of what it watches at the platform: `repo:1296269`; "" likewise.
    """

    user_id: UserId
    user_name: str
    registration_id: str
    secrets: tuple[bytes, ...] = dataclasses.field(repr=False)
    connection_id: str = ""
    watches: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Addressed:
    """A connection that deliveries to a platform's common address can name."""

    user_id: UserId
    connection_id: str


def add_registration(
    connection: Connection,
    vault: Vault,
    *,
    user_id: UserId,
    platform: str,
    now: datetime,
    connection_id: str = "",
    target: str = "",
) -> tuple[str, str]:
    """Make a registration; returns its id and its secret.

    Args:
        connection: To the database.
        vault: Seals the secret.
        user_id: Whose it is.
        platform: Which platform will send.
        now: The present instant.
        connection_id: For which connection tidings makes it at the platform itself; "" where a person does.
        target: What it watches there.
    """
    registration_id = f"whk{random_letters(_ID_LETTERS)}"
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        insert(_table).values(
            user_id=user_id,
            id=registration_id,
            platform=platform,
            connection_id=connection_id,
            target=target,
            state=WANTED if connection_id else ACTIVE,
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
    if not remove_owned(connection, _table, registration_id, user_id):
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
        address: Target(
            UserId(row.user_id),
            row.name,
            row.id,
            (_open(vault, row.secret, row.id),),
            row.connection_id,
            row.target,
        )
        for address in addresses
        if (row := by_id.get(address)) is not None
    }
    owners = find_users(connection, {ref for platform, ref in addresses if (platform, ref) not in found})
    own: dict[tuple[str, int], list[bytes]] = {}
    for row in _registrations(connection, _table.c.user_id, {user.id for user in owners.values()}):
        if row.connection_id:
            continue  # its secret is for its own address alone
        own.setdefault((row.platform, row.user_id), []).append(_open(vault, row.secret, row.id))
    for platform, ref in addresses:
        user = owners.get(ref)
        if user is not None:
            secrets_ = tuple(own.get((platform, user.id), ()))
            found[platform, ref] = Target(user.id, user.name, f"user:{user.id}:{platform}", secrets_)
    return found


def find_addressed(
    connection: Connection, addresses: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Sequence[Addressed]]:
    """The connections that pairs of a platform's id and an address (`installation:5`) name."""
    table = connection_addresses
    rows = connection.execute(
        select(table)
        .where(
            table.c.platform.in_({platform for platform, _ in addresses}),
            table.c.address.in_({address for _, address in addresses}),
        )
        .order_by(table.c.connection_id)
    )
    found: dict[tuple[str, str], list[Addressed]] = {}
    for row in rows:
        one = Addressed(UserId(row.user_id), row.connection_id)
        found.setdefault((row.platform, row.address), []).append(one)
    return {address: found[address] for address in addresses if address in found}


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
) -> Sequence[Row[*tuple[Any, ...]]]:
    if not values:
        return []
    statement = (
        select(
            _table.c.id,
            _table.c.user_id,
            users.c.name,
            _table.c.platform,
            _table.c.connection_id,
            _table.c.secret,
            _table.c.target,
        )
        .join(users, users.c.id == _table.c.user_id)
        .where(column.in_(values))
        .order_by(_table.c.created_at.desc(), _table.c.id)
    )
    return connection.execute(statement).all()


def open_secret(connection: Connection, vault: Vault, registration_id: str) -> str:
    """The secret of a registration, to be given to the platform.

    Raises:
        NotFound: There is no such registration.
        VaultError: It can't be opened.
    """
    sealed = connection.execute(select(_table.c.secret).where(_table.c.id == registration_id)).scalar()
    if sealed is None:
        raise NotFound(f"There is no registration {registration_id[:80]!r}.")
    return _open(vault, sealed, registration_id).decode()


def _open(vault: Vault, sealed: str, registration_id: str) -> bytes:
    return vault.open(sealed, table=_table.name, column="secret", row=registration_id)
