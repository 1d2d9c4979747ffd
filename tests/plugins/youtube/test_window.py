"""What of a list is new: each thing once, whatever the list does, and with a bounded memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tidings_youtube.window import Thing, Window

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PAGE = 50


def _thing(number: int, minutes: float) -> Thing:
    return Thing(f"v{number}", NOON + timedelta(minutes=minutes))


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


steps = st.lists(
    st.tuples(
        st.integers(0, 600),  # minutes to the next look
        st.integers(0, 12),  # things that happen meanwhile
        st.lists(st.integers(0, 60), max_size=4),  # places of things that are taken away
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 120), steps)
def test_everything_that_happens_is_told_once_and_nothing_of_before(
    there: int, steps: list[tuple[int, int, list[int]]]
) -> None:
    listed = [_thing(-number - 1, -30.0 * (number + 1)) for number in range(there)]  # newest first
    window = Window().moved(listed[:PAGE], is_whole=there <= PAGE)
    told: list[str] = []
    expected: list[str] = []
    minutes, count, looked_at = 0.0, 0, NOON
    for wait, happen, take in steps:
        for number in range(happen):
            count += 1
            listed.insert(0, _thing(count, minutes + wait * (number + 1) / (happen + 1)))
        minutes += wait
        shown = listed[:PAGE]
        fresh = window.fresh(shown, _seconds(looked_at))
        told += [one.id for one in fresh]
        expected += [f"v{number}" for number in range(count - happen + 1, count + 1)]
        window = window.moved(shown, is_whole=len(listed) <= PAGE)
        looked_at = NOON + timedelta(minutes=minutes)
        assert len(window.ids) <= PAGE
        for place in take:
            if place < len(listed):
                del listed[place]
    assert sorted(told) == sorted(expected)


def test_more_than_a_page_of_ids_is_not_kept() -> None:
    shown = [_thing(number, -number) for number in range(200)]
    window = Window().moved(shown, is_whole=True)
    assert len(window.ids) < PAGE
    assert window.fresh(shown, _seconds(NOON)) == []


def test_an_empty_list_changes_nothing() -> None:
    window = Window(5, ("a",))
    assert window.moved([], is_whole=True) == window
    assert window.fresh([], 0) == []


def test_what_is_old_when_it_shows_up_is_no_news() -> None:
    window = Window(_seconds(NOON - timedelta(days=400)))
    old, recent = _thing(1, -60 * 24 * 8), _thing(2, -60 * 24 * 6)
    assert window.fresh([recent, old], _seconds(NOON)) == [recent]
