"""What the Data API says about videos: the entries of playlists, and details of single videos.

Uploads and likes are playlists, shown newest first; an entry's `snippet.publishedAt` is when it was added, its
`contentDetails.videoPublishedAt` is when the video was published (developers.google.com/youtube/v3/docs/playlistItems,
2026). Each call costs one unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from tidings.contracts import Answer, Api
from tidings.errors import Rejected
from tidings.event import rfc3339
from tidings.fields import Object, as_instant, as_object, as_objects, obj, objs, one_line, raw
from tidings_google import error_reason
from tidings_youtube.cards import Video
from tidings_youtube.channels import PAGE
from tidings_youtube.fields import identity
from tidings_youtube.window import Thing, Window

_MOST_PAGES: Final = 4
_MOST_PAGES_OF_ALL: Final = 10
# Of channels without uploads or that are closed, and of lists that their owner hides; any other 403 is of the account.
_HIDDEN: Final = frozenset({"playlistItemsNotAccessible", "channelClosed", "channelSuspended"})
_DURATION: Final = re.compile(
    r"P(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,4})H)?(?:([0-9]{1,4})M)?(?:([0-9]{1,6})S)?)?", re.ASCII
)
_LIVE: Final = frozenset({"live", "upcoming"})


class Listed(Thing, frozen=True):
    """An entry of a playlist; `at` is when the upload was published, or when the like was given."""

    video: Video


Entry = Callable[[Object], Listed | None]


class Reading(NamedTuple):
    """What was read of a playlist, newest first.

    Attributes:
        is_whole: Whether there is no more.
        is_gap: Whether there is more that is new.
    """

    items: Sequence[Listed] = ()
    is_whole: bool = True
    is_gap: bool = False


class Details(NamedTuple):
    """What a playlist does not tell of a video; see `Video`."""

    duration_seconds: int | None
    live: str


async def read_playlist(
    api: Api, playlist: str, entry: Entry, window: Window | None, looked_at: int
) -> Reading:
    """Read a playlist from its newest entry on, for as long as all of a page is new.

    Args:
        api: As the account.
        playlist: Its id.
        entry: Reads an entry: `upload` or `like`.
        window: What was seen of it; None at the first look, for which one page is enough.
        looked_at: When it was read last.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    items: list[Listed] = []
    token = ""
    for _ in range(_MOST_PAGES):
        found, token = await _page(api, playlist, entry, token)
        items += found
        if not token:
            return Reading(items)
        if not found or window is None or len(window.fresh(found, looked_at)) < len(found):
            return Reading(items, is_whole=False)
    return Reading(items, is_whole=False, is_gap=True)


async def read_list(api: Api, playlist: str, entry: Entry) -> Reading:
    """Read a playlist that stands in its owner's order, to its end or to where 500 entries were seen.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    items: list[Listed] = []
    token = ""
    for _ in range(_MOST_PAGES_OF_ALL):
        found, token = await _page(api, playlist, entry, token)
        items += found
        if not token:
            return Reading(items)
    return Reading(items, is_whole=False)


async def _page(api: Api, playlist: str, entry: Entry, token: str) -> tuple[Sequence[Listed], str]:
    """The entries of a page, and the token of the next, "" for none."""
    wish = {"part": "snippet,contentDetails,status", "playlistId": playlist, "maxResults": f"{PAGE}"}
    if token:
        wish["pageToken"] = token
    answer = await api.request("GET", "/playlistItems", params=wish, accept=(403, 404))
    if answer.status >= 400:
        _check_hidden(answer)
        return (), ""
    page = as_object(answer.json())
    return [one for one in map(entry, objs(page, "items")) if one is not None], raw(page, "nextPageToken")


def upload(item: Object) -> Listed | None:
    """An entry of a channel's uploads; None for a video that not everybody may see: its owner sees it there."""
    status = raw(obj(item, "status"), "privacyStatus")
    snippet, content = obj(item, "snippet"), obj(item, "contentDetails")
    at = as_instant(content.get("videoPublishedAt"))
    if at is None or status not in {"", "public"}:
        return None
    channel_id = identity(snippet.get("videoOwnerChannelId")) or identity(snippet.get("channelId"))
    channel = one_line(snippet.get("videoOwnerChannelTitle"), 100) or one_line(
        snippet.get("channelTitle"), 100
    )
    video = Video(_video_id(item), channel_id, one_line(snippet.get("title")), channel, at)
    return Listed(video.id, at, video) if video.id else None


def like(item: Object) -> Listed | None:
    """An entry of the likes; None for one that tells no video and no instant."""
    snippet, content = obj(item, "snippet"), obj(item, "contentDetails")
    at = as_instant(snippet.get("publishedAt"))
    video = Video(
        _video_id(item),
        identity(snippet.get("videoOwnerChannelId")),
        one_line(snippet.get("title")),
        one_line(snippet.get("videoOwnerChannelTitle"), 100),
        as_instant(content.get("videoPublishedAt")),
    )
    return Listed(video.id, at, video) if video.id and at is not None else None


def addition(item: Object) -> Listed | None:
    """An entry of a playlist that a person keeps; the same video may stand in it more than once."""
    found = like(item)
    return Listed(f"{found.id}:{rfc3339(found.at)}", found.at, found.video) if found is not None else None


async def details(api: Api, video_ids: Sequence[str]) -> Mapping[str, Details]:
    """More about videos, 50 for a unit; those that nobody may see (any more) are left out.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found = {}
    for start in range(0, len(video_ids), PAGE):
        some = ",".join(video_ids[start : start + PAGE])
        wish = {"part": "snippet,contentDetails", "id": some, "maxResults": f"{PAGE}"}
        for item in as_objects(
            as_object((await api.request("GET", "/videos", params=wish)).json()).get("items")
        ):
            live = raw(obj(item, "snippet"), "liveBroadcastContent")
            duration = _seconds(raw(obj(item, "contentDetails"), "duration"))
            found[raw(item, "id")] = Details(duration or None, live if live in _LIVE else "")
    return found


async def upload_counts(api: Api, channel_ids: Sequence[str]) -> Mapping[str, int]:
    """How many public videos these channels have, 50 for a unit; channels that are gone are left out.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found = {}
    for start in range(0, len(channel_ids), PAGE):
        some = ",".join(channel_ids[start : start + PAGE])
        wish = {"part": "statistics", "id": some, "maxResults": f"{PAGE}"}
        for item in as_objects(
            as_object((await api.request("GET", "/channels", params=wish)).json()).get("items")
        ):
            count = obj(item, "statistics").get("videoCount")  # a number, written as a string
            if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 12:
                found[identity(item.get("id"))] = int(count)
    return found


def detailed(listed: Listed, found: Details) -> Listed:
    """The entry with details."""
    more = msgspec.structs.replace(listed.video, duration_seconds=found.duration_seconds, live=found.live)
    return Listed(listed.id, listed.at, more)


def _video_id(item: Object) -> str:
    content, resource = (
        obj(item, "contentDetails"),
        obj(obj(item, "snippet"), "resourceId"),
    )
    return identity(content.get("videoId")) or identity(resource.get("videoId"))


def _check_hidden(answer: Answer) -> None:
    reason = error_reason(answer)
    if answer.status != 404 and reason not in _HIDDEN:
        raise Rejected(
            f"YouTube refuses to show a playlist: {one_line(reason) or answer.status}. Connecting once more helps "
            "where a permission is missing.",
            status=answer.status,
        )


def _seconds(duration: str) -> int:
    """An ISO 8601 duration of days, hours, minutes and seconds; 0 for anything else."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
