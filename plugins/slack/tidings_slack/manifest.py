"""The Slack app that this installation needs, as a manifest to paste.

https://docs.slack.dev/reference/app-manifest; its schema is that of github.com/slackapi/manifest-schema. The address
that has it filled in is `api.slack.com/apps?new_app=1&manifest_json=…`.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tidings.contracts import Draft
from tidings_slack.oauth import SCOPES, TokenKind

_NEW_APP: Final = "https://api.slack.com/apps?new_app=1&manifest_json="
_NAME_LENGTH: Final = 35
#: What the app is sent, for people and bots alike.
EVENTS: Final = (
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "channel_created",
    "member_joined_channel",
    "member_left_channel",
    "tokens_revoked",
    "app_uninstalled",
)
# A bot has no conversations that somebody opens with somebody else.
_EVENTS_OF_PEOPLE: Final = ("im_created",)


def draft(
    public_url: str,
    redirect_uri: str,
    callback_url: str,
    *,
    kind: TokenKind,
    token_rotation: bool,
    is_reachable: bool,
) -> Draft:
    """The app's manifest.

    Args:
        public_url: Of this installation.
        redirect_uri: Where consents come back to.
        callback_url: Where events go.
        kind: Whose tokens are asked for.
        token_rotation: Whether tokens end and are refreshed; Slack can't switch that off again.
        is_reachable: Whether Slack can call `callback_url`; else the app has no events, and asking is all there is.
    """
    host = urlsplit(public_url).hostname or ""
    manifest: dict[str, Any] = {
        "display_information": {
            "name": f"tidings {host}".strip()[:_NAME_LENGTH],
            "description": "Shows what is new in your Slack, the moment it happens.",
        },
        "oauth_config": {
            "redirect_urls": [redirect_uri],
            "scopes": {kind: list(SCOPES)},
        },
        "settings": {
            "org_deploy_enabled": False,
            "socket_mode_enabled": False,
            "token_rotation_enabled": token_rotation,
        },
    }
    if kind == "bot":
        manifest["features"] = {"bot_user": {"display_name": "tidings", "always_online": False}}
    if is_reachable:
        events = EVENTS if kind == "bot" else (*EVENTS, *_EVENTS_OF_PEOPLE)
        manifest["settings"]["event_subscriptions"] = {
            "request_url": callback_url,
            f"{kind}_events": list(events),
        }
    url = _NEW_APP + quote(json.dumps(manifest, separators=(",", ":")), safe="")
    return Draft(json.dumps(manifest, indent=2), url)
