"""PostgreSQL: a pool for tidings itself, and one that reads on people's behalf and sees no others' rows.

Units of work read, decide and write, and were written for a database in which nobody else writes meanwhile. So they
run SERIALIZABLE, and again where PostgreSQL finds that another stood in their way. What is done thousands of times a
second (appends, claims of jobs) locks what it reads, in one order for all, and needs no more than READ COMMITTED.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

import asyncpg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only, greenlet_spawn

from tidings.apilogin import api_login, exists, make_api_login
from tidings.commits import NUMBER, was_committed
from tidings.database import AFTERWARDS, KEEPS_TIME, SHARED, Database, Translated
from tidings.errors import Conflict, Rejected, Unavailable
from tidings.event import UserId
from tidings.rowsecurity import USER_SETTING, secure

T = TypeVar("T")

_PREPARING: Final = 0x7469_6469_6E67_73  # the advisory lock of whoever makes the database fit for use
_SERIALIZABLE = "ISOLATION LEVEL SERIALIZABLE"
_READ_COMMITTED = "ISOLATION LEVEL READ COMMITTED"
_WRITERS = 8
_READERS = 4
_CONNECT_SECONDS = 10.0
_LONGEST_STATEMENT_SECONDS = 60.0
_POOL_SECONDS = 30.0
_MOST_TRIES = 20
_FIRST_REST_SECONDS = 0.002
_LONGEST_REST_SECONDS = 0.2
# Another was faster, or stands in the way: all is well once this is done again.
_OVERTAKEN = frozenset({"40001", "40P01"})
_REFUSED = "28"  # no such login, another password, or not from here
# The connection broke. What had been committed has been found out by then, so the transaction was not.
_CUT_OFF = ("08", "25P03", "57P01")
_NOT_TEXT = "22021"
_TAKEN = "23505"  # a unique key: whoever had looked for it found none, and will find it now
# Connection lost; no room; the server is going down, or starting; a replica that only reads; its disk fails; it lets us
# not in, or has no such database; somebody is in the way for too long.
_ABSENT = ("08", "53", "57", "25006", "25P03", "58", _REFUSED, "3D", "40", "55P03")
_SETTINGS = {
    "application_name": f"tidings {platform.node()[:40]}/{os.getpid()}",  # see `engines.others_at_work`
    # A plan is kept that was made when a table was all but empty; and to SERIALIZABLE all that a scan sees was read.
    "enable_seqscan": "off",
    # Whoever stops in the middle holds up others no longer than this; a platform waits ten seconds for its answer.
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "8s",
    "timezone": "UTC",
}


class PostgresDatabase(Database):
    """The pools of one database.

    Args:
        url: SQLAlchemy URL: `postgresql+asyncpg://tidings:password@db.example.org/tidings`.
        api_url: The login that reads on people's behalf; None for the one that `apilogin` makes.
        synchronous: Anything but FULL gives up the promise that a 2xx means on disk.
        keeps_time: Whether leases are measured by the server's clock; not where a simulation has its own.
    """

    units_at_once: ClassVar[int] = 4

    def __init__(
        self, url: str, *, api_url: str | None = None, synchronous: str = "FULL", keeps_time: bool = True
    ) -> None:
        self.url: URL = make_url(url)
        self.api_url = make_url(api_url) if api_url else api_login(self.url)
        self._makes_login = not api_url
        settings = _SETTINGS if synchronous == "FULL" else {**_SETTINGS, "synchronous_commit": "off"}
        self._shared: dict[str, Any] = {KEEPS_TIME: keeps_time}
        self._writer = self._engine(self.url, settings, _WRITERS)
        self._reader = self._engine(self.url, settings, _READERS)
        self._people = self._engine(self.api_url, settings, _READERS)
        self._tasks: set[asyncio.Task[Any]] = set()

    def _engine(self, url: URL, settings: dict[str, str], size: int) -> AsyncEngine:
        engine = create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",  # see `_transact`
            hide_parameters=True,  # they may be secret
            pool_size=size,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            connect_args={
                "timeout": _CONNECT_SECONDS,
                "command_timeout": _LONGEST_STATEMENT_SECONDS,
                "server_settings": settings,
            },
        )
        event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return engine

    def _connected(self, _connection: Any, record: Any) -> None:
        record.info[SHARED] = self._shared

    @property
    def place(self) -> str:
        """See `Database.place`."""
        return self.url.render_as_string(hide_password=True)

    async def read(self, work: Callable[[Connection], T], *, user_id: UserId | None = None) -> T:
        """See `Database.read`."""
        engine, begin = self._reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        if user_id is not None:
            engine = self._people
            begin = f"{begin}; SELECT set_config('{USER_SETTING}', '{int(user_id)}', true)"
        return await self._run(
            lambda: _repeat(lambda: _transact(engine.sync_engine, begin, work, writes=False))
        )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        return await self._run(lambda: self.transact(work))

    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """See `Database.prepare`; sees to the API's login too. The connection is its own, and may take its time."""
        engine = create_async_engine(
            self.url,
            hide_parameters=True,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"timeout": _CONNECT_SECONDS},
        )

        def alone(connection: Connection) -> T:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_PREPARING})")
            result = work(connection)
            if self._makes_login and (is_refused or not exists(connection, self.api_url)):
                make_api_login(connection, self.api_url)
            secure(connection, str(self.api_url.username))
            return result

        async def prepared() -> T:
            return await self._run(
                lambda: _repeat(lambda: _transact(engine.sync_engine, f"BEGIN {_READ_COMMITTED}", alone))
            )

        is_refused = False
        result = await prepared()
        is_refused = await self._is_refused()
        if is_refused:
            await prepared()
            if await self._is_refused():
                raise Conflict(
                    f"PostgreSQL refuses the login {self.api_url.username!r}, by which tidings reads on people's "
                    "behalf. Check `database_api` in config.yaml, and pg_hba.conf."
                )
        return result

    async def _is_refused(self) -> bool:
        """Whether the API's login may not come in."""
        try:
            await self.read(lambda _connection: None, user_id=UserId(0))
        except Unavailable as error:
            if error.__cause__ is not None and _state(error.__cause__).startswith(_REFUSED):
                return True
            raise
        return False

    async def _run(self, job: Callable[[], T]) -> T:
        task = asyncio.create_task(greenlet_spawn(job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        # What has begun is finished, also for a caller that was cancelled: to break it off costs the connection.
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even if the caller has gone

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in this loop, beside others."""
        task = asyncio.get_running_loop().create_task(greenlet_spawn(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def transact(self, work: Callable[[Connection], T], *, isolated: bool = True) -> T:
        """See `Database.transact`."""
        begin = f"BEGIN {_SERIALIZABLE if isolated else _READ_COMMITTED}"
        return _repeat(lambda: _transact(self._writer.sync_engine, begin, work))

    async def close(self) -> None:
        """See `Database.close`."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for engine in (self._writer, self._reader, self._people):
            await engine.dispose()


def _transact(engine: Engine, begin: str, work: Callable[[Connection], T], *, writes: bool = True) -> T:
    """One transaction. The driver begins and ends it: SQLAlchemy would take three statements more."""
    unanswered: BaseException | None = None
    number: str | None = None
    has_asked = False
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        told: list[Callable[[], None]] = []
        connection.info[AFTERWARDS] = told
        try:
            await_only(driver.execute(begin))
            result = work(connection)
            if writes:
                number = await_only(driver.fetchval(NUMBER))
            has_asked = True
            await_only(driver.execute("COMMIT"))
        except BaseException as error:
            if not has_asked or _state(error) in _OVERTAKEN or not is_absent(error):
                _roll_back(connection, driver)
                raise
            connection.invalidate()
            unanswered = error
    # What was read was read; and nothing of a transaction without a number is there to be lost.
    if unanswered is not None and writes and (number is None or not was_committed(engine, number)):
        raise unanswered
    for tell in told:
        tell()
    return result


def _roll_back(connection: Connection, driver: Any) -> None:
    try:
        if not driver.is_closed():
            await_only(driver.execute("ROLLBACK"))
            return
    except Exception:  # noqa: BLE001, S110 - whatever it is, this connection is of no more use
        pass
    connection.invalidate()


def _repeat(attempt: Callable[[], T]) -> T:
    """Try again while others are in the way.

    Raises:
        Unavailable: The database can't be used now.
        Exception: Whatever `attempt` raises.
    """
    rest = _FIRST_REST_SECONDS
    taken = cut_off = False
    with Translated(is_absent, "Check that PostgreSQL runs, its disk, and the login."):
        for _ in range(_MOST_TRIES - 1):
            try:
                return attempt()
            except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                state = _state(error)
                if state == _NOT_TEXT:
                    raise Rejected(
                        "A text holds a NUL character, which PostgreSQL can't store.", status=400
                    ) from error
                is_cut_off = _is_cut_off(error)
                once_more = (state == _TAKEN and not taken) or (is_cut_off and not cut_off)
                if state not in _OVERTAKEN and not once_more:
                    raise
                taken, cut_off = taken or state == _TAKEN, cut_off or is_cut_off
            await_only(asyncio.sleep(random.uniform(0, rest)))  # noqa: S311 - jitter
            rest = min(2 * rest, _LONGEST_REST_SECONDS)
        return attempt()


def _state(error: BaseException) -> str:
    """PostgreSQL's SQLSTATE; "" where it has none."""
    return str(getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) or "")


def _is_cut_off(error: BaseException) -> bool:
    """Whether the connection broke, or was found broken."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, asyncpg.InterfaceError) or _state(error).startswith(_CUT_OFF)


def is_absent(error: BaseException) -> bool:
    """Whether the database failed, rather than the statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return _state(error).startswith(_ABSENT) or isinstance(
        error, OSError | TimeoutError | PoolTimeout | asyncpg.InterfaceError | asyncpg.InternalClientError
    )


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Those that a restart of the server has closed are replaced before they are used."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
