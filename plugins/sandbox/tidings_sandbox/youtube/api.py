"""The Data API: channels, subscriptions, playlists, their entries, and videos; each call costs a unit.

https://developers.google.com/youtube/v3/docs (2026).
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tidings_sandbox.google import error
from tidings_sandbox.people import Person
from tidings_sandbox.wire import Answer, Call, encode
from tidings_sandbox.youtube.dayunits import DayUnits
from tidings_sandbox.youtube.place import Channel, Member, Place, Playlist, Video

_JSON: Final = [(b"content-type", b"application/json; charset=UTF-8")]
_LIKES: Final = "LL"
_MOST: Final = 50
_USUAL: Final = 5
_DOMAIN: Final = "youtube.parameter"
_PARTS: Final = {
    "/channels": {"snippet", "contentDetails", "statistics", "status", "id"},
    "/subscriptions": {"snippet", "contentDetails", "id"},
    "/playlists": {"snippet", "contentDetails", "status", "id"},
    "/playlistItems": {"snippet", "contentDetails", "status", "id"},
    "/videos": {"snippet", "contentDetails", "status", "liveStreamingDetails", "id"},
}

Parameters = Mapping[str, str]


class Refused(Exception):
    """A request that is wrong."""

    def __init__(self, status: int, reason: str, message: str, domain: str = _DOMAIN) -> None:
        super().__init__(message)
        self.answer = error(status, reason, message, domain=domain)


class DataApi:
    """Answers for one person at a time.

    Attributes:
        units: Of the day, for everybody.
        without_channel: Keys of people who have a Google account and no channel.

    Args:
        place: What there is.
        public_url: Where pictures are.
    """

    def __init__(self, place: Place, public_url: str) -> None:
        self.units = DayUnits(10_000)
        self.without_channel: set[str] = set()
        self._place = place
        self._public_url = public_url
        self._routes: dict[str, Callable[[Person, Parameters], Answer]] = {
            "/channels": self._channels,
            "/subscriptions": self._subscriptions,
            "/playlists": self._playlists,
            "/playlistItems": self._items,
            "/videos": self._videos,
        }

    def answer(self, call: Call, path: str, person: Person, at: datetime) -> Answer:
        """Answer a request whose token is good; wrong ones cost a unit, too.

        Args:
            call: The request.
            path: Below the API's address: `/channels`.
            person: As whom.
            at: When.
        """
        if not self.units.take(at):
            message = "The request cannot be completed because you have exceeded your quota."
            return error(403, "quotaExceeded", message, domain="youtube.quota")
        route = self._routes.get(path)
        if route is None:
            return error(404, "notFound", f"There is no {path}.")
        if call.method != "GET":
            return error(405, "httpMethodNotAllowed", "The sandbox only shows.")
        parameters = call.parameters()
        try:
            _check_parts(path, parameters)
            return route(person, parameters)
        except Refused as refused:
            return refused.answer

    # --- what can be asked for ---

    def _channels(self, person: Person, parameters: Parameters) -> Answer:
        own = self._member(person).channel if person.key not in self.without_channel else None
        if parameters.get("mine") == "true":
            shown = [own] if own is not None else []
        else:
            found = [self._place.channel(one) for one in _ids(parameters)]
            shown = [one for one in found if one is not None]
        items = [encode(self._channel(one, is_own=one is own)) for one in shown]
        return _listing("channel", items, len(items), parameters)

    def _channel(self, channel: Channel, *, is_own: bool) -> Mapping[str, Any]:
        playlists = {"uploads": channel.uploads, **({"likes": _LIKES} if is_own else {})}
        return {
            "kind": "youtube#channel",
            "id": channel.id,
            "snippet": {
                "title": channel.title,
                "description": "",
                "publishedAt": _second(channel.began_at),
                "thumbnails": self._thumbnails(channel.picture_path),
                "localized": {"title": channel.title, "description": ""},
            },
            "contentDetails": {"relatedPlaylists": playlists},
            "statistics": {
                "viewCount": "0",
                "hiddenSubscriberCount": True,
                "videoCount": str(len(channel.videos)),
            },
        }

    def _subscriptions(self, person: Person, parameters: Parameters) -> Answer:
        if parameters.get("mine") != "true":
            raise Refused(400, "missingRequiredParameter", "No filter selected.")
        member = self._signed_up(person)
        found = [(one, self._place.channel(one), since) for one, since in member.subscriptions.items()]
        ordered = sorted(found, key=lambda one: (one[1].title if one[1] is not None else "", one[0]))
        items = [
            encode(self._subscription(member, channel, since))
            for _, channel, since in ordered
            if channel is not None
        ]
        return _page("subscription", items, parameters)

    def _subscription(self, member: Member, channel: Channel, since: datetime) -> Mapping[str, Any]:
        return {
            "kind": "youtube#subscription",
            "id": f"sub{member.channel.id[2:]}{channel.id[2:]}",
            "snippet": {
                "publishedAt": f"{since:%Y-%m-%dT%H:%M:%S}.{since.microsecond:06d}Z",
                "title": channel.title,
                "description": "",
                "resourceId": {"kind": "youtube#channel", "channelId": channel.id},
                "channelId": member.channel.id,
                "thumbnails": self._thumbnails(channel.picture_path),
            },
            "contentDetails": {
                "totalItemCount": len(channel.videos),
                "newItemCount": 0,
                "activityType": "all",
            },
        }

    def _playlists(self, person: Person, parameters: Parameters) -> Answer:
        if parameters.get("mine") != "true":
            raise Refused(400, "missingRequiredParameter", "No filter selected.")
        member = self._signed_up(person)
        return _page(
            "playlist", [encode(self._playlist(member, one)) for one in member.playlists.values()], parameters
        )

    def _playlist(self, member: Member, playlist: Playlist) -> Mapping[str, Any]:
        return {
            "kind": "youtube#playlist",
            "id": playlist.id,
            "snippet": {
                "publishedAt": _second(playlist.made_at),
                "channelId": member.channel.id,
                "title": playlist.title,
                "description": "",
                "thumbnails": self._thumbnails(member.channel.picture_path),
                "channelTitle": member.channel.title,
                "localized": {"title": playlist.title, "description": ""},
            },
            "contentDetails": {"itemCount": len(playlist.added)},
            "status": {"privacyStatus": "private"},
        }

    def _items(self, person: Person, parameters: Parameters) -> Answer:
        playlist = parameters.get("playlistId", "")
        if not playlist:
            raise Refused(400, "missingRequiredParameter", "No filter selected.")
        if playlist == _LIKES:
            likes = reversed(self._signed_up(person).likes.items())
            found = [(self._place.video(one), at) for one, at in likes]
            shown = [encode(self._item(video, at, _LIKES)) for video, at in found if video is not None]
            return _page("playlistItem", shown, parameters)
        kept = self._member(person).playlists.get(playlist)
        if kept is not None:
            added = [(self._place.video(one), at) for one, at in kept.added]
            shown = [encode(self._item(video, at, kept.id)) for video, at in added if video is not None]
            return _page("playlistItem", shown, parameters)
        channel = self._place.channel(f"UC{playlist[2:]}") if playlist.startswith("UU") else None
        is_own = channel is not None and channel is self._member(person).channel
        videos = (
            [one for one in reversed(channel.videos) if is_own or one.is_public]
            if channel is not None
            else []
        )
        if channel is None or not videos:
            message = "The playlist identified with the request's playlistId parameter cannot be found."
            raise Refused(404, "playlistNotFound", message, "youtube.playlistItem")
        return _page("playlistItem", [self._listed(one) for one in videos], parameters)

    def _listed(self, video: Video) -> bytes:
        if not video.listed:
            video.listed = encode(self._item(video, video.published_at, video.channel.uploads))
        return video.listed

    def _item(self, video: Video, added_at: datetime, playlist: str) -> Mapping[str, Any]:
        published = {"videoPublishedAt": _second(video.published_at)} if video.is_public else {}
        return {
            "kind": "youtube#playlistItem",
            "id": f"{playlist}.{video.id}",
            "snippet": {
                "publishedAt": _second(added_at),
                "channelId": video.channel.id,
                "title": video.title,
                "description": "",
                "thumbnails": self._thumbnails(video.channel.picture_path),
                "channelTitle": video.channel.title,
                "playlistId": playlist,
                "position": 0,
                "resourceId": {"kind": "youtube#video", "videoId": video.id},
                "videoOwnerChannelTitle": video.channel.title,
                "videoOwnerChannelId": video.channel.id,
            },
            "contentDetails": {"videoId": video.id, **published},
            "status": {"privacyStatus": "public" if video.is_public else "private"},
        }

    def _videos(self, person: Person, parameters: Parameters) -> Answer:
        own = self._member(person).channel
        found = [self._place.video(one) for one in _ids(parameters)]
        items = [
            encode(self._video(one))
            for one in found
            if one is not None and (one.is_public or one.channel is own)
        ]
        return _listing("video", items, len(items), parameters)

    def _video(self, video: Video) -> Mapping[str, Any]:
        minutes, seconds = divmod(video.duration_seconds, 60)
        return {
            "kind": "youtube#video",
            "id": video.id,
            "snippet": {
                "publishedAt": _second(video.published_at),
                "channelId": video.channel.id,
                "title": video.title,
                "description": "",
                "thumbnails": self._thumbnails(video.channel.picture_path),
                "channelTitle": video.channel.title,
                "liveBroadcastContent": video.live,
            },
            "contentDetails": {
                "duration": f"PT{minutes}M{seconds}S" if video.live == "none" else "P0D",
                "definition": "hd",
            },
            "status": {
                "privacyStatus": "public" if video.is_public else "private",
                "uploadStatus": "processed",
            },
        }

    def _thumbnails(self, path: str) -> Mapping[str, Any]:
        return {"default": {"url": f"{self._public_url}{path}", "width": 88, "height": 88}}

    def _member(self, person: Person) -> Member:
        return self._place.member(person)

    def _signed_up(self, person: Person) -> Member:
        if person.key in self.without_channel:
            message = "Unauthorized"
            raise Refused(401, "youtubeSignupRequired", message, "youtube.header")
        return self._member(person)


def _check_parts(path: str, parameters: Parameters) -> None:
    parts = [one for one in parameters.get("part", "").split(",") if one]
    if not parts:
        raise Refused(400, "missingRequiredParameter", "Required parameter: part")
    if unknown := [one for one in parts if one not in _PARTS[path]]:
        raise Refused(400, "unknownPart", f"'{unknown[0]}'", "youtube.part")


def _ids(parameters: Parameters) -> Sequence[str]:
    ids = [one for one in parameters.get("id", "").split(",") if one]
    if not ids:
        raise Refused(400, "missingRequiredParameter", "No filter selected.")
    if len(ids) > _MOST:
        raise Refused(400, "invalidFilters", f"More than {_MOST} ids.")
    return list(dict.fromkeys(ids))


def _page(kind: str, items: Sequence[bytes], parameters: Parameters) -> Answer:
    most = _most(parameters)
    start = _offset(parameters.get("pageToken", ""))
    end = start + most
    more = {"nextPageToken": _token(end)} if end < len(items) else {}
    return _listing(kind, items[start:end], len(items), parameters, more)


def _most(parameters: Parameters) -> int:
    given = parameters.get("maxResults", f"{_USUAL}")
    if not given.isdecimal() or not given.isascii() or not 0 <= int(given[:9]) <= _MOST:
        raise Refused(400, "invalidValue", f"Invalid value '{given}' of maxResults: 0 to {_MOST}.")
    return int(given)


def _token(offset: int) -> str:
    """A page is named by where it begins: what is added meanwhile shifts it."""
    return urlsafe_b64encode(f"offset {offset}".encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, digits = urlsafe_b64decode(token).decode().partition(" ")
        if word == "offset" and digits.isdecimal() and len(digits) < 9:
            return int(digits)
    except (binascii.Error, ValueError):
        pass
    message = "The request specifies an invalid page token."
    raise Refused(400, "invalidPageToken", message)


def _listing(
    kind: str,
    items: Sequence[bytes],
    total: int,
    parameters: Parameters,
    more: Mapping[str, str] | None = None,
) -> Answer:
    rest = {
        "kind": f"youtube#{kind}ListResponse",
        "pageInfo": {"totalResults": total, "resultsPerPage": _most(parameters)},
        **(more or {}),
    }
    if not items:
        return Answer(200, encode(rest), _JSON)  # YouTube leaves an empty list out
    return Answer(200, b'{"items":[%b],%b' % (b",".join(items), encode(rest)[1:]), _JSON)


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
