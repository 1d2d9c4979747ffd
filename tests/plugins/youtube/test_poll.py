"""Uploads, likes and subscriptions are told once each, each at its pace, and what was there at first never."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import rfc3339
from youtube_exchanges import ME, NOON, Viewer

DAY = 86_400.0


@pytest.fixture
def viewer() -> Viewer:
    return Viewer()


async def test_what_was_there_when_an_account_is_connected_is_no_news(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    for days in (300, 2, 1):
        viewer.youtube.publish("UCa", f"old{days}", NOON - timedelta(days=days))
    viewer.youtube.publish(ME, "mine", NOON - timedelta(minutes=1))
    viewer.youtube.likes = [("liked", NOON - timedelta(minutes=1))]
    assert await viewer.poll() == []
    assert await viewer.poll(3) == []
    assert await viewer.poll(24 * 30) == []


async def test_it_takes_a_call_for_each_list(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    assert viewer.youtube.asked == [
        "/channels",
        "/subscriptions",
        "/channels UCa,UCb",
        "/playlistItems LL",
        "/playlists",
        "/playlistItems UUme",
        "/playlistItems UUa",
        "/playlistItems UUb",
    ]


async def test_uploads_are_told_once_oldest_first_under_their_channels_target(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    viewer.youtube.publish("UCa", "old", NOON - timedelta(days=1))
    await viewer.poll()
    for minutes in (10, 20):
        viewer.youtube.publish("UCa", f"a{minutes}", NOON + timedelta(minutes=minutes))
    viewer.youtube.publish("UCb", "b5", NOON + timedelta(minutes=5))
    viewer.youtube.publish(ME, "mine", NOON + timedelta(minutes=5))
    told = await viewer.poll(2.1)
    assert sorted(told) == [f"youtube:video:{one}" for one in ("a10", "a20", "b5", "mine")]
    assert told.index("youtube:video:a10") < told.index("youtube:video:a20")
    targets = {piece.target: [event.subject for event in piece.events] for piece in viewer.pieces}
    assert targets == {"channel:UCa": ["a10", "a20"], "channel:UCb": ["b5"], "channel:UCme": ["mine"], "": []}
    assert await viewer.poll(2.1) == []


async def test_a_found_video_has_the_id_of_a_pushed_one_and_more_details(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    viewer.youtube.publish("UCa", "v", NOON + timedelta(minutes=10), duration="PT1H2M3S")
    viewer.youtube.publish("UCa", "l", NOON + timedelta(minutes=20), live="live", duration="P0D")
    viewer.youtube.publish("UCa", "u", NOON + timedelta(minutes=30), live="upcoming", duration="nonsense")
    await viewer.poll(2.1)
    film, live, upcoming = viewer.events
    assert (film.id, film.type, film.time) == (
        "youtube:video:v",
        "com.youtube.video",
        NOON + timedelta(minutes=10),
    )
    assert film.data["text"] == "Title of UCa published a video (1:02:03)."
    assert film.data["video"]["duration_seconds"] == 3723
    assert live.data["text"] == "Title of UCa is live."
    assert upcoming.data["text"] == "Title of UCa announces a live stream."
    assert (live.data["video"]["live"], live.data["video"]["duration_seconds"]) == ("live", None)


async def test_details_of_many_are_asked_for_together(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    for number in range(30):
        for channel in ("UCa", "UCb"):
            viewer.youtube.publish(channel, f"{channel}{number}", viewer.at(0.01 * number))
    assert len(await viewer.poll(2.1)) == 60
    assert [len(one.split(",")) for one in viewer.youtube.asked if one.startswith("/videos")] == [50, 10]


async def test_what_nobody_may_see_by_then_is_told_once_everybody_may(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    viewer.youtube.publish("UCa", "v", viewer.at(0.1))
    viewer.youtube.gone.add("v")
    assert await viewer.poll(2.1) == []
    viewer.youtube.gone.clear()
    assert await viewer.poll(2.1) == ["youtube:video:v"]
    assert await viewer.poll(2.1) == []


async def test_own_videos_are_told_when_they_are_public(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.youtube.publish(ME, "v", viewer.at(0.1), privacy="private")
    viewer.youtube.publish(ME, "w", viewer.at(0.1), privacy="unlisted")
    assert await viewer.poll(2.1) == []
    viewer.youtube.uploads[ME][1].privacy = "public"
    viewer.youtube.uploads[ME][1].at = viewer.at(0.1)
    assert await viewer.poll(2.1) == ["youtube:video:v"]


async def test_without_details_it_is_told_all_the_same(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    viewer.youtube.publish("UCa", "v", viewer.at(0.1))
    viewer.youtube.failures["/videos"] = Unavailable("Down.")
    assert await viewer.poll(2.1) == ["youtube:video:v"]


async def test_a_dead_token_is_told_after_what_was_found(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    viewer.youtube.publish("UCa", "v", viewer.at(0.1))
    viewer.youtube.failures["/videos"] = AuthExpired("Dead.")
    with pytest.raises(AuthExpired):
        await viewer.poll(2.1)
    assert viewer.ids == ["youtube:video:v"]


@pytest.mark.parametrize("failure", [Unavailable("Down."), Rejected("No.", status=403), AuthExpired("Dead.")])
async def test_what_was_found_before_a_failure_is_told_and_the_rest_later(
    viewer: Viewer, failure: Exception
) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    for channel in ("UCa", "UCb"):
        viewer.youtube.publish(channel, f"of{channel}", viewer.at(0.1))
    viewer.youtube.failures["/playlistItems UUb"] = failure
    with pytest.raises(type(failure)):
        await viewer.poll(2.1)
    assert viewer.ids == ["youtube:video:ofUCa"]
    viewer.youtube.failures.clear()
    assert await viewer.poll(0.1) == ["youtube:video:ofUCb"]


async def test_each_piece_comes_with_the_checkpoint_after_it(viewer: Viewer) -> None:
    """A crash between two pieces loses nothing of the second."""
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    for channel in ("UCa", "UCb"):
        viewer.youtube.publish(channel, f"of{channel}", viewer.at(0.1))
    await viewer.poll(2.1)
    first, second = [piece for piece in viewer.pieces if piece.events]
    viewer.checkpoint, viewer.events = first.checkpoint, []
    assert await viewer.poll(2.1) == [event.id for event in second.events]


async def test_a_channel_that_is_closed_or_empty_is_passed_over(viewer: Viewer) -> None:
    viewer.subscribe("UCempty", "UCa")
    await viewer.poll()
    viewer.youtube.publish("UCa", "v", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:v"]
    viewer.youtube.publish("UCempty", "first", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:first"]


async def test_old_videos_that_an_empty_list_shows_later_are_no_news(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    for days in (300, 30, 8, 3):
        viewer.youtube.publish("UCa", f"old{days}", NOON - timedelta(days=days))
    assert await viewer.poll(2.1) == []


async def test_deleting_videos_brings_no_older_ones_back(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    for number in range(200):
        viewer.youtube.publish(
            "UCa", f"v{number}", NOON - timedelta(hours=20) + timedelta(minutes=5 * number)
        )
    await viewer.poll()
    del viewer.youtube.uploads["UCa"][:40]
    assert await viewer.poll(2.1) == []
    viewer.youtube.publish("UCa", "new", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:new"]


async def test_a_video_made_public_late_below_others_is_told(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    viewer.youtube.publish("UCa", "old", NOON - timedelta(days=10))
    await viewer.poll()
    viewer.youtube.publish("UCa", "later", viewer.at(1))
    assert await viewer.poll(2.1) == ["youtube:video:later"]
    uploads = viewer.youtube.uploads["UCa"]
    viewer.youtube.publish("UCa", "scheduled", viewer.at(-1.5))  # published before `later`, shown only now
    uploads.insert(1, uploads.pop(0))
    assert await viewer.poll(2.1) == ["youtube:video:scheduled"]


async def test_after_a_long_silence_all_pages_of_news_are_read(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    viewer.youtube.publish("UCa", "old", NOON - timedelta(days=1))
    await viewer.poll()
    for number in range(120):
        viewer.youtube.publish("UCa", f"v{number:03}", NOON + timedelta(minutes=number))
    told = await viewer.poll(5)
    assert told == [f"youtube:video:v{number:03}" for number in range(120)]
    assert viewer.gaps == []
    assert await viewer.poll(5) == []


async def test_more_than_can_be_read_leaves_a_visible_gap(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    for number in range(250):
        viewer.youtube.publish("UCa", f"v{number:03}", NOON + timedelta(minutes=number))
    assert len(await viewer.poll(5)) == 200
    (gap,) = viewer.gaps
    assert gap.startswith("Title of UCa published more than 200 videos at once")
    assert await viewer.poll(5) == []


# --- likes ---


async def test_likes_are_told_with_their_instant_oldest_first(viewer: Viewer) -> None:
    viewer.youtube.likes = [("old", NOON - timedelta(days=1))]
    await viewer.poll()
    first, second = viewer.at(0.1), viewer.at(0.2)
    viewer.youtube.likes = [("b", second), ("a", first), *viewer.youtube.likes]
    told = await viewer.poll(0.3)
    assert told == [f"youtube:liked:{ME}:a:{rfc3339(first)}", f"youtube:liked:{ME}:b:{rfc3339(second)}"]
    event = viewer.events[0]
    assert (event.type, event.time) == ("com.youtube.liked", first)
    assert event.data["title"] == "Film a"
    assert event.data["text"] == "You liked a video by Title of UCofa."
    assert event.data["actor"]["name"] == "Title of UCofa"
    assert await viewer.poll(0.3) == []


async def test_taking_a_like_back_tells_nothing_and_giving_it_again_does(viewer: Viewer) -> None:
    viewer.youtube.likes = [(f"v{number}", NOON - timedelta(hours=number)) for number in range(80)]
    await viewer.poll()
    del viewer.youtube.likes[:30]
    assert await viewer.poll(0.3) == []
    viewer.youtube.likes.insert(0, ("v3", viewer.at(0.1)))
    assert len(await viewer.poll(0.7)) == 1


async def test_the_first_like_of_all_is_told(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.youtube.likes = [("a", viewer.at(0.1))]
    assert len(await viewer.poll(0.3)) == 1


async def test_likes_that_are_hidden_are_passed_over(viewer: Viewer) -> None:
    viewer.youtube.refusals["/playlistItems LL"] = "playlistItemsNotAccessible"
    assert await viewer.poll() == []
    viewer.youtube.likes = [("old", NOON - timedelta(days=2))]
    viewer.youtube.refusals.clear()
    assert await viewer.poll(0.3) == []


async def test_a_missing_permission_is_told_and_not_passed_over(viewer: Viewer) -> None:
    viewer.youtube.refusals["/playlistItems LL"] = "insufficientPermissions"
    with pytest.raises(Rejected, match="insufficientPermissions"):
        await viewer.poll()


# --- subscriptions ---


async def test_a_new_subscription_is_told_and_its_videos_from_then_on(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    since = viewer.at(1)
    viewer.subscribe("UCnew", since=since)
    viewer.youtube.publish("UCnew", "before", since - timedelta(minutes=5))
    viewer.youtube.publish("UCnew", "after", since + timedelta(minutes=5))
    told = await viewer.poll(6.1)
    assert told == [f"youtube:subscribed:{ME}:UCnew:{rfc3339(since)}", "youtube:video:after"]
    event = viewer.events[0]
    assert (event.type, event.time, event.data["title"]) == (
        "com.youtube.subscribed",
        since,
        "Title of UCnew",
    )
    assert event.data["url"] == "https://www.youtube.com/channel/UCnew"
    assert await viewer.poll(6.1) == []


async def test_a_subscription_that_ended_is_told_when_it_is_missing_twice(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    gone = viewer.youtube.subscriptions.pop("UCb")
    assert await viewer.poll(6.1) == []
    assert await viewer.poll(6.1) == [f"youtube:unsubscribed:{ME}:UCb:{rfc3339(gone)}"]
    assert viewer.events[0].time is None
    assert await viewer.poll(6.1) == []
    assert "UCb" not in viewer.looked_at()


async def test_a_list_that_is_empty_for_a_moment_ends_nothing(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    kept, viewer.youtube.subscriptions = viewer.youtube.subscriptions, {}
    assert await viewer.poll(6.1) == []
    viewer.youtube.subscriptions = kept
    assert await viewer.poll(6.1) == []
    assert await viewer.poll(6.1) == []


async def test_subscriptions_over_several_pages_are_all_watched(viewer: Viewer) -> None:
    viewer.subscribe(*[f"UC{number:03}" for number in range(130)])
    await viewer.poll()
    assert viewer.youtube.asked.count("/subscriptions") == 3
    assert len(viewer.checkpoint["channels"]) == 131


async def test_of_too_many_subscriptions_the_first_are_watched_and_the_others_neither_come_nor_go() -> None:
    viewer = Viewer(most_channels=60)
    viewer.subscribe(*[f"UC{number:03}" for number in range(100)])
    await viewer.poll()
    assert viewer.youtube.asked.count("/subscriptions") == 2
    assert len(viewer.checkpoint["channels"]) == 61
    viewer.subscribe("UC0000", since=viewer.at(1))
    told = await viewer.poll(6.1)
    assert [one.split(":")[1:4] for one in told] == [["subscribed", ME, "UC0000"]]
    assert len(viewer.checkpoint["channels"]) == 61
    del viewer.youtube.subscriptions["UC0000"]  # which brings an old one back into the list
    for _ in range(3):
        assert [one for one in await viewer.poll(6.1) if ":subscribed:" in one] == []


async def test_a_subscription_without_an_instant_is_watched_but_not_told(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.subscribe("UCa", since=NOON - timedelta(days=3000))
    viewer.youtube.publish("UCa", "old", NOON - timedelta(hours=1))
    assert await viewer.poll(6.1) == []
    viewer.youtube.publish("UCa", "new", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:new"]


# --- choices ---


@pytest.mark.parametrize(
    "wish", ["UCb", "title of ucb", "https://www.youtube.com/channel/UCb/", " Title of UCb "]
)
async def test_chosen_channels_alone_are_watched(viewer: Viewer, wish: str) -> None:
    viewer.subscribe("UCa", "UCb")
    viewer.settings = {"channels": [wish, 7], "own": False}
    await viewer.poll()
    assert viewer.looked_at() == ["UCb"]


async def test_what_is_not_wanted_is_not_asked_and_not_told(viewer: Viewer) -> None:
    viewer.settings = {"likes": False, "own": False, "subscriptions": False}
    viewer.subscribe("UCa")
    await viewer.poll()
    assert "/playlistItems LL" not in viewer.youtube.asked
    assert viewer.looked_at() == ["UCa"]
    viewer.subscribe("UCb", since=viewer.at(1))
    assert await viewer.poll(6.1) == []


async def test_what_was_not_wanted_before_is_no_news_when_it_is(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    viewer.settings = {"likes": False, "channels": ["UCa"]}
    await viewer.poll(6.1)
    viewer.youtube.likes = [("a", viewer.at(0.1))]
    viewer.youtube.publish("UCb", "b", viewer.at(0.1))
    assert await viewer.poll(2.1) == []
    viewer.settings = {}
    assert await viewer.poll(2.1) == []
    viewer.youtube.publish("UCb", "c", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:c"]


# --- pace ---


async def test_each_thing_is_asked_when_it_is_due(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    assert viewer.pieces[-1].next_in_seconds == 900
    await viewer.poll(0.05)
    assert viewer.youtube.asked == []
    await viewer.poll(0.25)
    assert viewer.youtube.asked == ["/playlistItems LL"]
    await viewer.poll(1.75)
    assert viewer.youtube.asked == ["/playlistItems LL", "/playlistItems UUme", "/playlistItems UUa"]
    await viewer.poll(4)
    assert viewer.youtube.asked[0] == "/subscriptions"


async def test_what_is_asked_for_just_now_is_all_looked_at(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll()
    await viewer.poll(0.01, is_urgent=True)
    assert viewer.youtube.asked == [
        "/subscriptions",
        "/playlistItems LL",
        "/playlists",
        "/playlistItems UUme",
        "/playlistItems UUa",
    ]


async def test_pushed_channels_are_asked_seldom_and_the_others_as_ever(viewer: Viewer) -> None:
    viewer.subscribe("UCa", "UCb")
    await viewer.poll()
    pushed = {"channel:UCa": frozenset({"video"}), "channel:UCme": frozenset({"video"})}
    await viewer.poll(2.1, every=DAY, pushed=pushed)
    assert viewer.looked_at() == ["UCb"]
    await viewer.poll(22, every=DAY, pushed=pushed)
    assert set(viewer.looked_at()) == {ME, "UCa", "UCb"}


async def test_many_channels_are_asked_some_at_a_time_and_spread_over_the_interval(viewer: Viewer) -> None:
    channels = [f"UC{number:03}" for number in range(120)]
    viewer.subscribe(*channels)
    counts, seen = [], set()
    for _ in range(3):
        await viewer.poll(1 / 60)
        counts.append(len(viewer.looked_at()))
        seen |= set(viewer.looked_at())
        assert viewer.pieces[-1].next_in_seconds is not None
    assert counts == [50, 50, 21]
    assert seen == {ME, *channels}
    asked: dict[str, int] = dict.fromkeys(seen, 0)
    for _ in range(12 * 24):
        await viewer.poll(1 / 12)
        assert len(viewer.looked_at()) <= 50
        for one in viewer.looked_at():
            asked[one] += 1
    assert max(asked.values()) <= 17
    assert min(asked.values()) >= 11


async def test_urgency_has_its_bounds(viewer: Viewer) -> None:
    viewer.subscribe(*[f"UC{number:03}" for number in range(300)])
    await viewer.poll(is_urgent=True)
    assert len(viewer.looked_at()) == 100


@pytest.mark.parametrize(("accounts", "most"), [(1, 9000), (20, 450), (100, 90)])
async def test_a_day_never_costs_more_than_the_accounts_share(accounts: int, most: int) -> None:
    viewer = Viewer()
    viewer.subscribe(*[f"UC{number:03}" for number in range(20)])
    share = accounts * DAY / 9000
    await viewer.poll(share_seconds=share)
    calls, until = 0, viewer.at(24)
    while viewer.now < until:
        seconds = viewer.pieces[-1].next_in_seconds
        assert seconds is not None
        await viewer.poll(seconds / 3600, share_seconds=share)
        calls += len(viewer.youtube.asked)
    assert calls <= most


async def test_where_units_are_scarce_likes_wait_before_uploads_do(viewer: Viewer) -> None:
    viewer.subscribe(*[f"UC{number:03}" for number in range(20)])
    await viewer.poll(share_seconds=250)
    seconds = viewer.pieces[-1].next_in_seconds
    assert seconds is not None
    assert 900 < seconds <= 7200


async def test_details_are_left_out_where_units_are_scarce(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    await viewer.poll(share_seconds=20_000)
    viewer.youtube.publish("UCa", "v", viewer.at(0.1))
    assert await viewer.poll(24 * 6, share_seconds=20_000) == ["youtube:video:v"]
    assert not any(one.startswith("/videos") for one in viewer.youtube.asked)


async def test_the_checkpoint_stays_small() -> None:
    viewer = Viewer()
    viewer.subscribe(*[f"UCaaaaaaaaaaaaaaaaaaaaa{number}" for number in range(20)])
    await viewer.poll()
    for day in range(60):
        for channel in list(viewer.youtube.subscriptions):
            for number in range(3):
                viewer.youtube.publish(channel, f"v{day}x{number}x{channel[-2:]}", viewer.at(number))
        viewer.youtube.likes = [(f"l{day}", viewer.at(1)), *viewer.youtube.likes]
        await viewer.poll(24)
        await viewer.poll(0.1)
    assert len(viewer.events) == 60 * 61
    assert len(json.dumps(viewer.checkpoint)) < 20 * 400


@pytest.mark.parametrize(
    "checkpoint", [{"channels": 5}, {"channels": {"UCa": ["x"]}}, {"liked": "x"}, {"subscriptions_at": "x"}]
)
async def test_a_checkpoint_of_another_version_begins_anew(viewer: Viewer, checkpoint: Any) -> None:
    viewer.subscribe("UCa")
    viewer.youtube.publish("UCa", "old", NOON - timedelta(hours=1))
    viewer.checkpoint = checkpoint
    assert await viewer.poll() == []
    viewer.youtube.publish("UCa", "new", viewer.at(0.1))
    assert await viewer.poll(2.1) == ["youtube:video:new"]


# --- what an API may answer ---

NAMES = [
    "items", "snippet", "contentDetails", "status", "resourceId", "videoId", "channelId", "publishedAt", "title",
    "videoPublishedAt", "nextPageToken", "id", "relatedPlaylists", "likes", "uploads", "thumbnails", "default", "url",
    "privacyStatus", "videoOwnerChannelTitle", "duration", "liveBroadcastContent",
]  # fmt: skip
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(
        [
            "2026-11-20T12:00:01Z",
            "9999-12-31T23:59:59-23:59",
            "UCa",
            "LL",
            "PT99H",
            "abc",
            "public",
            "\x00",
            "A" * 999,
        ]
    ),
)
json_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(json_values, min_size=2, max_size=3))
async def test_whatever_the_api_answers_nothing_but_the_three_errors_is_raised(answers: list[Any]) -> None:
    viewer = Viewer()
    viewer.subscribe("UCa")
    await viewer.poll()
    for answer in answers:
        viewer.youtube.garbage = json.dumps(answer).encode()
        await viewer.poll(7)
    viewer.youtube.garbage = b"<html>"
    with pytest.raises(Unavailable):
        await viewer.poll(7)
    for event in viewer.events:
        assert event.id.startswith("youtube:")
        assert event.id.isascii()
        assert event.id.isprintable()
        json.dumps(event.data).encode()


async def test_likes_are_asked_ever_more_rarely_while_there_are_none_and_not_within_two_hours_of_one(
    viewer: Viewer,
) -> None:
    await viewer.poll()
    for _ in range(200):
        await viewer.poll(0.25)
    asked = viewer.checkpoint["likes_pace"]
    assert asked == 4.0
    viewer.youtube.likes = [("a", viewer.at(0.1))]
    await viewer.poll(1.1)
    assert [one for one in viewer.ids if "liked" in one]
    assert viewer.pieces[-1].next_in_seconds == 900


async def test_news_of_a_channel_brings_the_likes_forward_and_costs_no_call_itself(viewer: Viewer) -> None:
    """While something happens likes come no later than usual; what goes on happening does not put them off."""
    pushed = {f"channel:{one}": frozenset({"video"}) for one in ("UCa", ME)}
    viewer.subscribe("UCa")
    for _ in range(200):
        await viewer.poll(0.25, every=30 * DAY, pushed=pushed)
    while "/playlistItems LL" not in viewer.youtube.asked:
        await viewer.poll(0.25, every=30 * DAY, pushed=pushed)
    for number, left_seconds in ((1, 900), (2, 300)):  # an hour after the last look it would be their turn
        hinted = frozenset({"active", f"pushed:UCa:{number}"})
        await viewer.poll(1 / 6, every=30 * DAY, pushed=pushed, hinted=hinted)
        assert viewer.youtube.asked == []
        assert viewer.pieces[-1].next_in_seconds == left_seconds
    await viewer.poll(1 / 12, every=30 * DAY, pushed=pushed)
    assert viewer.youtube.asked == ["/playlistItems LL"]


async def test_under_push_counts_say_which_uploads_are_to_be_read(viewer: Viewer) -> None:
    pushed = {f"channel:{one}": frozenset({"video"}) for one in ("UCa", "UCb")}
    viewer.subscribe("UCa", "UCb")
    await viewer.poll(pushed=pushed)
    await viewer.poll(25, every=86_400.0, pushed=pushed)  # the counts are learnt
    await viewer.poll(25, every=86_400.0, pushed=pushed)
    assert viewer.looked_at() == ["UCme"]
    viewer.youtube.publish("UCb", "lost", viewer.at(1))
    assert await viewer.poll(25, every=86_400.0, pushed=pushed) == ["youtube:video:lost"]
    assert "UCa" not in viewer.looked_at()


async def test_under_push_what_the_hub_told_of_is_not_looked_for(viewer: Viewer) -> None:
    pushed = {f"channel:{one}": frozenset({"video"}) for one in ("UCa", ME)}
    viewer.subscribe("UCa")
    await viewer.poll(pushed=pushed)
    await viewer.poll(25, every=DAY, pushed=pushed)
    viewer.youtube.publish("UCa", "told", viewer.at(1))
    for _ in range(2):  # the hub sends some things twice
        await viewer.poll(1, every=DAY, pushed=pushed, hinted=frozenset({"active", "pushed:UCa:told"}))
        assert viewer.looked_at() == []
    await viewer.poll(25, every=DAY, pushed=pushed)
    assert viewer.looked_at() == []
    viewer.youtube.publish("UCa", "told too", viewer.at(1))
    viewer.youtube.publish("UCa", "lost", viewer.at(2))
    await viewer.poll(2, every=DAY, pushed=pushed, hinted=frozenset({"active", "pushed:UCa:told too"}))
    assert "youtube:video:lost" in await viewer.poll(25, every=DAY, pushed=pushed)


async def test_channels_that_were_asked_for_at_different_times_are_counted_together(viewer: Viewer) -> None:
    """Polls of many channels disperse; counts of as many cost one call if they don't."""
    channels = [f"UC{number}" for number in range(12)]
    viewer.subscribe(*channels)
    await viewer.poll()
    await viewer.poll(2)  # twelve at once, which disperses them
    pushed = {f"channel:{one}": frozenset({"video"}) for one in (*channels, ME)}
    for hours in (14, 25):  # the counts are learnt
        await viewer.poll(hours, every=DAY, pushed=pushed)
    counted = 0
    for _ in range(48):
        await viewer.poll(1, every=DAY, pushed=pushed)
        counted += sum(one.startswith("/channels") for one in viewer.youtube.asked)
    assert counted == 2


async def test_uploads_that_are_counted_before_they_are_listed_are_read_once_more(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    pushed = {f"channel:{one}": frozenset({"video"}) for one in ("UCa", ME)}
    viewer.youtube.publish("UCa", "old", NOON - timedelta(days=9))
    await viewer.poll()
    await viewer.poll(25, every=DAY, pushed=pushed)
    viewer.youtube.publish("UCa", "late", viewer.at(1))
    viewer.youtube.unlisted.add("late")
    assert await viewer.poll(25, every=DAY, pushed=pushed) == []
    viewer.youtube.unlisted.clear()
    assert await viewer.poll(25, every=DAY, pushed=pushed) == ["youtube:video:late"]
    await viewer.poll(25, every=DAY, pushed=pushed)
    assert viewer.looked_at() == []


async def test_a_count_that_no_list_explains_costs_one_more_reading_alone(viewer: Viewer) -> None:
    viewer.subscribe("UCa")
    pushed = {f"channel:{one}": frozenset({"video"}) for one in ("UCa", ME)}
    await viewer.poll()
    await viewer.poll(25, every=DAY, pushed=pushed)
    viewer.youtube.publish("UCa", "hidden", viewer.at(1))
    viewer.youtube.unlisted.add("hidden")
    read = []
    for _ in range(4):
        await viewer.poll(25, every=DAY, pushed=pushed)
        read.append(viewer.looked_at())
    assert read == [["UCa"], ["UCa"], [], []]


async def test_once_a_week_all_are_read_whatever_the_counts_say(viewer: Viewer) -> None:
    pushed = {"channel:UCa": frozenset({"video"})}
    viewer.subscribe("UCa")
    await viewer.poll(pushed=pushed)
    looks = 0
    for _ in range(15):
        await viewer.poll(25, every=86_400.0, pushed=pushed)
        looks += "UCa" in viewer.looked_at()
    assert looks in {2, 3}  # at first perhaps, and twice in a fortnight
