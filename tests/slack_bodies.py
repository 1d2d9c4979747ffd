"""Bodies as Slack sends them, and what is known of names here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tidings.contracts import WebhookRequest
from tidings.event import encode_json
from tidings_slack.card import Person
from tidings_slack.names import Names

TEAM = "T061EG9R6"
_FIXTURES = Path(__file__).parent / "plugins" / "slack" / "fixtures"
FIXTURES = sorted(_FIXTURES.glob("*.json"))


def fixture(name: str) -> dict[str, Any]:
    """A recorded body."""
    body: dict[str, Any] = json.loads((_FIXTURES / f"{name}.json").read_text())["body"]
    return body


def recorded(name: str) -> WebhookRequest:
    """A recorded delivery, with its headers."""
    found = json.loads((_FIXTURES / f"{name}.json").read_text())
    return WebhookRequest("POST", "/api/webhooks/slack", "", found["headers"], encode_json(found["body"]))


def request_of(body: Any, headers: dict[str, str] | None = None) -> WebhookRequest:
    """A verified delivery of a body."""
    content = body if isinstance(body, bytes) else encode_json(body)
    return WebhookRequest(
        "POST", "/api/webhooks/slack", "", headers or {"content-type": "application/json"}, content
    )


def known_names() -> Names:
    """What a poll has learnt."""
    names = Names()
    names.note_url(TEAM, "https://acme.slack.com")
    for user, name in (("U0ADA", "Ada"), ("U0BOB", "Bob"), ("U0CY", "Cy")):
        names.note_person(TEAM, user, Person(name, f"https://avatars.slack-edge.com/{user}_72.png"))
    for channel, name in (("C0GARDEN", "garden"), ("G0CELLAR", "cellar"), ("C0FOOD", "food")):
        names.note_channel(TEAM, channel, name, 1.0)
    return names
