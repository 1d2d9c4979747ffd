"""What the tests of the GitHub connector share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from github_exchanges import JumpClock
from tidings.contracts import WebhookRequest
from tidings.event import encode_json
from tidings_github.connector import GitHubConnector, Setup

GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


@pytest.fixture(scope="session")
def connector() -> GitHubConnector:
    """A connector without a key of the operator's."""
    return GitHubConnector(Setup(), JumpClock())


@pytest.fixture(scope="session")
def delivery() -> Callable[..., WebhookRequest]:
    """Makes a verified delivery of a payload (or of a body's bytes); a header set to None is left out."""

    def make(event: str, payload: Any, headers: Mapping[str, str | None] | None = None) -> WebhookRequest:
        body = payload if isinstance(payload, bytes) else encode_json(payload)
        given: dict[str, str | None] = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": GUID,
            **(headers or {}),
        }
        sent = {name: value for name, value in given.items() if value is not None}
        return WebhookRequest("POST", "/api/webhooks/github/x", "", sent, body)

    return make
