"""Whose account it is, what its tokens are, and the GitHub App that is made on one click."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from github_exchanges import CLIENT, ScriptedApi, answer, asked, connector, polled
from tidings.contracts import Answer, Keys, OAuthClient, TokenSet
from tidings.errors import Rejected, Unavailable
from tidings_github.app import EVENTS, App

APP = App("7", "tidings-here", CLIENT, "the-app-secret", "-----BEGIN")
PERSON = {
    "id": 583231,
    "login": "octocat",
    "avatar_url": "https://avatars.githubusercontent.com/u/583231?v=4",
    "html_url": "https://github.com/octocat",
}
MADE = {
    "id": 7,
    "slug": "tidings-here",
    "client_id": "Iv23.made",
    "client_secret": "made-secret",
    "webhook_secret": "made-hook-secret",
    "pem": "-----BEGIN RSA",
}


class ScriptedHttp:
    """Answers the one request that a test expects."""

    def __init__(self, said: Answer) -> None:
        self._said = said
        self.sent: tuple[str, str, Mapping[str, str], bytes] | None = None

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        self.sent = (method, url, headers or {}, body)
        return self._said


async def test_an_account_is_known_by_its_id_and_not_by_its_login() -> None:
    account = await connector().identify(ScriptedApi({"GET /user": answer(PERSON)}))
    assert (account.key, account.name, account.url) == ("583231", "octocat", "https://github.com/octocat")
    assert account.addresses == ()


@pytest.mark.parametrize("person", [{}, {"id": "1", "login": "x"}, {"id": 1}, {"id": True, "login": "x"}])
async def test_an_answer_that_names_nobody_is_refused(person: Mapping[str, Any]) -> None:
    with pytest.raises(Rejected):
        await connector().identify(ScriptedApi({"GET /user": answer(person)}))


async def test_the_account_of_a_github_app_is_addressed_by_its_installations() -> None:
    second = "/user/installations?page=2"
    api = ScriptedApi(
        {
            "GET /user": answer(PERSON),
            "GET /user/installations?per_page=100": answer(
                {"total_count": 2, "installations": [{"id": 5}]},
                link=f'<https://api.github.com{second}>; rel="next"',
            ),
            f"GET {second}": answer({"installations": [{"id": 6}, {"id": "odd"}, "odd"]}),
        }
    )
    account = await connector(app=APP).identify(api)
    assert account.addresses == ("user:583231", "installation:5", "installation:6")


async def test_a_github_app_polls_the_repositories_on_which_it_is_installed_and_no_inbox() -> None:
    api = ScriptedApi(
        {
            "GET /user/installations?per_page=100": answer({"installations": [{"id": 5}]}),
            "GET /user/installations/5/repositories?per_page=100": answer(
                {"repositories": [{"id": 1, "full_name": "octo/hello"}]}
            ),
            "GET /repos/octo/hello/events?per_page=100": answer([]),
        }
    )
    await polled(connector(app=APP), api, asked())
    assert api.calls[-1] == "GET /repos/octo/hello/events?per_page=100"


def test_scopes_come_separated_by_commas_and_a_token_may_never_end() -> None:
    tokens = connector().read_tokens(
        {"access_token": "gho_1", "scope": "repo,notifications", "token_type": "bearer"}
    )
    assert tokens == TokenSet("gho_1", scopes=("repo", "notifications"))


def test_a_token_that_ends_says_when_and_how_it_is_refreshed() -> None:
    tokens = connector().read_tokens(
        {
            "access_token": "ghu_1",
            "expires_in": 28800,
            "refresh_token": "ghr_1",
            "refresh_token_expires_in": 15897600,
            "scope": "",
        }
    )
    assert (tokens.expires_in_seconds, tokens.refresh_token) == (28800, "ghr_1")
    assert tokens.refresh_expires_in_seconds == 15897600
    assert tokens.scopes == ()


@pytest.mark.parametrize(
    ("error", "is_dead"),
    [
        ("bad_refresh_token", True),
        ("invalid_grant", True),
        ("incorrect_client_credentials", False),
        ("bad_verification_code", False),
        ("", False),
    ],
)
def test_only_github_s_own_words_mean_that_a_refresh_token_is_dead(error: str, is_dead: bool) -> None:
    assert connector().is_permanent(200, error) is is_dead


async def test_a_token_is_given_back_by_the_client_itself() -> None:
    http = ScriptedHttp(answer(b"", 204))
    await connector().revoke(http, CLIENT, TokenSet("gho_1"))
    assert http.sent is not None
    method, url, headers, body = http.sent
    assert (method, url) == ("DELETE", "https://api.github.com/applications/Iv1.client/token")
    assert (
        base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"Iv1.client:the-client-secret"
    )
    assert json.loads(body) == {"access_token": "gho_1"}


@pytest.mark.parametrize("status", [204, 401, 404, 422])
async def test_a_token_that_is_dead_already_is_fine(status: int) -> None:
    await connector().revoke(ScriptedHttp(answer({}, status)), CLIENT, TokenSet("gho_1"))


@pytest.mark.parametrize(
    "said",
    [answer({}, 500), answer({}, 429), answer({}, 403, x_ratelimit_remaining="0", x_ratelimit_reset="1")],
)
async def test_a_token_that_could_not_be_given_back_is_tried_again(said: Answer) -> None:
    with pytest.raises(Unavailable):
        await connector().revoke(ScriptedHttp(said), CLIENT, TokenSet("gho_1"))


# --- a GitHub App on one click ---


def _manifest(public_url: str) -> tuple[str, dict[str, Any]]:
    made = connector(client=None).manifest(
        public_url,
        f"{public_url}/api/oauth/github/callback",
        f"{public_url}/api/webhooks/github",
        f"{public_url}/api/oauth/github/made",
    )
    return made.url, json.loads(made.fields["manifest"])


def test_the_manifest_asks_for_reading_alone_and_names_every_address() -> None:
    url, manifest = _manifest("https://tidings.example.org")
    assert url == "https://github.com/settings/apps/new"
    assert manifest["callback_urls"] == ["https://tidings.example.org/api/oauth/github/callback"]
    assert manifest["redirect_url"] == "https://tidings.example.org/api/oauth/github/made"
    assert manifest["hook_attributes"]["url"] == "https://tidings.example.org/api/webhooks/github"
    assert manifest["default_events"] == list(EVENTS)
    assert set(manifest["default_permissions"].values()) == {"read"}
    assert manifest["public"] is False
    assert len(manifest["name"]) <= 34


def test_an_app_that_github_can_not_reach_has_no_webhook() -> None:
    _, manifest = _manifest("http://127.0.0.1:8080")
    assert not {"hook_attributes", "default_events"} & manifest.keys()


async def test_a_code_is_exchanged_for_credentials_which_are_used_from_then_on() -> None:
    of = connector(client=None)
    http = ScriptedHttp(answer(MADE, 201))
    credentials = await of.provision(http, "c0de")
    assert http.sent is not None
    assert http.sent[:2] == ("POST", "https://api.github.com/app-manifests/c0de/conversions")
    assert credentials["private_key"] == "-----BEGIN RSA"
    assert of.clients == ()
    of.use(credentials)
    assert of.clients == (OAuthClient("Iv23.made", "made-secret"),)
    assert of.shared_keys == Keys((b"made-hook-secret",))
    assert of.oauth.scopes == ()


async def test_what_the_operator_configured_goes_before_what_was_made() -> None:
    of = connector()
    of.use(await of.provision(ScriptedHttp(answer(MADE, 201)), "c0de"))
    assert of.clients == (CLIENT,)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (answer({"message": "Not Found"}, 404), Rejected),
        (answer({}, 422), Rejected),
        (answer({}, 502), Unavailable),
        (answer({}, 429), Unavailable),
        (answer(b"<html>", 201), Unavailable),
        (answer({"id": 7}, 201), Unavailable),
    ],
)
async def test_a_code_that_gives_nothing_says_whether_to_try_again(
    said: Answer, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await connector(client=None).provision(ScriptedHttp(said), "c0de")


async def test_a_code_that_is_none_is_put_into_no_address() -> None:
    http = ScriptedHttp(answer(MADE, 201))
    with pytest.raises(Rejected):
        await connector(client=None).provision(http, "../user")
    assert http.sent is None


def test_credentials_that_are_not_whole_are_not_used() -> None:
    of = connector(client=None)
    of.use({"client_id": "x"})
    assert of.clients == ()
