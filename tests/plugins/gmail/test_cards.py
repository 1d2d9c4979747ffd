"""A mail becomes a card that says from whom it is and what about."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmail_exchanges import FIXTURES, JSON, is_cloudevent
from tidings_gmail.cards import labels_event, message_event

MESSAGES = sorted(path.stem for path in FIXTURES.glob("message__*.json"))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_mail_as_gmail_shows_it(name: str) -> None:
    kept = json.loads((FIXTURES / f"{name}.json").read_text())
    event = message_event("1234", "ada@example.com", kept["message"])
    assert event is not None
    assert event.id == "gmail:1234:message:18c1d2e3f4a5b6c7"
    assert (event.type, event.time) == (
        "com.google.gmail.message",
        datetime.fromtimestamp(1795000000.123, UTC),
    )
    assert {name: event.data[name] for name in kept["event"]} == kept["event"]


def test_a_change_of_labels_says_which() -> None:
    kept = json.loads((FIXTURES / "message__plain.json").read_text())["message"]
    got = labels_event("1234", "ada@example.com", kept, "added:77", ["STARRED"], None)
    lost = labels_event("1234", "ada@example.com", kept, "removed:78", ["INBOX"], None)
    assert got is not None
    assert lost is not None
    assert (got.data["title"], lost.data["title"]) == ("Tonight got STARRED", "Tonight lost INBOX")
    assert got.id == "gmail:1234:labels:18c1d2e3f4a5b6c7:added:77"


@given(
    st.dictionaries(
        st.sampled_from(["id", "threadId", "labelIds", "snippet", "internalDate", "payload"]), JSON
    )
)
def test_whatever_gmail_says_it_is_an_event_or_none(message: dict[str, object]) -> None:
    event = message_event("1", "a@b.example", message)
    assert message_event("1", "a@b.example", message) == event
    if event is not None:
        is_cloudevent(event)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["From", "Subject"]) | JSON, "value": st.text() | JSON}
        )
    )
)
def test_whatever_stands_in_its_headers(headers: list[object]) -> None:
    event = message_event("1", "a@b.example", {"id": "18c1", "payload": {"headers": headers}})
    assert event is not None
    assert event.id == "gmail:1:message:18c1"
    is_cloudevent(event)
