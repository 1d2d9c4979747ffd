"""`tidings webhook`, `tail` and `send-sample`, as far as they need no server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import CONFIG, Commands, installed
from tidings.append import Batch, Prepared
from tidings.contracts import Item
from tidings.engines import open_database
from tidings.event import Event, UserId
from tidings.rows import prepare


@pytest.fixture
def cli(tmp_path: Path) -> Commands:
    commands = installed(tmp_path)
    commands.done("user", "add", "alice")
    return commands


def happened(title: object, name: str, kind: str = "com.acme.thing", platform: str = "acme") -> Event:
    data = {"title": title, "url": f"https://acme.example/{name}"}
    return Event(id=f"{platform}:{name}", type=kind, source="//acme.example", platform=platform, data=data)


def append(cli: Commands, events: Sequence[Event], user: int = 1) -> None:
    item = Item(user_id=UserId(user), events=events, via="webhook")

    async def run() -> None:
        database = open_database(f"sqlite+aiosqlite:///{cli.folder / 'tidings.db'}", synchronous="OFF")
        prepared = Prepared(item, [prepare(event) for event in events])

        def work(connection: object) -> None:
            batch = Batch.begin(connection, [prepared], datetime.now(UTC))  # type: ignore[arg-type]  # a Connection
            batch.add(prepared)
            batch.write(connection)  # type: ignore[arg-type]  # a Connection

        await database.write(work)
        await database.close()

    asyncio.run(run())


def titles(lines: str) -> list[str]:
    return [json.loads(line)["data"]["title"] for line in lines.splitlines()]


# --- webhook ---


def test_webhook_add_prints_url_and_secret_and_tells_what_to_enter_where(cli: Commands) -> None:
    result = cli("webhook", "add", "github", "ALICE")
    url, secret = [line.split(": ", 1) for line in result.stdout.splitlines()]
    assert url[0] == "url"
    assert url[1].startswith("http://127.0.0.1:0/api/webhooks/github/whk")
    assert secret[0] == "secret"
    assert len(secret[1]) == 43
    assert "in the settings of GitHub" in result.stderr
    assert "application/json" in result.stderr
    assert "can't reach this address" in result.stderr
    assert secret[1] not in result.stderr


def test_a_webhook_at_a_public_address_is_given_without_that_warning(cli: Commands) -> None:
    cli.config.write_text(CONFIG.replace("port: 0", "port: 0, public_url: https://t.example"))
    result = cli("webhook", "add", "github", "alice")
    assert result.stdout.startswith("url: https://t.example/api/webhooks/github/whk")
    assert "can't reach" not in result.stderr


def test_webhooks_are_listed_without_their_secrets_and_can_be_removed(cli: Commands) -> None:
    secret = cli.done("webhook", "add", "github", "alice").split()[-1]
    listed = cli.done("webhook", "list", "--json")
    (webhook,) = json.loads(listed)
    assert (webhook["platform"], webhook["user"]) == ("github", "alice")
    table = cli.done("webhook", "list")
    assert webhook["id"] in table
    assert secret not in listed + table
    assert cli.done("webhook", "remove", webhook["id"]) == ""
    assert json.loads(cli.done("webhook", "list", "--json")) == []
    assert "There are no webhooks" in cli("webhook", "list").stderr
    assert "There is no registration" in cli.failed("webhook", "remove", webhook["id"])


def test_a_webhook_for_an_unknown_platform_or_user_is_refused(cli: Commands) -> None:
    said = cli.failed("webhook", "add", "gihtub", "alice")
    assert "Loaded: github. Did you mean 'github'?" in said
    assert "There is no user 'carol'" in cli.failed("webhook", "add", "github", "carol")


# --- tail ---


def test_tail_begins_with_the_newest_and_ends_at_its_limit(cli: Commands) -> None:
    append(cli, [happened(f"n{number}", str(number)) for number in range(25)])
    assert titles(cli.done("tail", "--json", "--limit", "10")) == [f"n{number}" for number in range(15, 25)]
    assert titles(cli.done("tail", "alice", "-n", "3", "--json", "--limit", "2")) == ["n22", "n23"]


def test_tail_goes_on_behind_a_cursor(cli: Commands) -> None:
    append(cli, [happened(f"n{number}", str(number)) for number in range(3)])
    first = cli.done("tail", "--after", "0", "--json", "--limit", "1")
    assert titles(first) == ["n0"]
    cursor = json.loads(first)["cursor"]
    assert titles(cli.done("tail", "--after", cursor, "--json", "--limit", "2")) == ["n1", "n2"]


def test_tail_shows_only_the_types_and_platforms_asked_for(cli: Commands) -> None:
    rare = [happened("rare", "r", kind="com.acme.rare"), happened("other", "o", platform="tidings")]
    append(cli, [*rare, *[happened(f"n{number}", str(number)) for number in range(150)]])
    assert titles(cli.done("tail", "--types", "*.rare", "--json", "-n", "1", "--limit", "1")) == ["rare"]
    for platforms in ("tidings", "github, tidings"):
        options = ("--platforms", platforms, "--after", "0", "--json", "--limit", "1")
        assert titles(cli.done("tail", *options)) == ["other"]


def test_a_line_tells_when_where_what_and_the_address(cli: Commands) -> None:
    append(cli, [happened("A thing\nhappened", "1")])
    when, platform, title, url = cli.done("tail", "--limit", "1").strip().split("  ")
    assert datetime.strptime(when, "%Y-%m-%d %H:%M:%S").astimezone()
    assert (platform, title, url) == ("acme", "A thing happened", "https://acme.example/1")


@pytest.mark.parametrize("title", ["\x1b[2J\x9b31m\u202e", 7, None, {"a": []}, "\x00"])
def test_nothing_in_an_event_can_command_the_terminal_or_stop_tail(cli: Commands, title: object) -> None:
    append(cli, [happened(title, "1")])
    for options in ([], ["--json"]):
        line = cli.done("tail", "--limit", "1", *options)
        assert line.removesuffix("\n").isprintable()
        assert "https://acme.example/1" in line


def test_tail_tells_of_a_gap_beside_the_events(cli: Commands) -> None:
    append(cli, [happened("kept", "1")])
    result = cli("tail", "--after", "another-7", "--json", "--limit", "1")
    assert titles(result.stdout) == ["kept"]
    assert "(0 events can't be shown: the database was restored or replaced.)" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--after", "nonsense"], "is not a cursor"),
        (["--types", "com.github!"], "is not a pattern"),
        (["--after", "0", "-n", "3"], "exclude each other"),
        (["--limit", "0"], "--limit"),
        (
            ["--platforms", "github,gihtub"],
            "no platform 'gihtub' here. Known: github, tidings. Did you mean 'github'?",
        ),
        (["--platforms", "acme", "--limit", "1"], "no platform 'acme' here. Known: github, tidings."),
    ],
)
def test_tail_refuses_what_it_can_not_read(cli: Commands, options: list[str], said: str) -> None:
    assert said in cli.failed("tail", *options, code=2)


def test_tail_needs_a_user(cli: Commands) -> None:
    assert "There is no user 'bob'" in cli.failed("tail", "bob")
    cli.done("user", "remove", "alice", "--yes")
    assert "There are no users yet" in cli.failed("tail")


# --- send-sample ---


def test_send_sample_without_a_server_says_how_to_start_one(cli: Commands) -> None:
    cli.done("webhook", "add", "github", "alice")
    said = cli.failed("send-sample", "--url", "http://127.0.0.1:9")
    assert "No server answers at http://127.0.0.1:9" in said
    assert f"--config {cli.config} serve" in said


def test_send_sample_without_any_secret_says_how_to_get_one(cli: Commands) -> None:
    assert "tidings webhook add github alice" in cli.failed("send-sample")


def test_send_sample_refuses_an_address_that_is_none(cli: Commands) -> None:
    cli.done("webhook", "add", "github", "alice")
    assert "is not the URL of a server" in cli.failed("send-sample", "--url", "localhost", code=2)


def test_send_sample_needs_a_connector(cli: Commands) -> None:
    cli.config.write_text("server: {port: 0}\n")
    assert "No connector that takes webhooks is loaded" in cli.failed("send-sample")
