"""The emulated YouTube: what happens there, its Data API and its hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tidings_sandbox.google import SCOPE, GoogleService, google_options, not_found
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call
from tidings_sandbox.youtube.api import DataApi
from tidings_sandbox.youtube.atom import entry, tombstone
from tidings_sandbox.youtube.hub import Hub
from tidings_sandbox.youtube.place import Channel, Member, Place, Video

HUB_PATH: Final = "/hub"
_API_PATH: Final = "/v3"
_LIVELY_UNITS: Final = 1_000_000
_INVENTED: Final = 40


class _Details(msgspec.Struct, frozen=True):
    """What `act` understands."""

    channel: str | None = None
    video: str | None = None
    playlist: str | None = None
    title: str | None = None
    live: Literal["none", "live", "upcoming"] = "none"
    is_public: bool = True
    ago_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class YouTube(GoogleService):
    """YouTube: uploads, which a hub tells of, likes, playlists and subscriptions.

    `act` understands these details: `channel`, `video` and `playlist` (ids), `title`, `live` (`live` or `upcoming`),
    `is_public`, and `ago_seconds` (an upload that shows up late).

    Attributes:
        place: The channels, and what people have here.
        hub: Who is told of uploads.
        api: Has the day's units.
    """

    name: ClassVar[str] = "youtube"
    title: ClassVar[str] = "YouTube"
    kinds: ClassVar[Mapping[str, str]] = {
        "upload": "A subscribed channel uploads a video",
        "own_upload": "Upload a video",
        "like": "Like a video",
        "playlist_made": "Make a playlist",
        "playlist_added": "Add a video to a playlist",
        "playlist_deleted": "Delete a playlist",
        "subscribe": "Subscribe to another channel",
        "unsubscribe": "Unsubscribe from a channel",
        "edit": "A subscribed channel edits a title",
        "delete": "A subscribed channel deletes its newest video",
    }
    small: ClassVar[Sequence[str]] = ("upload", "own_upload", "like", "playlist_added")
    scopes: ClassVar[frozenset[str]] = frozenset(
        {f"{SCOPE}youtube.readonly", f"{SCOPE}youtube", f"{SCOPE}youtube.force-ssl"}
    )

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.place = Place(stage)
        self.hub = Hub(stage, self.courier, self.now)
        self.api = DataApi(self.place, stage.public_url)
        self._acts: dict[str, Callable[[Person, Member, _Details], Happening]] = {
            "upload": self._upload,
            "own_upload": self._own_upload,
            "like": self._like,
            "playlist_made": self._make_playlist,
            "playlist_added": self._add_to_playlist,
            "playlist_deleted": self._delete_playlist,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "edit": self._edit,
            "delete": self._delete,
        }

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """Google's client and addresses, and for newcomers a cadence that shows them something within a minute."""
        soon = {
            "poll_every": "1m",
            "likes_every": "1m",
            "subscriptions_every": "2m",
            "playlists_every": "2m",
            "lease": "10m",  # after a restart the hub has forgotten everybody
            "daily_budget": _LIVELY_UNITS,
        }
        return {
            **google_options(base, seed),
            "api_url": f"{base}{_API_PATH}",
            "hub_url": f"{base}{HUB_PATH}",
            **(soon if lively else {}),
        }

    def become_lively(self) -> None:
        """Lift the quota, which a newcomer's cadence would use up."""
        self.api.units.limit = _LIVELY_UNITS

    def sort(self, path: str) -> str:
        """The hub's calls cost no unit, so they are none of the API's."""
        return "hub" if path == HUB_PATH else super().sort(path)

    def serve(self, call: Call) -> Answer:
        """Answer a request to the hub, or to the Data API."""
        if call.path == HUB_PATH:
            return self.hub.answer(call)
        if not call.path.startswith(f"{_API_PATH}/"):
            return not_found()
        access = self.admit(call, self.scopes)
        if not isinstance(access, Access):
            return access
        return self.api.answer(call, call.path.removeprefix(_API_PATH), access.person, self.now())

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen. Of an edit tidings need not tell: it is not recorded."""
        act = self._acts.get(kind)
        if act is None:
            raise LookupError(f"YouTube knows no {kind!r}. There are: {', '.join(self.kinds)}.")
        try:
            wanted = msgspec.convert(details, _Details)
        except msgspec.ValidationError as error:
            raise LookupError(f"There is no such detail: {error}.") from error
        return act(person, self.place.member(person), wanted)

    def _upload(self, person: Person, member: Member, wanted: _Details) -> Happening:
        return self._publish(person, self._subscribed(person, member, wanted), wanted)

    def _own_upload(self, person: Person, member: Member, wanted: _Details) -> Happening:
        return self._publish(person, member.channel, wanted)

    def _publish(self, person: Person, channel: Channel, wanted: _Details) -> Happening:
        at = (self.now() - timedelta(seconds=wanted.ago_seconds)).replace(microsecond=0)
        special = {"is_public": wanted.is_public, "live": wanted.live}
        video = self.place.publish(channel, at, special | ({"title": wanted.title} if wanted.title else {}))
        if video.is_public:
            self.hub.deliver(channel.id, "video", entry(video))
        told = self._told(
            person, channel, f"youtube:video:{video.id}", "upload", at, f"uploads {video.title}"
        )
        return told(is_recorded=video.is_public)

    def _like(self, person: Person, member: Member, wanted: _Details) -> Happening:
        liked = self._video(person, member, wanted, lambda one: one.id not in member.likes)
        at = self.now().replace(microsecond=0)
        member.likes.pop(liked.id, None)
        member.likes[liked.id] = at
        key = f"youtube:liked:{member.channel.id}:{liked.id}:{at:%Y-%m-%dT%H:%M:%SZ}"
        return self.stage.record.add(
            self._happening(person, "like", at, key, f"{person.name} likes {liked.title}")
        )

    def _make_playlist(self, person: Person, member: Member, wanted: _Details) -> Happening:
        made = self.place.make_playlist(member, wanted.title or "", self.now().replace(microsecond=0))
        key = f"youtube:playlist_created:{member.channel.id}:{made.id}"
        title = f"{person.name} makes the playlist {made.title}"
        return self.stage.record.add(self._happening(person, "playlist_made", made.made_at, key, title))

    def _add_to_playlist(self, person: Person, member: Member, wanted: _Details) -> Happening:
        """Add to the playlist that is wanted, else to the newest; to a new one where there is none."""
        if not member.playlists and not wanted.playlist:
            self._make_playlist(person, member, _Details())
        kept = member.playlists.get(wanted.playlist or next(reversed(member.playlists)))
        if kept is None:
            raise LookupError(f"{person.name} has no playlist {wanted.playlist}.")
        inside = {one for one, _ in kept.added}
        video = self._video(person, member, wanted, lambda one: one.id not in inside)
        at = self.now().replace(microsecond=0)
        kept.added.append((video.id, at))
        key = f"youtube:playlist_item:{member.channel.id}:{kept.id}:{video.id}:{at:%Y-%m-%dT%H:%M:%SZ}"
        title = f"{person.name} adds {video.title} to {kept.title}"
        return self.stage.record.add(self._happening(person, "playlist_added", at, key, title))

    def _delete_playlist(self, person: Person, member: Member, wanted: _Details) -> Happening:
        if not member.playlists:
            raise LookupError(f"{person.name} has no playlist.")
        gone = member.playlists.pop(wanted.playlist or next(iter(member.playlists)), None)
        if gone is None:
            raise LookupError(f"{person.name} has no playlist {wanted.playlist}.")
        key = f"youtube:playlist_deleted:{member.channel.id}:{gone.id}"
        title = f"{person.name} deletes the playlist {gone.title}"
        return self.stage.record.add(self._happening(person, "playlist_deleted", self.now(), key, title))

    def _subscribe(self, person: Person, member: Member, wanted: _Details) -> Happening:
        others = [self.place.invented(number) for number in range(_INVENTED)]
        fresh = [one for one in others if one.id not in member.subscriptions]
        chosen = (
            self.place.channel(wanted.channel)
            if wanted.channel
            else (self.chance.choice(fresh) if fresh else None)
        )
        if chosen is None or chosen.id in member.subscriptions or chosen is member.channel:
            raise LookupError(f"{person.name} can't subscribe to {wanted.channel or 'one more channel'}.")
        at = self.now().replace(microsecond=0)
        member.subscriptions[chosen.id] = at
        key = f"youtube:subscribed:{member.channel.id}:{chosen.id}:{at:%Y-%m-%dT%H:%M:%SZ}"
        title = f"{person.name} subscribes to {chosen.title}"
        return self.stage.record.add(self._happening(person, "subscribe", at, key, title))

    def _unsubscribe(self, person: Person, member: Member, wanted: _Details) -> Happening:
        channel = self._subscribed(person, member, wanted)
        since = member.subscriptions.pop(channel.id)
        key = f"youtube:unsubscribed:{member.channel.id}:{channel.id}:{since:%Y-%m-%dT%H:%M:%SZ}"
        title = f"{person.name} unsubscribes from {channel.title}"
        return self.stage.record.add(self._happening(person, "unsubscribe", self.now(), key, title))

    def _edit(self, person: Person, member: Member, wanted: _Details) -> Happening:
        video = self._video(person, member, wanted, lambda _: True)
        video.title = wanted.title or f"{video.title} (again)"
        video.updated_at, video.listed = self.now(), b""
        if video.is_public:
            self.hub.deliver(video.channel.id, "video", entry(video))
        return self._happening(
            person, "edit", self.now(), f"edit:{video.id}", f"{video.channel.title} edits a title"
        )

    def _delete(self, person: Person, member: Member, wanted: _Details) -> Happening:
        video = self._video(person, member, wanted, lambda _: True)
        self.place.delete(video)
        self.hub.deliver(video.channel.id, "deleted", tombstone(video.id, video.channel, self.now()))
        key, what = f"youtube:video_deleted:{video.id}", f"deletes {video.title}"
        return self._told(person, video.channel, key, "delete", self.now(), what)(is_recorded=True)

    def _subscribed(self, person: Person, member: Member, wanted: _Details) -> Channel:
        """The channel that is wanted, else one by chance."""
        if not member.subscriptions:
            raise LookupError(f"{person.name} subscribes to no channel.")
        chosen = wanted.channel or self.chance.choice(list(member.subscriptions))
        channel = self.place.channel(chosen) if chosen in member.subscriptions else None
        if channel is None:
            raise LookupError(f"{person.name} does not subscribe to {chosen}.")
        return channel

    def _video(
        self, person: Person, member: Member, wanted: _Details, is_welcome: Callable[[Video], bool]
    ) -> Video:
        """The video that is wanted, else the newest welcome one of a channel by chance."""
        if wanted.video:
            found = self.place.video(wanted.video)
            if found is None:
                raise LookupError(f"There is no video {wanted.video}.")
            return found
        channels = [self._subscribed(person, member, wanted)]
        channels += [] if wanted.channel else [self._subscribed(person, member, wanted) for _ in range(5)]
        videos = [one for channel in channels for one in reversed(channel.videos)]
        welcome = [one for one in videos if is_welcome(one)] or videos
        if not welcome:
            raise LookupError(f"{channels[0].title} has no video.")
        return welcome[0]

    def _told(
        self, person: Person, channel: Channel, key: str, kind: str, at: datetime, what: str
    ) -> Callable[..., Happening]:
        """Records something that a channel did, for its owner and for all who subscribe to it."""

        def tell(*, is_recorded: bool) -> Happening:
            title = f"{channel.title} {what}"
            concerned = dict.fromkeys([person, *self.place.subscribers(channel)])
            found = [self._happening(one, kind, at, key, title) for one in concerned]
            for one in found if is_recorded else ():
                self.stage.record.add(one)
            return found[0]

        return tell

    def _happening(self, person: Person, kind: str, at: datetime, key: str, title: str) -> Happening:
        return Happening(self.name, person.key, kind, at, key, title)

    # --- what the control page shows ---

    def describe(self) -> Mapping[str, Any]:
        """The day's units, and how the hub is."""
        return {
            "units_today": self.api.units.used(self.now()),
            "units_per_day": self.api.units.limit,
            "hub_is_down": self.hub.is_down,
        }

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The subscriptions at the hub."""
        return self.hub.show()

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """The hub loses a subscription; it can't be switched off and on."""
        subscription = self.hub.get(hook_id)
        if subscription is None or change != "delete":
            raise LookupError(f"YouTube's hub can't {change} the subscription {hook_id}.")
        self.hub.forget(subscription)

    def deliveries(self, hook_id: int | None = None) -> Sequence[Mapping[str, Any]]:
        """The last attempts."""
        return [
            {
                "id": one.id,
                "hook_id": one.subscription.id,
                "guid": "",
                "event": one.kind,
                "action": None,
                "delivered_at": one.delivered_at.isoformat(),
                "status_code": one.status,
                "redelivery": one.is_again,
            }
            for one in self.hub.log(hook_id)
        ]

    def redeliver(self, delivery_id: int) -> None:
        """Send a delivery once more."""
        if not self.hub.redeliver(delivery_id):
            super().redeliver(delivery_id)
