from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tidings.contracts import Keys
from tidings.errors import NotFound, Rejected
from tidings_github.connector import GitHubConnector

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
KEYS = Keys((b"first", b"second"))


def test_a_sample_is_a_signed_push_that_verifies_and_parses(connector: GitHubConnector) -> None:
    sample = connector.sample(KEYS, NOW, "1")
    connector.verify(sample, KEYS, NOW)
    (event,) = connector.parse(sample).events
    assert event.type == "com.github.push"
    assert event.data["title"] == "3 commits pushed to main in octo/repo"
    assert event.time == NOW.replace(microsecond=0)


def test_a_sample_is_signed_with_the_first_key(connector: GitHubConnector) -> None:
    sample = connector.sample(KEYS, NOW, "1")
    connector.verify(sample, Keys((b"first",)), NOW)
    with pytest.raises(Rejected):
        connector.verify(sample, Keys((b"second",)), NOW)


def test_a_changed_sample_is_refused(connector: GitHubConnector) -> None:
    sample = connector.sample(KEYS, NOW, "1")
    with pytest.raises(Rejected):
        connector.verify(msgspec.structs.replace(sample, body=sample.body + b" "), KEYS, NOW)


def test_every_serial_is_another_push_and_another_delivery(connector: GitHubConnector) -> None:
    parsed = [connector.parse(connector.sample(KEYS, NOW, str(serial))) for serial in range(500)]
    assert len({one.events[0].id for one in parsed}) == 500
    assert len({one.delivery_id for one in parsed}) == 500


def test_the_same_serial_is_the_same_push_at_any_time(connector: GitHubConnector) -> None:
    first, later = (connector.sample(KEYS, NOW + wait, "7") for wait in (timedelta(), timedelta(hours=1)))
    assert connector.sample(KEYS, NOW, "7") == first
    assert connector.parse(first).events[0].id == connector.parse(later).events[0].id
    assert connector.parse(first).delivery_id == connector.parse(later).delivery_id


def test_a_sample_is_as_large_as_real_pushes_are(connector: GitHubConnector) -> None:
    body = connector.sample(KEYS, NOW, "1").body
    assert 6_500 <= len(body) <= 8_000
    assert json.loads(body)["repository"]["full_name"] == "octo/repo"


def test_without_a_key_there_is_nothing_to_sign_with(connector: GitHubConnector) -> None:
    with pytest.raises(NotFound, match="tidings webhook add github"):
        connector.sample(Keys(), NOW, "1")
