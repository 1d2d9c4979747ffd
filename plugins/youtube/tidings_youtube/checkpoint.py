"""What a poll remembers, bounded: of each list the newest few ids, of each channel one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from tidings_youtube.window import Window


class Channel(msgspec.Struct, array_like=True):
    """A channel that is watched.

    Attributes:
        title: As people know it.
        since: When it was subscribed to, RFC 3339; "" for the account's own and where that is not told.
        uploads: The playlist of its uploads.
        looked_at: When that was last read, in seconds since 1970; 0 for never.
        window: What of it was seen; None before the first look, which tells nothing: what is there is no news.
        absences: How often in a row it was missing among the subscriptions.
        count: How many videos it had when that was last read; None where nobody asked.
        counted_at: When that was last asked, in seconds since 1970; 0 for never.
        pushed: The new videos that the hub has told of since `count`, or the first of them.
    """

    title: str
    since: str
    uploads: str
    looked_at: int
    window: Window | None = None
    absences: int = 0
    count: int | None = None
    counted_at: int = 0
    pushed: list[str] = []

    @property
    def seen_at(self) -> int:
        """When it was last asked for in either way."""
        return max(self.looked_at, self.counted_at)


class Playlist(msgspec.Struct, array_like=True):
    """A playlist that the account keeps.

    Attributes:
        title: As its owner calls it.
        count: How many entries it had when it was last read.
        looked_at: When that was, in seconds since 1970.
        since: What was added before is not news, likewise.
        seen: Entries that were added within a day before it was last read.
        absences: How often in a row it was missing among the playlists.
    """

    title: str
    count: int
    looked_at: int
    since: int
    seen: list[str] = []
    absences: int = 0


class Memory(msgspec.Struct, omit_defaults=True):
    """The checkpoint.

    Attributes:
        likes: The playlist of liked videos; "" while unknown.
        liked: What of it was seen; None before the first look.
        liked_at: When it was last read, in seconds since 1970.
        active_at: When something last happened that was told, likewise; 0 for never.
        likes_due_at: When it is to be read next, likewise.
        likes_pace: By how much the pauses between two looks at the likes have grown while there was none.
        subscriptions_at: When the subscriptions were last read, likewise; 0 for never.
        channels: By id, in the order of the subscriptions.
        playlists_at: When the playlists were last looked at, likewise; 0 for never.
        playlists_pace: By how much the pauses between two looks at them have grown while there was no news.
        playlists: By id.
    """

    likes: str = ""
    liked: Window | None = None
    liked_at: int = 0
    active_at: int = 0
    likes_due_at: int = 0
    likes_pace: float = 1.0
    subscriptions_at: int = 0
    channels: dict[str, Channel] = {}
    playlists_at: int = 0
    playlists_pace: float = 1.0
    playlists: dict[str, Playlist] = {}

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any]) -> Memory:
        """What stands in a checkpoint; nothing where another version wrote it."""
        try:
            return msgspec.convert(dict(checkpoint), cls)
        except msgspec.ValidationError:
            return cls()

    def write(self) -> Mapping[str, Any]:
        """The checkpoint, independent of what changes here later."""
        return cast("Mapping[str, Any]", msgspec.to_builtins(self))
