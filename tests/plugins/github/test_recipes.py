from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidings.contracts import WebhookRequest
from tidings_github import recipes
from tidings_github.connector import GitHubConnector

HERE = Path(__file__).parent
FIXTURES = sorted((HERE / "fixtures").glob("*.json"))
README = HERE.parents[2] / "plugins" / "github" / "README.md"
BEGIN, END = "<!-- ids: begin -->\n", "<!-- ids: end -->\n"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

Make = Callable[..., WebhookRequest]


def _row(event: str, payload: dict[str, Any]) -> recipes.Recipe:
    """The table's row for a payload: the first that fits, read as a person would read it."""
    action = payload.get("action", "")
    if event == "pull_request" and action == "closed" and payload["pull_request"]["merged"]:
        action = "merged"
    return next(row for row in recipes.RECIPES if row.event in {event, "*"} and row.action in {action, "*"})


def _expected(event: str, payload: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] in {"event", "guid"}:
            return {"event": event, "guid": GUID}[match[1]]
        found: Any = payload
        for step in match[1].split("."):
            found = found[int(step)] if step.isdecimal() else found[step]
        return "".join(
            c if "!" <= c <= "~" and c != "%" else "".join(f"%{byte:02X}" for byte in c.encode())
            for c in str(found)
        )

    return re.sub(r"\{([^}]+)\}", value, _row(event, payload).template)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_id_is_made_as_the_table_says(
    connector: GitHubConnector, delivery: Make, fixture: Path
) -> None:
    event, payload = fixture.stem.partition("__")[0], json.loads(fixture.read_text())
    made = [told.id for told in connector.parse(delivery(event, payload)).events]
    expected = _expected(event, payload)
    assert made == ([expected] if expected else [])


def test_every_row_of_the_table_has_a_fixture() -> None:
    used = {_row(fixture.stem.partition("__")[0], json.loads(fixture.read_text())) for fixture in FIXTURES}
    assert [row for row in recipes.RECIPES if row not in used] == []


def test_the_table_has_no_row_that_an_earlier_one_hides() -> None:
    keys = [(row.event, row.action) for row in recipes.RECIPES]
    assert len(keys) == len(set(keys))
    for place, (event, action) in enumerate(keys):
        assert (event, "*") not in keys[:place], f"{event} {action} stands behind `any other` of its event"


def test_no_recipe_uses_updated_at_and_every_row_says_why() -> None:
    for row in recipes.RECIPES:
        assert "updated_at" not in row.template
        assert row.reason.endswith(".")
        assert row.template == recipes.NO_EVENT or row.template.startswith("github:")


def test_a_star_and_the_watch_that_comes_with_it_are_one(connector: GitHubConnector, delivery: Make) -> None:
    ids = {
        connector.parse(delivery(event, (HERE / "fixtures" / name).read_bytes())).events[0].id
        for event, name in [("star", "star__created.json"), ("watch", "watch__started.json")]
    }
    assert ids == {"github:star:1296269:2042112"}


def test_the_polled_copy_of_a_push_gives_the_pushed_one_s_id(
    connector: GitHubConnector, delivery: Make
) -> None:
    body = (HERE / "fixtures" / "push__three_commits.json").read_bytes()
    pushed = json.loads(body)
    polled = {
        "repository_id": 1296269,
        "ref": pushed["ref"],
        "before": pushed["before"],
        "head": pushed["after"],
    }
    as_pushed = {
        "repository": {"id": polled["repository_id"]},
        "ref": polled["ref"],
        "before": polled["before"],
        "after": polled["head"],
    }
    made = connector.parse(delivery("push", body)).events[0].id
    assert recipes.event_id("push", "", as_pushed, "another-guid") == made


@pytest.mark.parametrize(
    "row", [row for row in recipes.RECIPES if "{guid}" not in row.template and row.template]
)
@pytest.mark.parametrize("odd", [None, "", True, -1, 2**64, 1.5, [], {}, ["1"]])
def test_an_odd_value_where_an_id_needs_one_falls_back_to_the_delivery(
    row: recipes.Recipe, odd: object
) -> None:
    path = re.findall(r"\{([^}]+)\}", row.template)[0].split(".")
    payload: Any = odd
    for step in reversed(path):
        payload = {step: payload}
    action = "closed" if row.action == recipes.MERGED else row.action
    made = recipes.event_id(row.event, action, payload, GUID)
    assert made == f"github:{row.event}:delivery:{GUID}"


@pytest.mark.parametrize(
    ("ref", "shown"),
    [
        ("refs/heads/a b", "refs/heads/a%20b"),
        ("refs/heads/a%20b", "refs/heads/a%2520b"),
        ("refs/heads/\n\x00\x7f", "refs/heads/%0A%00%7F"),
        ("refs/heads/\ud800", "refs/heads/%ED%A0%80"),
        ("refs/heads/ü", "refs/heads/%C3%BC"),
    ],
)
def test_an_id_is_visible_ascii_and_keeps_two_refs_apart(ref: str, shown: str) -> None:
    payload = {"repository": {"id": 1}, "ref": ref, "before": "a", "after": "b"}
    assert recipes.event_id("push", "", payload, GUID) == f"github:push:1:{shown}:a:b"


@pytest.mark.parametrize("letter", ["x", "ü", "\ud800"])
def test_a_long_id_is_cut_and_told_apart_by_a_digest(letter: str) -> None:
    payload = {"repository": {"id": 1}, "before": "a", "after": "b"}
    made = {
        recipes.event_id("push", "", {**payload, "ref": letter * 100_000 + end}, GUID)
        for end in ("one", "two")
    }
    assert len(made) == 2
    assert {len(one) for one in made} == {recipes.ID_LENGTH}


def test_the_digest_of_a_long_id_is_of_the_whole() -> None:
    long = "github:" + "y" * 400
    assert recipes.bounded(long) == f"{long[:235]}:{hashlib.sha256(long.encode()).hexdigest()}"


def test_the_readme_shows_the_table_as_it_is() -> None:
    text = README.read_text()
    assert text.partition(BEGIN)[2].partition(END)[0] == recipes.markdown(), (
        f"The table in {README} is not the one in recipes.py. Write it again: python {Path(__file__)}"
    )


def _rewrite() -> None:
    """Write the table into the README."""
    text = README.read_text()
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{head}{BEGIN}{recipes.markdown()}{END}{tail}")


if __name__ == "__main__":
    _rewrite()
