"""`web-push.md`: what a notification holds, made by the code that sends it, and what answers mean, from its table."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import msgspec
from generator.markdown import table

from tidings.devices import Fate, News
from tidings.event import Cursor, Entry, UserId
from tidings.presence import HOLDS_SECONDS
from tidings_transports.webpush.answers import TABLE, Rule
from tidings_transports.webpush.payload import MOST_BYTES, compose
from tidings_transports.webpush.services import BROWSERS

_FATES: Final = {
    Fate.TAKEN: "The push service has it: the device's cursor moves on.",
    Fate.REFUSED: "It never will take this: the cursor moves on, and the device's health says why.",
    Fate.LATER: "Tried again, with what came meanwhile, after `Retry-After`, else with back-off and full jitter up to "
    "an hour. After 14 days of nothing else the subscription is removed.",
    Fate.BLOCKED: "This server's own fault: tried again likewise, nothing is removed, and the component `push` is down "
    "in `GET /api/health`.",
    Fate.GONE: "The subscription is removed, and its user told by an event `org.tidings.push.removed`, which their "
    "other devices get too. The browser makes a new one when its page is opened next.",
}
_FIELDS: Final = (
    ("`web_push`", "`8030`: a declarative message, which browsers that know it show without a script"),
    ("`notification.title`", "the event's title; of a burst, how many and where"),
    ("`notification.body`", "who, where and the text; of a burst, the newest four titles; may be empty"),
    (
        "`notification.navigate`",
        "where a click leads: `/?event=CURSOR`, or `/?since=CURSOR`, the first of a burst",
    ),
    ("`notification.tag`", "`tidings-CURSOR`, of the first event: the same news sent again replaces itself"),
    ("`notification.lang`, `dir`, `silent`", "`en`, `auto`, `false`"),
    ("`notification.data.cursor`", "of the newest event"),
    ("`notification.data.count`", "how many events; `0` for a test"),
    ("`notification.data.platform`, `type`", "of the newest event; `type` only where it is the only one"),
    ("`notification.data.url`", "its page at the platform, where it has one, is alone and there is room"),
)


def _example(count: int) -> str:
    entries = [
        Entry(
            user_id=UserId(1),
            cursor=Cursor("k3fz7q2m", seq),
            id=f"github:{seq}",
            type="com.github.push",
            source="//github.com/octo/repo",
            subject="refs/heads/main",
            time=None,
            recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
            platform="github",
            connection_id="",
            via="webhook",
            data=msgspec.Raw(
                msgspec.json.encode(
                    {
                        "title": f"{seq - 40} commits pushed to main",
                        "text": "Mend the roof",
                        "url": "https://github.com/octo/repo/compare/a...b",
                        "actor": {"name": "octocat"},
                        "repository": "octo/repo",
                    }
                )
            ),
        )
        for seq in range(42, 42 + count)
    ]
    sources = Counter((one.platform, one.source) for one in entries)
    names = {"github": "GitHub"}
    news = News(entries, count, dict(sources), names, entries[0].cursor, entries[-1].cursor)
    return json.dumps(json.loads(compose(news, "https://tidings.example.org")), indent=2, ensure_ascii=False)


def _statuses(rule: Rule) -> str:
    first, last = rule.statuses
    if (first, last) == (0, 999):
        return "any other"
    numbers = str(first) if first == last else f"{first} to {last}"
    return f"{numbers} with `{rule.body}` in its body" if rule.body else numbers


def web_push_page() -> str:
    """`web-push.md`."""
    return (
        "# Web Push\n\nHow to set it up: [Set up Web Push](../how-to/set-up-web-push.md). Its routes begin with "
        "`/api/push/`: [Routes](routes.md). Its options: [Configuration](config.md).\n\n"
        "## Who is told of what\n\n"
        "Each device has a cursor on its user's journal. What is new behind it, and let through by the "
        "user's rules, is pushed as one notification, `gather` after the first of it, and at most every `pace`. The "
        f"cursor moves on when the push service has taken it. A page that is in view says so by `POST "
        f"/api/push/presence` every {HOLDS_SECONDS / 2:.0f} s: its word holds for {HOLDS_SECONDS:.0f} s, and what its "
        "stream has been sent meanwhile is not pushed.\n\n"
        "If the server dies between the push service's answer and its own commit, the same news is sent again, grown "
        "by what came since, with the same `Topic` and the same `tag`: it replaces what was not delivered yet, and "
        "what is shown already.\n\n"
        f"## What a notification holds\n\nJSON of at most {MOST_BYTES:,} bytes, encrypted for the browser (RFC 8291). "
        "A service worker shows the same from it as a browser that reads it by itself.\n\n"
        f"{table(('field', 'meaning'), _FIELDS)}\nOne event:\n\n```json\n{_example(1)}\n```\n\n"
        f"Several:\n\n```json\n{_example(7)}\n```\n\n"
        "A push service that finds it too long (413) is sent the title alone, as `7 new`.\n\n"
        "The request's headers: `TTL` (the option `ttl`; 300 for a test), `Urgency` (the option; `high` for a test), "
        "`Topic` (not for a test), `Content-Encoding: aes128gcm`, `Authorization: vapid t=…, k=…` (RFC 8292; signed "
        "for twelve hours, anew every six).\n\n"
        "## Where it is sent\n\nOnly to `https` on port 443 of these hosts, and of those that the option `services` "
        "adds:\n\n"
        + "".join(f"- `{host}`\n" for host in BROWSERS)
        + "\nEvery address of the host must be public, when it subscribes and at each push; the connection goes to "
        "an address that was checked, past any proxy, and a redirect is not followed.\n\n"
        "## What answers mean\n\nThe first line that fits counts.\n\n"
        + table(
            ("status", "outcome", "what is said of it"),
            [(_statuses(rule), f"`{rule.fate.value}`", rule.meaning or "nothing") for rule in TABLE],
        )
        + "| none: no connection, no answer in 10 s, a private address | `later` | what happened |\n"
        "| none: the host is no longer on the list | `gone` | that |\n\n"
        + table(
            ("outcome", "what becomes of it"), [(f"`{fate.value}`", text) for fate, text in _FATES.items()]
        )
        + "\nA subscription also ends when its user signs out of the session, revokes the token or removes "
        "the user that made it, and when the installation no longer has the key that it was made with.\n"
    )
