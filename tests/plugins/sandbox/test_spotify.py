"""The emulated Spotify Web API answers as the real one is documented to."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings_sandbox.catalog import COUNT, track
from tidings_sandbox.listener import Listener
from tidings_sandbox.quota import Quota

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"
ALL = "user-read-recently-played user-read-currently-playing user-read-playback-state user-library-read"
NOON = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


class Api:
    """The API, as somebody's app calls it."""

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
        self._http = http
        self._headers = {"authorization": f"Bearer {tokens['access_token']}"}

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        return await self._http.get(f"/sandbox/spotify/v1{path}", params=parameters, headers=self._headers)

    async def plays(self, **parameters: Any) -> Any:
        answer = await self.get("/me/player/recently-played", **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def api(http, spotify) -> Api:
    return Api(http, await spotify.connect(scope=ALL))


def numbers(page: Any) -> list[int]:
    return [int(item["track"]["id"][-10:]) for item in page["items"]]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def play(world, clock, *tracks: int) -> None:
    """A play every 50 seconds."""
    for number in tracks:
        await clock.advance(50)
        world.act("spotify", "play", OTTILIE, track=number)


# --- who asks ---


async def test_me_tells_the_immutable_account_id_and_no_field_that_development_mode_lost(api):
    me = (await api.get("/me")).json()
    assert me["account_id"] == "sandbox000000000000000"
    assert me["display_name"] == "Ottilie Otterbourne"
    assert not {"email", "country", "product", "followers", "explicit_content"} & me.keys()


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "No token provided"),
        ({"authorization": "Bearer wrong"}, "The access token expired"),
        ({"authorization": "Basic eDp5"}, "The access token expired"),
    ],
)
async def test_without_a_living_token_the_answer_is_401(http, headers, message):
    answer = await http.get("/sandbox/spotify/v1/me", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": {"status": 401, "message": message}}


async def test_an_expired_token_gets_401(api, clock):
    await clock.advance(3599)
    assert (await api.get("/me")).status_code == 200
    await clock.advance(1)
    assert (await api.get("/me")).status_code == 401


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/me/player/recently-played", "user-read-recently-played"),
        ("/me/player/currently-playing", "user-read-currently-playing"),
        ("/me/player", "user-read-playback-state"),
        ("/me/tracks", "user-library-read"),
    ],
)
async def test_each_endpoint_needs_its_scope(http, spotify, path, scope):
    with_it = Api(http, await spotify.connect(scope=scope))
    others = " ".join(other for other in ALL.split() if other != scope and "playback" not in other)
    without = Api(http, await spotify.connect(scope=others))
    assert (await with_it.get(path)).status_code in {200, 204}
    answer = await without.get(path)
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "Insufficient client scope")


async def test_an_app_serves_five_people_and_refuses_the_sixth_who_could_sign_in_all_the_same(
    world, http, spotify
):
    people = list(world.stage.people)
    apis = [Api(http, await spotify.connect(person.key)) for person in people[:6]]
    statuses = [(await api.get("/me")).status_code for api in apis]
    assert statuses == [200] * 5 + [403]
    refusal = await apis[5].get("/me")
    assert refusal.json()["error"]["message"] == "User not registered in the Developer Dashboard"


async def test_without_premium_of_the_owner_everything_is_403(world, api):
    world.spotify.owner_has_premium = False
    answer = await api.get("/me")
    assert answer.status_code == 403
    assert "premium" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/nothing", 404), ("/v1/me", 405)])
async def test_what_is_not_there_is_an_error_in_spotifys_form(http, spotify, path, status):
    tokens = await spotify.connect()
    method = "POST" if status == 405 else "GET"
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    answer = await http.request(method, f"/sandbox/spotify{path}", headers=headers)
    assert answer.status_code == answer.json()["error"]["status"] == status


# --- recently played ---


async def test_plays_come_newest_first_with_cursors(world, clock, api):
    await play(world, clock, 1, 2, 3)
    page = await api.plays()
    assert numbers(page) == [3, 2, 1]
    assert page["items"][0]["played_at"] == "2026-01-01T12:02:30.000Z"
    assert page["cursors"] == {
        "after": str(ms(page["items"][0]["played_at"])),
        "before": str(ms(page["items"][2]["played_at"])),
    }
    assert (page["limit"], page["next"]) == (20, None)
    shown = page["items"][0]["track"]
    assert shown["uri"] == f"spotify:track:{shown['id']}"
    assert len(shown["id"]) == 22
    assert shown["artists"][0]["name"]
    assert shown["album"]["images"][0]["url"].startswith("http://127.0.0.1:8080/sandbox/static/cover-")


async def test_no_plays_have_no_cursors(api):
    page = await api.plays(limit=50)
    assert (page["items"], page["cursors"], page["next"]) == ([], None, None)


async def test_after_and_before_are_exclusive(world, clock, api):
    await play(world, clock, 1, 2, 3)
    middle = ms((await api.plays())["items"][1]["played_at"])
    assert numbers(await api.plays(after=middle)) == [3]
    assert numbers(await api.plays(after=middle - 1)) == [3, 2]
    assert numbers(await api.plays(before=middle)) == [1]


async def test_older_pages_are_reached_by_before_up_to_fifty_plays_back(world, clock, api):
    await play(world, clock, *range(60))
    page = await api.plays(limit=30)
    assert numbers(page) == list(range(59, 29, -1))
    assert httpx.URL(page["next"]).params["before"] == page["cursors"]["before"]
    page = await api.plays(limit=30, before=page["cursors"]["before"])
    assert numbers(page) == list(range(29, 9, -1))
    assert page["next"] is None
    assert (await api.plays(before=page["cursors"]["before"]))["items"] == []


@pytest.mark.parametrize(
    "parameters", [{"limit": 0}, {"limit": 51}, {"limit": "x"}, {"after": "x"}, {"after": 1, "before": 2}]
)
async def test_parameters_that_make_no_sense_are_400(api, parameters):
    answer = await api.get("/me/player/recently-played", **parameters)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, 400)


async def test_a_play_from_an_offline_device_is_listed_late_at_its_own_time(world, clock, api):
    await play(world, clock, 1, 2)
    happening = world.act("spotify", "play", OTTILIE, track=3, ago_seconds=20)
    assert numbers(await api.plays()) == [2, 3, 1]
    assert happening.at == clock.now() - timedelta(seconds=20)


async def test_nobody_sees_the_plays_of_another(world, clock, http, spotify, api):
    await play(world, clock, 1)
    theirs = Api(http, await spotify.connect(BRAM, ALL))
    assert (await theirs.plays())["items"] == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=120), st.integers(-10, 10_010), st.integers(1, 50))
def test_whatever_is_asked_the_answer_is_the_newest_of_the_last_fifty(offsets, after, limit):
    listener = Listener()
    played = track(0, "http://127.0.0.1")
    for offset in offsets:
        listener.add_play(NOON + timedelta(milliseconds=offset), played)
    base = round(NOON.timestamp() * 1000)
    kept = sorted(offsets)[-50:]  # as long as they come in order; late ones may push out older ones only
    found = [play.played_at_ms - base for play in listener.between(base + after, None, limit)]
    assert found == sorted((offset for offset in kept if offset > after), reverse=True)[:limit]


# --- what plays now ---


async def test_nothing_playing_is_204_without_a_body(api):
    for path in ("/me/player/currently-playing", "/me/player"):
        answer = await api.get(path, additional_types="track,episode")
        assert (answer.status_code, answer.content) == (204, b"")


async def test_what_plays_now_shows_its_progress_and_becomes_a_play_when_it_ends(world, clock, api):
    world.act("spotify", "listen", OTTILIE, track=5)
    await clock.advance(42)
    now = (await api.get("/me/player/currently-playing")).json()
    assert now["item"]["id"] == track(5, "http://127.0.0.1:8080").id
    assert (now["progress_ms"], now["is_playing"], now["currently_playing_type"]) == (42_000, True, "track")
    assert (await api.get("/me/player")).json()["device"]["is_active"]
    await clock.advance(now["item"]["duration_ms"] / 1000)
    await world.settle()
    assert (await api.get("/me/player/currently-playing")).status_code == 204
    assert numbers(await api.plays()) == [5]
    assert [happening.kind for happening in world.happenings(OTTILIE)] == ["play"]


async def test_what_is_stopped_early_or_was_short_is_not_listed(world, clock, api):
    world.act("spotify", "listen", OTTILIE, track=5, seconds=300)
    world.act("spotify", "listen", OTTILIE, track=6, seconds=30)
    await clock.advance(300)
    await world.settle()
    assert (await api.plays())["items"] == []


# --- saved tracks ---


async def test_saved_tracks_are_paged_newest_first(world, clock, api):
    for number in range(5):
        world.act("spotify", "like", OTTILIE, track=number)
        await clock.advance(1)
    page = (await api.get("/me/tracks", limit=2)).json()
    assert (numbers(page), page["total"], page["previous"]) == ([4, 3], 5, None)
    assert page["items"][0]["added_at"] == "2026-01-01T12:00:04Z"
    offsets = httpx.URL(page["next"]).params["offset"]
    page = (await api.get("/me/tracks", limit=2, offset=offsets)).json()
    assert numbers(page) == [2, 1]
    page = (await api.get("/me/tracks", limit=2, offset=4)).json()
    assert (numbers(page), page["next"]) == ([0], None)
    assert (await api.get("/me/tracks", offset=9)).json()["items"] == []


async def test_an_unsaved_track_is_gone_and_a_track_saved_again_is_new(world, clock, api):
    for number in (1, 2):
        world.act("spotify", "like", OTTILIE, track=number)
    world.act("spotify", "unlike", OTTILIE)
    assert numbers((await api.get("/me/tracks")).json()) == [1]
    await clock.advance(5)
    world.act("spotify", "like", OTTILIE, track=1)
    page = (await api.get("/me/tracks")).json()
    assert (numbers(page), page["items"][0]["added_at"]) == ([1], "2026-01-01T12:00:05Z")


@pytest.mark.parametrize("parameters", [{"limit": 51}, {"offset": -1}, {"offset": "x"}])
async def test_saved_tracks_refuse_nonsense(api, parameters):
    assert (await api.get("/me/tracks", **parameters)).status_code == 400


# --- limits ---


async def test_beyond_the_rate_limit_the_app_is_told_how_long_to_wait(world, clock, http, spotify):
    world.spotify.calls_per_window = 3
    api = Api(http, await spotify.connect(scope=ALL))
    await clock.advance(1)
    for _ in range(3):
        assert (await api.get("/me")).status_code == 200
        await clock.advance(1)
    answer = await api.get("/me")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "27")
    assert "reason" not in answer.json()["error"]
    await clock.advance(27)
    assert (await api.get("/me")).status_code == 200


async def test_a_used_up_quota_says_so_and_lasts_for_hours(world, clock, http, spotify):
    world.spotify.calls_per_day = 4
    world.spotify.consents.dialect.access_seconds = 10**6
    api = Api(http, await spotify.connect(scope=ALL))
    for _ in range(4):
        assert (await api.get("/me")).status_code == 200
        await clock.advance(3600)
    answer = await api.get("/me")
    assert answer.status_code == 429
    assert answer.json() == {
        "error": {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
    }
    wait = int(answer.headers["retry-after"])
    assert wait == 22 * 3600
    await clock.advance(wait - 1)
    assert (await api.get("/me")).status_code == 429
    await clock.advance(1)
    assert (await api.get("/me")).status_code == 200


async def test_each_app_has_a_quota_of_its_own(world, http, spotify):
    world.spotify.calls_per_day = 1
    api = Api(http, await spotify.connect())
    spotify.client_id = "sandbox-spotify-2"
    spotify.secret = world.spotify.consents.app(spotify.client_id).client_secret
    other = Api(http, await spotify.connect(BRAM))
    assert [(await one.get("/me")).status_code for one in (api, api, other)] == [200, 429, 200]


@settings(deadline=None)
@given(st.lists(st.floats(0, 20_000), min_size=1, max_size=80))
def test_a_quota_never_lets_more_through_than_it_says(waits):
    quota = Quota(per_window=3, window_seconds=30, per_day=10)
    at, taken = NOON, []
    for wait in waits:
        at += timedelta(seconds=wait)
        if quota.take(at) is None:
            taken.append(at)
    for instant in taken:
        assert sum(instant - timedelta(seconds=30) < one <= instant for one in taken) <= 3
        assert sum(instant - timedelta(days=1) < one <= instant for one in taken) <= 10


# --- what happens ---


def test_every_happening_has_a_key_of_its_own_that_the_api_shows(world):
    for _ in range(60):
        world.act("spotify", "play", OTTILIE)
        world.act("spotify", "like", OTTILIE)
    keys = [happening.key for happening in world.happenings(OTTILIE)]
    assert len(set(keys)) == len(keys) == 120


@pytest.mark.parametrize(
    ("kind", "person", "details"),
    [
        ("dance", OTTILIE, {}),
        ("play", "nobody", {}),
        ("play", OTTILIE, {"track": COUNT}),
        ("unlike", OTTILIE, {}),
    ],
)
def test_what_can_not_happen_says_why(world, kind, person, details):
    with pytest.raises(LookupError, match=r"There (is|are)|has no"):
        world.act("spotify", kind, person, **details)
