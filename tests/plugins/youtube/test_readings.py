"""What registering has read of the subscriptions, the next poll need not ask for again."""

from __future__ import annotations

import pytest

from tidings.testing.clock import FakeClock
from tidings_youtube.channels import Subscriptions
from tidings_youtube.readings import Readings
from tidings_youtube.targets import watched
from youtube_exchanges import NOON, Viewer, text

_PUSHED = {"channel:UCa": frozenset({"video"})}


@pytest.fixture
def viewer() -> Viewer:
    viewer = Viewer(subscriptions_seconds=86_400.0)
    viewer.settings = {"likes": False, "playlists": False, "own": False}
    viewer.subscribe("UCa")
    return viewer


async def register(viewer: Viewer) -> None:
    """Registering looks which channels there are."""
    await watched(viewer.youtube, viewer.settings, 500, viewer.readings)


async def is_asked(viewer: Viewer, hours: float, **asked: object) -> bool:
    """Whether a poll so many hours later asks for the subscriptions."""
    await viewer.poll(hours, pushed=_PUSHED, **asked)
    return "/subscriptions" in viewer.youtube.asked


async def test_a_poll_takes_what_registering_has_read(viewer: Viewer) -> None:
    await viewer.poll()
    await viewer.pass_hours(23.0)
    begun = viewer.now
    viewer.subscribe("UCnew", since=begun)
    await register(viewer)
    assert not await is_asked(viewer, 0.5)
    assert viewer.ids == [f"youtube:subscribed:UCme:UCnew:{text(begun)}"]
    assert not await is_asked(viewer, 23.0)  # a day counts from what was read
    assert await is_asked(viewer, 10.0)


async def test_what_is_gone_must_still_be_missing_on_two_days(viewer: Viewer) -> None:
    await viewer.poll()
    viewer.youtube.subscriptions.clear()
    for hours in (20.0, 1.0, 1.0):  # registering looks again and again
        await viewer.pass_hours(hours)
        await register(viewer)
        await viewer.poll(pushed=_PUSHED)
    assert viewer.ids == []
    await viewer.pass_hours(20.0)
    await register(viewer)
    (told,) = await viewer.poll(pushed=_PUSHED)
    assert told.startswith("youtube:unsubscribed:UCme:UCa:")


async def test_where_registering_does_not_come_it_is_asked_all_the_same(viewer: Viewer) -> None:
    await viewer.poll()
    assert not await is_asked(viewer, 25.0)
    assert await is_asked(viewer, 5.5)


async def test_without_push_nobody_else_asks(viewer: Viewer) -> None:
    await viewer.poll()
    await viewer.poll(24.1)
    assert "/subscriptions" in viewer.youtube.asked


async def test_who_asks_for_news_just_now_gets_what_is_there_just_now(viewer: Viewer) -> None:
    await viewer.poll()
    await viewer.pass_hours(23.0)
    await register(viewer)
    assert await is_asked(viewer, 0.1, is_urgent=True)


async def test_only_the_last_accounts_are_kept() -> None:
    clock = FakeClock(NOON)
    readings, nothing = Readings(clock), Subscriptions({}, is_whole=True)
    for number in range(1001):
        readings.keep(f"UC{number}", nothing)
    assert readings.take("UC0", 0.0) is None
    taken = readings.take("UC1", 0.0)
    assert taken is not None
    assert taken == (nothing, int(NOON.timestamp()))
    assert readings.take("UC1", 0.0) is None
    assert readings.take("UC2", NOON.timestamp() + 1) is None
