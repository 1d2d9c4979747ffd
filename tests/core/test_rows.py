from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.event import Cursor, Event, UserId
from tidings.rows import entry, id_hash, prepare
from tidings.schema import from_stored, to_stored

# Also lone surrogates and NUL.
_texts = st.text(st.characters(), max_size=30)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_times = st.none() | st.datetimes(timezones=st.timezones() | st.just(UTC)) | st.datetimes()


def _event(**changes: Any) -> Event:
    fields = {"id": "x:1", "type": "com.x", "source": "//x", "platform": "x", "data": {}}
    return Event(**{**fields, **changes})


@given(_texts, _texts, _texts, _texts, _times, st.dictionaries(_texts, _values, max_size=5))
def test_any_event_becomes_a_row_that_any_database_takes(
    id_: str, type_: str, source: str, subject: str, time: datetime | None, data: dict[str, Any]
) -> None:
    event = _event(id=id_, type=type_, source=source, subject=subject, time=time, data=data)
    row = prepare(event)
    for text in (row.id, row.type, row.source, row.subject, row.platform, row.data):
        text.encode()  # no lone surrogate
        assert "\0" not in text
    assert "\\u0000" not in row.data.replace("\\\\", "")
    assert isinstance(json.loads(row.data), dict)
    made = entry(
        UserId(1), Cursor("a", 1), row, connection_id="", via="api", at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    json.loads(made.cloudevent())


@pytest.mark.parametrize(
    "time",
    [
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.min.replace(tzinfo=UTC),
        datetime(2026, 1, 1),
    ],
)
def test_a_time_at_the_end_of_the_calendar_is_kept_or_left_out(time: datetime) -> None:
    row = prepare(_event(time=time))
    made = entry(
        UserId(1), Cursor("a", 1), row, connection_id="", via="api", at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert made.time in {None, time}


def test_data_that_is_fine_stays_as_it_is() -> None:
    data = {"title": "Zürich 🎉", "n": [1, 2.5, None, True], "deep": {"er": {"est": "\\u0000"}}}
    assert json.loads(prepare(_event(data=data)).data) == data


def test_what_no_database_takes_is_replaced_by_the_nearest() -> None:
    data = {"nul": "a\0b", "lone": "\ud800x", "\0key": 1, "inf": float("inf"), "huge": 10**30}
    kept = json.loads(prepare(_event(data=data)).data)
    assert kept["nul"] == "ab"
    assert kept["lone"] == "?x"
    assert kept["key"] == 1
    assert kept["inf"] is None
    assert kept["huge"] in {10**30, str(10**30)}


def test_nesting_without_end_is_cut() -> None:
    data: dict[str, Any] = {}
    inner = data
    for _ in range(100_000):
        inner["a"] = {}
        inner = inner["a"]
    assert json.loads(prepare(_event(data={"title": "x", **data})).data)["title"] == "x"


def test_a_long_id_is_cut_and_still_another_for_another_event() -> None:
    ids = [prepare(_event(id="x:" + "y" * 1000 + tail)).id for tail in ("1", "2")]
    assert len(set(ids)) == 2
    assert all(len(id_) <= 500 and id_.startswith("x:yyy") for id_ in ids)


@given(st.text(max_size=600))
def test_an_id_is_stable_under_preparing_it_again(id_: str) -> None:
    once = prepare(_event(id=id_)).id
    assert prepare(_event(id=once)).id == once
    assert len(id_hash(once)) == 16


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_stored_to_the_microsecond(instant: datetime) -> None:
    assert from_stored(to_stored(instant)) == instant
