from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidCursor
from tidings.event import OLDEST, Cursor, Entry, Gap, UserId, rfc3339

_epochs = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=32)


def entry(**changes: object) -> Entry:
    fields: dict[str, object] = {
        "user_id": UserId(1),
        "cursor": Cursor("abc", 7),
        "id": "github:push:1",
        "type": "com.github.push",
        "source": "//github.com/octo/repo",
        "subject": "refs/heads/main",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "recorded_at": datetime(2026, 1, 2, 3, 4, 6, 500000, tzinfo=UTC),
        "platform": "github",
        "connection_id": "",
        "via": "webhook",
        "data": msgspec.Raw(b'{"title":"x"}'),
    }
    return Entry(**{**fields, **changes})  # type: ignore[arg-type]


@given(_epochs, st.integers(0, 2**63 - 1))
def test_a_cursor_reads_back_as_it_was_written(epoch: str, seq: int) -> None:
    cursor = Cursor(epoch, seq)
    assert Cursor.parse(str(cursor)) == cursor


def test_zero_is_the_oldest_event_kept() -> None:
    assert Cursor.parse("0") == OLDEST
    assert str(OLDEST) == "0"


@pytest.mark.parametrize(
    "text",
    ["", "1", "-1", "abc", "abc-", "-", "abc-01", "abc--1", "ABC-1", "abc-1\n", " abc-1", "abc-1-1", "é-1",
     "abc-١", f"abc-{2**63}", "a" * 33 + "-1", "abc-1" + "0" * 30, "00", "+0"],
)  # fmt: skip
def test_what_nobody_issued_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor:
        return
    assert str(cursor) == text


def test_an_entry_is_a_cloudevent_on_one_line() -> None:
    data = msgspec.Raw(json.dumps({"title": "a\nb\r\u2028"}).encode())
    line = entry(data=data).cloudevent()
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == {
        "specversion": "1.0",
        "id": "github:push:1",
        "source": "//github.com/octo/repo",
        "type": "com.github.push",
        "subject": "refs/heads/main",
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "sequence": "0000000000000000007",
        "recordedtime": "2026-01-02T03:04:06.500000Z",
        "platform": "github",
        "via": "webhook",
        "cursor": "abc-7",
        "data": {"title": "a\nb\r\u2028"},
    }


def test_attributes_without_a_value_are_left_out() -> None:
    told = json.loads(entry(subject="", time=None).cloudevent())
    assert "subject" not in told
    assert "time" not in told
    assert "connection" not in told


def test_sequences_sort_as_text_in_order() -> None:
    sequences = [
        json.loads(entry(cursor=Cursor("abc", seq)).cloudevent())["sequence"]
        for seq in (1, 9, 10, 2**31, 2**63 - 1)
    ]
    assert sequences == sorted(sequences)
    assert len({len(sequence) for sequence in sequences}) == 1


def test_a_gap_names_what_is_missing() -> None:
    assert json.loads(Gap(2, 9, 8, "retention").encode()) == {
        "from": 2,
        "to": 9,
        "count": 8,
        "reason": "retention",
    }


def test_instants_are_written_in_utc() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert rfc3339(datetime(2026, 1, 1, 5, 30, tzinfo=zone)) == "2026-01-01T00:00:00Z"
