"""Fields of JSON that may hold anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings import fields

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
KEYED = [
    fields.obj,
    fields.objs,
    fields.raw,
    fields.number,
    fields.flag,
    fields.line,
    fields.word,
    fields.text,
    fields.link,
    fields.instant,
]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@given(ANYTHING)
def test_whatever_stands_there_an_answer_of_the_right_kind_comes_back(value: Any) -> None:
    kinds = [type(read({"key": value}, "key")) for read in KEYED]
    assert kinds[0] is dict
    assert kinds[1] in {list, tuple}
    assert kinds[2] is str
    assert kinds[4] is bool
    assert kinds[5:9] == [str] * 4
    assert kinds[3] in {int, type(None)}
    assert kinds[9] in {datetime, type(None)}


@given(st.text(), st.integers(1, 60))
@example("\x1b\r\x1b", 1)
@example("a \x1b b", 60)
def test_a_line_is_one_short_line_that_can_be_shown(value: str, length: int) -> None:
    line = fields.one_line(value, length)
    assert len(line) <= length
    assert len(line.splitlines()) <= 1
    assert line == line.strip() and "  " not in line
    line.encode()
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in line)
    assert fields.line({"key": value}, "key", length) == line


@given(st.text())
def test_a_text_keeps_its_lines_and_nothing_that_controls(value: str) -> None:
    text = fields.text({"key": value}, "key")
    text.encode()
    assert len(text) <= fields.TEXT_LENGTH
    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in text)


def test_what_is_too_long_ends_in_an_ellipsis() -> None:
    assert fields.one_line("a b\nc" * 100, 10) == "a b ca b…"
    assert fields.word({"key": "x" * 101}, "key") == "x" * 99 + "…"
    assert fields.clip("abc", 3) == "abc"


def test_half_a_character_is_replaced() -> None:
    assert fields.clean("a\ud800b\x00\n") == "a\ufffdb\n"


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "https://",
        "https://a.example/'onclick",
        "https://a.example/ b",
        "https://a.example/<b>",
        "https://a.example/\u202e",
        "https://a.example/" + "x" * 2000,
        "//a.example/",
        7,
    ],
)
def test_what_may_not_stand_in_a_page_is_no_link(value: object) -> None:
    assert fields.as_link(value) == ""


@pytest.mark.parametrize(
    "value", ["https://a.example/b?c=d#e", "http://[::1]:80/ü", "https://a.example:8443/~c%20d"]
)
def test_an_address_is_a_link(value: str) -> None:
    assert fields.link({"key": value}, "key") == value


@pytest.mark.parametrize(
    "value", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "20260101T000000Z", 1_767_225_600]
)
def test_an_instant_is_utc_however_it_is_written(value: object) -> None:
    assert fields.as_instant(value) == NEW_YEAR
    found = fields.as_instant(value)
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        0,
        True,
        1.5,
        10**30,
        "2026-01-01T00:00:00" + "Z" * 40,
    ],
)
def test_what_is_no_instant_of_our_time_is_none(value: object) -> None:
    assert fields.as_instant(value) is None


def test_without_an_offset_it_is_utc_only_where_the_platform_says_so() -> None:
    assert fields.instant({"key": "2026-01-01T00:00:00"}, "key") is None
    assert fields.instant({"key": "2026-01-01T00:00:00"}, "key", is_utc=True) == NEW_YEAR


def test_a_number_is_whole_and_fits_64_bits() -> None:
    assert fields.number({"key": -(2**63)}, "key") == -(2**63)
    assert [fields.number({"key": one}, "key") for one in (2**63, 1.0, True, "1", None)] == [None] * 5


def test_of_a_list_only_what_is_expected_is_kept() -> None:
    assert fields.as_objects([{}, 1, None, {"a": 1}]) == [{}, {"a": 1}]
    assert fields.as_strings(["a", 1, None]) == ["a"]
    assert not fields.as_strings("abc")
    assert not fields.as_objects({"a": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, "\xc3\xa4"]}', {"a": [1, "ä"]}),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": "one\x07two"}', {"a": "one\x07two"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b'{"a": %s, "b": NaN}' % (b"7" * 10_000), {"a": None, "b": None}),
        (b'{"a": "\\ud83d", "b": 9223372036854775807}', {"a": "\ud83d", "b": 2**63 - 1}),
        (b"[" * 100_000 + b"]" * 100_000, {}),
        (b'{"a": "\\ud83d", "b": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
        (b"", None),
        (b"{", None),
        (b"payload=1", None),
        (b"null", None),
    ],
)
def test_json_is_read_whatever_is_in_it(text: bytes, value: object) -> None:
    assert fields.as_json(text) == value


def test_what_a_shape_refuses_is_read_whole() -> None:
    class Shape(TypedDict, total=False):
        a: list[int]

    shape = msgspec.json.Decoder(Shape)
    assert fields.as_json(b'{"a": [1], "b": 2}', shape) == {"a": [1]}
    assert fields.as_json(b'{"a": "x", "b": 2}', shape) == {"a": "x", "b": 2}
    assert fields.as_json(b'{"a": [1], "b": NaN}', shape) == {"a": [1], "b": None}


@given(ANYTHING)
def test_what_json_can_say_is_read_as_it_was(value: Any) -> None:
    try:
        text = msgspec.json.encode(value)
    except (ValueError, OverflowError, msgspec.MsgspecError):
        return
    assert fields.as_json(text) == msgspec.json.decode(text)
