"""`tidings user` and `tidings token`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands import Commands, installed
from tidings.serverlock import ServerLock

LINK = re.compile(r"http://127\.0\.0\.1:0/login/[\w-]{43}")


@pytest.fixture
def cli(tmp_path: Path) -> Commands:
    return installed(tmp_path)


def test_user_add_prints_an_id_and_a_link_that_a_script_can_read(cli: Commands) -> None:
    first, second = cli.done("user", "add", "Alice").splitlines()
    assert first == "id: 1"
    key, link = second.split(": ", 1)
    assert key == "link"
    assert LINK.fullmatch(link)


def test_user_link_prints_a_new_link_alone_for_an_id_or_a_name(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    by_name, by_id = cli.done("user", "link", "ALICE").strip(), cli.done("user", "link", "1").strip()
    assert LINK.fullmatch(by_name)
    assert LINK.fullmatch(by_id)
    assert by_name != by_id


def test_links_lead_to_the_server_at_work_whatever_its_port(cli: Commands) -> None:
    lock = ServerLock(cli.folder / "tidings.db")
    lock.acquire(url="http://127.0.0.1:9", public_url="https://tidings.example.org")
    try:
        assert "link: https://tidings.example.org/login/" in cli.done("user", "add", "alice")
        assert cli.installation.local_url == "http://127.0.0.1:9"
    finally:
        lock.release()
    assert LINK.fullmatch(cli.done("user", "link", "alice").strip())


def test_a_server_that_is_gone_is_no_longer_believed(cli: Commands) -> None:
    (cli.folder / "tidings.db.lock").write_text("4194304\nhttp://gone\nhttp://gone\n")
    assert cli.installation.holder is None
    (cli.folder / "tidings.db.lock").write_text("1\ngarbled\n")
    assert cli.installation.holder is None


def test_only_users_added_as_admins_are(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    cli.done("user", "add", "bob", "--admin")
    listed = json.loads(cli.done("user", "list", "--json"))
    assert [(user["id"], user["name"], user["admin"]) for user in listed] == [
        (1, "alice", False),
        (2, "bob", True),
    ]
    assert datetime.fromisoformat(listed[0]["created_at"]).tzinfo is not None
    assert cli.done("user", "list").splitlines()[0].split() == ["ID", "NAME", "ADMIN", "SINCE"]


def test_a_name_that_can_not_be_one_is_wrong_use_and_a_taken_one_fails(cli: Commands) -> None:
    assert "can't be a user's name" in cli.failed("user", "add", "42", code=2)
    cli.done("user", "add", "alice")
    assert "already" in cli.failed("user", "add", "alice")


def test_an_unknown_user_is_answered_with_the_near_one(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    assert "Did you mean 'alice'?" in cli.failed("user", "link", "alcie")
    assert "Did you mean 'alice'?" in cli.failed("token", "create", "alcie", "--scope", "read")


def test_removing_a_user_asks_first(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    assert cli("user", "remove", "alice", stdin="n\n").exit_code == 1
    assert cli("user", "remove", "alice").exit_code == 1
    assert len(json.loads(cli.done("user", "list", "--json"))) == 1
    assert cli.done("user", "remove", "1", stdin="y\n") == ""
    assert json.loads(cli.done("user", "list", "--json")) == []


def test_removing_a_user_with_yes_does_not_ask(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    assert cli.done("user", "remove", "alice", "--yes") == ""
    assert "There are no users yet" in cli("user", "list").stderr


def test_token_create_prints_the_token_alone(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    result = cli("token", "create", "alice", "--scope", "read", "--scope", "send")
    assert re.fullmatch(r"tdg_[\w-]{43}\n", result.stdout)
    assert result.stderr == ""


def test_a_token_can_end_by_itself_and_have_a_label(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    cli.done("token", "create", "1", "--scope", "read", "--expires", "30d", "--label", "kitchen")
    (token,) = json.loads(cli.done("token", "list", "--json"))
    assert (token["user"], token["label"], token["scopes"]) == ("alice", "kitchen", ["read"])
    left = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_tokens_are_listed_by_user_without_their_text(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    cli.done("user", "add", "bob")
    text = cli.done("token", "create", "alice", "--scope", "read").strip()
    cli.done("token", "create", "bob", "--scope", "send")
    listed = cli.done("token", "list", "alice")
    assert [line.split()[:2] for line in listed.splitlines()] == [["ID", "USER"], ["1", "alice"]]
    assert text not in listed
    assert len(json.loads(cli.done("token", "list", "--json"))) == 2


def test_a_revoked_token_is_gone(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    cli.done("token", "create", "alice", "--scope", "read")
    assert cli.done("token", "revoke", "1") == ""
    assert "There are no tokens" in cli("token", "list").stderr
    assert "There is no token 1" in cli.failed("token", "revoke", "1")


def test_a_token_needs_a_scope_that_is_one_and_a_duration_that_is_one(cli: Commands) -> None:
    cli.done("user", "add", "alice")
    assert "--scope" in cli.failed("token", "create", "alice", code=2)
    assert "'write'" in cli.failed("token", "create", "alice", "--scope", "write", code=2)
    said = cli.failed("token", "create", "alice", "--scope", "read", "--expires", "soon", code=2)
    assert "'soon' is not a duration" in said
    assert "not an admin" in cli.failed("token", "create", "alice", "--scope", "admin")
