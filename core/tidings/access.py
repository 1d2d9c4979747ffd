"""From a request to the principal behind it.

Credentials, the first that is given: `Authorization: Bearer` (an API token, or a JWT), `?ticket=` (streams
only), the session cookie. A cookie is sent by browsers unasked, so it counts only with signs that one of our
own pages made the request.
"""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import Connection
from starlette.types import Scope

from tidings.accounts import User, add_user, effective_scopes, find_user, user_name
from tidings.api_tokens import TOKEN_PREFIX, find_tokens
from tidings.asgi import header
from tidings.contracts import Clock, Principal
from tidings.credentials import Credentials, query_values, read_credentials, stream_of
from tidings.database import Database
from tidings.errors import Denied, Rejected
from tidings.event import UserId
from tidings.jwt import JwtVerifier
from tidings.lookups import Lookups
from tidings.origins import Origins
from tidings.sessions import SessionCookie, csrf_token, digest, find_sessions, session_hash_of
from tidings.tickets import bind_ticket, find_ticket
from tidings.writer import Writer

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOW = "Send Authorization: Bearer with an API token, or sign in."


class Gate:
    """Lets people in; fulfils `contracts.Access`.

    Args:
        database: Where users and their rights are.
        writer: For tickets, and for users that a JWT brings.
        clock: Tells what has expired.
        origins: Whose pages may use a session.
        session_key: Signs CSRF tokens.
        jwt: Verifies JWTs; None where none are accepted.
        create_users: Whether a valid JWT of an unknown user makes that user.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        clock: Clock,
        *,
        origins: Origins,
        session_key: bytes,
        jwt: JwtVerifier | None = None,
        create_users: bool = False,
    ) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._origins = origins
        self._session_key = session_key
        self._jwt = jwt
        self._create_users = create_users
        self.cookie = SessionCookie(secure=origins.is_secure)
        self._cookie_name = self.cookie.name.encode()
        self._tokens = Lookups(database, find_tokens)
        self._sessions = Lookups(database, find_sessions)

    async def enter_stream(self, scope: Scope) -> Principal:
        """The principal behind a request for a stream, by header, `?ticket=` or cookie.

        Raises:
            Denied: Nobody (401); or without the right to read, from another site's page, or with `?userId=`
                of somebody else (403).
            Unavailable: The database can't say now.
        """
        credentials = read_credentials(scope, self._cookie_name)
        tickets = query_values(scope, b"ticket")
        if credentials.bearer is None and tickets:
            principal: Principal = await self._by_ticket(scope, tickets)
        else:
            principal = await self._by_header_or_cookie(credentials)
            if principal.kind == "session" and not self._comes_from_us(scope, credentials):
                raise Denied(
                    "A page of another address asked for this stream. The operator can allow it: "
                    "server.public_url or server.allowed_origins in config.yaml.",
                    status=403,
                    code="forbidden",
                )
        _demand(principal, "read")
        for ref in query_values(scope, b"userId"):
            if ref != str(principal.user_id) and ref.lower() != principal.user_name:
                raise Denied(
                    "userId is another user's. Leave it out; everybody reads their own stream alone.",
                    status=403,
                    code="forbidden",
                )
        return principal

    async def require(self, scope: Scope, right: str) -> Principal:
        """The principal behind any other request, who must hold the scope `right`.

        Raises:
            Denied: Nobody (401), without that right (403), or a change without its CSRF token (403, `csrf`).
            Unavailable: The database can't say now.
        """
        credentials = read_credentials(scope, self._cookie_name)
        principal = await self._by_header_or_cookie(credentials)
        if principal.kind == "session" and scope.get("method", "") not in _SAFE_METHODS:
            self._check_csrf(principal, credentials)
        _demand(principal, right)
        return principal

    def admits_page(self, scope: Scope) -> bool:
        """Whether the page that asks for a WebSocket, if it is a page, is our own or one that the operator allows.

        No CORS stands before a WebSocket: any page may open one to anywhere, and its browser sends our cookie along.
        """
        origin, site = (header(scope, name) for name in (b"origin", b"sec-fetch-site"))
        return self._origins.trusts(
            None if origin is None else origin.encode("latin-1"),
            None if site is None else site.encode("latin-1"),
        )

    def csrf_token(self, principal: Principal) -> str | None:
        """What this session's pages must send as `X-CSRF-Token` with each change; None without a session."""
        if principal.kind != "session":
            return None
        return csrf_token(self._session_key, session_hash_of(principal.key))

    async def _by_header_or_cookie(self, credentials: Credentials) -> Principal:
        if credentials.bearer is not None:
            text = credentials.bearer.decode("latin-1")
            if text.startswith(TOKEN_PREFIX):
                principal = await self._tokens.get(digest(text))
                gone = "This API token was revoked or never was. Make one: tidings token create NAME."
                return self._current(principal, gone)
            return await self._by_jwt(text)
        if credentials.session:
            principal = await self._sessions.get(digest(credentials.session.decode("latin-1")))
            return self._current(principal, "This session has ended. Sign in again.")
        raise Denied(f"This needs credentials. {_HOW}")

    def _current(self, principal: Principal | None, gone: str) -> Principal:
        if principal is None:
            raise Denied(gone)
        if principal.expires_at is not None and principal.expires_at <= self._clock.now():
            raise Denied("These credentials have expired. Sign in again, or make a new token.")
        return principal

    async def _by_jwt(self, text: str) -> Principal:
        if self._jwt is None:
            raise Denied(f"This is no API token. {_HOW}")
        claims = await self._jwt.verify(text, self._clock.now())
        user = await self._database.read(lambda connection: find_user(connection, claims.subject))
        if user is None and self._create_users:
            user = await self._newcomer(claims.subject)
        if user is None:
            raise Denied("The JWT's subject is no user here. Add the user: tidings user add NAME.")
        return Principal(
            user_id=user.id,
            user_name=user.name,
            kind="jwt",
            key=f"jwt:{hashlib.sha256(text.encode('latin-1')).hexdigest()}",
            scopes=effective_scopes(claims.scopes, is_admin=user.is_admin),
            expires_at=claims.expires_at,
        )

    async def _newcomer(self, subject: str) -> User | None:
        try:
            name = user_name(subject)
        except Rejected:
            return None

        now = self._clock.now()

        def find_or_add(connection: Connection) -> User:
            # Two requests of one newcomer may come at once.
            return find_user(connection, name) or add_user(connection, name=name, is_admin=False, now=now)

        return await self._writer.run_unit(find_or_add)

    async def _by_ticket(self, scope: Scope, tickets: list[str]) -> Principal:
        if len(tickets) != 1:
            raise Denied("Send one ticket.")
        stream, now = stream_of(scope), self._clock.now()
        principal = await self._database.read(
            lambda connection: find_ticket(connection, tickets[0], stream=stream, now=now)
        )
        if not await self._writer.run_unit(
            lambda connection: bind_ticket(connection, principal, stream=stream, now=now)
        ):
            raise Denied("This ticket was just used for another stream. Ask for one more.")
        return principal

    def _comes_from_us(self, scope: Scope, credentials: Credentials) -> bool:
        # A browser always names the origin of a WebSocket; without it nothing vouches for the page.
        if scope["type"] == "websocket" and credentials.origin is None:
            return False
        return self._origins.trusts(credentials.origin, credentials.fetch_site)

    def _check_csrf(self, principal: Principal, credentials: Credentials) -> None:
        wanted = csrf_token(self._session_key, session_hash_of(principal.key)).encode()
        if not hmac.compare_digest(wanted, credentials.csrf):
            raise Denied(
                "X-CSRF-Token is missing or wrong. Send the one that GET /api/me shows.",
                status=403,
                code="csrf",
            )
        if not self._origins.trusts(credentials.origin, credentials.fetch_site):
            raise Denied(
                "A page of another address asked for this change. The operator can allow it: "
                "server.public_url or server.allowed_origins in config.yaml.",
                status=403,
                code="csrf",
            )


def owns(principal: Principal, user_id: UserId) -> bool:
    """Whether something of this user is the principal's to handle: their own, or they are an admin."""
    return principal.user_id == user_id or "admin" in principal.scopes


def denial_headers(error: Denied) -> dict[str, str]:
    """The headers of the answer to a denied request (RFC 6750)."""
    return {"WWW-Authenticate": 'Bearer realm="tidings"'} if error.status == 401 else {}


def _demand(principal: Principal, right: str) -> None:
    if right not in principal.scopes:
        raise Denied(
            f"This needs the scope {right}; these credentials lack it. Use a token that has it.",
            status=403,
            code="forbidden",
        )
