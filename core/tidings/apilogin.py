"""The second login to PostgreSQL: it reads on people's behalf, owns nothing, and sees one person's rows at a time.

Where the service's login may create roles, the first start makes it: `tidings` gets `tidings_api`. Its password follows
from the service's, so that every node knows it and nobody has to keep it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from tidings.errors import Conflict

_PURPOSE = b"tidings: the login that reads on people's behalf"
_ITERATIONS = 4096  # as PostgreSQL itself


def api_login(url: URL) -> URL:
    """The login that belongs to the service's."""
    password = None
    if url.password:
        password = hmac.new(str(url.password).encode(), _PURPOSE, hashlib.sha256).hexdigest()
    return url.set(username=f"{url.username or 'tidings'}_api", password=password)


def exists(connection: Connection, login: URL) -> bool:
    """Whether there is such a login."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM pg_roles WHERE rolname = $1", (str(login.username),)
    )
    return bool(found.scalar_one())


def make_api_login(connection: Connection, login: URL) -> None:
    """Create the login, or give it its password anew.

    Raises:
        Conflict: The service's login may not.
    """
    role = str(login.username)
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    may = connection.exec_driver_sql(
        "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
    ).scalar_one()
    if not may:
        raise Conflict(
            f"The login {role!r}, by which tidings reads on people's behalf, can't be used, and the service's login "
            f"may not create roles. As an administrator, say: CREATE ROLE {quoted} LOGIN PASSWORD '…' NOSUPERUSER "
            "NOBYPASSRLS; then name it in config.yaml: database_api: postgresql+asyncpg://…"
        )
    password = "" if login.password is None else f" PASSWORD '{_verifier(str(login.password))}'"
    verb = "ALTER" if exists(connection, login) else "CREATE"
    connection.exec_driver_sql(f"{verb} ROLE {quoted} LOGIN NOCREATEDB NOCREATEROLE NOINHERIT{password}")


def _verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), so that the password itself stands in no log of statements."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
