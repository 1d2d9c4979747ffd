"""What a delivery of the hub says, as events.

One subscription brings a channel's uploads, edits of titles and descriptions (years later, too), and deletions; nothing
in an entry says which of the first two it is (developers.google.com/youtube/v3/guides/push_notifications, 2026).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tidings.contracts import Hint, Parsed, WebhookRequest
from tidings.event import Event
from tidings_youtube.atom import DeletedEntry, VideoEntry, read_feed
from tidings_youtube.cards import Video, deleted, uploaded

#: What a delivery's hint names: no target, but that something has happened.
ACTIVE: Final = "active"
#: Likewise, followed by a channel's id and a video's: that this video was told as new.
PUSHED: Final = "pushed:"

# An entry that was updated long after its video was published is an edit. One that was updated soon is told: if the
# video is known, its event is known, too, and nothing is told twice.
_NEW_FOR: Final = timedelta(days=1)


def parse(request: WebhookRequest) -> Parsed:
    """Read a verified delivery. It has no id: the ids of its events tell whether it came before.

    Raises:
        Rejected: 202. It is no feed. To refuse it with another status would only bring it again.
    """
    entries = read_feed(request.body)
    events: dict[str, Event] = {}
    pushed: list[str] = []
    kind = "video_edited" if entries else "empty"
    for entry in entries:
        if isinstance(entry, DeletedEntry):
            event = deleted(Video(entry.video_id, entry.channel_id, "", entry.channel), entry.deleted)
            kind = "video_deleted"
        elif _is_new(entry):
            event = uploaded(
                Video(entry.video_id, entry.channel_id, entry.title, entry.channel, entry.published)
            )
            kind = "video"
            pushed.append(f"{PUSHED}{entry.channel_id}:{entry.video_id}")
        else:
            continue
        events.setdefault(event.id, event)
    # News makes an account active, and what nobody pushes is asked for no later than usual for a while. And what was
    # pushed need not be looked for where a channel has just as many videos more.
    hint = Hint((ACTIVE, *dict.fromkeys(pushed))) if events else None
    return Parsed(list(events.values()), kind=kind, hint=hint)


def _is_new(entry: VideoEntry) -> bool:
    if entry.published is None:
        return False
    return entry.updated is None or entry.updated - entry.published <= _NEW_FOR
