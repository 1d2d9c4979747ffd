"""What is kept of a calendar: few characters, nothing lost that matters, and never too much."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calendar_exchanges import NOW
from tidings_calendar.known import Known, Seen, id_of
from tidings_calendar.when import from_stamp, is_stamp, iso_stamp, spell_stamp, stamp

FIRST, LAST = "20261023T000000Z", "20271123T000000Z"

stamps = st.integers(0, 24 * 390).map(lambda hours: stamp(NOW - timedelta(days=30) + timedelta(hours=hours)))
days = st.integers(0, 390).map(lambda days: (NOW + timedelta(days=days - 30)).strftime("%Y%m%d"))
words = st.sampled_from(["", "Stand-up", "Lunch", "é" * 80])
looks = st.sampled_from(["a" * 15, "b" * 15])
seen = st.builds(
    Seen,
    st.sampled_from(["1", "2"]),
    looks,
    stamps | days,
    words.filter(bool),
    st.sampled_from(["", "12345a"]),
)


@st.composite
def series(draw: st.DrawFn) -> dict[str, Seen]:
    """The dates of a series: most of them regular."""
    alike = draw(seen)
    dates = {key: alike._replace(start=key) for key in draw(st.lists(stamps | days, max_size=12))}
    odd = draw(st.dictionaries(stamps | days | st.just("=standup_odd"), seen, max_size=3))
    return {**dates, **odd}


@given(st.dictionaries(st.sampled_from(["standup", "yoga"]), series()), seen)
def test_what_was_stored_is_known_again(given_series: dict[str, dict[str, Seen]], single: Seen) -> None:
    known = Known({})
    for name, dates in {**given_series, "lunch": {"": single}}.items():
        known.dates(name).update(dates)
    stored, until = known.store("", "9")
    again = Known(json.loads(json.dumps(stored)))
    assert until == "9"
    assert again.dates("lunch") == {"": single}
    for name, dates in given_series.items():
        assert again.dates(name) == dates
    expected = sorted(
        (id_of(name, key), one.start)
        for name, dates in {**given_series, "lunch": {"": single}}.items()
        for key, one in dates.items()
        if FIRST < one.start <= LAST
    )
    assert sorted(again.starting(FIRST, LAST)) == expected


def daily(count: int) -> dict[str, Seen]:
    keys = [stamp(NOW + timedelta(days=number)) for number in range(count)]
    return {key: Seen("3461161784712000", "a" * 15, key, "Stand-up", "12345a67890n") for key in keys}


def test_a_daily_series_takes_little() -> None:
    known = Known({})
    known.dates("abcdefghijklmnopqrstuvwxyz").update(daily(365))
    assert len(json.dumps(known.store(FIRST, LAST)[0])) < 365 * 17 + 200


def test_what_lies_far_back_or_far_ahead_is_not_kept() -> None:
    known = Known({})
    known.dates("past")[""] = Seen("1", "a" * 15, "20261001T000000Z", "Past", "")
    known.dates("ahead")[""] = Seen("1", "a" * 15, "20281001T000000Z", "Ahead", "")
    known.dates("standup").update(daily(400))
    stored, until = known.store(FIRST, LAST)
    assert [*stored] == ["standup"]
    assert until == LAST
    assert max(Known(stored).dates("standup")) <= LAST


def test_of_a_crowded_calendar_what_starts_first_is_kept() -> None:
    known = Known({})
    starts = [stamp(NOW + timedelta(hours=number)) for number in range(4000)]
    for number, start in enumerate(starts):
        known.dates(f"event{number:05d}")[""] = Seen("3461161784712000", "a" * 15, start, "x" * 40, "")
    stored, until = known.store(FIRST, LAST)
    assert len(stored) == 2000
    assert len(json.dumps(stored)) < 300_000
    assert starts[1999] <= until < starts[2000]


def test_of_a_day_that_begins_where_it_gets_crowded_nothing_is_kept_by_halves() -> None:
    known = Known({})
    for number in range(2100):
        known.dates(f"event{number:05d}")[""] = Seen(
            "1", "", "20261201" if number > 1500 else "20261130", "", ""
        )
    stored, until = known.store(FIRST, LAST)
    assert len(stored) == 1501
    assert "20261130T235959Z" < until < "20261201"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=4), st.dictionaries(st.sampled_from("cnxyz"), json_values) | json_values)
)
def test_whatever_is_stored_is_read(stored: dict[str, Any]) -> None:
    known = Known(stored)
    for name in [*known]:
        known.dates(name)
    [*known.starting("", "~")]
    json.dumps(known.store("", "~")[0])


@given(st.text(max_size=20) | stamps | days)
def test_a_stamp_is_an_instant_or_nothing(text: str) -> None:
    if is_stamp(text):
        at = from_stamp(text)
        assert at is not None
        assert stamp(at, is_all_day="T" not in text) == text
        assert spell_stamp(text, "Europe/Berlin")
        assert iso_stamp(text)
    else:
        assert from_stamp(text) is None
        assert (spell_stamp(text, "Europe/Berlin"), iso_stamp(text)) == ("", "")


def test_a_stamp_is_told_by_the_clocks_of_its_calendar() -> None:
    assert spell_stamp("20261201T110000Z", "Europe/Berlin") == "Tuesday 1 December 2026, 12:00"
    assert spell_stamp("20261201T110000Z", "nowhere/\0") == "Tuesday 1 December 2026, 11:00"
    assert spell_stamp("20261201", "Europe/Berlin") == "Tuesday 1 December 2026"
