"""The watch on a mailbox: Gmail publishes to the operator's topic that something has changed in it.

developers.google.com/workspace/gmail/api/guides/push (2026). A mailbox has one watch in a Google Cloud project,
whoever asks for it; it ends after seven days, and Google advises renewing it daily.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidings.contracts import Api, Clock, Target, Upstream
from tidings.errors import Rejected
from tidings_gmail.cards import MESSAGE
from tidings_gmail.fields import instant
from tidings_gmail.mailbox import Profile, profile, stop, watch
from tidings_gmail.poll import TARGET

# Core renews at half of what a registration has left: so each day.
_TRUSTED: Final = timedelta(days=2)
_ONE_ALONE: Final = "only one user push notification client"
_ADVICE: Final = (
    "Gmail may not publish to the topic. Whoever runs this installation must give "
    "gmail-api-push@system.gserviceaccount.com the role Pub/Sub Publisher on it; "
    "reconnecting the account changes nothing."
)


class Watching:
    """The watches of all mailboxes.

    Args:
        clock: All time.
        topic: Where Gmail publishes to; "" for none.
    """

    def __init__(self, clock: Clock, topic: str) -> None:
        self._clock = clock
        self._topic = topic
        self._names: dict[str, str] = {}  # of mailboxes, by account: an address hardly ever changes

    @property
    def is_on(self) -> bool:
        """Whether there is a topic."""
        return bool(self._topic)

    async def targets(self, api: Api) -> Sequence[Target]:
        """The mailbox; what it is called is asked once in the life of a process.

        Raises:
            AuthExpired, Unavailable, Rejected: As `Api.request`.
        """
        name = self._names.get(api.account_key)
        if name is None:
            found: Profile = await profile(api)
            name = self._names[api.account_key] = found.address or "the mailbox"
        return (Target(TARGET, name),)

    async def register(self, api: Api, target: Target) -> Upstream:
        """Begin or renew the watch.

        Raises:
            Rejected: The operator must mend something; the text says what.
            AuthExpired, Unavailable: As `Api.request`.
        """
        try:
            said = await watch(api, self._topic)
        except Rejected as error:
            if error.status == 403 and "scope" not in str(error).lower():
                raise Rejected(f"{_ADVICE} ({error})", status=403) from None
            if error.status != 400 or _ONE_ALONE not in str(error).lower():
                raise
            # Another topic is watched for, from an earlier configuration. The historyId that a watch answers with is
            # no position of ours: what came between the last poll and this would be skipped.
            await stop(api)
            said = await watch(api, self._topic)
        now = self._clock.now()
        ends = instant(said, "expiration") or now + _TRUSTED
        return Upstream(
            id=self._topic,
            target=target,
            kinds=frozenset({MESSAGE}),
            expires_at=min(ends, now + _TRUSTED),
            data={"ends": ends.isoformat()},
        )

    async def check(self, upstream: Upstream) -> Upstream:
        """As far as can be known: Gmail lists no watches.

        Raises:
            Rejected: 404. Its time is over, or it is for another topic.
        """
        is_over = upstream.expires_at is not None and upstream.expires_at <= self._clock.now()
        if is_over or upstream.id != self._topic:
            raise Rejected("The watch has ended.", status=404)
        return upstream

    async def unregister(self, api: Api) -> None:
        """End the watch.

        Raises:
            AuthExpired, Unavailable, Rejected: As `Api.request`.
        """
        await stop(api)
