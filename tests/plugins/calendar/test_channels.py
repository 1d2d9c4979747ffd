"""Channels: made, replaced, stopped; and what the connector is besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from calendar_exchanges import LIST, NOW, ScriptedApi, answer, asked, connector, later, polled, refused
from tidings.contracts import Answer, Budget, Keys, Target, Upstream
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.testing.clock import FakeClock
from tidings_calendar import CalendarOptions
from tidings_calendar.channels import KINDS
from tidings_calendar.verify import CHANNEL_ID, channel_token

ME = Target("calendar:ada@example.org", "Ada")
URL = "https://tidings.example.org/api/webhooks/calendar/w1"
WATCH = "POST /calendars/ada%40example.org/events/watch"
STOP = "POST /channels/stop"
WEEK_MS = str(int(later(days=7).timestamp() * 1000))


def channel(**more: Any) -> Answer:
    made = {"kind": "api#channel", "id": "x", "resourceId": "o3hg", "resourceUri": "u", "expiration": WEEK_MS}
    return answer({**made, **more})


async def make(said: Any, **options: Any) -> tuple[Upstream, Any]:
    api = ScriptedApi({WATCH: said})
    upstream = await connector(FakeClock(NOW), **options).register(api, ME, URL, "the-secret")
    return upstream, api.asked[-1].json


async def test_a_channel_is_made_with_a_token_of_its_own_and_an_end() -> None:
    upstream, asking = await make(channel())
    assert asking == {
        "id": upstream.id,
        "type": "web_hook",
        "address": URL,
        "token": channel_token(b"the-secret", upstream.id),
        "expiration": int(WEEK_MS),
    }
    assert CHANNEL_ID.fullmatch(upstream.id)
    assert upstream == Upstream(
        id=upstream.id,
        target=ME,
        kinds=frozenset({"event_created", "event_changed", "event_cancelled", "response"}),
        expires_at=later(days=7),
        data={"resource": "o3hg"},
    )
    assert (await make(channel()))[0].id != upstream.id


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (str(int(later(hours=1).timestamp() * 1000)), later(hours=1)),
        (int(later(days=30).timestamp() * 1000), later(days=30)),
        (None, later(hours=1)),
        ("soon", later(hours=1)),
        (-5, later(hours=1)),
        (0, later(hours=1)),
        (True, later(hours=1)),
        (10**30, later(hours=1)),
        (2**62, later(hours=1)),
        ("1", datetime.fromtimestamp(0.001, UTC)),
    ],
)
async def test_the_end_is_what_google_says(said: Any, expected: datetime) -> None:
    upstream, _ = await make(channel(expiration=said))
    assert upstream.expires_at == expected


async def test_a_shorter_life_can_be_asked_for() -> None:
    _, asking = await make(channel(), channel_life="1h")
    assert asking["expiration"] == int(later(hours=1).timestamp() * 1000)


@pytest.mark.parametrize("said", [answer([]), answer({}), channel(resourceId=7), answer(b"<html>")])
async def test_an_answer_that_is_no_channel_is_asked_for_again(said: Answer) -> None:
    with pytest.raises(Unavailable):
        await make(said)


@pytest.mark.parametrize(
    ("said", "error", "why"),
    [
        (
            refused(
                400,
                "pushNotSupportedForRequestedResource",
                "Push notifications are not supported by this resource.",
            ),
            Rejected,
            "sends no notifications for Ada",
        ),
        (
            refused(400, "webhookUrlNotHttps", "WebHook callback must be HTTPS: http://x"),
            Rejected,
            "by https",
        ),
        (
            refused(401, "push.webhookUrlUnauthorized", "Unauthorized WebHook callback channel: https://x"),
            Rejected,
            "by https",
        ),
        (refused(404, "notFound", "Not Found"), Rejected, "does not show the calendar Ada"),
        (refused(403, "forbidden", "Forbidden"), Rejected, "may not watch the calendar Ada"),
        (refused(409, "conflict", "Odd"), Rejected, "Odd"),
        (refused(401, "authError"), AuthExpired, "refused"),
        (refused(403, "rateLimitExceeded"), Unavailable, "rateLimitExceeded"),
        (refused(503, "backendError"), Unavailable, "503"),
    ],
)
async def test_a_refusal_says_what_to_do(said: Answer, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        await make(said)


async def test_what_is_not_on_the_list_can_not_be_watched() -> None:
    with pytest.raises(Rejected, match="no calendar called Trip"):
        await connector().register(ScriptedApi(), Target("name:Trip", "Trip"), URL, "s")


# --- its life -----------------------------------------------------------------------------------------------------

FORMER = Upstream(id="old", target=ME, kinds=KINDS, expires_at=later(days=3), data={"resource": "o3hg"})


async def renew(api: ScriptedApi) -> Upstream:
    return await connector(FakeClock(NOW)).renew(api, ME, URL, "the-secret", FORMER)


async def test_the_new_channel_stands_before_the_old_one_is_stopped() -> None:
    api = ScriptedApi({WATCH: channel(), STOP: answer(b"", 204)})
    upstream = await renew(api)
    assert api.calls == [WATCH, STOP]
    assert api.asked[1].json == {"id": "old", "resourceId": "o3hg"}
    assert (upstream.id != "old", upstream.expires_at) == (True, later(days=7))


@pytest.mark.parametrize(
    "stopped",
    [refused(404, "notFound"), refused(400, "invalid"), refused(500, "backendError"), Unavailable("")],
)
async def test_an_old_channel_that_can_not_be_stopped_keeps_no_new_one_from_standing(stopped: Any) -> None:
    assert (await renew(ScriptedApi({WATCH: channel(), STOP: stopped}))).id != "old"


@pytest.mark.parametrize("said", [refused(404, "notFound"), Unavailable("")])
async def test_where_no_new_channel_is_made_the_old_one_is_left_alone(said: Any) -> None:
    api = ScriptedApi({WATCH: said})
    with pytest.raises((Rejected, Unavailable)):
        await renew(api)
    assert api.calls == [WATCH]


async def test_a_channel_stands_until_its_end() -> None:
    clock, api = FakeClock(NOW), ScriptedApi()
    of = connector(clock)
    assert await of.check(api, FORMER) == FORMER
    await clock.advance(timedelta(days=3).total_seconds())
    for ended in (FORMER, Upstream(id="x", target=ME)):
        with pytest.raises(Rejected) as caught:
            await of.check(api, ended)
        assert caught.value.status == 404
    assert api.calls == []  # nobody lists channels


@pytest.mark.parametrize(
    "said", [answer(b"", 204), answer({}), refused(404, "notFound"), refused(410, "gone")]
)
async def test_one_that_is_gone_already_is_fine(said: Answer) -> None:
    await connector().unregister(ScriptedApi({STOP: said}), FORMER)


# --- the connector ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_url", "url", "reaches"),
    [
        ("https://www.googleapis.com/calendar/v3", "https://tidings.example.org/x", True),
        ("https://www.googleapis.com/calendar/v3", "http://tidings.example.org/x", False),
        ("https://www.googleapis.com/calendar/v3", "https://127.0.0.1/x", False),
        ("https://www.googleapis.com/calendar/v3", "http://localhost:8080/x", False),
        ("http://127.0.0.1:8080/sandbox/calendar/v3", "http://127.0.0.1:8080/x", True),
    ],
)
def test_google_reaches_public_addresses_by_https(api_url: str, url: str, *, reaches: bool) -> None:
    assert connector(api_url=api_url).reaches(url) is reaches


def test_it_asks_for_no_more_than_it_reads() -> None:
    of = connector(client_id="id", client_secret="secret")
    assert of.oauth.needed_scopes == (
        "https://www.googleapis.com/auth/calendar.events.readonly",
        "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
    )
    assert (of.platform, of.display_name, of.oauth.provider) == ("calendar", "Google Calendar", "google")
    assert of.poll_every_seconds == 7200
    assert of.budgets == (Budget(600, 60.0, per_account=True),)
    assert of.shared_keys == Keys()
    assert [one.id for one in of.clients] == ["id"]


async def test_an_account_is_known_by_what_never_changes() -> None:
    userinfo = "GET https://openidconnect.googleapis.com/v1/userinfo"
    said = {"sub": "10769150350006150715113082367", "email": "ada@example.org", "name": "Ada", "picture": "p"}
    account = await connector().identify(ScriptedApi({userinfo: answer(said)}))
    assert (account.key, account.name, account.avatar_url) == (said["sub"], "ada@example.org", "p")
    with pytest.raises(Rejected):
        await connector().identify(ScriptedApi({userinfo: answer({"email": "ada@example.org"})}))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (refused(403, "userRateLimitExceeded"), 30),
        (refused(429, "rateLimitExceeded"), 30),
        (refused(403, "quotaExceeded"), 3600),
        (refused(403, "forbidden"), None),
        (refused(404, "notFound"), None),
    ],
)
def test_a_limit_is_told_from_a_refusal(said: Answer, seconds: float | None) -> None:
    pause = connector().pause(said, NOW)
    assert (None if pause is None else pause.seconds) == seconds


@pytest.mark.parametrize(
    "options",
    [
        {"poll_every": "soon"},
        {"channel_life": "-1d"},
        {"calls_per_minute": 3},
        {"api_url": "ftp://x"},
        {"calendars": []},
    ],
)
def test_what_can_not_be_is_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        CalendarOptions(**options)


async def test_targets_are_the_calendars_that_google_shows() -> None:
    items = [
        {"id": "ada@example.org", "summary": "Ada", "primary": True, "accessRole": "owner"},
        {"id": "en.de#holiday@group.v.calendar.google.com", "selected": True, "accessRole": "reader"},
    ]
    script = {f"GET {LIST}": answer({"items": items, "nextSyncToken": "t"})}
    of = connector()
    assert await of.targets(ScriptedApi(script), {}) == [ME]
    both = {"calendars": ["ADA", "Trip"]}
    assert await of.targets(ScriptedApi(script), both) == [ME, Target("name:Trip", "Trip")]
    assert await polled(of, ScriptedApi(script), asked(calendars=[]))
