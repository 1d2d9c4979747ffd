"""Whose account it is, where tokens stand in Slack's answers, what its errors mean, and what the operator may set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from tidings.contracts import Answer, Connects, Drafts, Keys, OAuthClient, Polls, Receives, TokenSet
from tidings.errors import NotFound, Rejected, Unavailable
from tidings_slack import SlackOptions, SlackPlugin
from tidings_slack.api import Refusal, ask, is_refused
from tidings_slack.connector import SlackConnector
from tidings_slack.manifest import EVENTS
from tidings_slack.oauth import SCOPES

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CLIENT = {"client_id": "1.2", "client_secret": "the-client-secret"}
AUTH = {
    "ok": True,
    "url": "https://acme.slack.com/",
    "team": "Acme",
    "user": "ada",
    "team_id": "T1",
    "user_id": "U1",
    "is_enterprise_install": False,
}
USER = {"id": "U1", "name": "ada", "profile": {"display_name": "Ada", "image_72": "https://a.example/1.png"}}


def connector(**options: Any) -> SlackConnector:
    nothing: Any = None
    (found,) = SlackPlugin(SlackOptions(**options)).tidings_connectors(nothing)
    assert isinstance(found, SlackConnector)
    return found


class Scripted:
    """An API that answers by method."""

    account_key = ""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.replace("__", "."): answer for name, answer in answers.items()}
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    async def request(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, **_: Any
    ) -> Answer:
        self.asked.append((method, url, params or {}))
        found = self.answers[url.removeprefix("/")]
        answer = found.pop(0) if isinstance(found, list) else found
        return Answer(200, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def scripted(**answers: Any) -> Scripted:
    found: dict[str, Any] = {
        "auth__test": AUTH,
        "users__info": {"ok": True, "user": USER},
        "users__conversations": {
            "ok": True,
            "channels": [
                {"id": "C1", "name": "garden"},
                {"id": "D1", "is_im": True, "user": "U2"},
                {"id": "C9", "name": "old", "is_archived": True},
            ],
        },
    }
    return Scripted(**{**found, **answers})


# --- accounts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [Receives, Connects, Polls, Drafts])
def test_the_plugin_offers_one_connector_that_fulfils_every_contract(contract: type) -> None:
    found = connector()
    assert isinstance(found, contract)
    assert (found.platform, found.display_name, found.icon[0]) == ("slack", "Slack", "M")


async def test_an_account_is_known_by_workspace_and_person_and_told_of_what_it_is_a_member_of() -> None:
    api = scripted()
    account = await connector().identify(api)
    assert (account.key, account.name, account.url) == ("-:T1:U1", "Ada at Acme", "https://acme.slack.com/")
    assert account.avatar_url == "https://a.example/1.png"
    assert account.addresses == ("user:T1:U1", "team:T1", "channel:T1:C1", "channel:T1:D1")
    assert [(method, url) for method, url, _ in api.asked] == [
        ("POST", "/auth.test"),
        ("GET", "/users.info"),
        ("GET", "/users.conversations"),
    ]


async def test_conversations_are_listed_page_by_page_though_a_page_be_short() -> None:
    pages = [
        {"ok": True, "channels": [{"id": "C1"}], "response_metadata": {"next_cursor": "dGVhbQ=="}},
        {"ok": True, "channels": [], "response_metadata": {"next_cursor": "more"}},
        {"ok": True, "channels": [{"id": "C2"}], "response_metadata": {"next_cursor": ""}},
    ]
    api = scripted(users__conversations=pages)
    account = await connector().identify(api)
    assert account.addresses[2:] == ("channel:T1:C1", "channel:T1:C2")
    assert [params.get("cursor") for _, url, params in api.asked if url == "/users.conversations"] == [
        None,
        "dGVhbQ==",
        "more",
    ]


async def test_an_account_of_an_enterprise_organisation_s_workspace_has_that_in_its_key() -> None:
    account = await connector().identify(scripted(auth__test={**AUTH, "enterprise_id": "E1"}))
    assert account.key == "E1:T1:U1"


@pytest.mark.parametrize("changes", [{"is_enterprise_install": True}, {"team_id": "E1"}])
async def test_an_installation_for_a_whole_organisation_is_refused_with_what_to_do(changes: Any) -> None:
    with pytest.raises(Rejected, match="Install the app in one workspace"):
        await connector().identify(scripted(auth__test={**AUTH, **changes}))


@pytest.mark.parametrize("auth", [{"ok": True}, {**AUTH, "user_id": 7}, {**AUTH, "team_id": "a:b"}])
async def test_an_answer_without_an_account_is_refused(auth: Any) -> None:
    with pytest.raises(Rejected):
        await connector().identify(scripted(auth__test=auth))


async def test_without_the_right_to_names_the_account_has_the_one_of_its_token() -> None:
    account = await connector().identify(scripted(users__info={"ok": False, "error": "missing_scope"}))
    assert account.name == "ada at Acme"


# --- what answers mean --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (200, b'{"ok":false,"error":"token_expired"}', True),
        (200, b'{"ok":false,"error":"token_revoked"}', True),
        (200, b'{"ok":false,"error":"invalid_auth"}', True),
        (200, b'{"ok":false,"error":"not_authed"}', True),
        (200, b'{"ok":false,"error":"account_inactive"}', True),
        (200, b'{"error": "token_expired", "ok": false}', True),
        (401, b"", True),
        (200, b'{"ok":true,"error":"token_expired"}', False),
        (200, b'{"ok":false,"error":"missing_scope"}', False),
        (200, b'{"ok":false,"error":["token_expired"]}', False),
        (200, b"<html>", False),
        (200, b"[]", False),
        (429, b'{"ok":false,"error":"ratelimited"}', False),
        (500, b'{"ok":false,"error":"invalid_auth"}', False),
    ],
)
def test_a_token_is_refused_within_a_good_status(status: int, body: bytes, refused: bool) -> None:
    assert is_refused(Answer(status, {}, body)) is refused
    assert connector().is_refused(Answer(status, {}, body)) is refused


@pytest.mark.parametrize(
    "word", ["internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited"]
)
async def test_slacks_own_trouble_is_to_be_tried_again(word: str) -> None:
    with pytest.raises(Unavailable):
        await ask(Scripted(x={"ok": False, "error": word}), "x")


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"\xff"])
async def test_an_answer_that_is_none_is_to_be_tried_again(body: bytes) -> None:
    with pytest.raises(Unavailable):
        await ask(Scripted(x=body), "x")


@pytest.mark.parametrize("said", [{}, {"ok": 1}, {"ok": "true"}, {"ok": False}, {"ok": False, "error": 7}])
async def test_an_answer_that_does_not_say_that_it_is_good_is_none(said: Any) -> None:
    with pytest.raises(Refusal, match="no reason"):
        await ask(Scripted(x=said), "x")


async def test_a_scope_that_is_missing_is_named() -> None:
    answer = {"ok": False, "error": "missing_scope", "needed": "groups:history", "provided": "users:read"}
    with pytest.raises(Refusal, match="groups:history") as caught:
        await ask(Scripted(x=answer), "x")
    assert (caught.value.status, caught.value.word) == (403, "missing_scope")


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry-after": "30"}, 30.0), ({}, 60.0), ({"retry-after": "x"}, 60.0)]
)
def test_a_limit_pauses_the_account(headers: dict[str, str], seconds: float) -> None:
    pause = connector().pause(Answer(429, headers, b""), NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (seconds, False)
    assert connector().pause(Answer(200, headers, b""), NOW) is None


# --- tokens -------------------------------------------------------------------------------------------------------

PERSON = {"id": "U1", "scope": "channels:read,users:read", "access_token": "xoxp-1", "token_type": "user"}
BOT = {"ok": True, "access_token": "xoxb-1", "token_type": "bot", "scope": "channels:read"}
ROTATING = {"expires_in": 43200, "refresh_token": "xoxe-1"}


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        # a person's alone; with a bot's beside it; rotating; the answer to a refresh
        ({"ok": True, "authed_user": PERSON}, TokenSet("xoxp-1", scopes=("channels:read", "users:read"))),
        ({**BOT, "authed_user": PERSON}, TokenSet("xoxp-1", scopes=("channels:read", "users:read"))),
        (
            {**BOT, "expires_in": 1, "refresh_token": "of-the-bot", "authed_user": {**PERSON, **ROTATING}},
            TokenSet("xoxp-1", "xoxe-1", 43200.0, scopes=("channels:read", "users:read")),
        ),
        (
            {"ok": True, **PERSON, **ROTATING},
            TokenSet("xoxp-1", "xoxe-1", 43200.0, scopes=("channels:read", "users:read")),
        ),
        ({"ok": True, **PERSON, "scope": None}, TokenSet("xoxp-1")),
        ({"ok": True, **PERSON, "scope": "", "expires_in": 0}, TokenSet("xoxp-1", scopes=())),
        (
            {"ok": True, **PERSON, "expires_in": "soon"},
            TokenSet("xoxp-1", scopes=("channels:read", "users:read")),
        ),
    ],
)
def test_a_person_s_token_is_found_wherever_it_stands(answer: Any, tokens: TokenSet) -> None:
    assert connector().read_tokens(answer) == tokens


def test_a_bots_token_stands_at_the_top() -> None:
    found = connector(token="bot").read_tokens({**BOT, **ROTATING, "authed_user": {**PERSON}})
    assert found == TokenSet("xoxb-1", "xoxe-1", 43200.0, scopes=("channels:read",))


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("user", {}),
        ("user", BOT),
        ("user", {"ok": False, "authed_user": PERSON}),
        ("user", {"ok": True, "authed_user": {"id": "U1"}}),
        ("user", {"ok": True, "authed_user": "U1", "token_type": "user"}),
        ("user", {"ok": True, "access_token": 7, "token_type": "user"}),
        ("bot", {"ok": True, "authed_user": PERSON}),
        ("bot", {"ok": True, **PERSON}),
        ("bot", {**BOT, "access_token": ""}),
    ],
)
def test_an_answer_without_such_a_token_is_none(kind: str, answer: Any) -> None:
    with pytest.raises(ValueError, match="Slack gave no token"):
        connector(token=kind).read_tokens(answer)


@pytest.mark.parametrize(
    ("error", "dead"),
    [("invalid_refresh_token", True), ("token_revoked", True), ("account_inactive", True), ("ratelimited", False),
     ("internal_error", False), ("bad_client_secret", False), ("", False)],
)  # fmt: skip
def test_what_kills_a_refresh_token(error: str, dead: bool) -> None:
    assert connector().is_permanent(200, error) is dead


class Sent:
    """An HTTP client that takes note."""

    def __init__(self, status: int = 200, body: bytes = b'{"ok":true}') -> None:
        self.answer = Answer(status, {}, body)
        self.requests: list[tuple[str, Mapping[str, str], bytes]] = []

    async def send(self, method: str, url: str, *, headers: Any = None, body: bytes = b"") -> Answer:
        assert method == "POST"
        self.requests.append((url, headers, body))
        return self.answer


@pytest.mark.parametrize(
    ("kind", "tokens", "method", "form"),
    [
        ("user", TokenSet("t"), "auth.revoke", {}),
        ("user", TokenSet("t", "r"), "auth.revoke", {}),  # an uninstall would end the tokens of colleagues
        ("bot", TokenSet("t"), "auth.revoke", {}),
        ("bot", TokenSet("t", "r"), "apps.uninstall", {"client_id": "1.2", "client_secret": "s"}),
    ],
)
async def test_a_consent_is_given_back(
    kind: str, tokens: TokenSet, method: str, form: dict[str, str]
) -> None:
    http = Sent()
    await connector(token=kind).revoke(http, OAuthClient("1.2", "s"), tokens)
    ((url, headers, body),) = http.requests
    assert url == f"https://slack.com/api/{method}"
    assert headers["authorization"] == "Bearer t"
    assert dict(parse_qsl(body.decode())) == form


@pytest.mark.parametrize(("status", "body"), [(500, b""), (429, b'{"ok":false}'), (200, b"<html>")])
async def test_giving_back_is_tried_again_where_slack_does_not_answer(status: int, body: bytes) -> None:
    with pytest.raises(Unavailable):
        await connector().revoke(Sent(status, body), OAuthClient("1.2", "s"), TokenSet("t"))


async def test_a_token_that_is_dead_already_needs_no_giving_back() -> None:
    await connector().revoke(
        Sent(200, b'{"ok":false,"error":"token_revoked"}'), OAuthClient("1"), TokenSet("t")
    )


# --- options ------------------------------------------------------------------------------------------------------


def test_people_are_asked_for_their_own_rights_and_bots_for_theirs() -> None:
    oauth = connector(**CLIENT).oauth
    assert (oauth.scope_parameter, oauth.scope_separator, oauth.pkce) == ("user_scope", ",", False)
    assert oauth.scopes == SCOPES
    assert connector(token="bot").oauth.scope_parameter == "scope"
    assert connector(**CLIENT).clients == (OAuthClient("1.2", "the-client-secret"),)
    assert connector().clients == connector(client_id=" ").clients == ()


@pytest.mark.parametrize(
    "wrong",
    [{"client_id": "x"}, {"token": "person"}, {"api_url": "slack.com"}, {"poll_every": "soon"}, {"calls_per_minute": 0},
     {"colour": 1}],
)  # fmt: skip
def test_options_that_can_not_work_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SlackOptions.model_validate(wrong)


@pytest.mark.parametrize("blank", [None, "", " "])
def test_without_a_signing_secret_nothing_is_verified(blank: str | None) -> None:
    assert connector(signing_secret=blank).shared_keys == Keys()
    with pytest.raises(NotFound, match="signing_secret"):
        connector().sample(connector().shared_keys, NOW, "1")


def test_no_secret_shows_in_what_is_printed() -> None:
    found = connector(**CLIENT, signing_secret="the-signing-secret")
    assert "the-" not in repr(found.clients) + repr(found.shared_keys) + repr(vars(found))


def test_a_minute_has_as_many_calls_as_the_operator_says() -> None:
    (budget,) = connector(calls_per_minute=1).budgets
    assert (budget.calls, budget.seconds, budget.per_account) == (1, 60.0, True)


def test_a_sample_is_verified_and_told_and_each_is_another() -> None:
    found = connector(signing_secret="a-signing-secret-of-slack")
    keys, ids = found.shared_keys, set()
    for serial in ("1", "2", "\ud800"):
        sample = found.sample(keys, NOW, serial)
        found.verify(sample, keys, NOW)
        (event,) = found.parse(sample).events
        assert (event.time or NOW).replace(microsecond=0) == NOW
        assert event.data["actor"]["name"] == "Ada"
        ids.add(event.id)
    assert len(ids) == 3


# --- the app to paste ---------------------------------------------------------------------------------------------

PUBLIC = "https://tidings.example.org"
REDIRECT, CALLBACK = f"{PUBLIC}/api/oauth/slack/callback", f"{PUBLIC}/api/webhooks/slack"


def test_a_draft_has_everything_and_its_address_has_it_filled_in() -> None:
    draft = connector().draft(PUBLIC, REDIRECT, CALLBACK)
    manifest = json.loads(draft.text)
    assert manifest["oauth_config"] == {"redirect_urls": [REDIRECT], "scopes": {"user": list(SCOPES)}}
    events = manifest["settings"]["event_subscriptions"]
    assert events == {"request_url": CALLBACK, "user_events": [*EVENTS, "im_created"]}
    assert manifest["settings"]["token_rotation_enabled"] is False
    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140
    assert draft.url.startswith("https://api.slack.com/apps?new_app=1&manifest_json=")
    assert json.loads(parse_qs(urlsplit(draft.url).query)["manifest_json"][0]) == manifest


def test_a_draft_of_a_bot_has_one_and_rotation_where_that_is_wished() -> None:
    manifest = json.loads(connector(token="bot", token_rotation=True).draft(PUBLIC, REDIRECT, CALLBACK).text)
    assert manifest["features"]["bot_user"]["display_name"] == "tidings"
    assert list(manifest["oauth_config"]["scopes"]) == ["bot"]
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
    assert manifest["settings"]["token_rotation_enabled"] is True


@pytest.mark.parametrize("public", ["http://127.0.0.1:8080", "http://tidings.example.org"])
def test_a_draft_has_no_events_where_slack_can_not_bring_them(public: str) -> None:
    draft = connector().draft(public, f"{public}/api/oauth/slack/callback", f"{public}/api/webhooks/slack")
    assert "event_subscriptions" not in json.loads(draft.text)["settings"]
