"""The first start: what an installation needs so that its owner can log in and see something happen."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from tidings.accounts import add_user, list_users
from tidings.contracts import Receives
from tidings.registrations import add_registration
from tidings.services import Services
from tidings.sessions import add_login_link

FIRST_USER: Final = "me"


async def first_start(services: Services) -> str | None:
    """Make the first user, an admin, and webhook addresses for the connectors that need them to receive.

    Does nothing where there is a user already.

    Returns:
        The token of the first user's login link, or None where nothing was made.

    Raises:
        Unavailable: The database can't take it now. Nothing was made.
    """
    now = services.clock.now()
    unkeyed = [
        connector.platform
        for connector in services.connectors
        if isinstance(connector, Receives) and not connector.shared_keys.secrets
    ]

    def make(connection: Connection) -> str | None:
        if list_users(connection):
            return None
        user = add_user(connection, name=FIRST_USER, is_admin=True, now=now)
        for platform in unkeyed:
            add_registration(connection, services.vault, user_id=user.id, platform=platform, now=now)
        return add_login_link(connection, user.id, now=now)

    return await services.writer.run_unit(make)
