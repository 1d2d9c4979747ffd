"""The installation that a command works on: its configuration, its database, and how to call it again."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tidings.clock import SystemClock
from tidings.errors import ConfigError, NotFound

if TYPE_CHECKING:  # at run time each command imports what it needs
    from sqlalchemy import Connection

    from tidings.accounts import User
    from tidings.config import Settings
    from tidings.database import Database
    from tidings.serverlock import Holder

T = TypeVar("T")

_NAME: Final = "config.yaml"


class Installation:
    """One configuration, and what it names.

    Args:
        stated: The configuration's path as the user gave it; None to look for it.
    """

    def __init__(self, stated: str | None) -> None:
        self._stated = stated
        self.clock = SystemClock()

    @cached_property
    def config_path(self) -> Path:
        """The configuration's file.

        Raises:
            ConfigError: None was given, and there is none where it is looked for.
        """
        if self._stated is not None:
            return Path(self._stated)
        found = _usual_config()
        if found is None:
            raise ConfigError(
                f"There is no {_NAME}. Looked for {' and '.join(map(str, _usual_places()))}. Name it with "
                "--config FILE before the command, or in the variable TIDINGS_CONFIG."
            )
        return found

    @cached_property
    def settings(self) -> Settings:
        """What the configuration says.

        Raises:
            ConfigError: Something in it is wrong.
        """
        from tidings.config import load  # noqa: PLC0415 - --help and --version need none of it

        return load(self.config_path)

    @property
    def invocation(self) -> str:
        """How to call tidings for this installation from a shell in this folder."""
        words = [executable()]
        if self._stated is not None and not _same(self.config_path, _usual_config()):
            words += ["--config", _short(self.config_path)]
        return shlex.join(words)

    @property
    def holder(self) -> Holder | None:
        """The server at work on this installation's SQLite database, if there is one."""
        from tidings.serverlock import ServerLock  # noqa: PLC0415 - the same

        if not self.settings.is_sqlite:
            return None
        return ServerLock(self.settings.database_path).holder()

    @property
    def public_url(self) -> str:
        """Where people and platforms reach this installation: as its server says, else as configured."""
        holder = self.holder
        return holder.public_url if holder is not None else self.settings.server.public_url

    @property
    def local_url(self) -> str:
        """Where this machine reaches the server, with no proxy between: as it says, else as configured."""
        holder = self.holder
        return holder.url if holder is not None else self.settings.server.local_url

    @asynccontextmanager
    async def database(self, *, create: bool = False) -> AsyncIterator[Database]:
        """The database, with the tables of this version.

        Args:
            create: Make one where there is none.

        Raises:
            NotFound: There is none.
            Conflict: It belongs to a newer version.
            Unavailable: It can't be used.
        """
        from tidings.engines import configured, is_missing  # noqa: PLC0415 - the same
        from tidings.migrate import current, ensure_schema, revisions  # noqa: PLC0415 - the same

        if not create and is_missing(self.settings):
            path = self.settings.database_path
            raise NotFound(
                f"There is no database at {path}. Run `tidings serve`, or `tidings db upgrade` for an empty one."
            )
        database = configured(self.settings)
        try:
            if create:
                await ensure_schema(database)
            # Asked first: a command that only reads must not wait for the server's writes.
            if await database.read(current) != revisions()[-1]:
                await ensure_schema(database)
            yield database
        finally:
            await database.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read transaction; see `database` and `Database.read`."""

        async def run() -> T:
            async with self.database() as database:
                return await database.read(work)

        return asyncio.run(run())

    def write(self, work: Callable[[Connection], T], *, create: bool = False) -> T:
        """Run `work` in a transaction that is on disk when this returns; see `database` and `Database.write`."""

        async def run() -> T:
            async with self.database(create=create) as database:
                return await database.write(work)

        return asyncio.run(run())


def chosen_user(connection: Connection, ref: str | None) -> User:
    """The user with that id or name; without one, the first user.

    Raises:
        NotFound: There is none.
    """
    from tidings.accounts import list_users, resolve_user  # noqa: PLC0415 - as above

    if ref is not None:
        return resolve_user(connection, ref, suggest=True)
    users = list_users(connection)
    if not users:
        raise NotFound(
            "There are no users yet. Add one: tidings user add NAME. The first `tidings serve` does too."
        )
    return users[0]


def _usual_places() -> list[Path]:
    """Where the configuration is looked for, first things first."""
    places = [Path.cwd() / _NAME]
    if sys.prefix != sys.base_prefix:
        places.append(Path(sys.prefix).parent / _NAME)  # beside the virtual environment
    return list(dict.fromkeys(places))


def _usual_config() -> Path | None:
    found = next((place for place in _usual_places() if place.is_file()), None)
    # As short as the messages about it should be.
    return None if found is None else Path(_short(found))


def executable() -> str:
    """What to type for `tidings` in this folder."""
    called = Path(sys.argv[0])
    if called.name != "tidings" or not called.is_file():
        called = Path(sys.prefix) / "bin" / "tidings"
    if _same(called, shutil.which("tidings")) or not called.is_file():
        return "tidings"
    short = _short(called)
    return short if "/" in short else f"./{short}"


def python() -> str:
    """What to type in this folder for the Python that runs tidings: what is installed beside it goes there."""
    # By name alone: the interpreter of a virtual environment is a link to another's.
    return "python" if shutil.which("python") == sys.executable else _short(Path(sys.executable))


def _short(path: Path) -> str:
    """The path from this folder if it lies in it, else in full."""
    full = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow the links people made
    here = Path.cwd()
    inside = full.is_relative_to(here) and here != Path(here.anchor)
    return str(full.relative_to(here) if inside else full)


def _same(path: Path, other: str | Path | None) -> bool:
    return other is not None and path.exists() and Path(other).exists() and path.samefile(other)
