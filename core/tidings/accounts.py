"""Users, and what their rights are called.

Functions that take a connection belong into a transaction: a unit of work of the writer in the server,
`database.write` in the CLI beside it, `database.read` in both.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    or_,
    select,
)
from sqlalchemy.engine import RowMapping

from tidings.contracts import Principal
from tidings.errors import Conflict, NotFound, Rejected
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, RIGHTS_CHANGED, increase
from tidings.schema import from_stored, journals, metadata, to_stored, users

SCOPES: Final = frozenset({"read", "send", "admin"})

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?", re.ASCII)
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_EPOCH_LETTERS = 8
_MOST_NAMES_COMPARED = 5_000

_columns = (users.c.id, users.c.name, users.c.is_admin, users.c.created_at)


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A person with an account in this installation."""

    id: UserId
    name: str
    is_admin: bool
    created_at: datetime


def effective_scopes(asked: Iterable[str], *, is_admin: bool) -> frozenset[str]:
    """What `asked` amounts to for this user: `admin` implies the rest, and is void for others than admins."""
    known = SCOPES.intersection(asked)
    if "admin" in known:
        return SCOPES if is_admin else known - {"admin"}
    return known


def user_name(text: str) -> str:
    """The name as it is stored: lower case.

    Raises:
        Rejected: It can't be a user's name (status 400).
    """
    name = text.lower()
    if not text.isascii() or _NAME.fullmatch(name) is None or name.isdigit():
        raise Rejected(
            f"{text[:80]!r} can't be a user's name. Use up to 64 letters, digits and . _ @ + - between them, "
            "and not digits alone.",
            status=400,
        )
    return name


def random_letters(count: int) -> str:
    """Lower-case base32 letters, 5 random bits each."""
    return "".join(secrets.choice(_BASE32) for _ in range(count))


def new_epoch() -> str:
    """A name for a new life of a journal."""
    return random_letters(_EPOCH_LETTERS)


def add_user(connection: Connection, *, name: str, is_admin: bool, now: datetime) -> User:
    """Add a user with an empty journal.

    Raises:
        Rejected: The name can't be one (status 400).
        Conflict: There is a user of that name.
    """
    name = user_name(name)
    if find_user(connection, name) is not None:
        raise Conflict(f"There is a user {name} already. Choose another name.")
    user_id = UserId(increase(connection, "users:last_id"))
    connection.execute(
        insert(users).values(id=user_id, name=name, is_admin=is_admin, created_at=to_stored(now))
    )
    connection.execute(insert(journals).values(user_id=user_id, epoch=new_epoch(), head=0, floor=0))
    # What a webhook for this name was told, that there is no such user, holds no longer.
    increase(connection, REGISTRATIONS_CHANGED)
    return User(user_id, name, is_admin, from_stored(to_stored(now)))


def find_users(connection: Connection, refs: Collection[str]) -> dict[str, User]:
    """The users with these ids or names, by what they were asked for; those who don't exist are left out."""
    ids = {ref: int(ref) for ref in refs if _ID.fullmatch(ref)}
    names = {
        ref: ref.lower() for ref in refs if ref not in ids and ref.isascii() and _NAME.fullmatch(ref.lower())
    }
    wanted = or_(users.c.id.in_(set(ids.values())), users.c.name.in_(set(names.values())))
    if not ids and not names:
        return {}
    found = [_user(row) for row in connection.execute(select(*_columns).where(wanted)).mappings()]
    by_id, by_name = {user.id: user for user in found}, {user.name: user for user in found}
    matched = {ref: by_id.get(UserId(user_id)) for ref, user_id in ids.items()}
    matched |= {ref: by_name.get(name) for ref, name in names.items()}
    return {ref: user for ref, user in matched.items() if user is not None}


def find_user(connection: Connection, ref: str) -> User | None:
    """The user with that id or name, if there is one."""
    return find_users(connection, [ref]).get(ref)


def resolve_user(connection: Connection, ref: str, *, suggest: bool = False) -> User:
    """The user with that id or name.

    Args:
        connection: To the database.
        ref: A user's id or name.
        suggest: Whether the error may name users like it; only for those who may see every user.

    Raises:
        NotFound: There is none.
    """
    user = find_user(connection, ref)
    if user is not None:
        return user
    near: list[str] = []
    if suggest:
        names = connection.execute(select(users.c.name).limit(_MOST_NAMES_COMPARED)).scalars().all()
        near = difflib.get_close_matches(ref.lower()[:64], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise NotFound(f"There is no user {ref[:80]!r}.{hint}")


def list_users(connection: Connection) -> Sequence[User]:
    """Every user, by id."""
    rows = connection.execute(select(*_columns).order_by(users.c.id))
    return [_user(row) for row in rows.mappings()]


def remove_user(connection: Connection, user_id: UserId) -> None:
    """Remove a user and everything that is theirs. The id is never given again.

    Raises:
        NotFound: There is no such user.
    """
    result = connection.execute(delete(users).where(users.c.id == user_id))
    if result.rowcount == 0:
        raise NotFound(f"There is no user {user_id}.")
    for table in metadata.sorted_tables:
        if "user_id" in table.c:
            connection.execute(delete(table).where(table.c.user_id == user_id))
    increase(connection, RIGHTS_CHANGED)
    increase(connection, REGISTRATIONS_CHANGED)


def holders(hashes: Column[bytes], *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """A query for the rights whose hash is one of the parameter `digests`, with whose they are.

    Args:
        hashes: The column of the hashes; it is called `digest` in the rows.
        columns: What else of the right to read.
    """
    return (
        select(hashes.label("digest"), *columns, users.c.id, users.c.name, users.c.is_admin)
        .join(users, users.c.id == hashes.table.c.user_id)
        .where(hashes.in_(bindparam("digests", expanding=True)))
    )


def principal_of(row: Row[*tuple[Any, ...]], kind: str, key: str, scopes: Iterable[str]) -> Principal:
    """The principal that comes by the right in a row of `holders`, one with `expires_at`."""
    return Principal(
        user_id=UserId(row.id),
        user_name=row.name,
        kind=kind,
        key=key,
        scopes=effective_scopes(scopes, is_admin=row.is_admin),
        expires_at=None if row.expires_at is None else from_stored(row.expires_at),
    )


def remove_owned(connection: Connection, table: Table, row_id: int | str, user_id: UserId | None) -> bool:
    """Remove the row with this id, whose it must be (None for anybody's); says whether there was one."""
    statement = delete(table).where(table.c.id == row_id)
    if user_id is not None:
        statement = statement.where(table.c.user_id == user_id)
    return connection.execute(statement).rowcount > 0


def _user(row: RowMapping) -> User:
    return User(UserId(row["id"]), row["name"], row["is_admin"], from_stored(row["created_at"]))
