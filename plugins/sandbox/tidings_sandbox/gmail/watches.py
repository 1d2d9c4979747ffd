"""Watches on mailboxes: who is told through Pub/Sub that something changed, and how often.

https://developers.google.com/workspace/gmail/api/guides/push (2026).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidings_sandbox.faults import Faults
from tidings_sandbox.gmail.mailbox import Change, Mailbox
from tidings_sandbox.google import error
from tidings_sandbox.google.pubsub import PubSub
from tidings_sandbox.wire import Answer

_LIFE: Final = timedelta(days=7)
_AT_MOST_EVERY: Final = timedelta(seconds=1)
# A filter only lowers the volume: these are told whatever it says (google-api-nodejs-client#2301).
_ALWAYS: Final = frozenset({"SENT", "DRAFT"})


class Watch(msgspec.Struct, kw_only=True):
    """The watch of one mailbox; there is one for each in a project.

    Attributes:
        labels: What the filter is about; none means everything.
        excludes: Whether these are what is left out.
        told_at: When something was told last.
    """

    topic: str
    labels: frozenset[str]
    excludes: bool
    expires_at: datetime
    told_at: datetime | None = None

    def wants(self, change: Change) -> bool:
        """Whether the filter lets a change through."""
        if not self.labels or change.seen_under & _ALWAYS:
            return True
        return bool(self.labels & change.seen_under) is not self.excludes


class Watches:
    """All watches.

    Attributes:
        life: How long a watch lasts that begins or is renewed.
        dropped: How many changes were not told because one had been told less than a second before.

    Args:
        project: Whose OAuth client asks: only its topics can be used.
        pubsub: Carries what is told.
        faults: Some of it may be lost on the way.
        now: Gmail's clock.
    """

    def __init__(self, project: str, pubsub: PubSub, faults: Faults, now: Callable[[], datetime]) -> None:
        self.life = _LIFE
        self.dropped = 0
        self._project = project
        self._pubsub = pubsub
        self._faults = faults
        self._now = now
        self._watches: dict[str, Watch] = {}

    def of(self, mailbox: Mailbox) -> Watch | None:
        """The living watch of a mailbox."""
        watch = self._watches.get(mailbox.address)
        return watch if watch is not None and self._now() < watch.expires_at else None

    def begin(
        self, mailbox: Mailbox, topic: str, labels: frozenset[str], *, excludes: bool
    ) -> Watch | Answer:
        """Watch a mailbox or renew its watch, and tell of it at once; else the refusal."""
        if not topic.startswith(f"projects/{self._project}/topics/"):
            return error(
                400,
                "invalidArgument",
                f"Invalid topicName does not match projects/{self._project}/topics/*",
            )
        if not self._pubsub.takes_from_gmail(topic):
            return error(
                403,
                "forbidden",
                f"Error sending test message to Cloud PubSub {topic} : User not authorized to perform this action.",
            )
        living = self.of(mailbox)
        if living is not None and living.topic != topic:
            return error(
                400,
                "failedPrecondition",
                "Only one user push notification client allowed per developer (call /stop then try again)",
            )
        watch = Watch(
            topic=topic,
            labels=labels,
            excludes=excludes,
            expires_at=self._now() + self.life,
            told_at=None if living is None else living.told_at,
        )
        self._watches[mailbox.address] = watch
        self._tell(mailbox, watch)
        return watch

    def stop(self, mailbox: Mailbox) -> None:
        """Tell of a mailbox no more."""
        self._watches.pop(mailbox.address, None)

    def lapse(self, mailbox: Mailbox) -> None:
        """A mailbox's watch ends now, as if nobody had renewed it; nobody is told."""
        watch = self._watches.get(mailbox.address)
        if watch is not None:
            watch.expires_at = self._now()

    def notice(self, mailbox: Mailbox, change: Change) -> None:
        """Tell of a change, if somebody watches, and not within a second of the last time: then it is dropped."""
        watch, now = self.of(mailbox), self._now()
        if watch is None or not watch.wants(change):
            return
        if watch.told_at is not None and now - watch.told_at < _AT_MOST_EVERY:
            self.dropped += 1
            return
        watch.told_at = now
        if not self._faults.loses():
            self._tell(mailbox, watch)

    def _tell(self, mailbox: Mailbox, watch: Watch) -> None:
        # The guide shows the id as a string; what is sent has a number.
        said = {"emailAddress": mailbox.address, "historyId": mailbox.history_id}
        self._pubsub.publish(watch.topic, msgspec.json.encode(said))
