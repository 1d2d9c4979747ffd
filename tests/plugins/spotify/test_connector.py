"""Who Spotify says you are, what its limits mean, and what the operator may set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from tidings.connecting import Answer
from tidings.errors import Rejected
from tidings_spotify import SpotifyOptions, SpotifyPlugin
from tidings_spotify.connector import SpotifyConnector

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def connector(**options: Any) -> SpotifyConnector:
    nothing: Any = None
    (found,) = SpotifyPlugin(SpotifyOptions(**options)).tidings_connectors(nothing)
    assert isinstance(found, SpotifyConnector)
    return found


class Profile:
    """The API of an account that has nothing but a profile."""

    account_key = ""

    def __init__(self, profile: Any, refusal: Rejected | None = None) -> None:
        self._profile = profile
        self._refusal = refusal

    async def request(self, method: str, url: str, **_: Any) -> Answer:
        assert (method, url) == ("GET", "/me")
        if self._refusal is not None:
            raise self._refusal
        return Answer(200, {}, msgspec.json.encode(self._profile))


async def test_an_account_is_known_by_what_never_changes() -> None:
    profile = {"account_id": "immutable", "id": "old-name", "display_name": "Ada", "images": [{"url": "u"}]}
    account = await connector().identify(Profile(profile))
    assert (account.key, account.name, account.avatar_url) == ("immutable", "Ada", "u")


async def test_an_older_answer_is_known_by_its_id() -> None:
    account = await connector().identify(Profile({"id": "old-name", "display_name": None}))
    assert (account.key, account.name) == ("old-name", "old-name")


@pytest.mark.parametrize("profile", [{}, [], {"id": 7}, "x"])
async def test_an_answer_without_an_account_is_refused(profile: Any) -> None:
    with pytest.raises(Rejected):
        await connector().identify(Profile(profile))


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("User not registered in the Developer Dashboard", "Users and Access"),
        ("Active premium subscription required for the owner of the app", "needs Premium"),
    ],
)
async def test_a_refusal_says_what_to_do(said: str, advice: str) -> None:
    with pytest.raises(Rejected, match=advice):
        await connector().identify(Profile({}, Rejected(said, status=403)))


@pytest.mark.parametrize(
    ("headers", "body", "seconds", "reason"),
    [
        ({"retry-after": "7"}, b"{}", 7.0, "rate limit"),
        ({}, b"{}", 5.0, "rate limit"),
        ({"retry-after": "48925"}, b'{"error":{"reason":"QUOTA_EXCEEDED"}}', 48925.0, "QUOTA_EXCEEDED"),
    ],
)
def test_both_limits_pause_the_whole_client(
    headers: dict[str, str], body: bytes, seconds: float, reason: str
) -> None:
    pause = connector().pause(Answer(429, headers, body), NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (seconds, True)
    assert reason in pause.reason


@pytest.mark.parametrize("status", [200, 204, 401, 403, 404, 500])
def test_no_other_answer_pauses_anything(status: int) -> None:
    assert connector().pause(Answer(status, {"retry-after": "7"}, b""), NOW) is None


def test_a_consent_lives_for_six_months_and_a_refresh_does_not_lengthen_it() -> None:
    assert connector().oauth.consent_seconds == 181 * 86_400


def test_without_a_client_nobody_connects_and_with_several_each_serves_five() -> None:
    assert connector().clients == ()
    found = connector(client_id="one", clients=[{"client_id": "two", "client_secret": "s" * 20}]).clients
    assert [(one.id, one.secret, one.most_users) for one in found] == [("one", "", 5), ("two", "s" * 20, 5)]


def test_the_budget_is_the_operators() -> None:
    (budget,) = connector(daily_budget=100).budgets
    assert (budget.calls, budget.seconds) == (100, 86_400)


@pytest.mark.parametrize(
    "options",
    [
        {"daily_budget": 0},
        {"users_per_client": 0},
        {"api_url": "ftp://x"},
        {"colour": 1},
        {"clients": [{"client_secret": "x"}]},
    ],
)
def test_wrong_options_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        SpotifyOptions(**options)


def test_no_secret_shows_in_what_is_printed() -> None:
    found = connector(client_id="one", client_secret="hush-hush-hush-hush")
    assert "hush" not in repr(found.clients)
