from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from github_exchanges import JumpClock
from tidings.context import Context
from tidings.contracts import (
    Connects,
    Keys,
    OAuthClient,
    Polls,
    Provisions,
    Receives,
    Recovers,
    Registers,
)
from tidings_github import GitHubOptions, GitHubPlugin
from tidings_github.connector import GitHubConnector

CONTEXT = cast("Context", SimpleNamespace(clock=JumpClock()))  # the connector needs nothing else of it
CLIENT = {"client_id": "Iv1.client", "client_secret": "the-client-secret"}
APP = {"id": 7, "slug": "tidings-here", "private_key": "-----BEGIN", "webhook_secret": "the-app-secret"}


def _connector(**options: Any) -> GitHubConnector:
    (connector,) = GitHubPlugin(GitHubOptions.model_validate(options)).tidings_connectors(CONTEXT)
    assert isinstance(connector, GitHubConnector)
    return connector


@pytest.mark.parametrize("contract", [Receives, Connects, Polls, Registers, Recovers, Provisions])
def test_the_plugin_offers_one_connector_that_fulfils_every_contract(contract: type) -> None:
    connector = _connector()
    assert isinstance(connector, contract)
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
    connector = _connector(**CLIENT, app=APP)
    shown = repr(connector.clients) + repr(connector.shared_keys) + repr(vars(connector))
    for secret in ("the-client-secret", "the-app-secret", "-----BEGIN"):
        assert secret not in shown


def test_without_a_client_nobody_can_connect() -> None:
    assert _connector().clients == ()
    assert _connector(client_id=" ", client_secret="").clients == ()


def test_an_oauth_app_asks_for_hooks_and_notifications_and_nothing_else() -> None:
    connector = _connector(**CLIENT)
    assert connector.clients == (OAuthClient("Iv1.client", "the-client-secret"),)
    assert connector.oauth.scopes == ("admin:repo_hook", "notifications")
    assert connector.oauth.needed_scopes == ("admin:repo_hook|repo", "notifications|repo")
    assert (connector.oauth.pkce, connector.oauth.client_authentication) == (True, "body")
    assert connector.poll_every_seconds == 6 * 3600


@pytest.mark.parametrize(
    ("option", "scope", "is_needed"),
    [
        ("private_repositories", "repo", True),
        ("organization_hooks", "admin:org_hook", True),
        ("expiring_tokens", "offline_access", False),
    ],
)
def test_an_option_asks_for_one_scope_more(option: str, scope: str, is_needed: bool) -> None:
    oauth = _connector(**CLIENT, **{option: True}).oauth
    assert oauth.scopes == ("admin:repo_hook", "notifications", scope)
    assert (scope in oauth.needed_scopes) is is_needed


def test_a_github_app_asks_for_no_scope_and_its_secret_verifies() -> None:
    connector = _connector(**CLIENT, app=APP, webhook_secret="the-operators")
    assert connector.clients == (OAuthClient("Iv1.client", "the-client-secret"),)
    assert connector.oauth.scopes == connector.oauth.needed_scopes == ()
    assert connector.shared_keys == Keys((b"the-operators", b"the-app-secret"))


def test_an_enterprise_server_is_called_at_its_own_addresses() -> None:
    connector = _connector(
        **CLIENT,
        authorize_url="https://ghe.example.org/login/oauth/authorize",
        token_url="https://ghe.example.org/login/oauth/access_token",
        api_url="https://ghe.example.org/api/v3/",
    )
    assert connector.api_url == "https://ghe.example.org/api/v3"
    assert connector.oauth.authorize_url == "https://ghe.example.org/login/oauth/authorize"
    assert connector.oauth.token_url == "https://ghe.example.org/login/oauth/access_token"


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "x"},
        {"app": APP},
        {"api_url": "api.github.com"},
        {"app": {"id": 7}, **CLIENT},
        {"poll_every": "soon"},
    ],
)
def test_options_that_can_not_work_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GitHubOptions.model_validate(wrong)
