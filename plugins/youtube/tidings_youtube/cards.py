"""What happens at YouTube as events. A video has one id, whether it was pushed or found by asking."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.event import Event, rfc3339

_PLATFORM: Final = "youtube"
_SITE: Final = "https://www.youtube.com"
#: Kinds of event that the hub delivers: the ends of their types.
PUSHED_KINDS: Final = frozenset({"video", "video_deleted"})


class Video(msgspec.Struct, frozen=True):
    """A video, as far as its source tells of it.

    Attributes:
        published: When it was published; None where that is not told.
        duration_seconds: None where it is not known, and for what is live or to come.
        live: `live`, `upcoming`, or "".
    """

    id: str
    channel_id: str
    title: str
    channel: str
    published: datetime | None = None
    duration_seconds: int | None = None
    live: str = ""


def uploaded(video: Video) -> Event:
    """A new video: `com.youtube.video`."""
    who = video.channel or "A channel"
    said = {"live": "is live", "upcoming": "announces a live stream"}.get(video.live, "published a video")
    text = f"{who} {said}" + (f" ({_clock(video.duration_seconds)})" if video.duration_seconds else "")
    data = _video_card(video, f"{text}.")
    return _event("video", f"youtube:video:{video.id}", video.channel_id, video.id, video.published, data)


def deleted(video: Video, at: datetime | None) -> Event:
    """A video that was deleted or made private: `com.youtube.video_deleted`."""
    who = video.channel or "A channel"
    data = _video_card(video, f"{who} deleted a video, or made it private.")
    return _event("video_deleted", f"youtube:video_deleted:{video.id}", video.channel_id, video.id, at, data)


def liked(account_key: str, video: Video, at: datetime) -> Event:
    """A video that the account's owner liked: `com.youtube.liked`."""
    by = f" by {video.channel}" if video.channel else ""
    data = {**_video_card(video, f"You liked a video{by}."), "liked_at": rfc3339(at)}
    return _event(
        "liked", f"youtube:liked:{account_key}:{video.id}:{rfc3339(at)}", account_key, video.id, at, data
    )


def playlist_item(account_key: str, playlist_id: str, title: str, video: Video, at: datetime) -> Event:
    """A video that was added to a playlist of the account: `com.youtube.playlist_item_added`."""
    by = f" by {video.channel}" if video.channel else ""
    data = {
        **_video_card(video, f"A video{by} was added to {title or 'a playlist'}."),
        "url": f"{_SITE}/watch?v={video.id}&list={playlist_id}",
        "playlist": {"id": playlist_id, "title": title},
        "added_at": rfc3339(at),
    }
    return _event(
        "playlist_item_added",
        f"youtube:playlist_item:{account_key}:{playlist_id}:{video.id}:{rfc3339(at)}",
        account_key,
        video.id,
        at,
        data,
    )


def playlist_created(account_key: str, playlist_id: str, title: str, at: datetime) -> Event:
    """A playlist that the account made: `com.youtube.playlist_created`."""
    data = _playlist_card(account_key, playlist_id, title, "You made a playlist.")
    return _event(
        "playlist_created",
        f"youtube:playlist_created:{account_key}:{playlist_id}",
        account_key,
        playlist_id,
        at,
        data,
    )


def playlist_deleted(account_key: str, playlist_id: str, title: str) -> Event:
    """A playlist of the account that is gone: `com.youtube.playlist_deleted`; YouTube does not say when."""
    data = _playlist_card(account_key, playlist_id, title, "You deleted a playlist.")
    return _event(
        "playlist_deleted",
        f"youtube:playlist_deleted:{account_key}:{playlist_id}",
        account_key,
        playlist_id,
        None,
        data,
    )


def subscribed(account_key: str, channel_id: str, name: str, avatar_url: str, at: datetime) -> Event:
    """A channel that the account's owner subscribed to: `com.youtube.subscribed`."""
    data = {
        **_channel_card(channel_id, name, avatar_url, f"You subscribed to {name or 'a channel'}."),
        "subscribed_at": rfc3339(at),
    }
    return _event(
        "subscribed",
        f"youtube:subscribed:{account_key}:{channel_id}:{rfc3339(at)}",
        account_key,
        channel_id,
        at,
        data,
    )


def unsubscribed(account_key: str, channel_id: str, name: str, since: str) -> Event:
    """A channel whose subscription ended: `com.youtube.unsubscribed`; YouTube does not say when.

    Args:
        account_key: Whose it was.
        channel_id: Of the channel.
        name: Likewise.
        since: When it was subscribed to, which tells one end of a subscription from the next.
    """
    data = _channel_card(channel_id, name, "", f"You no longer subscribe to {name or 'a channel'}.")
    return _event(
        "unsubscribed",
        f"youtube:unsubscribed:{account_key}:{channel_id}:{since}",
        account_key,
        channel_id,
        None,
        data,
    )


def _event(
    kind: str, identity: str, channel_id: str, subject: str, at: datetime | None, data: dict[str, Any]
) -> Event:
    return Event(
        id=identity,
        type=f"com.youtube.{kind}",
        source=_source(channel_id),
        subject=subject,
        time=at,
        platform=_PLATFORM,
        data=data,
    )


def _video_card(video: Video, text: str) -> dict[str, Any]:
    return {
        "title": video.title or "A video",
        "text": text,
        "url": f"{_SITE}/watch?v={video.id}",
        "actor": {"name": video.channel, "avatar_url": "", "url": _channel_url(video.channel_id)},
        "video": {
            "id": video.id,
            "channel_id": video.channel_id,
            "channel": video.channel,
            "published_at": rfc3339(video.published) if video.published is not None else "",
            "duration_seconds": video.duration_seconds,
            "live": video.live,
        },
    }


def _playlist_card(account_key: str, playlist_id: str, title: str, text: str) -> dict[str, Any]:
    return {
        "title": title or "A playlist",
        "text": text,
        "url": f"{_SITE}/playlist?list={playlist_id}",
        "actor": {"name": "", "avatar_url": "", "url": _channel_url(account_key)},
        "playlist": {"id": playlist_id, "title": title},
    }


def _channel_card(channel_id: str, name: str, avatar_url: str, text: str) -> dict[str, Any]:
    return {
        "title": name or "A channel",
        "text": text,
        "url": _channel_url(channel_id),
        "actor": {"name": name, "avatar_url": avatar_url, "url": _channel_url(channel_id)},
        "channel_id": channel_id,
    }


def _channel_url(channel_id: str) -> str:
    return f"{_SITE}/channel/{channel_id}" if channel_id else ""


def _source(channel_id: str) -> str:
    return f"//www.youtube.com/channel/{channel_id}" if channel_id else "//www.youtube.com"


def _clock(seconds: int) -> str:
    """`1:02:03` or `4:05`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
