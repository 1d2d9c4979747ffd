"""YAML with positions and variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import ConfigError
from tidings.yamlfile import Document, dotted, load, parse


def document(text: str, **environ: str) -> Document:
    return parse(text, name="f.yaml", folder=Path("/etc"), environ=environ)


def value(text: str, **environ: str) -> Any:
    found = document(f"key: {text}\n", **environ)
    assert found.problems == ()
    return found.value["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", 8080),
        ("-3", -3),
        ("+3", 3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("Off", "Off"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e5", "1e5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-11-23", "2026-11-23"),
        ("9" * 5000, "9" * 5000),
        ("1.2.3", "1.2.3"),
        ("'8080'", "8080"),
        ('"true"', "true"),
        ('"a\\tb"', "a\tb"),
        ("|\n  two\n  lines", "two\nlines\n"),
        ("[1, a, null]", [1, "a", None]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("{1: a, true: b, null: c}", {"1": "a", "true": "b", "null": "c"}),
    ],
)
def test_plain_values_are_what_people_mean_and_quoted_ones_are_text(text: str, expected: object) -> None:
    found = value(text)
    assert (type(expected), expected) == (type(found), found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${PORT}", 8080),
        ("'${PORT}'", "8080"),
        ("${UNSET:-8080}", 8080),
        ("${EMPTY:-8080}", 8080),
        ("${PORT:-1}", 8080),
        ("${EMPTY}", None),
        ("${UNSET:-}", None),
        ("'${UNSET:-}'", ""),
        ("${HOST}:${PORT}", "db:8080"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${TRAP}", "x: [#"),
        ("${AGAIN}", "${PORT}"),
        ("$${PORT}", "${PORT}"),
        ("$$", "$$"),
        ("$PORT", "$PORT"),
        ("a$$b", "a$$b"),
        ("$$$${PORT}", "$$${PORT}"),
        ("costs 5$", "costs 5$"),
        ("|\n  ${HOST}\n", "db\n"),
    ],
)
def test_variables_are_filled_in_and_cannot_change_the_structure(text: str, expected: object) -> None:
    found = value(text, PORT="8080", HOST="db", EMPTY="", TRAP="x: [#", AGAIN="${PORT}")
    assert (type(expected), expected) == (type(found), found)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_in_a_quoted_variable_arrives_as_it_is(text: str) -> None:
    assert value('"${A}"', A=text) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_variables_in_keys_are_not_filled_in(text: str) -> None:
    assert document('"${A}": 1\n', A=text).value == {"${A}": 1}


def test_bytes_in_the_environment_that_are_not_text_are_a_problem() -> None:
    assert [problem.text for problem in document("key: ${A}\n", A="\udcff").problems] == [
        "f.yaml:1:6: key: this holds a character that is not text. Remove it."
    ]


def test_everything_wrong_with_the_values_is_told_at_once_and_the_rest_is_read() -> None:
    found = document("a: ${A}\nb: [1, !x 2, '${B}']\nb: 3\nc: 4\n")
    assert [problem.text.split(": ", 2)[:2] for problem in found.problems] == [
        ["f.yaml:1:4", "a"],
        ["f.yaml:2:8", "b[1]"],
        ["f.yaml:2:14", "b[2]"],
        ["f.yaml:3:1", "b"],
    ]
    assert found.value == {"a": None, "b": [1, None, None], "c": 4}
    assert found.broken == {("a",), ("b", 1), ("b", 2), ("b",)}


@pytest.mark.parametrize(
    ("path", "at_key", "expected"),
    [
        ((), False, "f.yaml:2:1: m"),
        (("a",), False, "f.yaml:3:3: a: m"),
        (("a",), True, "f.yaml:2:1: a: m"),
        (("a", "b"), False, "f.yaml:3:6: a.b: m"),
        (("a", "b", 1), False, "f.yaml:3:10: a.b[1]: m"),
        (("a", "b", 1), True, "f.yaml:3:10: a.b[1]: m"),
        (("a", "missing"), False, "f.yaml:2:1: a.missing: m"),
        (("missing", "too"), False, "f.yaml:2:1: missing.too: m"),
    ],
)
def test_a_problem_points_at_the_value_the_key_or_what_is_nearest(path, at_key, expected) -> None:
    found = document("# comment\na:\n  b: [1, 2]\n")
    assert expected == found.problem(path, "m", at_key=at_key).text


def test_a_problem_can_be_named_after_another_key() -> None:
    assert document("a: {b: 1}\n").problem(("a", "b"), "m", label=("a",)).text == "f.yaml:1:8: a: m"


def test_columns_count_characters_also_behind_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("ä: {ö: ü}\n", "utf-8-sig")
    found = load(tmp_path / "f.yaml", {})
    assert found.problem(("ä", "ö"), "m").text == f"{tmp_path}/f.yaml:1:8: ä.ö: m"


def test_anchors_repeat_a_value() -> None:
    found = document("a: &x {b: [1]}\nc: *x\n")
    assert found.value == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert found.problem(("c", "b", 0), "m").text == "f.yaml:1:12: c.b[0]: m"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n"
        + "".join(
            f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
    ],
    ids=["laughs", "recursive list", "recursive mapping"],
)
def test_anchors_cannot_make_a_small_file_large(text: str) -> None:
    with pytest.raises(ConfigError, match="anchors make this file too large"):
        document(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_rather_than_followed(opening: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml:\d:\d+: "):
        document("a:\n " + opening * 20_000 if opening == "- " else opening * 20_000)


def test_an_error_holds_nothing_of_the_file_but_its_message() -> None:
    with pytest.raises(ConfigError) as caught:
        document("secret: hunter2\n\tx")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), ""),
        (("a", 0, "b"), "a[0].b"),
        (("a b",), "'a b'"),
        (("a", "x\ny"), "a.'x\\ny'"),
        (("a" * 99,), f"'{'a' * 57}…'"),
    ],
)
def test_a_path_stays_short_and_on_one_line(path, expected: str) -> None:
    assert expected == dotted(path)
