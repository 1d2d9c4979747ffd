"""Whom a platform's deliveries to the common address are for: connections, by the addresses that deliveries name."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection as Sql
from sqlalchemy import and_, delete, insert, select

from tidings.connections import Connection
from tidings.contracts import DeliveryKey, Hint, Item, JobRequest, Parsed
from tidings.event import UserId
from tidings.jobs import SYNC, request_job
from tidings.schema import connection_addresses, connections, deliveries, from_stored, to_stored

#: The installation's job for a platform: compare its log of deliveries to the common address with what arrived.
COMMON_LOG: Final = "common_log"
#: A connection's job: ask the platform by which addresses its deliveries name the account; and the `Parsed.signal` that
#: has it done at once.
REACH: Final = "reach"
FIRST_COMPARISON_SECONDS: Final = 900.0
REACH_SECONDS: Final = 6 * 3600.0

_NOBODY = UserId(0)  # the installation itself
_MOST_IDS = 500  # in one statement
_OF_IT = and_(
    connections.c.user_id == connection_addresses.c.user_id,
    connections.c.id == connection_addresses.c.connection_id,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """A connection that an address names, and since when it is one."""

    user_id: UserId
    connection_id: str
    since: datetime


def common_registration(platform: str) -> str:
    """What stands for a registration where deliveries to the common address are remembered."""
    return f"common:{platform}"


def hinted(hint: Hint | None, platform: str, connection_id: str, watches: str = "") -> Sequence[JobRequest]:
    """What a delivery's hint asks for, where it is known whose it is."""
    if hint is None or not connection_id:
        return ()
    targets = hint.targets or (watches,)
    return (
        JobRequest(
            SYNC,
            connection_id,
            in_seconds=hint.in_seconds,
            platform=platform,
            account=connection_id,
            hints=targets,
        ),
    )


def items_for(
    platform: str, parsed: Parsed, found: Mapping[str, UserId], via: str, *, delivery_id: str = ""
) -> Sequence[Item]:
    """What a delivery to the common address adds: one item for each user.

    Two accounts of one user that see the same happening have it once.

    Args:
        platform: Whose.
        parsed: What it says.
        found: The connections that it names, with their users.
        via: How it came: `webhook`, `recovery`.
        delivery_id: Known otherwise, where `parsed` has none.
    """
    of_users = {user_id: connection_id for connection_id, user_id in reversed([*found.items()])}
    known = parsed.delivery_id or delivery_id
    key = DeliveryKey(common_registration(platform), known) if known else None
    jobs: dict[UserId, list[JobRequest]] = {}
    for connection_id, user_id in found.items():  # each account is asked for itself
        jobs.setdefault(user_id, []).extend(hinted(parsed.hint, platform, connection_id))
    return [
        Item(
            user_id=user_id,
            events=parsed.events,
            via=via,
            connection_id=connection_id,
            delivery=key,
            jobs=jobs[user_id],
        )
        for user_id, connection_id in of_users.items()
    ]


def reached(sql: Sql, platform: str) -> Mapping[str, Sequence[Reached]]:
    """All connections that deliveries to a platform's common address can name, by address."""
    rows = sql.execute(
        select(
            connection_addresses.c.address,
            connection_addresses.c.user_id,
            connection_addresses.c.connection_id,
            connections.c.created_at,
        )
        .join(connections, _OF_IT)
        .where(connection_addresses.c.platform == platform)
        .order_by(connection_addresses.c.connection_id)
    )
    found: dict[str, list[Reached]] = {}
    for row in rows:
        one = Reached(UserId(row.user_id), row.connection_id, from_stored(row.created_at))
        found.setdefault(row.address, []).append(one)
    return found


def holders(sql: Sql, platform: str, delivery_ids: Sequence[str]) -> Mapping[str, Collection[UserId]]:
    """The users to whom these deliveries to a platform's common address came already, by delivery."""
    addressed = select(connection_addresses.c.user_id).where(connection_addresses.c.platform == platform)
    found: dict[str, set[UserId]] = {}
    for start in range(0, len(delivery_ids), _MOST_IDS):
        rows = sql.execute(
            select(deliveries.c.delivery_id, deliveries.c.user_id).where(
                deliveries.c.user_id.in_(addressed),
                deliveries.c.registration_id == common_registration(platform),
                deliveries.c.delivery_id.in_(delivery_ids[start : start + _MOST_IDS]),
            )
        )
        for row in rows:
            found.setdefault(row.delivery_id, set()).add(UserId(row.user_id))
    return found


def replace_addresses(sql: Sql, connection: Connection, addresses: Collection[str]) -> bool:
    """Store by which addresses deliveries name a connection from now on; says whether there is a new one.

    A connection that is gone by now is given none: no delivery must reach it any more.
    """
    table = connection_addresses
    is_it = (connections.c.user_id == connection.user_id, connections.c.id == connection.id)
    if sql.execute(select(connections.c.id).where(*is_it)).first() is None:
        return False
    known = set(sql.execute(select(table.c.address).where(table.c.connection_id == connection.id)).scalars())
    wanted = set(addresses)
    if gone := known - wanted:
        sql.execute(delete(table).where(table.c.connection_id == connection.id, table.c.address.in_(gone)))
    if fresh := wanted - known:
        row = {
            "user_id": connection.user_id,
            "platform": connection.platform,
            "connection_id": connection.id,
        }
        sql.execute(insert(table), [{**row, "address": address} for address in sorted(fresh)])
    return bool(fresh)


def request_comparison(sql: Sql, platform: str, now: datetime, *, in_seconds: float = 0.0) -> None:
    """Have the log of deliveries to a platform's common address compared in so many seconds, or sooner if it is due."""
    job = JobRequest(COMMON_LOG, platform, in_seconds=in_seconds, platform=platform, account=COMMON_LOG)
    request_job(sql, _NOBODY, job, to_stored(now))


def request_reach(sql: Sql, connection: Connection, now: datetime, *, in_seconds: float = 0.0) -> None:
    """Have the platform asked for a connection's addresses in so many seconds, or sooner if it is due."""
    job = JobRequest(
        REACH, connection.id, in_seconds=in_seconds, platform=connection.platform, account=connection.id
    )
    request_job(sql, connection.user_id, job, to_stored(now))
