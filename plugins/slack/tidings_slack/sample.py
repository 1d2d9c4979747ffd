"""An example delivery: a message in a channel, as Slack sends it, signed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import NotFound
from tidings.event import encode_json
from tidings_slack.verify import SIGNATURE, TIMESTAMP, sign

_TEAM: Final = "T024BE7LD"
_CHANNEL: Final = "C024BE91L"
_USER: Final = "U2147483697"
_APP: Final = "A061F7AUR"


def message(keys: Keys, now: datetime, serial: str) -> WebhookRequest:
    """A signed message; every `serial` is another one.

    Raises:
        NotFound: There is no key to sign with.
    """
    if not keys.secrets:
        raise NotFound(
            "There is no signing secret to sign with. Set plugins.connectors.slack.signing_secret in config.yaml."
        )
    seconds = int(now.timestamp())
    body = encode_json(_envelope(seconds, hashlib.sha256(serial.encode("utf-8", "replace")).digest()))
    return WebhookRequest(
        method="POST",
        path="/api/webhooks/slack",
        query="",
        headers={
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "content-type": "application/json",
            TIMESTAMP: str(seconds),
            SIGNATURE: sign(keys.secrets[0], seconds, body),
        },
        body=body,
    )


def _envelope(seconds: int, digest: bytes) -> dict[str, Any]:
    stamp = f"{seconds}.{int.from_bytes(digest[:4]) % 1_000_000:06d}"
    name = digest.hex()[:12].upper()
    event = {
        "type": "message",
        "channel": _CHANNEL,
        "channel_type": "channel",
        "user": _USER,
        "user_profile": {"display_name": "Ada", "real_name": "Ada Example", "image_72": ""},
        "text": f"Lunch at *noon*? <https://example.org/menu|The menu> of today &amp; tomorrow (sample {name})",
        "client_msg_id": name,
        "team": _TEAM,
        "ts": stamp,
        "event_ts": stamp,
    }
    authorization = {
        "enterprise_id": None,
        "team_id": _TEAM,
        "user_id": _USER,
        "is_bot": False,
        "is_enterprise_install": False,
    }
    return {
        "token": "not-looked-at",
        "team_id": _TEAM,
        "context_team_id": _TEAM,
        "context_enterprise_id": None,
        "api_app_id": _APP,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev{name}",
        "event_time": seconds,
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": f"4-{name}",
    }
