"""Durations, sizes and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tidings.durations import Duration, Rate, Size, format_duration, parse_duration, parse_size


class Options(BaseModel):
    heartbeat: Duration = 15.0
    body: Size = 1
    rate: Rate | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("15m", 900.0),
        ("6h", 21600.0),
        ("1d", 86400.0),
        (" 30 s ", 30.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "soon", "30", "s", "-1s", "1:30", "1h30m", "30S", "30 sec", "1e3s", "٣s", "1.s", "inf", "30s\n1"],
)
def test_anything_else_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration\. Write 30s, 15m or 6h\.$"):
        parse_duration(text)


def test_a_duration_longer_than_a_century_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'36501d' is too long\. Write 36500d or less\.$"):
        parse_duration("36501d")


@given(st.one_of(st.integers(0, 10**9).map(float), st.integers(0, 10**10).map(lambda n: n / 1000)))
def test_durations_round_trip(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "500ms"),
        (0.0005, "0.0005s"),
        (90, "90s"),
        (5400, "90m"),
        (86400, "1d"),
        (1e-7, "0.0000001s"),
    ],
)
def test_a_duration_is_shown_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("512KiB", 524288),
        ("25MiB", 26214400),
        ("1gib", 2**30),
        ("10MB", 10**7),
        ("3 kB", 3000),
        ("7B", 7),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1.5MiB", "25M", "-1", "1 2", "9" * 16])
def test_anything_else_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@given(st.integers(1, 10**9 - 1), st.integers(1, 10**9).map(lambda n: n / 1000))
def test_rates_round_trip(amount: int, seconds: float) -> None:
    assert Rate.parse(str(Rate(amount, seconds))) == Rate(amount, seconds)


@pytest.mark.parametrize(
    "text", ["", "100", "/15m", "100/", "100/15", "1.5/1m", "-1/1m", "100/15m/2", "100 per 15m"]
)
def test_anything_else_is_not_a_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate\. Write a number and a duration: 100/15m\.$"):
        Rate.parse(text)


def test_options_take_numbers_from_python_and_text_from_files() -> None:
    assert Options(heartbeat=0.05, body=5, rate=Rate(1, 2.0)).heartbeat == 0.05
    read = Options.model_validate({"heartbeat": "1m", "body": "1KiB", "rate": "3/1h"}, context="a file")
    assert (read.heartbeat, read.body, read.rate) == (60.0, 1024, Rate(3, 3600.0))


@pytest.mark.parametrize("value", [15, 1.5, True, None, []])
def test_a_bare_number_in_a_file_is_not_a_duration(value: object) -> None:
    with pytest.raises(ValidationError, match=r"is not a duration"):
        Options.model_validate({"heartbeat": value}, context="a file")


def test_zero_needs_no_unit() -> None:
    assert Options.model_validate({"heartbeat": 0}, context="a file").heartbeat == 0.0


def test_options_describe_themselves_for_the_reference() -> None:
    properties = Options.model_json_schema()["properties"]
    assert [properties[name].get("type") for name in ("heartbeat", "body")] == ["string", "string"]
    assert properties["rate"]["anyOf"] == [{"type": "string", "examples": ["100/15m"]}, {"type": "null"}]
