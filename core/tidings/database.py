"""A database: what reads and writes in it are plain functions on a SQLAlchemy `Connection`, one call a transaction.

Almost everything in tidings is SQLAlchemy Core that every database understands. What differs from one to another
stands in `sqlite`, `postgres` and `rowsets`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL

from tidings.errors import Unavailable
from tidings.event import UserId

Insert = insert  # has on_conflict_do_update; what it says SQLite understands too

T = TypeVar("T")

#: In a connection's `info`: a dictionary that all connections of one `Database` have in common.
SHARED: Final = "tidings.shared"
#: In that dictionary: whether the database's own clock measures leases.
KEEPS_TIME: Final = "keeps_time"
#: In a connection's `info`: what to call after the commit, where others may read before it.
AFTERWARDS: Final = "tidings.afterwards"


class Database(ABC):
    """The connections to one database.

    Attributes:
        url: Where it is.
        units_at_once: How many units of work may be committed side by side. With one, everything is written one
            after the other, and units and appends share transactions.
        has_thread: Whether what is written runs in a thread of this process, beside the loop.
    """

    units_at_once: ClassVar[int] = 1
    has_thread: ClassVar[bool] = False
    url: URL

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people; never a password."""

    @abstractmethod
    async def read(self, work: Callable[[Connection], T], *, user_id: UserId | None = None) -> T:
        """Run `work` in a short read transaction: one consistent snapshot.

        Args:
            work: Reads on the connection.
            user_id: On whose behalf. Where the database can enforce it, `work` sees that person's rows only, and no
                secret; without one it sees everything.

        Raises:
            Unavailable: The database can't be reached.
            Exception: Whatever `work` raises.
        """

    @abstractmethod
    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that is on disk when this returns.

        Inside the server all goes through the writer; the CLI beside a running server calls this directly.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """

    @abstractmethod
    def start(self, job: Callable[[], None]) -> None:
        """Run `job` where `transact` may be called."""

    @abstractmethod
    def transact(self, work: Callable[[Connection], T], *, isolated: bool = True) -> T:
        """What `write` does, for those whom `start` runs.

        Args:
            work: Writes on the connection. It may run again after a rollback, so it must do nothing else.
            isolated: Whether all that `work` reads must still hold when it is committed. Those who lock what they
                read, and read it after that, need not be.

        Raises:
            Unavailable: The database can't take it now. Nothing was stored.
            Exception: Whatever `work` raises. Nothing was stored.
        """

    @abstractmethod
    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which makes the database fit for use, in a transaction; one process at a time.

        Raises:
            Unavailable: The database can't be used.
            Exception: Whatever `work` raises. Nothing was changed.
        """

    async def checkpoint(self) -> None:
        """Do what a database of this sort wants done from time to time; once a second or so."""
        return

    @abstractmethod
    async def close(self) -> None:
        """Close every connection, once what is being read has been."""


def afterwards(connection: Connection, call: Callable[[], None]) -> None:
    """Have `call` made once others can see what this transaction writes.

    At once, where whoever looks must wait for this transaction anyway.
    """
    waiting: list[Callable[[], None]] | None = connection.info.get(AFTERWARDS)
    if waiting is None:
        call()
    else:
        waiting.append(call)


class Translated:
    """Turns failures of the database itself into `Unavailable`; lets a statement's own failure pass.

    Args:
        is_absent: Whether the database failed, rather than the statement.
        advice: What to do then.
    """

    def __init__(self, is_absent: Callable[[BaseException], bool], advice: str) -> None:
        self._is_absent = is_absent
        self._advice = advice

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and self._is_absent(error):
            cause = (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0]
            raise Unavailable(
                f"The database can't be used now: {cause}. {self._advice}", retry_after_seconds=10
            ) from error
