"""What Discord's answers say of its limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from discord_exchanges import answered
from tidings.connecting import Answer
from tidings_discord.connector import DiscordConnector
from tidings_discord.limits import RouteLimits, as_seconds

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LIMITED = {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (answered(429, LIMITED, retry_after="65", x_ratelimit_scope="user"), 64.57),
        (answered(429, {**LIMITED, "global": True}, x_ratelimit_scope="global"), 64.57),
        (answered(429, b"", retry_after="65", x_ratelimit_scope="shared"), 65.0),
        (answered(429, {"retry_after": 0}), 0.05),
        (answered(429, {"retry_after": "soon"}, retry_after="7"), 7.0),
        (answered(429, {"retry_after": -5}, x_ratelimit_scope="user"), 60.0),
        (answered(429, {"retry_after": 1e300}), 86_400.0),
    ],
)
def test_a_limit_pauses_the_account_for_as_long_as_discord_says(
    connector: DiscordConnector, answer: Answer, seconds: float
) -> None:
    pause = connector.pause(answer, NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (seconds, False)


def test_an_address_that_is_shut_out_asks_nothing_for_anybody(connector: DiscordConnector) -> None:
    pause = connector.pause(answered(429, b"<html>1015</html>", retry_after="3600"), NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (3600.0, True)
    assert "shuts out this server's address" in pause.reason


@pytest.mark.parametrize(
    "answer", [answered(403, b"error code: 1010"), answered(403, {"message": "…", "code": 40333})]
)
def test_a_client_that_is_refused_is_explained_in_words(connector: DiscordConnector, answer: Answer) -> None:
    pause = connector.pause(answer, NOW)
    assert pause is not None
    assert pause.whole_app
    assert "User-Agent" in pause.reason


@pytest.mark.parametrize(
    "answer",
    [
        answered(200, {}, x_ratelimit_remaining="0", x_ratelimit_reset_after="5"),
        answered(401, {"message": "401: Unauthorized"}),
        answered(403, {"message": "Missing Access", "code": 50001}),
        answered(403, b"[1, 2]"),
        answered(404, b""),
        answered(500, b"", retry_after="5"),
    ],
)
def test_no_other_answer_pauses_anything(connector: DiscordConnector, answer: Answer) -> None:
    assert connector.pause(answer, NOW) is None


def test_who_calls_is_told_in_discord_s_form(connector: DiscordConnector) -> None:
    assert connector.budgets[0].calls / connector.budgets[0].seconds == 50


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1.5", 1.5),
        (2, 2.0),
        ("nan", None),
        ("inf", None),
        (True, None),
        (None, None),
        ("-1", None),
        (10**400, None),
    ],
)
def test_seconds_are_finite_numbers(value: Any, seconds: float | None) -> None:
    assert as_seconds(value) == seconds


# --- by route ---


def test_a_route_that_is_used_up_rests_until_it_is_told_and_no_other_does() -> None:
    limits = RouteLimits()
    limits.learn(
        "messages/1", answered(200, {}, x_ratelimit_remaining="0", x_ratelimit_reset_after="4.5"), 100.0
    )
    assert limits.wait_seconds("messages/1", 101.0) == 3.5
    assert limits.wait_seconds("messages/2", 101.0) <= 0
    assert limits.wait_seconds("messages/1", 104.5) <= 0


def test_routes_of_one_bucket_rest_together_for_the_same_channel() -> None:
    limits = RouteLimits()
    for route in ("messages/1", "channel/1", "channel/2"):
        limits.learn(route, answered(200, {}, x_ratelimit_remaining="3", x_ratelimit_bucket="b"), 100.0)
    used_up = answered(
        200, {}, x_ratelimit_remaining="0", x_ratelimit_reset_after="4", x_ratelimit_bucket="b"
    )
    limits.learn("messages/1", used_up, 100.0)
    assert limits.wait_seconds("channel/1", 100.0) == 4.0
    assert limits.wait_seconds("channel/2", 100.0) <= 0


@pytest.mark.parametrize("header", [{"x_ratelimit_scope": "global"}, {"x_ratelimit_global": "true"}])
def test_a_global_limit_rests_everything(header: dict[str, str]) -> None:
    limits = RouteLimits()
    limits.learn("messages/1", answered(429, LIMITED, **header), 100.0)
    assert limits.wait_seconds("guild/9", 100.0) == 64.57


@pytest.mark.parametrize("remaining", ["", "x", "1", "00", "-1"])
def test_odd_headers_rest_nothing(remaining: str) -> None:
    limits = RouteLimits()
    limits.learn("a/1", answered(200, {}, x_ratelimit_remaining=remaining, x_ratelimit_reset_after="9"), 0.0)
    assert limits.wait_seconds("a/1", 0.0) <= 0
