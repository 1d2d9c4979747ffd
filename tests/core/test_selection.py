from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.errors import Rejected
from tidings.selection import EVERYTHING, TypeSelection, parse_selection

_letters = st.text("ab.", max_size=8)
_patterns = st.text("ab.*", min_size=1, max_size=8)


@given(_patterns, _letters)
@example("*a*ab", "aab")
@example("a*", "a")
@example("*", "")
@example("**b*", "abab")
def test_a_star_stands_for_any_characters(pattern: str, type_: str) -> None:
    assert TypeSelection([pattern]).matches(type_, "x") == fnmatchcase(type_, pattern)


@given(st.lists(_patterns, min_size=1, max_size=3), _letters)
def test_one_pattern_of_several_will_do(patterns: list[str], type_: str) -> None:
    expected = any(fnmatchcase(type_, pattern) for pattern in patterns)
    assert TypeSelection(patterns).matches(type_, "x") == expected


def test_nothing_else_in_a_pattern_is_special() -> None:
    selection = TypeSelection(["com.github.push"])
    assert not selection.matches("comXgithub.push", "github")
    assert not selection.matches("com.github.push\n", "github")


def test_type_and_platform_must_both_be_wanted() -> None:
    selection = TypeSelection(["com.github.*"], ["github"])
    assert selection.matches("com.github.push", "github")
    assert not selection.matches("com.github.push", "gitlab")
    assert not selection.matches("org.tidings.message", "github")


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_no_pattern_selects_everything(text: str) -> None:
    selection = parse_selection(text, text)
    assert selection.selects_all
    assert selection.matches("anything", "anywhere")
    assert EVERYTHING.matches("anything", "anywhere")


@pytest.mark.parametrize("text", ["com.github.push;", "a b", "é", "[a]", "a" * 251, "a\nb", "?", "a/b"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(Rejected, match="is not a pattern") as refused:
        parse_selection(text, "")
    assert refused.value.status == 400


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(Rejected, match="51 patterns; 50 are allowed"):
        parse_selection(",".join(["a"] * 51), "")


@pytest.mark.parametrize("pattern", ["*a" * 40 + "*b", "*" * 250, "*a*" * 80 + "c", "*ab" * 60 + "*a*c"])
def test_no_pattern_costs_much_time_whatever_the_type(pattern: str) -> None:
    # Both can come from outside: the pattern from a reader, the type from a signed webhook's header.
    started = time.perf_counter()
    TypeSelection([pattern]).matches("com.github." + "a" * 239, "github")
    assert time.perf_counter() - started < 0.5
