"""Login links and the sessions they open.

Only hashes are stored. A link logs in once, within a day; a session lasts 30 days. The session's value lives
in a cookie that scripts can't read.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert

from tidings.accounts import SCOPES, holders, principal_of
from tidings.contracts import Principal
from tidings.event import UserId
from tidings.facts import RIGHTS_CHANGED, increase
from tidings.push_subscriptions import remove_made_by
from tidings.schema import login_links, sessions, to_stored

LINK_LIFE: Final = timedelta(hours=24)
SESSION_LIFE: Final = timedelta(days=30)

_SECRET_BYTES = 32

_by_hash = holders(sessions.c.session_hash, sessions.c.expires_at)


@dataclasses.dataclass(frozen=True, slots=True)
class SignedIn:
    """A session just opened; `value` is what its cookie holds."""

    user_id: UserId
    value: str = dataclasses.field(repr=False)
    expires_at: datetime


def digest(secret: str) -> bytes:
    """The hash under which a secret of ours is stored: it has 256 random bits, so one round will do."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def add_login_link(connection: Connection, user_id: UserId, *, now: datetime) -> str:
    """A token that logs this user in once, within 24 hours."""
    token = secrets.token_urlsafe(_SECRET_BYTES)
    connection.execute(
        insert(login_links).values(
            user_id=user_id, link_hash=digest(token), expires_at=to_stored(now + LINK_LIFE)
        )
    )
    return token


def sign_in(connection: Connection, token: str, *, now: datetime) -> SignedIn | None:
    """Spend a login link and open a session; None where the link was used, has expired or never was.

    Does not raise for a bad link: in the server that would roll back what others write in the same batch.
    """
    spent = connection.execute(
        delete(login_links)
        .where(login_links.c.link_hash == digest(token), login_links.c.expires_at > to_stored(now))
        .returning(login_links.c.user_id)
    )
    user_id = spent.scalar_one_or_none()
    if user_id is None:
        return None
    value = secrets.token_urlsafe(_SECRET_BYTES)
    expires_at = now + SESSION_LIFE
    connection.execute(
        insert(sessions).values(
            user_id=user_id,
            session_hash=digest(value),
            created_at=to_stored(now),
            expires_at=to_stored(expires_at),
        )
    )
    return SignedIn(UserId(user_id), value, expires_at)


def find_sessions(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Principal]:
    """Who the sessions with these hashes belong to; whether they have expired is for the caller to see."""
    rows = connection.execute(_by_hash, {"digests": list(digests)})
    return {row.digest: principal_of(row, "session", session_key_of(row.digest), SCOPES) for row in rows}


def end_session(connection: Connection, principal: Principal) -> None:
    """Sign out: end the session that this principal came by, with its streams and its push subscriptions."""
    session_hash = session_hash_of(principal.key)
    result = connection.execute(delete(sessions).where(sessions.c.session_hash == session_hash))
    if result.rowcount:
        remove_made_by(connection, principal.key)
        increase(connection, RIGHTS_CHANGED)


def session_key_of(session_hash: bytes) -> str:
    """The `Principal.key` of a session."""
    return f"session:{session_hash.hex()}"


def session_hash_of(key: str) -> bytes:
    """The reverse of `session_key_of`."""
    return bytes.fromhex(key.removeprefix("session:"))


def csrf_token(session_key: bytes, session_hash: bytes) -> str:
    """What a page sends as `X-CSRF-Token` with each change: only same-origin scripts can read it."""
    mac = hmac.digest(session_key, b"tidings csrf v1\0" + session_hash, "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


class SessionCookie:
    """The cookie that holds a session's value.

    Args:
        secure: Whether people reach this installation by https; the name then begins with `__Host-`, so that
            no other host of the same domain can plant one.
    """

    def __init__(self, *, secure: bool) -> None:
        self.name = "__Host-tidings_session" if secure else "tidings_session"
        self._attributes = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def set(self, value: str) -> str:
        """The `Set-Cookie` header that hands a session to the browser."""
        return f"{self.name}={value}; Max-Age={int(SESSION_LIFE.total_seconds())}; {self._attributes}"

    def clear(self) -> str:
        """The `Set-Cookie` header that takes it back."""
        return f"{self.name}=; Max-Age=0; {self._attributes}"
