"""`tidings doctor`: what to register where, and what must be mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from commands import installed

CONFIG = """\
server: {{port: 8097}}
plugins:
  connectors:
    github: {{{github}}}
    slack: {{}}
    spotify: {{}}
  extras: {{{extras}}}
"""


def doctor(folder: Path, *platforms: str, github: str = "", extras: str = "sandbox: {}") -> Result:
    commands = installed(folder, CONFIG.format(github=github, extras=extras))
    return commands("doctor", *platforms)


def test_it_prints_what_to_register_exactly_so(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "redirect URI http://127.0.0.1:8097/api/oauth/github/callback" in lines
    assert "redirect URI http://127.0.0.1:8097/api/oauth/spotify/callback" in lines
    assert "webhook URL of an app http://127.0.0.1:8097/api/webhooks/github" in lines
    assert any("does not exist yet; the first start makes it" in line for line in lines)
    assert any("can't be reached by platforms" in line for line in lines)
    assert not list(tmp_path.glob("*.db*"))


def test_a_platform_without_a_client_says_which_key_to_set(tmp_path: Path) -> None:
    done = doctor(tmp_path, extras="")
    assert "set plugins.connectors.github.client_id" in done.stdout
    assert "set plugins.connectors.spotify.client_id" in done.stdout


def test_no_secret_is_printed(tmp_path: Path) -> None:
    done = doctor(tmp_path, github="client_id: abc, client_secret: canary-canary-canary-1", extras="")
    assert "by client abc" in done.stdout
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["vault.key"])
def test_what_must_be_mended_fails(tmp_path: Path, missing: str) -> None:
    commands = installed(tmp_path, CONFIG.format(github="", extras=""))
    commands.done("user", "add", "ann")
    commands.done("webhook", "add", "github", "ann")
    assert doctor(tmp_path, extras="").exit_code == 0
    next(tmp_path.glob(f"*.{missing}")).unlink()
    done = doctor(tmp_path, extras="")
    assert done.exit_code == 1
    assert "FAIL" in done.stdout
    assert "is missing" in done.stdout


def test_of_one_platform_it_prints_all_there_is_to_register_and_what_to_paste(tmp_path: Path) -> None:
    done = doctor(tmp_path, "slack")
    assert done.exit_code == 0, done.stderr
    table, _, rest = done.stdout.partition("All of it, to paste at Slack:")
    assert "http://127.0.0.1:8097/api/oauth/slack/callback" in table
    text, _, address = rest.partition("Or open this address, where it is filled in already:")
    assert json.loads(text)["oauth_config"]["redirect_urls"] == [
        "http://127.0.0.1:8097/api/oauth/slack/callback"
    ]
    assert address.strip().startswith("https://api.slack.com/apps?new_app=1")
    assert "github" not in done.stdout


def test_of_a_platform_that_takes_no_text_it_prints_the_fields(tmp_path: Path) -> None:
    done = doctor(tmp_path, "spotify")
    assert (done.exit_code, "redirect URI" in done.stdout, "paste" in done.stdout) == (0, True, False)


def test_a_platform_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = doctor(tmp_path, "friendster")
    assert done.exit_code != 0
    assert "There is no connector for 'friendster' here. Loaded: github, slack, spotify." in done.stderr
