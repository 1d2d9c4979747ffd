"""The lock of the one server that works on a SQLite database, and its note to the processes beside it."""

from __future__ import annotations

import dataclasses
import fcntl
import os
from pathlib import Path

from tidings.errors import Conflict


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """The server at work on a database.

    Attributes:
        url: Where this machine reaches it, without a proxy between.
        public_url: Where people and platforms reach it.
    """

    process_id: int
    url: str
    public_url: str


class ServerLock:
    """Held by the one server of a SQLite database; a second one is refused.

    Args:
        path: The database's file; the lock lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self, *, url: str = "", public_url: str = "") -> None:
        """Take the lock, and note for other processes where this server is (see `Holder`).

        Raises:
            Conflict: Another server holds it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            holder = self.holder()
            raise Conflict(
                f"Another tidings server (process {holder.process_id if holder else 'unknown'}) already "
                f"uses {self._path.with_suffix('')}. Stop it, or give this one a database of its own: "
                "`database:` in its config.yaml."
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n{url}\n{public_url}\n".encode())
        self._file = file

    def release(self) -> None:
        """Let go; the file stays, so that nobody races to remove it."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        """The server that holds the lock, by its own note; None where that process is gone.

        Does not try the lock itself: a server that starts in that moment would be refused.
        """
        try:
            process_id, url, public_url = self._path.read_text("utf-8").splitlines()
            holder = Holder(int(process_id), url, public_url)
        except (OSError, ValueError):
            return None
        try:
            os.kill(holder.process_id, 0)
        except PermissionError:
            return holder  # somebody else's process, so there is one
        except OSError:
            return None
        return holder
