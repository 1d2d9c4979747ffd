"""What the Data API says about channels: the account's own, and those that it subscribes to.

Each call costs one unit (developers.google.com/youtube/v3/determine_quota_cost, 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tidings.contracts import Api
from tidings.fields import Object, as_instant, as_link, as_object, as_objects, obj, objs, one_line, raw
from tidings_youtube.fields import identity

#: The most that one page shows, and that one call names.
PAGE: Final = 50


class Subscription(NamedTuple):
    """A channel that the account subscribes to, and since when."""

    channel_id: str
    title: str
    avatar_url: str
    since: datetime | None


class Subscriptions(NamedTuple):
    """All of them, by channel; `is_whole` says whether there are no more than were read."""

    channels: Mapping[str, Subscription]
    is_whole: bool


class OwnChannel(NamedTuple):
    """The channel for which a token acts. A playlist that there is none of is ""."""

    id: str
    title: str
    avatar_url: str
    uploads: str
    likes: str


async def own_channel(api: Api) -> OwnChannel | None:
    """The channel of the account; None for a Google account without one.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    wish = {"part": "snippet,contentDetails", "mine": "true"}
    for item in as_objects(
        as_object((await api.request("GET", "/channels", params=wish)).json()).get("items")
    ):
        snippet, playlists = obj(item, "snippet"), _playlists(item)
        return OwnChannel(
            identity(item.get("id")),
            one_line(snippet.get("title"), 100),
            _avatar(snippet),
            identity(playlists.get("uploads")),
            identity(playlists.get("likes")),
        )
    return None


async def subscriptions(api: Api, most: int) -> Subscriptions:
    """The channels that the account subscribes to, at most so many, in alphabetical order.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found: dict[str, Subscription] = {}
    wish = {"part": "snippet", "mine": "true", "maxResults": f"{PAGE}", "order": "alphabetical"}
    for _ in range(most // PAGE + 1):
        page = as_object((await api.request("GET", "/subscriptions", params=wish)).json())
        for item in objs(page, "items"):
            snippet = obj(item, "snippet")
            channel_id = identity(obj(snippet, "resourceId").get("channelId"))
            if channel_id:
                title, since = one_line(snippet.get("title"), 100), as_instant(snippet.get("publishedAt"))
                found[channel_id] = Subscription(channel_id, title, _avatar(snippet), since)
        token = raw(page, "nextPageToken")
        if not token:
            break
        wish = {**wish, "pageToken": token}
    kept = dict(list(found.items())[:most])
    return Subscriptions(kept, is_whole=not token and len(kept) == len(found))


async def uploads_playlists(api: Api, channel_ids: Sequence[str]) -> Mapping[str, str]:
    """The playlists of these channels' uploads, by channel; what YouTube does not tell is left out.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found: dict[str, str] = {}
    for start in range(0, len(channel_ids), PAGE):
        some = ",".join(channel_ids[start : start + PAGE])
        wish = {"part": "contentDetails", "id": some, "maxResults": f"{PAGE}"}
        for item in as_objects(
            as_object((await api.request("GET", "/channels", params=wish)).json()).get("items")
        ):
            uploads = identity(_playlists(item).get("uploads"))
            if uploads:
                found[raw(item, "id")] = uploads
    return found


def _playlists(channel: Object) -> Object:
    return obj(obj(channel, "contentDetails"), "relatedPlaylists")


def _avatar(snippet: Object) -> str:
    return as_link(obj(obj(snippet, "thumbnails"), "default").get("url"))
