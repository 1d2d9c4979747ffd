"""What a user wants to be told of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import Rejected
from tidings.push_rules import EVERYTHING, Rules

PUSH = ("com.github.push", "github")


@pytest.mark.parametrize(
    ("rules", "tells"),
    [
        (Rules(), True),
        (Rules(enabled=False), False),
        (Rules(enabled=False, platforms=("github",)), False),
        (Rules(platforms=("github",)), True),
        (Rules(platforms=("slack", "github")), True),
        (Rules(platforms=("slack",)), False),
        (Rules(types=("com.github.*",)), True),
        (Rules(types=("*.issues", "*.push")), True),
        (Rules(types=("com.github",)), False),
        (Rules(types=("com.github.*",), platforms=("slack",)), False),
        (Rules(muted_platforms=("github",)), False),
        (Rules(muted_platforms=("slack",)), True),
        (Rules(muted_types=("com.github.push",)), False),
        (Rules(muted_types=("com.github.issues",)), True),
        (Rules(types=("com.github.push",), muted_types=("*",)), False),
        (Rules(platforms=("github",), muted_platforms=("slack",), muted_types=("*.issues",)), True),
    ],
)
def test_rules(rules: Rules, tells: bool) -> None:
    assert rules.selection().matches(*PUSH) is tells


@given(
    st.lists(st.sampled_from(["github", "slack", "gmail"]), max_size=3).map(tuple),
    st.sampled_from(["github", "slack", "gmail", "tidings"]),
)
def test_what_is_muted_is_never_told_and_the_rest_is(muted: tuple[str, ...], platform: str) -> None:
    told = Rules(muted_platforms=muted).selection().matches("x", platform)
    assert told == (platform not in muted)


def test_without_rules_everything_is_told() -> None:
    assert EVERYTHING.selection().matches("anything", "anywhere")


@pytest.mark.parametrize("list_", ["platforms", "types", "muted_platforms", "muted_types"])
def test_a_list_has_so_many_patterns_and_no_others(list_: str) -> None:
    Rules(**{list_: ("x",) * 50}).selection()
    with pytest.raises(Rejected):
        Rules(**{list_: ("x",) * 51}).selection()
