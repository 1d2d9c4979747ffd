"""The key files beside the database.

`tidings.db` has `tidings.vault.key` (encrypts secrets at rest), `tidings.session.key` (signs the CSRF
tokens of sessions) and, where news is pushed to devices, `tidings.push.key` (push services know the installation by
it). The first start makes them, readable by their owner alone. A backup of the database needs the vault key
too, or its secrets are lost, and the push key, or every device must subscribe anew.

A key file has one key a line, `ID KEY`: an id of up to 16 letters and digits and 32 bytes in base64url. The
first line is the active key, the others still open what they sealed. Lines that begin with `#` are comments.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidings.errors import ConfigError, Conflict

VAULT_VARIABLE: Final = "TIDINGS_VAULT_KEY"

_KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_LARGEST_FILE_BYTES = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by their id, the active one first; never empty."""

    keys: Mapping[str, bytes] = dataclasses.field(repr=False)

    @property
    def active_id(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))


def vault_key_path(database: Path) -> Path:
    """Where the vault's keys lie for the database file `database`."""
    return database.with_name(f"{database.stem}.vault.key")


def session_key_path(database: Path) -> Path:
    """Where the sessions' key lies for the database file `database`."""
    return database.with_name(f"{database.stem}.session.key")


def push_key_path(database: Path) -> Path:
    """Where the keys that push services know the installation by lie for the database file `database`."""
    return database.with_name(f"{database.stem}.push.key")


def load_vault_keys(database: Path, *, environment: Mapping[str, str], secrets_exist: bool) -> KeyRing:
    """The vault's keys: from the environment where it has them, else from the file, made if there is none.

    Args:
        database: The database's file.
        environment: `TIDINGS_VAULT_KEY` in it wins over the file: the file's lines, separated by line breaks
            or commas (`ID KEY,ID KEY`).
        secrets_exist: Whether the database holds sealed secrets; no key is made then.

    Raises:
        ConfigError: The keys can't be used, others could read them, or they are missing while secrets exist.
    """
    given = environment.get(VAULT_VARIABLE, "").strip()
    if given:
        return _parse(given.replace(",", "\n"), f"The variable {VAULT_VARIABLE}")
    path = vault_key_path(database)
    if secrets_exist and not path.exists():
        raise ConfigError(
            f"{path} is missing, but {database} holds secrets that only its keys can open. Put the file back "
            f"from your backup, or set {VAULT_VARIABLE}. Nothing was changed. If the keys are lost for good, "
            "run `tidings vault rotate --lost`, then make every webhook and connect every account anew."
        )
    return _load_or_create(path, purpose="vault")


class KeyFile:
    """The vault's key file, as a running server follows it: another process may put a new key first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()

    def read(self) -> KeyRing:
        """The keys as they are in the file now.

        Raises:
            ConfigError: The file is missing or can't be used, or others could read it.
        """
        self._seen = self._state()
        try:
            text = _read_private(self._path)
        except OSError as error:
            raise _unusable(self._path, error) from error
        if text is None:
            raise ConfigError(f"The key file {self._path} is missing. Put it back from your backup.")
        return _parse(text, f"The key file {self._path}")

    def changed(self) -> KeyRing | None:
        """The keys, if the file has changed since it was looked at last; None if not, or if it can't be used."""
        if self._state() in {self._seen, None}:
            return None
        with contextlib.suppress(ConfigError):  # whoever misses a key of it will hear why
            return self.read()
        return None

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def vault_key_file(database: Path, environment: Mapping[str, str]) -> KeyFile | None:
    """The file that a running server follows; None where the environment has the vault's keys."""
    if environment.get(VAULT_VARIABLE, "").strip():
        return None
    return KeyFile(vault_key_path(database))


@contextmanager
def only_rotation(database: Path) -> Iterator[None]:
    """Keep a second rotation away while one is under way: of two new keys, one would be lost.

    Raises:
        Conflict: One is under way.
    """
    # The folder stands for the file, which is replaced meanwhile.
    folder = os.open(vault_key_path(database).parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict("Another rotation is under way. Wait until it has ended.") from None
        yield
    finally:
        os.close(folder)


def add_vault_key(database: Path) -> KeyRing:
    """Put a new key first in the vault's key file, and keep all others; see `only_rotation`.

    The file changes whole or not at all.

    Raises:
        ConfigError: The file is missing or can't be used.
    """
    path = vault_key_path(database)
    before = KeyFile(path).read()
    text = (_read_private(path) or "").splitlines(keepends=True)
    comments = next((at for at, line in enumerate(text) if not line.lstrip().startswith("#")), len(text))
    lines = [*text[:comments], _new_line(), *text[comments:]]
    try:
        with _draft(path, "".join(lines)) as draft:
            # Whoever rotates, the server must still be able to read it.
            owner = path.stat()
            os.chown(draft, owner.st_uid, owner.st_gid)
            draft.replace(path)
        _sync_folder(path)
    except OSError as error:
        raise _unusable(path, error) from error
    after = KeyFile(path).read()
    if dict(list(after.keys.items())[1:]) != dict(before.keys):
        raise ConfigError(f"The key file {path} was changed by somebody else. Check it, and try again.")
    return after


def load_session_key(database: Path) -> bytes:
    """The key that signs the CSRF tokens of sessions, made if there is none.

    Raises:
        ConfigError: The file can't be used, or others could read it.
    """
    ring = _load_or_create(session_key_path(database), purpose="session")
    return ring.keys[ring.active_id]


def load_push_keys(database: Path) -> KeyRing:
    """The keys that push services know the installation by, made if there are none; the active one is for new devices.

    Raises:
        ConfigError: The file can't be used, or others could read it.
    """
    return _load_or_create(push_key_path(database), purpose="push")


def key_ids(path: Path) -> list[str]:
    """The ids of the keys in a file, the active one first; none where there is no file.

    Raises:
        ConfigError: It can't be used, or others could read it.
    """
    try:
        text = _read_private(path)
    except OSError as error:
        raise _unusable(path, error) from error
    return [] if text is None else list(_parse(text, f"The key file {path}").keys)


def _load_or_create(path: Path, *, purpose: str) -> KeyRing:
    try:
        text = _read_private(path)
        if text is None:
            _create(path, purpose=purpose)
            text = _read_private(path)
    except OSError as error:
        raise _unusable(path, error) from error
    return _parse(text or "", f"The key file {path}")


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The key file {path} can't be used: {error.strerror}. Check its owner and the folder's."
    )


def _read_private(path: Path) -> str | None:
    """The file's text, or None where there is no file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a file. Move it away; the key file must lie there.")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(
                f"Others can read the key file {path} (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Run: chmod 600 {path}"
            )
        return os.read(file, _LARGEST_FILE_BYTES).decode("utf-8", "replace")
    finally:
        os.close(file)


def _create(path: Path, *, purpose: str) -> None:
    """Make a key file that appears whole or not at all, and was never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"# tidings {purpose} key. Keep it secret; every backup of the database needs it.\n{_new_line()}"
    # A link fails where the name is taken: another process was faster, and its key is the one.
    with _draft(path, text) as draft, contextlib.suppress(FileExistsError):
        os.link(draft, path)
    _sync_folder(path)


def _new_line() -> str:
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
    return f"{key_id} {base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode().rstrip('=')}\n"


@contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    """A file beside `path` with this text, on disk; removed in the end if it still has its name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(file, text.encode())
            os.fsync(file)
        finally:
            os.close(file)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parse(text: str, where: str) -> KeyRing:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key_id, _, encoded = line.strip().partition(" ")
        key = _decode(encoded.strip())
        if _KEY_ID.fullmatch(key_id) is None or key is None:
            raise ConfigError(
                f"{where} is garbled in line {number}. Each line must be ID KEY: an id of up to 16 letters "
                f"and digits, and {_KEY_BYTES} bytes in base64url. Restore it from your backup."
            )
        if key_id in keys:
            raise ConfigError(
                f"{where} has the id {key_id} twice, again in line {number}. Give each key its own id."
            )
        keys[key_id] = key
    if not keys:
        raise ConfigError(
            f"{where} has no key in it. Restore it from your backup; if this installation is new, remove it "
            "and start again."
        )
    return KeyRing(keys)


def _decode(encoded: str) -> bytes | None:
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None
