import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidings.errors import ConfigError
from tidings.keys import (
    load_push_keys,
    load_session_key,
    load_vault_keys,
    push_key_path,
    session_key_path,
    vault_key_path,
)

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "tidings.db"


def load(database: Path, *, secrets_exist: bool = False, **environment: str):
    return load_vault_keys(database, environment=environment, secrets_exist=secrets_exist)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_key_files_lie_beside_the_database(database: Path):
    load(database)
    load_session_key(database)
    load_push_keys(database)
    names = {path.name for path in database.parent.iterdir()}
    assert names == {"tidings.vault.key", "tidings.session.key", "tidings.push.key"}


def test_the_first_start_makes_keys_and_later_ones_find_them(database: Path):
    first = load(database)
    assert load(database, secrets_exist=True) == first
    assert len(first.keys[first.active_id]) == 32
    assert load_session_key(database) == load_session_key(database)
    assert load_push_keys(database) == load_push_keys(database)


def test_key_files_are_private_whatever_the_umask(database: Path):
    before = os.umask(0)
    try:
        load(database)
        load_session_key(database)
        load_push_keys(database)
    finally:
        os.umask(before)
    for path in (vault_key_path(database), session_key_path(database), push_key_path(database)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(database: Path):
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: load_session_key(database), range(64)))
    assert len(set(keys)) == 1
    assert [path.name for path in database.parent.iterdir()] == ["tidings.session.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o601])
def test_a_key_file_open_to_others_is_refused(database: Path, mode: int):
    write(vault_key_path(database), f"a {KEY}\n", mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {vault_key_path(database)}"):
        load(database)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "a\n",
        KEY,
        f"a {KEY[:-4]}\n",
        f"a {KEY}{KEY}\n",
        f"a {KEY} more\n",
        f"a-b {KEY}\n",
        f"{'a' * 17} {KEY}\n",
        f"a {KEY}\na {OTHER}\n",
        f"a {'ä' * 43}\n",
        f"a {'!' * 43}\n",
        "\0" * 100,
    ],
)
def test_a_key_file_that_is_empty_or_garbled_is_refused_and_kept(database: Path, text: str):
    path = vault_key_path(database)
    write(path, text)
    with pytest.raises(ConfigError) as caught:
        load(database)
    assert path.read_text() == text
    assert KEY not in str(caught.value)
    assert OTHER not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(database: Path):
    vault_key_path(database).write_bytes(b"\xff\xfe\x00")
    vault_key_path(database).chmod(0o600)
    with pytest.raises(ConfigError, match="garbled in line 1"):
        load(database)


def test_a_missing_vault_key_is_never_replaced_while_secrets_exist(database: Path):
    with pytest.raises(ConfigError, match=r"is missing, but .* holds secrets"):
        load(database, secrets_exist=True)
    assert not list(database.parent.iterdir())


def test_the_first_key_is_active_and_the_others_still_there(database: Path):
    write(vault_key_path(database), f"# comment\n\n b {KEY}\n  # another\na {OTHER}\n")
    ring = load(database)
    assert ring.active_id == "b"
    assert dict(ring.keys) == {"b": b"k" * 32, "a": b"\xff" * 32}


@pytest.mark.parametrize("separator", ["\n", ",", " , "])
def test_the_environment_wins_over_the_file(database: Path, separator: str):
    write(vault_key_path(database), f"file {KEY}\n")
    ring = load(database, TIDINGS_VAULT_KEY=f"a {KEY}{separator}b {OTHER}")
    assert list(ring.keys) == ["a", "b"]


def test_keys_of_the_environment_make_no_file(database: Path):
    load(database, TIDINGS_VAULT_KEY=f"a {KEY}", secrets_exist=True)
    assert not list(database.parent.iterdir())


def test_a_garbled_environment_is_refused_without_showing_it(database: Path):
    with pytest.raises(ConfigError, match="variable TIDINGS_VAULT_KEY is garbled in line 2") as caught:
        load(database, TIDINGS_VAULT_KEY=f"a {KEY},b {OTHER}x")
    assert OTHER not in str(caught.value)


def test_a_blank_environment_is_no_environment(database: Path):
    load(database, TIDINGS_VAULT_KEY="  ")
    assert vault_key_path(database).exists()


def test_a_folder_in_the_files_place_is_refused(database: Path):
    vault_key_path(database).mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="is not a file"):
        load(database)
