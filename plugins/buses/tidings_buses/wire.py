"""How what nodes tell one another looks on NATS.

Each user has a subject, `tidings.user.7`. A wake-up there is the number of the newest event in digits; everything else
is a JSON object with one key that says what it is. A node that doesn't know a key ignores it, so that nodes of two
versions can share a bus while one replaces the other.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tidings.contracts import Glance, Notice, Question, WakeUp
from tidings.event import UserId

#: What can come from another node.
Received = WakeUp | Notice | Glance | Question
_MOST_DIGITS: Final = 19
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


class _Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    notice: Notice | None = None
    glance: Glance | None = None
    question: Question | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Frame)


class Subjects:
    """The subjects of one installation.

    Args:
        root: What they begin with: `tidings`.
    """

    def __init__(self, root: str) -> None:
        self.replies = f"{root}.reply"
        self._users = f"{root}.user."

    def of(self, user_id: UserId) -> str:
        """The subject of a user."""
        return f"{self._users}{user_id}"

    def decode(self, subject: str, payload: bytes, reply: str) -> Received | None:
        """What a message says; None where this version doesn't understand it."""
        digits = subject.removeprefix(self._users)
        if len(digits) == len(subject) or not _DIGITS.fullmatch(digits):
            return None
        user_id = UserId(int(digits))
        if payload.isdigit():
            return WakeUp(user_id, int(payload)) if len(payload) <= _MOST_DIGITS else None
        try:
            frame = _decoder.decode(payload)
        except msgspec.MsgspecError:
            return None
        if frame.question is not None:
            arrival: Notice | Glance | Question | None = msgspec.structs.replace(frame.question, reply=reply)
        else:
            arrival = frame.notice or frame.glance
        return arrival if arrival is not None and arrival.user_id == user_id else None


def wake_up(wakeup: WakeUp) -> bytes:
    """A wake-up as a payload."""
    return b"%d" % wakeup.seq


def encode(told: Notice | Glance | Question) -> bytes:
    """Everything else as a payload."""
    match told:
        case Notice():
            return _encoder.encode(_Frame(notice=told))
        case Glance():
            return _encoder.encode(_Frame(glance=told))
        case Question():
            return _encoder.encode(_Frame(question=told))
