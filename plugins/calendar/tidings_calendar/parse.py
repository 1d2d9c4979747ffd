"""What a notification says: that something in a calendar has changed, and nothing of what.

Its body is empty. `X-Goog-Resource-State` is `sync` in the first message of a channel, `exists` or `not_exists` in
those that follow; `X-Goog-Message-Number` tells the messages of a channel apart
(developers.google.com/workspace/calendar/api/guides/push, 2026).
"""

from __future__ import annotations

import re
from typing import Final

from tidings.contracts import Hint, Parsed, Reply, WebhookRequest
from tidings.errors import Rejected
from tidings_calendar.verify import CHANNEL, CHANNEL_ID

STATE: Final = "x-goog-resource-state"
NUMBER: Final = "x-goog-message-number"
SYNC: Final = "sync"

# One edit brings several messages within moments, and during a renewal two channels send them.
_SETTLED_SECONDS: Final = 0.5
_KNOWN: Final = frozenset({SYNC, "exists", "not_exists"})
_NUMBER = re.compile(r"[0-9]{1,20}")


def parse(request: WebhookRequest) -> Parsed:
    """Read a verified notification.

    A greeting hints, too: between the making of a channel and the last look at its calendar something may have come
    by no way. So does a state that Google invents one day.

    Raises:
        Rejected: 400. It says no state.
    """
    state = request.headers.get(STATE, "").strip().lower()
    if not state:
        raise Rejected("The request has no X-Goog-Resource-State.", status=400)
    channel, number = request.headers.get(CHANNEL, ""), request.headers.get(NUMBER, "").strip()
    is_numbered = CHANNEL_ID.fullmatch(channel) and _NUMBER.fullmatch(number)
    return Parsed(
        events=(),
        delivery_id=f"{channel}:{number}" if is_numbered else "",
        kind=state if state in _KNOWN else "unknown",
        signal="verified" if state == SYNC else "",
        hint=Hint(in_seconds=_SETTLED_SECONDS),
    )


def unknown(request: WebhookRequest) -> Reply | None:
    """Thank for a notification of a channel that nobody here knows any more.

    A channel can't be stopped once the consent is gone: it goes on for up to a week, until it expires.
    """
    is_notification = CHANNEL_ID.fullmatch(request.headers.get(CHANNEL, "")) and STATE in request.headers
    return Reply(200) if request.method == "POST" and is_notification else None
