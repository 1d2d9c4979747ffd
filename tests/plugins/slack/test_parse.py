"""What Slack sends is told as reviewed, to whom it concerns."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slack_bodies import FIXTURES, TEAM, fixture, known_names, recorded, request_of
from tidings.contracts import Hint, Parsed
from tidings.errors import Rejected
from tidings.event import Event, rfc3339
from tidings_slack.card import Person
from tidings_slack.names import Names
from tidings_slack.parse import parse

GOLDENS = Path(__file__).parent / "goldens.json"


def read(body: Any, names: Names | None = None, *, own_messages: bool = False) -> Parsed:
    return parse(request_of(body), names or known_names(), own_messages=own_messages)


def event_in(body: Any, names: Names | None = None) -> Event:
    (event,) = read(body, names).events
    return event


def _outcome(parsed: Parsed) -> dict[str, Any]:
    """What a reader of the feed gets to see, and who that is; short enough to be read by eye."""
    shown: dict[str, Any] = {
        "to": list(parsed.addresses),
        "not_to": list(parsed.apart_from),
        "signal": parsed.signal,
        "looks_at": None if parsed.hint is None else list(parsed.hint.targets),
    }
    for event in parsed.events:
        shown |= {
            "id": event.id,
            "type": event.type,
            "title": event.data["title"],
            "text": event.data["text"],
            "url": event.data["url"],
            "actor": event.data["actor"]["name"],
            "time": event.time and rfc3339(event.time),
        }
    return {key: value for key, value in shown.items() if value}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_kind_is_told_as_reviewed(path: Path) -> None:
    parsed = parse(recorded(path.stem), known_names(), own_messages=False)
    assert _outcome(parsed) == json.loads(GOLDENS.read_text())[path.stem]
    assert len(parsed.events) <= 1


def test_every_golden_has_its_fixture() -> None:
    assert set(json.loads(GOLDENS.read_text())) == {path.stem for path in FIXTURES}


def test_a_card_has_the_fields_that_any_page_can_show() -> None:
    event = event_in(fixture("message__reply"))
    assert (event.source, event.subject, event.platform) == (
        f"//slack.com/{TEAM}/C0GARDEN",
        "1763632900.000200",
        "slack",
    )
    assert event.data == {
        "title": "Reply in #garden",
        "text": "Yes!",
        "url": "https://acme.slack.com/archives/C0GARDEN/p1763632900000200"
        "?thread_ts=1763632800.000100&cid=C0GARDEN",
        "actor": {"name": "Bob", "avatar_url": "https://avatars.slack-edge.com/U0BOB_72.png", "id": "U0BOB"},
        "channel": {"id": "C0GARDEN", "name": "garden", "kind": "channel"},
        "team": TEAM,
        "ts": "1763632900.000200",
        "thread_ts": "1763632800.000100",
        "subtype": "",
    }


def test_a_challenge_is_answered_with_itself() -> None:
    parsed = read(fixture("url_verification"))
    assert parsed.answer is not None
    assert parsed.answer.status == 200
    assert parsed.answer.body == b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    assert parsed.answer.content_type.startswith("text/plain")


@pytest.mark.parametrize("challenge", [None, "", 7, "x" * 501, "é", "\ud800", ["x"], {}])
def test_a_challenge_that_can_not_be_one_is_refused(challenge: Any) -> None:
    body = json.dumps({"type": "url_verification", "challenge": challenge}).encode()
    with pytest.raises(Rejected) as caught:
        read(body)
    assert caught.value.status == 400


def test_a_delivery_is_known_by_its_event_id_also_when_it_is_sent_again() -> None:
    body = encode(fixture("message"))
    first = parse(request_of(body), known_names(), own_messages=False)
    headers = {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"}
    again = parse(request_of(body, headers), known_names(), own_messages=False)
    assert first == again
    assert first.delivery_id == "Ev0PV52K21"


def test_a_message_that_comes_under_another_event_id_is_the_same_event() -> None:
    body = fixture("message")
    other = read({**body, "event_id": "Ev0OTHER", "event_time": 1763639999})
    assert (other.events, other.delivery_id) == (read(body).events, "Ev0OTHER")


def test_no_id_depends_on_what_is_known_of_names() -> None:
    for path in FIXTURES:
        known, unknown = read(fixture(path.stem)), read(fixture(path.stem), Names())
        assert [one.id for one in known.events] == [one.id for one in unknown.events]
        assert (known.addresses, known.apart_from) == (unknown.addresses, unknown.apart_from)


def test_names_that_nobody_here_knows_are_looked_up_and_shown_as_ids_meanwhile() -> None:
    parsed = read(fixture("message"), Names())
    assert parsed.hint == Hint(("name:C0GARDEN", "name:U0BOB", "name:U0ADA"))
    (event,) = parsed.events
    assert event.data["title"] == "Message in a channel"
    assert event.data["actor"]["name"] == "U0BOB"
    assert event.data["text"].startswith("Lunch, @U0ADA? See the menu (https://example.org/menu) & #food")
    assert event.data["url"] == f"https://app.slack.com/client/{TEAM}/C0GARDEN"


def test_somebody_whom_slack_does_not_name_is_not_looked_up_again() -> None:
    names = known_names()
    names.note_person(TEAM, "U0BOB", Person(""))
    parsed = read(fixture("message"), names)
    assert parsed.hint is None
    assert parsed.events[0].data["actor"]["name"] == "U0BOB"


def test_what_a_message_brings_along_of_its_author_is_shown() -> None:
    event = event_in(fixture("message__from_another_workspace"), Names())
    assert event.data["actor"] == {
        "name": "far",
        "avatar_url": "https://avatars.slack-edge.com/far_72.png",
        "id": "U0FAR",
    }


def test_own_messages_are_told_where_that_is_wished() -> None:
    assert read(fixture("message")).apart_from == (f"user:{TEAM}:U0BOB",)
    assert read(fixture("message"), own_messages=True).apart_from == ()


def test_a_public_channel_is_never_told_to_who_is_only_named_by_the_delivery() -> None:
    body = fixture("message")
    assert read(body).addresses == (f"channel:{TEAM}:C0GARDEN",)
    private = {**body, "event": {**body["event"], "channel_type": "group"}}
    assert read(private).addresses == (f"channel:{TEAM}:C0GARDEN", f"user:{TEAM}:U0ADA")
    other = [{"team_id": "T0OTHER", "user_id": "U0ADA"}, {"team_id": TEAM, "user_id": 7}, "x"]
    assert read({**private, "authorizations": other}).addresses == (f"channel:{TEAM}:C0GARDEN",)


def test_a_revocation_says_when_it_was() -> None:
    parsed = read(fixture("tokens_revoked"))
    assert parsed.signalled_at == datetime(2025, 11, 20, 10, tzinfo=UTC)
    assert read({**fixture("app_uninstalled"), "event_time": "soon"}).signalled_at is None


def test_a_minute_without_deliveries_prompts_one_look_at_everything() -> None:
    assert read(fixture("app_rate_limited")).hint == Hint(("", "limited:1763634600"), 90.0)
    assert read({**fixture("app_rate_limited"), "minute_rate_limited": "x"}).hint == Hint(("",), 90.0)
    assert read({"type": "app_rate_limited"}).hint is None


EDITED = {"ts": "1763633099.000000"}
CHANGED: list[tuple[str, str, dict[str, Any]]] = [
    ("no channel", "message", {"channel": None}),
    ("a channel that is none", "message", {"channel": "#garden"}),
    ("a channel with a colon", "message", {"channel": "C0:GARDEN"}),
    ("an endless channel", "message", {"channel": "C" * 33}),
    ("no ts", "message", {"ts": None}),
    ("ts as a number", "message", {"ts": 1763632800.0001}),
    ("ts without a fraction", "message", {"ts": "1763632800"}),
    ("ts with an exponent", "message", {"ts": "1e9.0"}),
    ("ts in other digits", "message", {"ts": "\u0661.\u0661"}),
    ("a negative ts", "message", {"ts": "-1.0"}),
    ("an endless ts", "message", {"ts": "1" * 40 + ".0"}),
    ("no inner message", "message_changed", {"message": "x"}),
    ("an edit without its ts", "message_changed", {"message": {"edited": {"ts": "1763632999.000000"}}}),
    (
        "an edit that is not later",
        "message_changed__again",
        {"previous_message": {"edited": {"ts": "1763633099.000000"}}},
    ),
    ("a deletion of nothing", "message_deleted", {"deleted_ts": 7}),
    ("a reaction without a name", "reaction_added", {"reaction": ""}),
    ("a reaction by nobody", "reaction_added", {"user": None}),
    ("a reaction at no instant", "reaction_added", {"event_ts": "x"}),
    ("a reaction to nothing", "reaction_added", {"item": []}),
    ("a channel without an id", "channel_created", {"channel": {"name": "x"}}),
    ("an event of no type", "message", {"type": None}),
    ("an event of another type", "message", {"type": "message.channels"}),
    ("a type that is a list", "message", {"type": ["message"]}),
]


@pytest.mark.parametrize(("name", "changes"), [one[1:] for one in CHANGED], ids=[one[0] for one in CHANGED])
def test_what_can_not_be_told_is_taken_all_the_same(name: str, changes: dict[str, Any]) -> None:
    body = fixture(name)
    parsed = read({**body, "event": {**body["event"], **changes}})
    assert parsed.events == ()
    assert parsed.delivery_id == "Ev0PV52K21"


@pytest.mark.parametrize(
    "changes", [{"team_id": None}, {"team_id": "acme"}, {"event": None}, {"event": []}, {"type": 7}]
)
def test_an_envelope_that_names_nobody_is_for_nobody(changes: dict[str, Any]) -> None:
    parsed = read({**fixture("message"), **changes})
    assert (parsed.events, parsed.addresses) == ((), ())


@pytest.mark.parametrize("kind", ["tokens_revoked", "member_joined_channel", "im_created"])
def test_what_names_nobody_says_nothing_about_anybody(kind: str) -> None:
    parsed = read({**fixture(kind), "event": {"type": kind, "tokens": {"oauth": "U0ADA", "bot": [7, "x:y"]}}})
    assert (parsed.events, parsed.addresses, parsed.hint) == ((), (), None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"payload=%7B%7D",
        b"[]",
        b'"x"',
        b"7",
        b"{",
        b'{"type":',
        b"\xff\xfe{}",
        b"\x00",
        b"NaN",
    ],
)
def test_a_body_that_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        read(content)
    assert caught.value.status == 400


def test_what_is_nested_too_deep_to_read_says_nothing() -> None:
    parsed = read(b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert (parsed.events, parsed.addresses, parsed.kind) == ((), (), "")


def test_long_texts_are_cut() -> None:
    body = fixture("message")
    event = event_in({**body, "event": {**body["event"], "text": "<@U0BOB> " * 5_000}})
    assert len(event.data["text"]) == 2000
    assert event.data["text"].startswith("@Bob @Bob")


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_a_body_of_any_content_type_is_read_as_the_json_that_it_is() -> None:
    assert parse(request_of(fixture("message"), {}), known_names(), own_messages=False).events


def write_goldens() -> None:
    """After a change that was meant: `python tests/plugins/slack/test_parse.py`, and read the difference."""
    found = {path.stem: _outcome(read(fixture(path.stem))) for path in FIXTURES}
    GOLDENS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_goldens()
