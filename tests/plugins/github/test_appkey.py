"""A GitHub App proves that a call is its own."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from github_exchanges import NOW
from tidings.contracts import OAuthClient
from tidings.errors import Rejected
from tidings.testing.clock import FakeClock
from tidings_github.app import App
from tidings_github.appkey import AppKey
from tidings_github.connector import GitHubConnector, Setup

KEY = RSAKey.generate_key(2048)
PEM = KEY.as_pem(private=True).decode()


def test_a_token_is_signed_by_the_key_and_good_for_less_than_ten_minutes() -> None:
    text = AppKey("12", PEM).token(NOW)
    claims = jwt.decode(text, KEY, algorithms=["RS256"]).claims
    at = int(NOW.timestamp())
    assert claims == {"iss": "12", "iat": at - 60, "exp": at + 540}
    header = text.partition(".")[0]
    assert json.loads(urlsafe_b64decode(header + "==")) == {"alg": "RS256", "typ": "JWT"}
    assert "=" not in text


@pytest.mark.parametrize(
    "pem",
    [
        "no key",
        PEM[:200],
        KEY.as_pem(private=False).decode(),
        ECKey.generate_key("P-256").as_pem(private=True).decode(),
        "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_is_refused_without_being_quoted(pem: str) -> None:
    with pytest.raises(Rejected, match="private key is no RSA key in PEM") as refused:
        AppKey("12", pem).token(NOW)
    assert "planted" not in str(refused.value)
    assert pem not in repr(AppKey("12", pem))


@pytest.mark.parametrize(("pem", "has_log"), [(PEM, True), ("", False), (" ", False)])
def test_without_its_private_key_an_app_s_log_is_not_read(pem: str, has_log: bool) -> None:
    app = App("12", "octo", OAuthClient("Iv1", "secret"), "hook", pem)
    assert (GitHubConnector(Setup(app=app), FakeClock()).application_token(NOW) is not None) is has_log
    assert GitHubConnector(Setup(), FakeClock()).application_token(NOW) is None


def test_an_app_that_was_made_on_a_click_signs_by_its_id() -> None:
    github = GitHubConnector(Setup(), FakeClock())
    github.use({"id": "12", "client_id": "Iv1", "client_secret": "secret", "private_key": PEM})
    token = github.application_token(NOW)
    assert token is not None
    assert jwt.decode(token, KEY, algorithms=["RS256"]).claims["iss"] == "12"
