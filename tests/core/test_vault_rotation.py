import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from commands import Commands, installed
from stores import Store, opened
from tidings.errors import ConfigError, Conflict
from tidings.keys import (
    KeyFile,
    KeyRing,
    add_vault_key,
    load_vault_keys,
    only_rotation,
    vault_key_file,
    vault_key_path,
)
from tidings.schema import grants, oauth_states, platform_webhooks, provisions, push_subscriptions
from tidings.sealed import SEALED, SealedColumn, require_keys, reseal, secrets_by_key, secrets_exist
from tidings.vault import Vault, VaultError

pytestmark = pytest.mark.usefixtures("every_database")

OLD, NEW = b"o" * 32, b"n" * 32
OLD_VAULT = Vault(KeyRing({"old": OLD}))
BOTH = Vault(KeyRing({"new": NEW, "old": OLD}))
COLUMNS = pytest.mark.parametrize("sealed", SEALED, ids=lambda sealed: sealed.name)
SECRET = b"planted secret"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as opened_store:
        yield opened_store


def row_of(sealed: SealedColumn, number: int, vault: Vault) -> dict[str, Any]:
    """A row with a secret; what does not matter is 0 or empty."""
    key: Any = number.to_bytes(32, "big") if sealed.key is oauth_states.c.state_hash else f"row{number:04}"
    row = {
        column.name: "" if column.type.python_type is str else 0
        for column in sealed.table.columns
        if not column.nullable and column.server_default is None
    }
    if sealed.table is grants:
        row["account_key"] = key
    if sealed.table is push_subscriptions:
        row["identity_hash"] = number.to_bytes(32, "big")
    row[sealed.key.name] = key
    place = {"table": sealed.table.name, "column": sealed.column.name, "row": sealed.row_name(key)}
    row[sealed.column.name] = vault.seal(SECRET, **place)
    return row


async def fill(store: Store, sealed: SealedColumn, count: int, vault: Vault = OLD_VAULT) -> None:
    rows = [row_of(sealed, number, vault) for number in range(count)]
    await store.write(lambda sql: sql.execute(insert(sealed.table), rows))


async def opened_with(store: Store, sealed: SealedColumn, vault: Vault) -> set[bytes]:
    rows = await store.read(lambda sql: sql.execute(select(sealed.key, sealed.column)).all())
    place = {"table": sealed.table.name, "column": sealed.column.name}
    return {vault.open(text, **place, row=sealed.row_name(key)) for key, text in rows}


# --- sealing anew ---------------------------------------------------------------------------------------------------


def test_every_column_that_is_said_to_be_sealed_is_known():
    named = {sealed.name for sealed in SEALED}
    source = Path(__file__).parents[2] / "core" / "tidings" / "schema.py"
    said = source.read_text("utf-8").count("sealed by the vault")
    assert len(named) == said


@COLUMNS
async def test_every_secret_moves_to_the_new_key_and_stays_the_same(store: Store, sealed: SealedColumn):
    await fill(store, sealed, 450)  # more than two chunks
    assert await store.read(secrets_by_key) == {"old": 450}
    done = await reseal(store.read, store.write, BOTH)
    assert (done.moved, list(done.unopened)) == (450, [])
    assert await store.read(secrets_by_key) == {"new": 450}
    assert await opened_with(store, sealed, Vault(KeyRing({"new": NEW}))) == {SECRET}
    assert (await reseal(store.read, store.write, BOTH)).moved == 0


@COLUMNS
async def test_one_sealed_secret_anywhere_is_enough_to_keep_a_lost_key_from_being_replaced(
    store: Store, sealed: SealedColumn
):
    assert not await store.read(secrets_exist)
    await fill(store, sealed, 1)
    assert await store.read(secrets_exist)


async def test_an_empty_verifier_is_no_secret(store: Store):
    row = row_of(SEALED[2], 1, OLD_VAULT) | {"verifier": ""}
    await store.write(lambda sql: sql.execute(insert(oauth_states).values(**row)))
    assert not await store.read(secrets_exist)
    assert await store.read(secrets_by_key) == {}
    assert await reseal(store.read, store.write, BOTH) == (0, [])


async def test_a_secret_that_changed_meanwhile_is_not_put_back(store: Store):
    """Between reading and replacing, a refresh commits new tokens under the old key."""
    await fill(store, SEALED[1], 3)
    fresh = OLD_VAULT.seal(b"fresh tokens", table="grants", column="tokens", row="row0001")
    interfered: list[bool] = []

    async def write(work: Any) -> Any:
        if not interfered:
            interfered.append(True)
            change = update(grants).where(grants.c.id == "row0001").values(tokens=fresh)
            await store.write(lambda sql: sql.execute(change))
        return await store.write(work)

    done = await reseal(store.read, write, BOTH)
    assert done.moved == 3  # with the next pass
    assert await store.read(secrets_by_key) == {"new": 3}
    assert await opened_with(store, SEALED[1], BOTH) == {SECRET, b"fresh tokens"}


async def test_what_can_not_be_opened_stays_as_it_is_and_is_named(store: Store):
    await fill(store, SEALED[0], 3)
    change = update(platform_webhooks).where(platform_webhooks.c.id == "row0001")
    await store.write(lambda sql: sql.execute(change.values(secret="v1.old.garbled")))
    done = await reseal(store.read, store.write, BOTH)
    assert done.moved == 2
    (problem,) = done.unopened
    assert "platform_webhooks.secret, row row0001" in problem
    kept = select(platform_webhooks.c.secret).where(platform_webhooks.c.id == "row0001")
    assert await store.read(lambda sql: sql.execute(kept).scalar()) == "v1.old.garbled"


async def test_a_wrong_key_of_the_right_name_destroys_nothing(store: Store):
    await fill(store, SEALED[3], 5)
    before = await store.read(lambda sql: sql.execute(select(provisions)).all())
    done = await reseal(store.read, store.write, Vault(KeyRing({"new": NEW, "old": b"x" * 32})))
    assert (done.moved, len(done.unopened)) == (0, 5)
    assert await store.read(lambda sql: sql.execute(select(provisions)).all()) == before


async def test_a_missing_key_is_named_before_anything_is_done(store: Store):
    await fill(store, SEALED[1], 2)
    counts = await store.read(secrets_by_key)
    with pytest.raises(ConfigError, match=r"old \(2 secret"):
        require_keys(Vault(KeyRing({"new": NEW})), counts)
    require_keys(BOTH, counts)


# --- a server that runs meanwhile ----------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "tidings.db"


PLACE = {"table": "grants", "column": "tokens", "row": "g1"}


def running_vault(database: Path) -> Vault:
    """As a server opens it at its start."""
    ring = load_vault_keys(database, environment={}, secrets_exist=False)
    return Vault(ring, vault_key_file(database, {}))


def test_a_running_server_opens_what_was_sealed_with_a_newer_key(database: Path):
    server = running_vault(database)
    command = Vault(add_vault_key(database))
    assert server.open(command.seal(SECRET, **PLACE), **PLACE) == SECRET
    assert server.active_id == command.active_id


def test_a_running_server_seals_with_the_newer_key_at_once(database: Path):
    server = running_vault(database)
    for _ in range(3):
        ring = add_vault_key(database)
        assert server.seal(SECRET, **PLACE).startswith(f"v1.{ring.active_id}.")


def test_a_running_server_keeps_keys_that_were_taken_out_too_early(database: Path):
    server = running_vault(database)
    sealed = server.seal(SECRET, **PLACE)
    path = vault_key_path(database)
    path.write_text(f"other {base64.urlsafe_b64encode(NEW).decode()}\n")
    assert server.seal(SECRET, **PLACE).startswith("v1.other.")
    assert server.open(sealed, **PLACE) == SECRET


@pytest.mark.parametrize("damage", ["gone", "garbled", "readable by others"])
def test_a_damaged_key_file_leaves_a_running_server_its_keys_and_is_named(database: Path, damage: str):
    server = running_vault(database)
    sealed = server.seal(SECRET, **PLACE)
    path = vault_key_path(database)
    if damage == "gone":
        path.unlink()
    elif damage == "garbled":
        path.write_text("nonsense\n")
    else:
        path.chmod(0o644)
        os.utime(path, ns=(1, 1))
    assert server.open(server.seal(SECRET, **PLACE), **PLACE) == SECRET
    assert server.open(sealed, **PLACE) == SECRET
    with pytest.raises(VaultError, match=str(path)):
        server.open(OLD_VAULT.seal(SECRET, **PLACE), **PLACE)


def test_a_key_that_is_nowhere_is_named(database: Path):
    with pytest.raises(VaultError, match="sealed with the key old, which is not in the vault's key file"):
        running_vault(database).open(OLD_VAULT.seal(SECRET, **PLACE), **PLACE)


def test_keys_of_the_environment_are_not_followed(database: Path):
    assert vault_key_file(database, {"TIDINGS_VAULT_KEY": "a b"}) is None


# --- the key file -------------------------------------------------------------------------------------------------


def test_a_new_key_stands_first_and_everything_else_stays(database: Path):
    first = load_vault_keys(database, environment={}, secrets_exist=False)
    path = vault_key_path(database)
    path.write_text(path.read_text() + "# a note of the operator\n")
    ring = add_vault_key(database)
    assert list(ring.keys)[1:] == list(first.keys)
    assert dict(first.keys).items() <= dict(ring.keys).items()
    assert path.read_text().startswith("# tidings vault key.")
    assert path.read_text().endswith("# a note of the operator\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in database.parent.iterdir()] == [path.name]


def test_no_key_is_added_to_a_file_that_is_missing_or_garbled(database: Path):
    with pytest.raises(ConfigError, match="missing"):
        add_vault_key(database)
    path = vault_key_path(database)
    path.touch(0o600)
    path.write_text("nonsense\n")
    with pytest.raises(ConfigError, match="garbled"):
        add_vault_key(database)
    assert path.read_text() == "nonsense\n"


def test_two_rotations_never_run_at_once(database: Path):
    with only_rotation(database), pytest.raises(Conflict, match="Another rotation"), only_rotation(database):
        pass
    with only_rotation(database):
        pass


def test_a_file_that_did_not_change_is_not_read_again(database: Path):
    load_vault_keys(database, environment={}, secrets_exist=False)
    file = KeyFile(vault_key_path(database))
    assert file.changed() is None
    ring = add_vault_key(database)
    assert file.changed() == ring
    assert file.changed() is None


# --- the commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.delenv("TIDINGS_VAULT_KEY", raising=False)
    commands = installed(tmp_path)
    commands.done("user", "add", "alice")
    return commands


def key_path(cli: Commands) -> Path:
    return cli.folder / "tidings.vault.key"


def status(cli: Commands) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(cli("vault", "status", "--json").stdout)
    return result


def sealed_texts(connection: Connection) -> list[str]:
    return list(connection.execute(select(platform_webhooks.c.secret)).scalars())


def test_vault_rotate_makes_a_key_and_seals_everything_with_it(cli: Commands):
    for _ in range(3):
        cli.done("webhook", "add", "github", "alice")
    (old,) = status(cli)["keys"]
    assert "Secrets sealed anew with the key" in cli.done("vault", "rotate")
    after = status(cli)
    assert list(after["keys"].values()) == [3, 0]
    assert list(after["keys"])[1] == old
    assert after["active"] != old
    assert "active" in cli.done("vault", "status")


def test_vault_rotate_without_a_new_key_ends_an_interrupted_rotation(cli: Commands):
    cli.done("webhook", "add", "github", "alice")
    ring = add_vault_key(cli.folder / "tidings.db")
    assert cli.done("vault", "rotate", "--no-new-key").endswith(f"{ring.active_id}: 1.\n")
    assert list(status(cli)["keys"].values()) == [1, 0]


def test_a_vault_whose_key_is_missing_is_not_rotated(cli: Commands):
    cli.done("webhook", "add", "github", "alice")
    (old,) = status(cli)["keys"]
    before = cli.installation.read(sealed_texts)
    path = key_path(cli)
    kept = path.read_text()
    path.unlink()
    for command in (["vault", "rotate"], ["vault", "status"]):
        assert "tidings.vault.key is missing" in cli.failed(*command, code=2)
    path.touch(0o600)
    path.write_text(f"other {base64.urlsafe_b64encode(NEW).decode()}\n")
    assert f"lacks keys that secrets were sealed with: {old} (1" in cli.failed("vault", "rotate", code=2)
    result = cli("vault", "status")
    assert result.exit_code == 1
    assert f"The key {old} is missing" in result.stderr
    assert cli.installation.read(sealed_texts) == before
    path.write_text(kept)
    cli.done("vault", "rotate")


def test_secrets_that_do_not_open_are_named_and_kept(cli: Commands):
    cli.done("webhook", "add", "github", "alice")
    path = key_path(cli)
    (old,) = status(cli)["keys"]
    path.write_text(f"{old} {base64.urlsafe_b64encode(NEW).decode()}\n")
    result = cli("vault", "rotate")
    assert result.exit_code == 1
    assert "1 secret(s) could not be opened. They are as they were." in result.stderr
    assert status(cli)["keys"][old] == 1


def test_garbled_secrets_are_counted(cli: Commands):
    cli.done("webhook", "add", "github", "alice")
    cli.installation.write(lambda sql: sql.execute(update(platform_webhooks).values(secret="garbled")))
    result = cli("vault", "status")
    assert (result.exit_code, "1 secret(s) are garbled" in result.stderr) == (1, True)


def test_keys_of_the_environment_are_moved_to_and_none_is_made(
    cli: Commands, monkeypatch: pytest.MonkeyPatch
):
    cli.done("webhook", "add", "github", "alice")
    line = next(line for line in key_path(cli).read_text().splitlines() if not line.startswith("#"))
    monkeypatch.setenv("TIDINGS_VAULT_KEY", f"fresh {base64.urlsafe_b64encode(NEW).decode()},{line}")
    before = key_path(cli).read_text()
    assert cli.done("vault", "rotate").endswith("fresh: 1.\n")
    assert key_path(cli).read_text() == before


def test_status_makes_no_key_where_there_is_none(cli: Commands):
    assert cli.done("vault", "status") == ""
    assert not key_path(cli).exists()


def test_keys_lost_for_good_can_be_replaced_and_only_then(cli: Commands):
    cli.done("webhook", "add", "github", "alice")
    assert "The vault has keys" in cli.failed("vault", "rotate", "--lost")
    key_path(cli).unlink()
    assert "Made " in cli.done("vault", "rotate", "--lost")
    cli.done("webhook", "add", "github", "alice")
    assert sorted(status(cli)["keys"].values()) == [1]
    assert sorted(status(cli)["missing"].values()) == [1]
