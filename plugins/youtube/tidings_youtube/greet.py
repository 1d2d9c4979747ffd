"""Answering the hub when it asks whether an address wants a channel's news (WebSub 1.0 §5.3).

`GET callback?hub.mode=subscribe&hub.topic=…&hub.challenge=…&hub.lease_seconds=…`: the challenge is given back where it
was asked for, else 404. With `hub.mode=denied` (§5.2) the hub says that it will not deliver, which it may at any time.
Topics are compared by their `channel_id` alone: YouTube has written the rest of the address in two ways.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tidings.contracts import Greeted, Reply, WebhookRequest
from tidings.errors import Rejected
from tidings.fields import one_line
from tidings_youtube.targets import channel_of

_MOST_CHALLENGE: Final = 4096
_MOST_PARAMETERS: Final = 50
# The hub's own default, for an answer that does not say it (pubsubhubbub.appspot.com, 2026).
_UNSAID_LEASE_SECONDS: Final = 432_000.0
_LONGEST_LEASE_SECONDS: Final = 30 * 86_400.0  # renewing sooner than need be does no harm


def greet(request: WebhookRequest, target: str | None, *, is_wanted: bool) -> Greeted:
    """Answer the question.

    Raises:
        Rejected: 404. It is of another channel, not wanted, or makes no sense.
    """
    asked = _parameters(request.query)
    mode, challenge = asked.get("hub.mode", ""), asked.get("hub.challenge", "")
    is_ours = target is not None and _channel(asked.get("hub.topic", "")) == channel_of(target)
    if mode == "denied" and is_ours and is_wanted:
        reason = one_line(asked.get("hub.reason", "")) or "it gives no reason"
        return Greeted(Reply(200), problem=f"The hub will not deliver this channel: {reason}.")
    if not 0 < len(challenge) <= _MOST_CHALLENGE:
        raise Rejected("The question has no challenge.", status=404)
    reply = Reply(200, challenge.encode("utf-8", "replace"))
    if mode == "subscribe" and is_ours and is_wanted:
        return Greeted(reply, _lease_seconds(asked.get("hub.lease_seconds", "")))
    # Whoever asks, an address that wants nothing may be unsubscribed, whatever it was subscribed to.
    if mode == "unsubscribe" and not is_wanted:
        return Greeted(reply)
    raise Rejected("Nobody here asked for that.", status=404)


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Rejected("The question has too many parameters.", status=404) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected("A parameter stands twice in the question.", status=404)
    return found


def _channel(topic: str) -> str:
    """The channel of a topic; "" where it names none, or several."""
    try:
        named = parse_qs(urlsplit(topic).query, max_num_fields=_MOST_PARAMETERS).get("channel_id", [])
    except ValueError:
        return ""
    return named[0] if len(named) == 1 else ""


def _lease_seconds(text: str) -> float:
    said = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
    return min(float(said), _LONGEST_LEASE_SECONDS) if said else _UNSAID_LEASE_SECONDS
