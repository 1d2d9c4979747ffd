"""Slack's markup as plain text: `<@U1>` -> `@Ada`, `<https://…|here>` -> `here (https://…)`, `&amp;` -> `&`.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidings.fields import TEXT_LENGTH, clean, clip
from tidings_slack.fields import is_identity
from tidings_slack.names import Names

_MARK = re.compile(r"<([^<>\n]{1,3000})>")
_MENTION = re.compile(r"<@([A-Z0-9]{1,32})[|>]", re.ASCII)


def plain(names: Names, team: str, text: str) -> str:
    """A message's text as people read it, at most `TEXT_LENGTH` characters."""

    def shown(match: re.Match[str]) -> str:
        return _shown(names, team, match[1])

    marked = _MARK.sub(shown, text[: 4 * TEXT_LENGTH])
    unescaped = marked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return clip(clean(unescaped).strip(), TEXT_LENGTH)


def mentioned(text: str) -> Iterator[str]:
    """The ids of the people whom a text names."""
    return (match[1] for match in _MENTION.finditer(text[: 4 * TEXT_LENGTH]))


def _shown(names: Names, team: str, mark: str) -> str:
    target, _, label = mark.partition("|")
    kind, rest = target[:1], target[1:]
    if kind == "@" and is_identity(rest):
        person = names.person(team, rest)
        return "@" + ((person.name if person is not None else "") or label or rest)
    if kind == "#" and is_identity(rest):
        return "#" + (names.channel(team, rest) or label or rest)
    if kind == "!":
        # here, channel, everyone, subteam^S1|@group, date^…|what to show where dates can't be shown
        return label or "@" + rest.partition("^")[0]
    address = target.removeprefix("mailto:").removeprefix("tel:")
    return f"{label} ({address})" if label and label != address else address
