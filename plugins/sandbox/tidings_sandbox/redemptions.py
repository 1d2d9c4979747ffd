"""Every use of a refresh token, so that a test can tell whether one was redeemed twice."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import datetime

import msgspec


class Redemption(msgspec.Struct, frozen=True):
    """One refresh token that came to be redeemed.

    Attributes:
        token_hash: First 16 hexadecimal digits of the token's SHA-256.
        at: By the platform's clock.
        accepted: Whether it brought new tokens.
        answered: Whether the answer was sent; a fault may have swallowed it.
        rotates: Whether tokens of this kind are meant for one use.
    """

    token_hash: str
    at: datetime
    accepted: bool
    answered: bool
    rotates: bool


class Redemptions:
    """The redemptions of one platform, oldest first.

    Args:
        keep: How many are remembered one by one; the counts go on.

    Attributes:
        total: How many there were.
        accepted_twice: How many were accepted though the same single-use token had been accepted before.
        after_answer: How many single-use tokens came again after their new pair had been sent.
        lost_answers: How many new pairs of single-use tokens never arrived.
    """

    def __init__(self, keep: int = 200_000) -> None:
        self._redemptions: deque[Redemption] = deque(maxlen=keep)
        # Single-use tokens that were accepted, and whether the answer was sent. A token comes again soon or never.
        self._spent: dict[str, bool] = {}
        self._keep = keep
        self.clear()

    def __iter__(self) -> Iterator[Redemption]:
        return iter(self._redemptions)

    def clear(self) -> None:
        """Forget all."""
        self._redemptions.clear()
        self._spent.clear()
        self.total = self.accepted_twice = self.after_answer = self.lost_answers = 0

    def note(self, token: str, *, at: datetime, accepted: bool, answered: bool, rotates: bool) -> None:
        """Write one down."""
        redemption = Redemption(token_hash(token), at, accepted, answered, rotates)
        self._redemptions.append(redemption)
        self.total += 1
        if not rotates:
            return
        before = self._spent.get(redemption.token_hash)
        self.accepted_twice += before is not None and accepted
        self.after_answer += before is True
        if accepted:
            self.lost_answers += not answered
            self._spent[redemption.token_hash] = answered or before is True
            if len(self._spent) > self._keep:
                del self._spent[next(iter(self._spent))]

    def lose_answer(self, hashed: str) -> None:
        """Whoever redeemed the token of this hash died before the new pair could be kept: it may come once more."""
        if self._spent.get(hashed) is True:
            self._spent[hashed] = False
            self.lost_answers += 1


def token_hash(token: str) -> str:
    """How a redemption names a token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]
