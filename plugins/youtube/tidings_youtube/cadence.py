"""How often each thing is asked for, so that all accounts together keep within the day's units.

Everything costs one unit a call. What an account wants is added up. Where that is more than its share of the budget,
likes are asked for as seldom as uploads; where it still is, all intervals grow alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Final

from tidings.contracts import Asked
from tidings_youtube.channels import PAGE
from tidings_youtube.targets import key_of

# Beside what is counted here, new videos are looked at closely, and subscriptions are read for the hub, too.
_RESERVE: Final = 1.2


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What the operator wants.

    Attributes:
        poll_seconds: Between two looks at a channel's uploads where nothing is pushed.
        likes_seconds: Between two looks at the likes.
        subscriptions_seconds: Between two looks at the subscriptions.
        playlists_seconds: Between two looks at the playlists.
        most_channels: How many of them are watched for one account.
    """

    poll_seconds: float = 2 * 3600.0
    likes_seconds: float = 2 * 3600.0
    subscriptions_seconds: float = 24 * 3600.0
    playlists_seconds: float = 24 * 3600.0
    most_channels: int = 500


class Cadence:
    """The intervals of one poll.

    Attributes:
        stretch: By how much they are longer than wished, 1 or more.

    Args:
        rules: What the operator wants.
        asked: What core wants, and what a call costs of the account's share.
        channels: Those that are watched.
        likes: Whether likes are.
        playlists: How many pages of playlists are; 0 for none.
    """

    def __init__(
        self, rules: Rules, asked: Asked, channels: Collection[str], *, likes: bool, playlists: int
    ) -> None:
        self._rules = rules
        self._pushed = {one for one in channels if asked.pushed.get(key_of(one))}
        self._pushed_seconds = asked.every_seconds
        self._polled_seconds = asked.every_seconds
        if self._pushed:  # then `every_seconds` is meant for what is pushed
            self._polled_seconds = min(asked.every_seconds, rules.poll_seconds)
        pages = 1 + len(channels) // PAGE
        # Calls in a second.
        others = pages / rules.subscriptions_seconds + playlists / rules.playlists_seconds
        others += sum(1 / self._wished_seconds(one) for one in channels)
        share = 1 / (_RESERVE * asked.share_seconds) if asked.share_seconds else math.inf
        of_likes = 0.0
        if likes:
            seldom = max(rules.likes_seconds, rules.poll_seconds)
            of_likes = max(1 / seldom, min(1 / rules.likes_seconds, share - others))
        self._calls_for_likes = of_likes
        self.stretch = max(1.0, (others + of_likes) / share)

    def is_pushed(self, channel_id: str) -> bool:
        """Whether the hub tells of a channel's uploads."""
        return channel_id in self._pushed

    @property
    def likes_seconds(self) -> float:
        """Between two looks at the likes."""
        return self.stretch / self._calls_for_likes if self._calls_for_likes else math.inf

    @property
    def subscriptions_seconds(self) -> float:
        """Between two looks at the subscriptions."""
        return self._rules.subscriptions_seconds * self.stretch

    @property
    def playlists_seconds(self) -> float:
        """Between two looks at the playlists."""
        return self._rules.playlists_seconds * self.stretch

    def channel_seconds(self, channel_id: str) -> float:
        """Between two looks at a channel's uploads."""
        return self._wished_seconds(channel_id) * self.stretch

    def _wished_seconds(self, channel_id: str) -> float:
        return max(1.0, self._pushed_seconds if channel_id in self._pushed else self._polled_seconds)
