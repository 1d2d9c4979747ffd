from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.contracts import Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings_github import body
from tidings_github.connector import GitHubConnector
from tidings_github.shapes import SHAPES

Make = Callable[..., WebhookRequest]

FIXTURES = [
    (path.stem.partition("__")[0], json.loads(path.read_text()))
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.json"))
]
EVENTS = sorted({event for event, _ in FIXTURES})
SOURCE = re.compile(r"//[A-Za-z0-9.:-]+(/[A-Za-z0-9_.-]+){0,2}")
LINK = re.compile(r"(https?://\S+)?")

anything = st.text(st.characters(), max_size=20)  # surrogates and NUL among them
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 0, -1, 1_763_632_800]),
    st.floats(),
    anything,
    st.sampled_from(
        [
            "",
            "\ud800",
            "\x00",
            "javascript:alert(1)",
            "https://example.org/\ud800",
            "x" * 100_000,
            "\n" * 5_000,
            "9999-12-31T23:59:59-23:59",
            "2026-11-20T10:00:00Z",
            "https://example.org:99999999/",
            "merged",
            "deleted",
        ]
    ),
)
json_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=6,
)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _paths(child, (*path, key))


PLACES = [list(_paths(payload)) for _, payload in FIXTURES]


@st.composite
def mutated(draw: st.DrawFn, places: Sequence[int] = range(len(FIXTURES))) -> tuple[str, Any]:
    """A payload that GitHub could send, with some of its nodes replaced, dropped or added."""
    place = draw(st.sampled_from(places))
    event, payload = FIXTURES[place][0], copy.deepcopy(FIXTURES[place][1])
    for path in draw(st.lists(st.sampled_from(PLACES[place]), min_size=1, max_size=6)):
        node = payload
        try:
            for step in path[:-1]:
                node = node[step]
            if draw(st.booleans()):
                node[path[-1]] = draw(json_values)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took this place away
    return draw(st.sampled_from([event, event, event, *EVENTS])), payload


def _holds(connector: GitHubConnector, request: WebhookRequest) -> Parsed | None:
    """Parse twice and check what every event must be; None where it is refused."""
    try:
        parsed = connector.parse(request)
    except Rejected as refused:
        assert refused.status in {400, 415}
        return None
    assert parsed == connector.parse(request)
    assert parsed.delivery_id == request.headers["x-github-delivery"]
    for event in parsed.events:
        assert 0 < len(event.id) <= 300
        assert event.id.isascii()
        assert event.id.isprintable()
        assert event.id.startswith("github:")
        assert event.type == f"com.github.{parsed.kind}"
        assert SOURCE.fullmatch(event.source)
        assert event.time is None or event.time.tzinfo is UTC
        assert len(event.subject) <= 400
        data = event.data
        assert 0 < len(data["title"]) <= 200
        assert "\n" not in data["title"]
        assert len(data["text"]) <= 2000
        for link in (data["url"], data["actor"]["url"], data["actor"]["avatar_url"]):
            assert LINK.fullmatch(link)
        _storable(data)
        assert len(msgspec.json.encode(data)) < 60_000
    return parsed


def _storable(value: Any) -> None:
    """No lone surrogate, NUL, odd number or long list is left anywhere."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, dict):
        for key, child in value.items():
            assert isinstance(key, str)
            _storable(child)
    elif isinstance(value, list):
        assert len(value) <= 20
        for child in value:
            _storable(child)
    else:
        assert (
            value is None or isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63)
        )


@settings(max_examples=400, deadline=None)
@given(case=mutated())
def test_no_signed_payload_raises_whatever_is_in_it(
    connector: GitHubConnector, delivery: Make, case: tuple[str, Any]
) -> None:
    event, payload = case
    body = json.dumps(payload).encode()
    as_json = _holds(connector, delivery(event, body))
    form = b"payload=" + quote_from_bytes(body).encode()
    as_form = _holds(connector, delivery(event, form, {"content-type": "application/x-www-form-urlencoded"}))
    assert as_json == as_form


SHAPED = [place for place, (event, _) in enumerate(FIXTURES) if event in SHAPES]


@settings(max_examples=300, deadline=None)
@given(case=mutated(SHAPED))
def test_skipping_fields_that_no_card_shows_changes_no_event(
    connector: GitHubConnector, delivery: Make, case: tuple[str, Any]
) -> None:
    event, payload = case
    request = delivery(event, json.dumps(payload).encode())
    told = _holds(connector, request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "SHAPES", {})
        assert _holds(connector, request) == told


@settings(max_examples=100, deadline=None)
@given(event=st.sampled_from(EVENTS), payload=st.dictionaries(anything, json_values, max_size=5))
def test_no_object_raises(connector: GitHubConnector, delivery: Make, event: str, payload: Any) -> None:
    assert _holds(connector, delivery(event, json.dumps(payload).encode())) is not None


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=60) | st.sampled_from([json.dumps(p).encode() for _, p in FIXTURES[:5]]),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "x-github-event", "x-github-delivery"]),
        st.one_of(
            st.none(),
            anything,
            st.sampled_from(["push", "application/json", "application/x-www-form-urlencoded;charset=x"]),
        ),
    ),
)
def test_no_body_and_no_header_raises_but_rejected(
    connector: GitHubConnector, delivery: Make, content: bytes, headers: dict[str, str | None]
) -> None:
    _holds(connector, delivery("push", content, headers))
