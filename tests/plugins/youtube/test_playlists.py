"""Playlists that an account makes, fills and deletes are told once each; what was there at first never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tidings.errors import Unavailable
from youtube_exchanges import NOON, Viewer, text

_DAY = 24.0
_OLD = NOON - timedelta(days=100)


@pytest.fixture
def viewer() -> Viewer:
    """Who keeps a playlist with two videos, and wants to hear of playlists alone."""
    viewer = Viewer()
    viewer.settings = {"likes": False, "own": False}
    viewer.youtube.playlists["PLrain"] = ("Rain", _OLD, [("a", _OLD), ("b", _OLD)])
    return viewer


def add(viewer: Viewer, video: str, hours: float, playlist: str = "PLrain", place: int | None = None) -> str:
    """Add a video so many hours from now, at the end or at a place; returns the event's id."""
    at = viewer.at(hours)
    added = viewer.youtube.playlists[playlist][2]
    added.insert(len(added) if place is None else place, (video, at))
    return f"youtube:playlist_item:UCme:{playlist}:{video}:{text(at)}"


async def test_what_was_there_at_first_is_no_news_and_costs_one_call(viewer: Viewer) -> None:
    assert await viewer.poll() == []
    assert viewer.youtube.asked[-1] == "/playlists"
    assert await viewer.poll(30 * _DAY) == []


async def test_what_was_added_is_told_once_wherever_it_was_put(viewer: Viewer) -> None:
    await viewer.poll()
    last, first = add(viewer, "c", 1.0), add(viewer, "d", 2.0, place=0)
    assert await viewer.poll(_DAY) == [last, first]
    event = viewer.events[0]
    assert event.type == "com.youtube.playlist_item_added"
    assert event.data["text"] == "A video by Title of UCofc was added to Rain."
    assert event.data["url"] == "https://www.youtube.com/watch?v=c&list=PLrain"
    assert event.data["playlist"] == {"id": "PLrain", "title": "Rain"}
    assert await viewer.poll(_DAY) == []
    assert viewer.youtube.asked == ["/subscriptions", "/playlists"]  # as many as before: it is not read


async def test_the_same_video_may_be_added_twice(viewer: Viewer) -> None:
    await viewer.poll()
    both = [add(viewer, "c", 1.0), add(viewer, "c", 2.0)]
    assert await viewer.poll(_DAY) == both


async def test_what_shows_up_late_is_told_and_nothing_twice(viewer: Viewer) -> None:
    await viewer.poll()
    early = add(viewer, "c", _DAY - 0.5)
    assert await viewer.poll(_DAY) == [early]
    late = add(viewer, "d", -1.0)  # added before that look, and shown after it
    assert await viewer.poll(_DAY) == [late]


async def test_an_addition_that_a_removal_hides_is_found_within_a_week(viewer: Viewer) -> None:
    await viewer.poll()
    del viewer.youtube.playlists["PLrain"][2][0]
    hidden = add(viewer, "c", 1.0)
    assert await viewer.poll(_DAY) == []
    assert await viewer.poll(7 * _DAY) == [hidden]


async def test_a_new_playlist_is_told_and_all_that_stands_in_it(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.youtube.playlists["PLnew"] = ("Snow", viewer.at(1.0), [])
    added = add(viewer, "c", 1.1, "PLnew")
    assert await viewer.poll(_DAY) == ["youtube:playlist_created:UCme:PLnew", added]
    made = viewer.events[0]
    assert (made.data["title"], made.time) == ("Snow", NOON + timedelta(hours=1))
    assert made.data["url"] == "https://www.youtube.com/playlist?list=PLnew"


async def test_an_old_playlist_that_comes_to_light_is_no_news(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.youtube.playlists["PLold"] = ("Old", _OLD, [("a", _OLD)])
    assert await viewer.poll(_DAY) == []


async def test_a_deleted_playlist_is_told_when_it_was_missing_twice(viewer: Viewer) -> None:
    await viewer.poll()
    gone = viewer.youtube.playlists.pop("PLrain")
    assert await viewer.poll(_DAY) == []
    viewer.youtube.playlists["PLrain"] = gone  # YouTube forgot it for a moment
    assert await viewer.poll(2 * _DAY) == []
    del viewer.youtube.playlists["PLrain"]
    assert await viewer.poll(4 * _DAY) == []
    assert await viewer.poll(4 * _DAY) == ["youtube:playlist_deleted:UCme:PLrain"]
    assert viewer.events[-1].data["title"] == "Rain"


async def test_while_nothing_comes_it_is_asked_up_to_four_times_as_seldom(viewer: Viewer) -> None:
    await viewer.poll()
    asked = []
    for day in range(1, 16):
        await viewer.poll(_DAY)
        asked += [day] if "/playlists" in viewer.youtube.asked else []
    assert asked == [1, 3, 7, 11, 15]
    await viewer.poll(_DAY, hinted=frozenset({"active"}))
    await viewer.poll(_DAY)
    assert "/playlists" in viewer.youtube.asked  # a day after something happened


async def test_who_does_not_want_playlists_is_asked_for_none(viewer: Viewer) -> None:
    viewer.settings["playlists"] = False
    await viewer.poll()
    assert "/playlists" not in viewer.youtube.asked
    viewer.settings["playlists"] = True
    add(viewer, "c", 1.0)
    assert await viewer.poll(_DAY) == []  # what was there when it was wanted is no news


async def test_of_a_long_list_it_is_said_what_could_not_be_seen(viewer: Viewer) -> None:
    viewer.youtube.playlists["PLlong"] = ("Long", _OLD, [(f"v{number}", _OLD) for number in range(600)])
    await viewer.poll()
    add(viewer, "last", 1.0, "PLlong")
    assert await viewer.poll(_DAY) == []
    assert viewer.gaps == [
        "Of the 601 entries of Long the first 500 were asked for; what was added behind them is missing."
    ]
    first = add(viewer, "first", 1.0, "PLlong", place=0)
    assert await viewer.poll(2 * _DAY) == [first]
    assert len(viewer.gaps) == 1


async def test_of_more_playlists_than_can_be_read_at_once_none_is_left_out(viewer: Viewer) -> None:
    for number in range(25):
        viewer.youtube.playlists[f"PL{number}"] = (f"List {number}", _OLD, [])
    await viewer.poll()
    wanted = {add(viewer, "c", 1.0, f"PL{number}") for number in range(25)}
    told = [*await viewer.poll(_DAY), *await viewer.poll(_DAY)]
    assert sorted(told) == sorted(wanted)


async def test_what_was_read_before_a_failure_is_told_and_the_rest_later(viewer: Viewer) -> None:
    viewer.youtube.playlists["PLsnow"] = ("Snow", _OLD, [])
    await viewer.poll()
    wanted = [add(viewer, "c", 1.0), add(viewer, "d", 1.5, "PLsnow")]
    viewer.youtube.failures["/playlistItems PLsnow"] = Unavailable("Later.")
    with pytest.raises(Unavailable):
        await viewer.poll(_DAY)
    assert viewer.ids == wanted[:1]
    viewer.youtube.failures.clear()
    assert await viewer.poll(1.0) == wanted[1:]


async def test_a_bulk_of_additions_is_told_once(viewer: Viewer) -> None:
    await viewer.poll()
    wanted = [add(viewer, f"v{number:03}", 1.0 + number / 100) for number in range(120)]
    assert await viewer.poll(_DAY) == wanted
    add(viewer, "more", 0.5)
    assert [one.split(":")[4] for one in await viewer.poll(_DAY)] == ["more"]
