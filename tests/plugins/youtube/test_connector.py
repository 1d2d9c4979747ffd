"""Who an account is, what a call costs, and what YouTube's refusals mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tidings.connecting import Answer
from tidings.errors import Rejected, Unavailable
from tidings_youtube import YouTubeOptions, quota
from tidings_youtube.connector import YouTubeConnector
from youtube_exchanges import Bench

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # 04:00 in California

Make = Callable[..., Bench]


def _channel(**changes: Any) -> dict[str, Any]:
    return {
        "id": "UCada",
        "snippet": {"title": "Ada's boats", "thumbnails": {"default": {"url": "https://i.example/ada.jpg"}}},
        "contentDetails": {"relatedPlaylists": {"uploads": "UUada", "likes": "LL"}},
        **changes,
    }


class Account:
    """A Google account's API, as far as it is asked who it is."""

    account_key = ""

    def __init__(self, channels: Any, refusal: Exception | None = None) -> None:
        self._channels = channels
        self._refusal = refusal

    async def request(self, method: str, url: str, **_: Any) -> Answer:
        if url.endswith("/userinfo"):
            profile = {"sub": "10769150350006150715113082367", "name": "Ada", "email": "ada@example.com"}
            return Answer(200, {}, json.dumps(profile).encode())
        assert (method, url) == ("GET", "/channels")
        if self._refusal is not None:
            raise self._refusal
        return Answer(200, {}, json.dumps(self._channels).encode())


async def test_an_account_is_its_channel_and_its_grant_is_the_google_account(
    connector: YouTubeConnector,
) -> None:
    account = await connector.identify(Account({"items": [_channel()]}))
    assert (account.key, account.name, account.avatar_url, account.url, account.grant_key) == (
        "UCada",
        "Ada's boats",
        "https://i.example/ada.jpg",
        "https://www.youtube.com/channel/UCada",
        "10769150350006150715113082367",
    )


@pytest.mark.parametrize("snippet", [{}, None, [], {"title": 7, "thumbnails": "x"}])
async def test_a_nameless_channel_bears_the_name_of_its_owner(
    connector: YouTubeConnector, snippet: Any
) -> None:
    account = await connector.identify(Account({"items": [_channel(snippet=snippet)]}))
    assert (account.name, account.avatar_url) == ("Ada", "")


@pytest.mark.parametrize(
    "channels", [{}, [], None, {"items": []}, {"items": None}, {"items": ["x"]}, {"items": [{"id": 5}]}]
)
async def test_a_google_account_without_a_channel_is_told_to_make_one(
    connector: YouTubeConnector, channels: Any
) -> None:
    with pytest.raises(Rejected, match="no YouTube channel"):
        await connector.identify(Account(channels))


async def test_so_is_one_that_youtube_wants_to_sign_up(connector: YouTubeConnector) -> None:
    with pytest.raises(Rejected, match="no YouTube channel"):
        await connector.identify(Account({}, Rejected("youtubeSignupRequired", status=401)))


async def test_any_other_refusal_is_told_as_it_is(connector: YouTubeConnector) -> None:
    with pytest.raises(Rejected, match="suspended"):
        await connector.identify(Account({}, Rejected("The account is suspended.", status=403)))
    with pytest.raises(Unavailable):
        await connector.identify(Account({}, Unavailable("Down.")))


def _refusal(status: int, reason: str) -> Answer:
    return Answer(status, {}, json.dumps({"error": {"errors": [{"reason": reason}]}}).encode())


def test_a_missing_channel_is_no_dead_token(connector: YouTubeConnector) -> None:
    assert connector.is_refused(_refusal(401, "authError"))
    assert not connector.is_refused(_refusal(401, "youtubeSignupRequired"))
    assert not connector.is_refused(_refusal(403, "forbidden"))


@pytest.mark.parametrize("reason", ["quotaExceeded", "dailyLimitExceeded"])
def test_used_up_units_pause_everybody_until_midnight_in_california(
    connector: YouTubeConnector, reason: str
) -> None:
    pause = connector.pause(_refusal(403, reason), NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (20 * 3600, True)
    assert reason in pause.reason


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "rateLimitExceeded"), (403, "userRateLimitExceeded"), (429, "")]
)
def test_a_rate_limit_pauses_one_account_for_a_moment(
    connector: YouTubeConnector, status: int, reason: str
) -> None:
    pause = connector.pause(_refusal(status, reason), NOW)
    assert pause is not None
    assert pause.whole_app is False
    assert pause.seconds <= 60


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, b'{"error": {"errors": [{"reason": "quotaExceeded"}]}}'),
        _refusal(403, "forbidden"),
        _refusal(403, "insufficientPermissions"),
        _refusal(404, "quotaExceeded"),
        Answer(403, {}, b"<html>"),
        Answer(500, {}, b""),
    ],
)
def test_no_other_answer_pauses_anything(connector: YouTubeConnector, answer: Answer) -> None:
    assert connector.pause(answer, NOW) is None


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-01-15T08:00:00", 24),  # midnight itself, in winter
        ("2026-01-15T07:59:00", 1 / 60),
        ("2026-07-15T07:00:00", 24),  # and in summer
        ("2026-07-15T06:30:00", 0.5),
        ("2026-03-08T08:00:00", 23),  # the clocks go forward
        ("2026-11-01T07:00:00", 25),  # and back
        ("2026-11-01T09:30:00", 22.5),
        ("2026-07-15T06:59:59", 1 / 60),  # never less than a minute
    ],
)
def test_the_quotas_day_begins_at_midnight_in_california(now: str, hours: float) -> None:
    assert quota.seconds_to_midnight(datetime.fromisoformat(now).replace(tzinfo=UTC)) == hours * 3600


def test_without_the_time_zones_data_the_pause_is_an_hour_too_long_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_name: str) -> Any:
        raise quota.ZoneInfoNotFoundError

    monkeypatch.setattr(quota, "ZoneInfo", missing)
    quota._pacific.cache_clear()
    try:
        assert quota.seconds_to_midnight(datetime(2026, 7, 15, 7, tzinfo=UTC)) == 3600
        assert quota.seconds_to_midnight(datetime(2026, 1, 15, 8, tzinfo=UTC)) == 24 * 3600
    finally:
        quota._pacific.cache_clear()


def test_the_days_units_are_shared_and_identity_costs_none(bench: Make) -> None:
    connector = bench(daily_budget=4000).connector
    (budget,) = connector.budgets
    assert (budget.calls, budget.seconds, budget.per_account) == (4000, 86_400, False)
    assert connector.cost("GET", "https://www.googleapis.com/youtube/v3/channels?mine=true") == 1
    assert connector.cost("GET", "https://openidconnect.googleapis.com/v1/userinfo") == 0


def test_one_scope_is_asked_for_besides_the_identity(bench: Make) -> None:
    oauth = bench(client_id="c", client_secret="s").connector.oauth
    assert oauth.provider == "google"
    assert oauth.needed_scopes == ("https://www.googleapis.com/auth/youtube.readonly",)


@pytest.mark.parametrize(
    "options",
    [
        {"topic": "https://www.youtube.com/feeds/videos.xml"},
        {"topic": "ftp://x/{channel}"},
        {"hub_url": "pubsubhubbub"},
        {"api_url": "ftp://x"},
        {"lease": "1m"},
        {"lease": "100d"},
        {"poll_every": "soon"},
        {"daily_budget": 5},
        {"most_channels": 0},
        {"colour": 1},
    ],
)
def test_wrong_options_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        YouTubeOptions(**options)
