"""`tidings check`, `plugins` and `db`."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from commands import CONFIG, Commands, installed

BROKEN = """
from tidings.hooks import Plugin, hookimpl

class BrokenPlugin(Plugin):
    @hookimpl
    def tidings_extras(self, context):
        raise RuntimeError("no \\x1b[31mluck")
"""


@pytest.fixture
def cli(tmp_path: Path) -> Commands:
    return installed(tmp_path)


@pytest.fixture
def broken(cli: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A plugin that is chosen and fails."""
    site = cli.folder / "site"
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tidings_broken_for_cli.py").write_text(BROKEN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tidings.extras]\nbroken = tidings_broken_for_cli:BrokenPlugin\n")
    monkeypatch.syspath_prepend(site)
    cli.config.write_text(CONFIG.replace("dashboard: {}", "dashboard: {}, broken: {}"))
    return cli


def states(cli: Commands) -> dict[str, str]:
    listed = json.loads(cli("plugins", "--json").stdout)
    return {f"{plugin['kind']}/{plugin['name']}": plugin["state"] for plugin in listed}


# --- check ---


def test_check_shows_what_would_run_and_touches_nothing(cli: Commands) -> None:
    said = cli.done("check")
    assert "github (tidings " in said
    assert "the first start makes it" in said
    assert said.endswith("config.yaml is good.\n")
    assert [path.name for path in cli.folder.iterdir()] == ["config.yaml"]


def test_check_finds_what_is_wrong_in_a_plugins_options(cli: Commands) -> None:
    cli.config.write_text(CONFIG.replace("sse: {}", "sse: {heartbeat: soon}"))
    assert "'soon' is not a duration" in cli.failed("check", code=2)


def test_check_fails_where_a_plugin_that_is_named_does(broken: Commands) -> None:
    result = broken("check")
    assert result.exit_code == 2
    assert "tidings: extra/broken (acme 1.0) fails: tidings_extras raised RuntimeError: no" in result.stderr
    assert "\x1b" not in result.stderr
    assert "is good" not in result.stdout


def test_a_host_that_is_none_is_the_one_thing_said(cli: Commands) -> None:
    said = cli.failed("serve", "--host", "nonsense..", code=2)
    assert said.startswith("tidings: server.host: 'nonsense..' is not an address.")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("server", "warning"),
    [
        ("host: 0.0.0.0", "is not encrypted"),
        ("public_url: http://tidings.example", "is not encrypted"),
        ("public_url: https://tidings.example", "server.trusted_proxies is empty"),
    ],
)
def test_check_warns_of_what_deserves_a_thought(cli: Commands, server: str, warning: str) -> None:
    cli.config.write_text(CONFIG.replace("port: 0", f"port: 8080, {server}"))
    result = cli("check")
    assert result.exit_code == 0
    assert warning in result.stderr


def test_check_warns_where_nothing_can_come_in_or_go_out(cli: Commands) -> None:
    assert cli("check").stderr == ""
    cli.done("db", "upgrade")
    assert "github has no secret in config.yaml and no webhook" in cli("check").stderr
    cli.done("user", "add", "alice")
    cli.done("webhook", "add", "github", "alice")
    assert cli("check").stderr == ""
    cli.config.write_text("server: {port: 0}\n")
    assert "no transport is loaded" in cli("check").stderr
    assert "no connector" in cli("check").stderr


def test_check_warns_of_a_secret_that_can_be_guessed_and_shows_where_but_not_what(cli: Commands) -> None:
    for secret, warned in (("fifteen-letters", True), ("sixteen-letters!", False), ("", False)):
        cli.config.write_text(CONFIG.replace("github: {}", f'github: {{webhook_secret: "{secret}"}}'))
        said = cli("check").stderr
        place = f"Warning: {cli.config}:4:41: plugins.connectors.github.webhook_secret: this has fewer than 16 char"
        assert (place in said) == warned
        assert not secret or secret not in said


def test_check_warns_of_a_largest_body_that_lacks_its_unit(cli: Commands) -> None:
    cli.config.write_text(CONFIG + "limits: {max_body: 25}\n")
    assert "limits.max_body is 25 bytes, so" in cli("check").stderr
    assert "Did you mean 25MiB?" in cli("check").stderr
    cli.config.write_text(CONFIG + "limits: {max_body: 1KiB}\n")
    assert cli("check").stderr == ""


def test_check_finds_a_database_of_a_newer_version(cli: Commands) -> None:
    cli.done("db", "upgrade")
    with sqlite3.connect(cli.folder / "tidings.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "the database has schema 9999" in cli.failed("check", code=2)


def test_check_finds_that_the_vaults_key_is_lost_and_makes_none(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    cli.done("webhook", "add", "github", "alice")
    key = cli.folder / "tidings.vault.key"
    key.unlink()
    assert "tidings.vault.key is missing" in cli.failed("check", code=2)
    assert not key.exists()


# --- plugins ---


def test_plugins_tells_the_loaded_from_those_not_chosen(cli: Commands) -> None:
    cli.config.write_text(CONFIG.replace("extras: {dashboard: {}}", ""))
    found = states(cli)
    assert found["connector/github"] == found["transport/sse"] == found["bus/local"] == "loaded"
    assert found["extra/dashboard"] == "not chosen"
    assert "connector  github" in cli.done("plugins")


def test_plugins_exits_with_1_where_a_chosen_one_failed(broken: Commands) -> None:
    result = broken("plugins")
    assert result.exit_code == 1
    assert "tidings: extra/broken: tidings_extras raised RuntimeError: no" in result.stderr
    assert states(broken)["extra/broken"] == "failed"
    assert states(broken)["connector/github"] == "loaded"


def test_plugins_lists_what_is_installed_even_where_the_configuration_names_another(cli: Commands) -> None:
    cli.config.write_text(CONFIG.replace("github", "gihtub"))
    result = cli("plugins")
    assert result.exit_code == 2
    assert "connector  github" in result.stdout
    assert "Did you mean 'github'?" in result.stderr


# --- db ---


def test_db_upgrade_makes_the_tables_once(cli: Commands) -> None:
    assert cli.done("db", "upgrade").startswith("Upgraded to schema ")
    assert cli.done("db", "upgrade").startswith("Nothing to do: the schema is ")


def test_db_info_counts_users_and_events(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    with sqlite3.connect(cli.folder / "tidings.db") as connection:
        connection.execute("UPDATE journals SET head = 12, floor = 5")
    connection.close()
    info = json.loads(cli.done("db", "info", "--json"))
    assert (info["users"], info["events"]) == (1, 7)
    assert info["path"] == str(cli.folder / "tidings.db")
    assert info["size_bytes"] > 0
    assert "KiB" in cli.done("db", "info")


def test_db_prune_cuts_what_retention_no_longer_keeps(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    with sqlite3.connect(cli.folder / "tidings.db") as connection:
        connection.execute("UPDATE journals SET head = 4")
        connection.executemany(
            "INSERT INTO events (user_id, seq, id, connection_id, type, source, subject, time, recorded_at, "
            "platform, via, data) VALUES (1, ?, ?, '', 't', 's', '', NULL, 0, 'p', 'webhook', '{}')",
            [(seq, f"p:{seq}") for seq in range(1, 5)],
        )
    connection.close()
    cli.config.write_text(CONFIG + "retention: {days: forever, events_per_user: 1}\n")
    assert cli.done("db", "prune") == "Cut 3 events.\n"
    assert cli.done("db", "prune") == "Cut 0 events.\n"
    assert json.loads(cli.done("db", "info", "--json"))["events"] == 1


def test_db_check_finds_damage(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    assert cli.done("db", "check") == "No damage found.\n"
    with sqlite3.connect(cli.folder / "tidings.db") as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'users'")
    connection.close()
    assert "Restore it from a backup" in cli.failed("db", "check")


def test_a_restored_database_begins_a_new_epoch_for_every_journal(cli: Commands) -> None:
    def epochs() -> list[tuple[int, str]]:
        with closing(sqlite3.connect(cli.folder / "tidings.db")) as connection:
            return connection.execute("SELECT user_id, epoch FROM journals ORDER BY user_id").fetchall()

    cli.done("user", "add", "alice")
    cli.done("user", "add", "bob")
    before = epochs()
    assert cli.done("db", "restored") == "2 journals began a new epoch.\n"
    after = epochs()
    assert [user for user, _ in after] == [user for user, _ in before]
    assert not {epoch for _, epoch in before} & {epoch for _, epoch in after}


@pytest.mark.parametrize(
    "command",
    [
        "user list", "user link me", "user remove me --yes",
        "token list", "token create me --scope read", "token revoke 1",
        "webhook list", "webhook add github me", "webhook remove whk1",
        "tail", "send-sample",
        "db info", "db check", "db prune", "db restored",
    ],
)  # fmt: skip
def test_a_command_that_needs_a_database_says_how_to_make_one_and_makes_none(
    cli: Commands, command: str
) -> None:
    said = cli.failed(*command.split())
    assert f"There is no database at {cli.folder / 'tidings.db'}. Run `tidings serve`" in said
    assert "tidings db upgrade" in said
    assert [path.name for path in cli.folder.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("command", ["user add alice", "db upgrade"])
def test_a_command_that_begins_an_installation_makes_the_database(cli: Commands, command: str) -> None:
    cli.done(*command.split())
    assert json.loads(cli.done("db", "info", "--json"))["path"] == str(cli.folder / "tidings.db")


def test_whichever_command_comes_first_makes_the_database_for_its_owner_alone(cli: Commands) -> None:
    before = os.umask(0o022)
    try:
        cli.done("user", "add", "alice")
    finally:
        os.umask(before)
    assert stat.S_IMODE((cli.folder / "tidings.db").stat().st_mode) == 0o600
