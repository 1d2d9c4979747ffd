"""What became of a transaction of PostgreSQL's whose COMMIT was not answered: the server itself knows.

A connection can break between a COMMIT and its answer. To report that as a failure would be wrong half of the time: a
token's successor thrown away, a job that nobody ends, an event that no stream is told of. So it is asked for by the
transaction's number.
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.util import await_only

from tidings.errors import Unavailable

#: Gives the number of the transaction it is said in; NULL while that has written nothing.
NUMBER: Final = "SELECT pg_current_xact_id_if_assigned()::text"
_STATUS = "SELECT pg_xact_status($1::text::xid8)"
# The COMMIT never came, and the server does not know yet that nobody will send it. `backend_xid` counts to 2^32.
_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_xid::text::bigint = $1::text::bigint & 4294967295"
)
_LONGEST_SECONDS = 10.0  # platforms wait as long for a webhook's answer
_PATIENCE_SECONDS = 1.0  # for a COMMIT that is under way, and waits for a disk
_REST_SECONDS = 0.05


def was_committed(engine: Engine, number: str) -> bool:
    """Whether a transaction has been committed; asks until it is certain. It has ended then.

    Args:
        engine: Of the same database.
        number: See `NUMBER`.

    Raises:
        Unavailable: PostgreSQL does not say: it is away, or another has taken its place that knows nothing of it.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    cause: Exception | None = None
    while (waited := loop.time() - began) < _LONGEST_SECONDS:
        try:
            with engine.connect() as connection:
                status = connection.exec_driver_sql(_STATUS, (number,)).scalar()
                if status in {"committed", "aborted"}:
                    return bool(status == "committed")
                if waited >= _PATIENCE_SECONDS:
                    connection.exec_driver_sql(_END, (number,))
        except (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error  # it may be starting
        await_only(asyncio.sleep(_REST_SECONDS))
    raise Unavailable(
        "The connection to PostgreSQL broke during a commit, and it has not said since whether that was done "
        f"({cause or 'the transaction has not ended'}). Check that PostgreSQL runs. What is sent again is stored once.",
        retry_after_seconds=10,
    )
