"""The emulated Data API answers as the real one is documented to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tidings_sandbox.faults import Fault

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"


def reason(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


async def test_the_token_acts_for_its_persons_channel(caller):
    page = await caller.page("/channels", mine="true")
    (item,) = page["items"]
    assert item["id"] == "UCsandboxPerson000000000"
    assert item["snippet"]["title"] == "Ottilie Otterbourne"
    assert item["contentDetails"]["relatedPlaylists"] == {
        "uploads": "UUsandboxPerson000000000",
        "likes": "LL",
    }


async def test_other_channels_show_their_uploads_and_nobodys_likes(caller):
    page = await caller.page("/channels", id=f"{caller.channels[0]},{caller.channels[1]},UCnobody")
    assert [item["id"] for item in page["items"]] == caller.channels[:2]
    assert "likes" not in page["items"][0]["contentDetails"]["relatedPlaylists"]


async def test_a_google_account_without_a_channel_has_nothing(caller):
    caller.youtube.api.without_channel.add(OTTILIE)
    page = await caller.page("/channels", mine="true")
    assert "items" not in page
    assert reason(await caller.get("/subscriptions", part="snippet", mine="true")) == (
        401,
        "youtubeSignupRequired",
    )


async def test_subscriptions_come_in_the_order_of_their_titles_page_by_page(caller):
    for _ in range(20):
        caller.act("subscribe")
    titles: list[str] = []
    token: dict[str, str] = {}
    sizes = []
    while True:
        page = await caller.page(
            "/subscriptions", mine="true", maxResults="10", order="alphabetical", **token
        )
        titles += [item["snippet"]["title"] for item in page["items"]]
        sizes.append(len(page["items"]))
        if "nextPageToken" not in page:
            break
        token = {"pageToken": page["nextPageToken"]}
    assert sizes == [10, 10, 6]
    assert titles == sorted(titles)
    assert page["pageInfo"]["totalResults"] == 26


async def test_uploads_are_listed_newest_first_and_private_ones_to_their_owner_alone(caller):
    first, second = caller.upload(), caller.upload()
    uploads = f"UU{caller.channels[0][2:]}"
    assert (await caller.ids(uploads))[:2] == [second, first]
    hidden = caller.upload(is_public=False)
    assert hidden not in await caller.ids(uploads)
    own = caller.act("own_upload", is_public=False).key.rpartition(":")[2]
    page = await caller.page(
        "/playlistItems", playlistId="UUsandboxPerson000000000", part="contentDetails,status"
    )
    assert page["items"][0]["contentDetails"] == {"videoId": own}
    assert page["items"][0]["status"] == {"privacyStatus": "private"}


async def test_every_channel_has_a_past_that_is_the_same_in_every_run(caller):
    assert await caller.ids("UUsandboxChannel00000007") == ["sbx000007o2", "sbx000007o1", "sbx000007o0"]


async def test_a_channel_without_uploads_has_no_playlist(caller):
    answer = await caller.get("/playlistItems", part="snippet", playlistId="UUsandboxPerson000000000")
    assert reason(answer) == (404, "playlistNotFound")


async def test_likes_bear_their_instant_and_a_video_its_own(caller, clock):
    assert await caller.ids("LL") == []
    await clock.advance(3600)
    caller.act("like")
    page = await caller.page("/playlistItems", playlistId="LL")
    (item,) = page["items"]
    assert item["snippet"]["publishedAt"] == f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert item["contentDetails"]["videoPublishedAt"] < "2026"
    assert item["snippet"]["videoOwnerChannelId"] in caller.channels
    video = item["contentDetails"]["videoId"]
    await clock.advance(60)
    caller.act("like")
    caller.act("like", video=video)
    assert (await caller.ids("LL"))[0] == video
    caller.act("delete", video=video)
    assert video not in await caller.ids("LL")


async def test_playlists_show_how_many_entries_they_have_and_their_owner_alone_sees_these(caller, clock):
    assert "items" not in await caller.page("/playlists", mine="true")
    caller.act("playlist_made", title="Rain")
    await clock.advance(60)
    caller.act("playlist_added")
    caller.act("playlist_added")
    (shown,) = (await caller.page("/playlists", mine="true"))["items"]
    assert (shown["snippet"]["title"], shown["contentDetails"]["itemCount"]) == ("Rain", 2)
    assert shown["snippet"]["publishedAt"] == f"{clock.now() - timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}"
    page = await caller.page("/playlistItems", playlistId=shown["id"])
    first, second = page["items"]
    assert first["snippet"]["publishedAt"] == f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    caller.act("delete", video=first["contentDetails"]["videoId"])
    assert await caller.ids(shown["id"]) == [second["contentDetails"]["videoId"]]
    caller.world.act("youtube", "playlist_made", BRAM)
    (theirs,) = caller.youtube.place.member(caller.world.person(BRAM)).playlists
    answer = await caller.get("/playlistItems", part="snippet", playlistId=theirs)
    assert reason(answer) == (404, "playlistNotFound")
    caller.act("playlist_deleted", playlist=shown["id"])
    assert "items" not in await caller.page("/playlists", mine="true")
    answer = await caller.get("/playlists", part="snippet", channelId="UCsandboxPerson000000001")
    assert reason(answer) == (400, "missingRequiredParameter")


async def test_videos_tell_their_length_and_whether_they_are_live(caller):
    film, stream, hidden = caller.upload(), caller.upload(live="upcoming"), caller.upload(is_public=False)
    page = await caller.page("/videos", id=f"{film},{stream},{hidden},nothing")
    shown = {item["id"]: item for item in page["items"]}
    assert set(shown) == {film, stream}
    assert shown[film]["contentDetails"]["duration"].startswith("PT")
    assert shown[film]["snippet"]["liveBroadcastContent"] == "none"
    assert shown[stream]["snippet"]["liveBroadcastContent"] == "upcoming"


@pytest.mark.parametrize(
    ("path", "parameters", "refusal"),
    [
        ("/channels", {}, (400, "missingRequiredParameter")),
        ("/channels", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("/channels", {"part": "secrets", "mine": "true"}, (400, "unknownPart")),
        ("/channels", {"part": "snippet", "id": ",".join(map(str, range(51)))}, (400, "invalidFilters")),
        ("/subscriptions", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("/subscriptions", {"part": "snippet", "mine": "true", "maxResults": "51"}, (400, "invalidValue")),
        ("/subscriptions", {"part": "snippet", "mine": "true", "maxResults": "x"}, (400, "invalidValue")),
        ("/subscriptions", {"part": "snippet", "mine": "true", "pageToken": "x"}, (400, "invalidPageToken")),
        (
            "/subscriptions",
            {"part": "snippet", "mine": "true", "pageToken": "b2Zmc2V0"},
            (400, "invalidPageToken"),
        ),
        ("/playlistItems", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("/playlistItems", {"part": "snippet", "playlistId": "PLx"}, (404, "playlistNotFound")),
        ("/playlistItems", {"part": "snippet", "playlistId": "UUnobody"}, (404, "playlistNotFound")),
        ("/videos", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("/search", {"part": "snippet", "q": "x"}, (404, "notFound")),
    ],
)
async def test_what_is_wrong_is_refused(caller, path, parameters, refusal):
    assert reason(await caller.get(path, **parameters)) == refusal


async def test_a_dead_token_and_one_without_the_scope_are_refused(caller):
    caller.youtube.consents.expire_access(OTTILIE)
    assert reason(await caller.get("/channels", part="snippet", mine="true")) == (401, "authError")
    caller.be(BRAM, "openid")
    assert reason(await caller.get("/channels", part="snippet", mine="true")) == (
        403,
        "insufficientPermissions",
    )


async def test_the_days_units_are_everybodys_and_come_back_at_midnight_in_california(caller, clock):
    caller.youtube.api.units.limit = 3
    for _ in range(3):
        await caller.page("/channels", mine="true")
    assert reason(await caller.get("/channels", part="snippet", mine="true")) == (403, "quotaExceeded")
    assert caller.youtube.describe()["units_today"] == 3
    midnight = datetime.fromisoformat("2026-01-02T08:00:00+00:00")
    await clock.advance((midnight - clock.now()).total_seconds() - 1)
    assert reason(await caller.get("/channels", part="snippet", mine="true")) == (403, "quotaExceeded")
    await clock.advance(1)
    await caller.page("/channels", mine="true")


async def test_what_is_wrong_costs_a_unit_too(caller):
    await caller.get("/channels")
    assert caller.youtube.api.units.used(caller.youtube.now()) == 1


async def test_faults_hit_the_api_and_not_the_hub_where_they_are_so(caller):
    caller.youtube.faults.add(Fault("error", status=503, path="/v3/"))
    assert (await caller.get("/channels", part="snippet", mine="true")).status_code == 503
    assert (await caller.subscribe()).status_code == 202


# --- what happens ---


async def test_an_upload_is_recorded_for_everybody_who_subscribes(caller):
    shared = "UCsandboxChannel00000002"
    caller.youtube.place.member(caller.world.person(BRAM)).subscriptions[shared] = caller.youtube.now()
    happening = caller.act("upload", channel=shared)
    assert {(one.person, one.key) for one in caller.world.happenings(platform="youtube")} == {
        (OTTILIE, happening.key),
        (BRAM, happening.key),
    }
    assert happening.key.startswith("youtube:video:")
    assert len(happening.key.rpartition(":")[2]) == 11


async def test_what_tidings_need_not_tell_is_not_recorded(caller):
    caller.act("edit")
    caller.act("own_upload", is_public=False)
    assert caller.world.happenings() == []


async def test_subscribing_and_unsubscribing_change_what_is_listed(caller):
    new = caller.act("subscribe").key.split(":")
    assert new[:3] == ["youtube", "subscribed", "UCsandboxPerson000000000"]
    assert new[3] in caller.channels
    caller.act("unsubscribe", channel=new[3])
    assert new[3] not in caller.channels


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("dance", {}),
        ("upload", {"channel": "UCnobody"}),
        ("upload", {"live": "sometimes"}),
        ("like", {"video": "nothing"}),
        ("playlist_added", {"playlist": "PLnothing"}),
        ("playlist_deleted", {}),
        ("subscribe", {"channel": "UCnobody"}),
        ("unsubscribe", {"channel": "UCnobody"}),
        ("upload", {"ago_seconds": -1}),
    ],
)
async def test_what_can_not_happen_says_why(caller, kind, details):
    with pytest.raises(LookupError):
        caller.act(kind, **details)


async def test_who_subscribes_to_nothing_sees_no_upload(caller):
    for channel in caller.channels:
        caller.act("unsubscribe", channel=channel)
    with pytest.raises(LookupError, match="no channel"):
        caller.act("upload")


async def test_a_person_may_subscribe_to_more_from_the_start(caller):
    caller.youtube.place.subscriptions_each = 20
    assert len(caller.youtube.place.member(caller.world.person(BRAM)).subscriptions) == 20
    neighbours = [
        set(caller.youtube.place.member(person).subscriptions) for person in caller.world.stage.people
    ][1:3]
    assert len(neighbours[0] & neighbours[1]) == 10


async def test_a_late_upload_shows_its_own_instant(caller, clock):
    video = caller.upload(ago_seconds=3600)
    page = await caller.page("/videos", id=video)
    published = datetime.fromisoformat(page["items"][0]["snippet"]["publishedAt"])
    assert published == clock.now() - timedelta(hours=1)
