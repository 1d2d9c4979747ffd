from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError

from tidings.context import Context
from tidings.contracts import Keys, Receives
from tidings_github import GitHubOptions, GitHubPlugin
from tidings_github.connector import GitHubConnector

CONTEXT = cast("Context", None)  # the connector needs nothing of it


def _connector(**options: Any) -> GitHubConnector:
    (connector,) = GitHubPlugin(GitHubOptions(**options)).tidings_connectors(CONTEXT)
    assert isinstance(connector, GitHubConnector)
    return connector


def test_the_plugin_offers_one_connector_that_receives() -> None:
    connector = _connector()
    assert isinstance(connector, Receives)
    assert (connector.platform, connector.display_name) == ("github", "GitHub")
    assert connector.icon.startswith("M")


def test_the_secret_of_the_configuration_is_the_shared_key() -> None:
    assert _connector(webhook_secret="s3cret ü").shared_keys == Keys(("s3cret ü".encode(),))


@pytest.mark.parametrize("blank", [None, "", " ", "\n"])
def test_an_absent_or_blank_secret_is_no_key(blank: str | None) -> None:
    assert _connector(webhook_secret=blank).shared_keys == Keys()
    assert _connector().shared_keys == Keys()


def test_an_option_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValidationError):
        GitHubOptions(secret="x")  # type: ignore[call-arg]  # the very mistake


def test_no_secret_shows_in_a_representation() -> None:
    options = GitHubOptions.model_validate({"webhook_secret": "hunter2"})
    shown = repr(options) + str(options) + repr(GitHubPlugin(options).__dict__)
    assert "hunter2" not in shown
    assert "hunter2" not in repr(_connector(webhook_secret="hunter2").shared_keys)
