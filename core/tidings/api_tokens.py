"""API tokens: long-lived rights for scripts, stored as hashes, ended by revoking or by their expiry."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from tidings.accounts import SCOPES, User, holders, principal_of, remove_owned
from tidings.contracts import Principal
from tidings.errors import Denied, NotFound, Rejected
from tidings.event import UserId
from tidings.facts import RIGHTS_CHANGED, increase
from tidings.push_subscriptions import remove_made_by
from tidings.schema import api_tokens, from_stored, to_stored, users
from tidings.sessions import digest

TOKEN_PREFIX: Final = "tdg_"  # noqa: S105 - not a secret but how one begins

_SECRET_BYTES = 32
_LONGEST_LABEL = 100

_by_hash = holders(
    api_tokens.c.token_hash, api_tokens.c.id.label("token_id"), api_tokens.c.scopes, api_tokens.c.expires_at
)


@dataclasses.dataclass(frozen=True, slots=True)
class ApiToken:
    """What may be told of a token."""

    id: int
    user_id: UserId
    user_name: str
    label: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None


def add_token(
    connection: Connection,
    user: User,
    *,
    scopes: Collection[str],
    now: datetime,
    label: str = "",
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """Make a token; returns its id and its text, which can't be had again.

    Args:
        connection: To the database.
        user: Whose right it is.
        scopes: Some of `read`, `send` and `admin`, which implies the others.
        now: The present instant.
        label: What the owner calls it, up to 100 characters.
        expires_at: When it ends by itself; None for never.

    Raises:
        Rejected: No scope, an unknown one, a label too long, or an expiry in the past (status 400).
        Denied: `admin` for a user who is none (403).
    """
    unknown = sorted(set(scopes) - SCOPES)
    if unknown or not scopes:
        what = f"Unknown scope {unknown[0]!r}." if unknown else "A token needs a scope."
        raise Rejected(f"{what} Choose from read, send and admin.", status=400)
    if "admin" in scopes and not user.is_admin:
        raise Denied(
            f"{user.name} is not an admin, so no token of theirs can be.", status=403, code="forbidden"
        )
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise Rejected(
            f"A token's label has at most {_LONGEST_LABEL} printable characters. Shorten it.", status=400
        )
    if expires_at is not None and expires_at <= now:
        raise Rejected("The token's expiry has passed already. Choose a later one.", status=400)
    token_id = increase(connection, "api_tokens:last_id")
    text = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        insert(api_tokens).values(
            user_id=user.id,
            id=token_id,
            label=label,
            token_hash=digest(text),
            scopes=" ".join(sorted(scopes)),
            created_at=to_stored(now),
            expires_at=None if expires_at is None else to_stored(expires_at),
        )
    )
    return token_id, text


def find_tokens(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Principal]:
    """Who the tokens with these hashes belong to; whether they have expired is for the caller to see."""
    rows = connection.execute(_by_hash, {"digests": list(digests)})
    return {
        row.digest: principal_of(row, "token", f"token:{row.token_id}", row.scopes.split()) for row in rows
    }


def list_tokens(connection: Connection, user_id: UserId | None = None) -> Sequence[ApiToken]:
    """The tokens of one user, or of all; the expired ones too."""
    shown = [column for column in api_tokens.c if column is not api_tokens.c.token_hash]
    statement = select(*shown, users.c.name).join(users, users.c.id == api_tokens.c.user_id)
    if user_id is not None:
        statement = statement.where(api_tokens.c.user_id == user_id)
    rows = connection.execute(statement.order_by(api_tokens.c.id))
    return [
        ApiToken(
            id=row.id,
            user_id=UserId(row.user_id),
            user_name=row.name,
            label=row.label,
            scopes=frozenset(row.scopes.split()),
            created_at=from_stored(row.created_at),
            expires_at=None if row.expires_at is None else from_stored(row.expires_at),
        )
        for row in rows
    ]


def revoke_token(connection: Connection, token_id: int, *, user_id: UserId | None = None) -> None:
    """End a token, with the streams and the push subscriptions that live by it.

    Args:
        connection: To the database.
        token_id: Which one.
        user_id: Whose it must be; None for anybody's.

    Raises:
        NotFound: There is no such token.
    """
    if not remove_owned(connection, api_tokens, token_id, user_id):
        raise NotFound(f"There is no token {token_id}. List them: tidings token list.")
    remove_made_by(connection, f"token:{token_id}")
    increase(connection, RIGHTS_CHANGED)
