"""What push services answer, and what becomes of the subscription and its news by it: one table.

Sources: RFC 8030 §5 and §7.3, RFC 8292 §4.2, Mozilla's autopush (docs/src/http.md, errors.md), Apple's "Sending web
push notifications in web apps and browsers", FCM and WNS as observed; all as of November 2026.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from tidings.contracts import retry_after_seconds
from tidings.devices import Fate, Pushed

_LONGEST_REASON: Final = 200
_SHORTEST_SECRET: Final = 8  # what is shorter stands in many a text by chance
_LONGEST_WAIT_SECONDS: Final = 86400.0


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What an answer means.

    Attributes:
        statuses: From and up to.
        body: What its body must have in it; "" for anything. The first rule that fits is the one.
        meaning: For people, with what to do where somebody can do something.
    """

    statuses: tuple[int, int]
    body: str
    fate: Fate
    meaning: str

    def fits(self, status: int, body: str) -> bool:
        """Whether an answer is of this sort."""
        return (
            self.statuses[0] <= status <= self.statuses[1]
            and re.search(self.body, body, re.IGNORECASE) is not None
        )


# What FCM and Apple say of a subscription that was made with another key than the request is signed with.
_MISMATCH: Final = r"VapidPkHashMismatch|do not correspond to the credentials|InvalidVapidKey.*mismatch"
_OTHER_KEY: Final = (
    "The browser subscribed with another key. It subscribes anew when its page is opened next."
)

TABLE: Final[Sequence[Rule]] = (
    Rule((200, 202), "", Fate.TAKEN, ""),
    Rule((203, 299), "", Fate.TAKEN, ""),
    Rule((300, 399), "", Fate.LATER, "The push service sends elsewhere, and redirects are not followed."),
    Rule((400, 400), _MISMATCH, Fate.GONE, _OTHER_KEY),
    Rule((400, 400), r"BadJwtToken|BadAuthorizationHeader|InvalidVapid", Fate.BLOCKED, "VAPID was refused."),
    Rule((400, 400), "", Fate.REFUSED, "The push service does not understand the request."),
    Rule((401, 403), _MISMATCH, Fate.GONE, _OTHER_KEY),
    Rule(
        (401, 403),
        "",
        Fate.BLOCKED,
        "The push service refuses this installation's signature: check this machine's clock, and "
        "plugins.transports.webpush.subject.",
    ),
    Rule(
        (404, 404), "", Fate.GONE, "The browser has ended the subscription, or has not been seen for months."
    ),
    Rule((410, 410), "", Fate.GONE, "The browser has ended the subscription."),
    Rule((406, 406), "", Fate.LATER, "The push service asks for patience."),  # WNS, before it used 429
    Rule((408, 408), "", Fate.LATER, "The push service waited for the request in vain."),
    Rule((413, 413), "", Fate.REFUSED, "The push service takes nothing that long."),
    Rule((425, 425), "", Fate.LATER, "The push service asks for patience."),
    Rule((429, 429), "", Fate.LATER, "The push service asks for patience."),
    Rule((405, 499), "", Fate.REFUSED, "The push service refuses this notification."),
    Rule((500, 599), "", Fate.LATER, "The push service fails."),
    Rule((0, 999), "", Fate.LATER, "The push service answers what no push service should."),
)


def judge(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime
) -> Pushed:
    """What becomes of a subscription by an answer.

    Args:
        status: The answer's status.
        headers: Its headers, by names in lower case.
        body: What was read of its body.
        secrets: What an answer may quote, and nobody may read.
        now: For a `Retry-After` that is a date.
    """
    text = body.decode("utf-8", "replace")
    rule = next(rule for rule in TABLE if rule.fits(status, text))
    if rule.fate is Fate.TAKEN:
        return Pushed(rule.fate, status)
    wait_seconds = retry_after_seconds(headers, now)
    return Pushed(
        rule.fate,
        status,
        f"{rule.meaning} It answered {status}{_reason(headers, text, secrets)}.",
        None if wait_seconds is None else min(wait_seconds, _LONGEST_WAIT_SECONDS),
    )


def _reason(headers: Mapping[str, str], text: str, secrets: Sequence[str]) -> str:
    """What it says itself: the body, and what WNS says in headers."""
    parts = [text] + [f"{name}: {value}" for name, value in headers.items() if name.startswith("x-wns-")]
    said = " ".join(" ".join(parts).split())
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            said = said.replace(secret, "…")
    said = "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
    return f": {said[:_LONGEST_REASON]}" if said else ""
