"""What is public changes only with a word in the changelog."""

from __future__ import annotations

import importlib
import re
import warnings

import markdown_pages as md
import pytest
from generator import publicapi

import tidings
from tidings.deprecated import Deprecation, TidingsDeprecationWarning, replacement
from tidings.hooks import API_VERSION
from tidings.plugins import SUPPORTED_API_VERSIONS
from tidings.surface import MODULES


def unreleased() -> str:
    text = (md.ROOT / "CHANGELOG.md").read_text("utf-8")
    return text.partition("## [Unreleased]")[2].partition("\n## [")[0]


def unmentioned(before: dict[str, str], after: dict[str, str], changelog: str) -> list[str]:
    """Public names that changed, and that the changelog says nothing of: neither of them nor of what they are in."""
    told = " ".join(re.findall(r"`([^`]+)`", changelog))
    words = set(re.findall(r"[A-Za-z_]\w*", told))
    return [name for name in publicapi.changed(before, after) if not set(name.split(".")) & words]


def test_every_change_of_the_public_api_stands_in_the_changelog() -> None:
    _, before = publicapi.released()
    missing = unmentioned(before, publicapi.surface(), unreleased())
    assert missing == [], "Name them, in backticks, in CHANGELOG.md under Unreleased."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"tidings.hooks.Brand": ""}),
        ({"tidings.hooks.Brand": ""}, {}),
        ({"tidings.hooks.Plugin.brand": "(self)"}, {"tidings.hooks.Plugin.brand": "(self, x)"}),
        ({}, {"tidings.testing.Brand": ""}),
    ],
)
def test_a_change_that_nobody_mentions_is_found(before: dict[str, str], after: dict[str, str]) -> None:
    (name,) = unmentioned(before, after, "- `Other` is new.")
    assert unmentioned(before, after, f"- `{name}` changed.") == []
    assert unmentioned(before, after, f"- {name} changed, which is no code.") == [name]


def test_the_public_names_can_be_imported_and_are_sorted() -> None:
    assert all(hasattr(tidings, name) for name in tidings.__all__)
    assert len(set(tidings.__all__)) == len(tidings.__all__)
    for module in MODULES:
        importlib.import_module(f"tidings.{module}")
    with pytest.raises(AttributeError, match="no public name 'Nonesuch'"):
        _ = tidings.Nonesuch


def test_public_classes_and_functions_say_what_they_are() -> None:
    silent = [
        name
        for name in tidings.__all__
        if callable(value := getattr(tidings, name)) and not isinstance(value.__doc__, str)
    ]
    assert silent == ["UserId"] or silent == []


def test_this_version_of_the_plugin_api_and_the_one_before_are_supported() -> None:
    assert max(SUPPORTED_API_VERSIONS) == API_VERSION
    assert {one for one in (API_VERSION - 1, API_VERSION) if one > 0} == SUPPORTED_API_VERSIONS


def test_a_deprecated_name_warns_and_says_what_to_use() -> None:
    planted = {"Poller": Deprecation("0.2", "0.4", "Polls")}
    with pytest.warns(
        TidingsDeprecationWarning, match=r"tidings\.Poller .* 0\.4\. Use tidings\.Polls instead"
    ):
        assert replacement("Poller", planted) == "Polls"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replacement("Polls", planted) is None


def test_every_public_name_stands_in_the_reference_with_what_it_takes_and_does() -> None:
    pages = [path for path in (md.ROOT / "docs/reference").glob("*.md") if path.stem != "public-api"]
    headings = {
        found
        for page in pages
        for found in re.findall(r"^#{2,4} (\w+)", page.read_text("utf-8"), re.MULTILINE)
    }
    names = {name.removeprefix("tidings.").removeprefix("testing.") for name in publicapi.surface()}
    names = {
        name.rpartition(".")[2]
        for name in names
        if "." not in name or (name.partition(".")[0] in MODULES - {"config"} and name.count(".") == 1)
    }
    missing = sorted(names - headings)
    assert missing == []
