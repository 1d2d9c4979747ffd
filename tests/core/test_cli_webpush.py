"""`tidings webpush keys`, and what `tidings doctor` says of Web Push."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from commands import Commands, installed

CONFIG = """
server: {{port: 0, public_url: "{public_url}"}}
plugins:
  transports: {{sse: {{}}, webpush: {{{options}}}}}
  bus: {{local: {{}}}}
"""


def commands(folder: Path, options: str = "", public_url: str = "https://tidings.example.org") -> Commands:
    return installed(folder, CONFIG.format(public_url=public_url, options=options))


def test_the_public_key_is_made_once_and_alone_on_standard_output(tmp_path: Path) -> None:
    run = commands(tmp_path)
    key = run.done("webpush", "keys").strip()
    assert len(key) == 87
    assert run.done("webpush", "keys").strip() == key
    file = tmp_path / "tidings.push.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(run.done("webpush", "keys", "--json"))
    assert told == {"file": str(file), "active": told["active"], "keys": {told["active"]: key}}
    assert file.read_text().split()[-1] not in json.dumps(told)


def test_several_keys_are_listed_with_their_use(tmp_path: Path) -> None:
    run = commands(tmp_path)
    old = run.done("webpush", "keys").strip()
    file = tmp_path / "tidings.push.key"
    file.write_text("new " + "A" * 43 + "\n" + file.read_text())
    lines = run.done("webpush", "keys").splitlines()
    assert any("new" in line and "active" in line for line in lines)
    assert any("still serves" in line and old in line for line in lines)


def test_without_the_transport_it_says_what_to_name(tmp_path: Path) -> None:
    assert "`webpush: {}`" in installed(tmp_path).failed("webpush", "keys")
    assert not (tmp_path / "tidings.push.key").exists()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    run = commands(tmp_path)
    run.done("webpush", "keys")
    (tmp_path / "tidings.push.key").chmod(0o644)
    assert "chmod 600" in run.failed("webpush", "keys", code=2)


@pytest.mark.parametrize(
    ("options", "public_url", "finding"),
    [
        ("", "https://tidings.example.org", "news can be pushed to devices"),
        ("subject: ''", "http://127.0.0.1:8080", "Set plugins.transports.webpush.subject"),
        ("subject: 'mailto:me@example.org'", "http://127.0.0.1:8080", "news can be pushed to devices"),
        ("allow_private: true", "https://tidings.example.org", "allow_private is on"),
    ],
)
def test_the_doctor_says_whether_the_set_up_will_do(
    tmp_path: Path, options: str, public_url: str, finding: str
) -> None:
    assert finding in " ".join(commands(tmp_path, options, public_url).done("doctor").split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("subject: me@example.org", "is no address that a push service can write to"),
        ("subject: 'mailto:me@localhost'", "Apple refuses all others"),
        ("services: ['https://push.example.org']", "is not a push service. Write push.example.org"),
        ("most_devices: 0", "most_devices"),
        ("ttl: 0s", "ttl"),
        ("ttl: 31d", "ttl"),
        ("urgency: urgent", "urgency"),
    ],
)
def test_options_that_can_not_be_used_are_refused_at_the_start(
    tmp_path: Path, options: str, message: str
) -> None:
    said = commands(tmp_path, options).failed("check", code=2)
    assert message in said
    assert "plugins.transports.webpush" in said
