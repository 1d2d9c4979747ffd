"""What `q` finds: the few operators of Gmail's search that programs use.

https://support.google.com/mail/answer/7190; seconds since 1970 with `after:` and `before:` as in
https://developers.google.com/workspace/gmail/api/guides/filtering (2026).
"""

from __future__ import annotations

from tidings_sandbox.gmail.mailbox import Message


def matches(message: Message, words: str) -> bool:
    """Whether a message has all of it: `after:1790000000 in:inbox -in:sent`, and words of its headers or text."""
    return all(_has(message, word.lower()) for word in words.split())


def _has(message: Message, word: str) -> bool:
    if word.startswith("-"):
        return not _has(message, word[1:])
    operator, _, value = word.partition(":")
    seconds = message.received_at.timestamp()
    if operator == "after" and value.isdecimal():
        return seconds > int(value)
    if operator == "before" and value.isdecimal():
        return seconds < int(value)
    if operator in {"in", "label", "is"}:
        return value == "anywhere" or value.upper() in message.labels
    return word in " ".join([*message.headers.values(), message.snippet]).lower()
