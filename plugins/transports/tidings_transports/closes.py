"""Why the server closes a WebSocket, and by which code it says so.

Codes below 4000 are those of RFC 6455, section 7.4.1, and of IANA's registry; those from 4000 on are ours.
"""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Close:
    """One way in which a connection ends.

    Attributes:
        code: The close frame's code.
        reason: Its text.
        meaning: What has happened.
        come_back: When and how a client comes back.
    """

    code: int
    reason: str
    meaning: str
    come_back: str


_AT_ONCE: Final = "after a moment, behind the last cursor"
_NEW: Final = "with new credentials"
_DEFECT: Final = "not with this program: it has a defect"

CLOSES: Final = (
    Close(1003, "unsupported", "A binary message. Every message is text.", _DEFECT),
    Close(1009, "too_large", "A message longer than `max_message`.", _DEFECT),
    Close(1011, "failed", "A defect of the server; its log has the traceback.", _AT_ONCE),
    Close(1012, "restart", "The server is stopping.", _AT_ONCE),
    Close(1013, "unavailable", "Not now: the server is starting, or can't reach its database.", _AT_ONCE),
    Close(4001, "expired", "The token, session or JWT has reached its end.", _NEW),
    Close(4002, "revoked", "The token was revoked.", "with another token"),
    Close(4003, "signed_out", "The session was ended.", "after signing in"),
    Close(4004, "user_removed", "The user was removed.", "not"),
    Close(4401, "unauthenticated", "The credentials are no good, or something was asked without any.", _NEW),
    Close(
        4403, "forbidden", "The credentials are good and lack the scope `read`, or are another user's.", _NEW
    ),
    Close(4408, "auth_timeout", "No subscription for as long as `auth_timeout`.", _DEFECT),
    Close(4410, "idle_timeout", "No sign of life from the client for as long as `idle_timeout`.", _AT_ONCE),
    Close(4429, "rate_limited", "More messages than `messages` allows.", "after a minute; send less"),
    Close(
        4430,
        "too_many_streams",
        "As many connections or streams of the user are open as `connections` and `limits.streams` allow.",
        "after one was closed",
    ),
)

_BY_REASON: Final = {close.reason: close for close in CLOSES}


def close_for(reason: str) -> Close:
    """The way to end a connection for this reason, core's (`expired`, `restart`, …) or our own."""
    return _BY_REASON.get(reason, _BY_REASON["failed"])
