"""What is at the emulated YouTube: invented channels and their videos, and what people like and subscribe to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage

_PLACES: Final = (
    "Harbour", "Orchard", "Attic", "Lighthouse", "Greenhouse", "Workshop", "Station", "Mill", "Observatory", "Quarry",
    "Boathouse", "Bakery",
)  # fmt: skip
_SORTS: Final = (
    "Radio", "Diaries", "Lessons", "Repairs", "Recipes", "Expeditions", "Experiments", "Sketches", "Concerts",
    "Questions", "Timelapses",
)  # fmt: skip
_WORKS: Final = (
    "How to splice a rope", "Forty hours of rain", "Building a kayak, part {}", "The quiet engine", "Bread number {}",
    "What the tide left", "A clock from scraps", "Letters from the north, {}", "The smallest orchestra",
    "Mapping the old canal",
)  # fmt: skip
_BEGAN: Final = datetime(2025, 3, 1, 12, tzinfo=UTC)
_OLD_VIDEOS: Final = 3
# Of those whom one person subscribes to, half are another person's, too.
_EACH_PERSONS: Final = 10
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"


@dataclasses.dataclass(slots=True, eq=False)
class Video:
    """A video.

    Attributes:
        updated_at: When its title was last edited.
        is_public: Whether others than its owner see it.
        live: `none`, `live` or `upcoming`.
        listed: The entry of its channel's uploads as JSON, once it was shown.
    """

    id: str
    channel: Channel
    title: str
    published_at: datetime
    updated_at: datetime
    duration_seconds: int
    is_public: bool = True
    live: str = "none"
    listed: bytes = b""


@dataclasses.dataclass(slots=True, eq=False)
class Channel:
    """A channel; its videos are in the order of their upload, oldest first."""

    id: str
    title: str
    picture_path: str
    began_at: datetime
    videos: list[Video] = dataclasses.field(default_factory=list)

    @property
    def uploads(self) -> str:
        """The playlist of its uploads."""
        return f"UU{self.id[2:]}"


@dataclasses.dataclass(slots=True, eq=False)
class Playlist:
    """A playlist that somebody keeps; its entries are in the order in which they were added.

    Attributes:
        added: Ids of videos, and when each was added.
    """

    id: str
    title: str
    made_at: datetime
    added: list[tuple[str, datetime]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, eq=False)
class Member:
    """A person at YouTube.

    Attributes:
        subscriptions: When each began, by channel.
        likes: The likes, oldest first: which video, and since when.
        playlists: Those that the person keeps, by their ids.
    """

    channel: Channel
    subscriptions: dict[str, datetime] = dataclasses.field(default_factory=dict)
    likes: dict[str, datetime] = dataclasses.field(default_factory=dict)
    playlists: dict[str, Playlist] = dataclasses.field(default_factory=dict)


class Place:
    """All of it. Channels and their old videos are the same in every run.

    Attributes:
        subscriptions_each: How many channels a person subscribes to from the start; for those not looked at yet.
        channels_each: How many channels there are for each person; fewer than the former are shared.

    Args:
        stage: People, numbers that grow, and where pictures are.
    """

    def __init__(self, stage: Stage) -> None:
        self.subscriptions_each = 6
        self.channels_each = _EACH_PERSONS
        self._stage = stage
        self._chance = stage.chance("youtube/works")
        self._channels: dict[str, Channel] = {}
        self._videos: dict[str, Video] = {}
        self._members: dict[str, Member] = {}

    def member(self, person: Person) -> Member:
        """What this person has here."""
        found = self._members.get(person.key)
        if found is None:
            channel = Channel(
                f"UCsandboxPerson{person.number:09d}",
                person.name,
                person.face_path,
                _BEGAN - timedelta(days=400),
            )
            self._channels[channel.id] = channel
            each = self.channels_each
            count = max(each * len(self._stage.people), self.subscriptions_each)
            numbers = [(person.number * each + one) % count for one in range(self.subscriptions_each)]
            since = {
                self.invented(one).id: _BEGAN + timedelta(days=place) for place, one in enumerate(numbers)
            }
            found = self._members[person.key] = Member(channel, since)
        return found

    def invented(self, number: int) -> Channel:
        """The invented channel of this number, with its old videos."""
        channel_id = f"UCsandboxChannel{number:08d}"
        channel = self._channels.get(channel_id)
        if channel is None:
            title = f"{_PLACES[number % len(_PLACES)]} {_SORTS[number % len(_SORTS)]}"
            again = number // (len(_PLACES) * len(_SORTS))
            channel = Channel(
                channel_id,
                f"{title} {again + 1}" if again else title,
                f"/sandbox/static/cover-{number}.svg",
                _BEGAN - timedelta(days=200 + number % 100),
            )
            self._channels[channel_id] = channel
            for one in range(_OLD_VIDEOS):
                at = _BEGAN + timedelta(days=number % 60 + 17 * one)
                work = _WORKS[(number + one) % len(_WORKS)].format(one + 1)
                self._keep(Video(f"sbx{number:06d}o{one}", channel, work, at, at, 61 + 97 * one))
        return channel

    def channel(self, channel_id: str) -> Channel | None:
        """The channel of this id; those that nobody looked at yet are there, too."""
        number = channel_id.removeprefix("UCsandboxChannel")
        if (
            channel_id not in self._channels
            and number != channel_id
            and len(number) == 8
            and number.isdecimal()
        ):
            return self.invented(int(number))
        return self._channels.get(channel_id)

    def video(self, video_id: str) -> Video | None:
        """The video of this id."""
        return self._videos.get(video_id)

    def subscribers(self, channel: Channel) -> Iterator[Person]:
        """Who subscribes to a channel."""
        for person in self._stage.people:
            if channel.id in self.member(person).subscriptions:
                yield person

    def publish(self, channel: Channel, at: datetime, details: Mapping[str, object]) -> Video:
        """A channel uploads a video.

        Args:
            channel: Which.
            at: When it is published.
            details: `title`, `is_public` and `live`, where chance shall not decide, or the usual not hold.
        """
        serial = self._stage.serial()
        title = self._chance.choice(_WORKS).format(serial % 97)
        seconds = self._chance.randrange(45, 4000)
        made = Video(f"sbxv{_letters(serial)}", channel, title, at, at + timedelta(seconds=12), seconds)
        return self._keep(dataclasses.replace(made, **details))  # type: ignore[arg-type]  # those three

    def make_playlist(self, member: Member, title: str, at: datetime) -> Playlist:
        """A person makes a playlist; without a title it has an invented one."""
        serial = self._stage.serial()
        named = title or f"{self._chance.choice(_SORTS)} for later, {serial % 97}"
        made = Playlist(f"PLsandbox{_letters(serial)}", named, at)
        member.playlists[made.id] = made
        return made

    def delete(self, video: Video) -> None:
        """Take a video away, and with it the likes for it and its places in playlists."""
        video.channel.videos.remove(video)
        del self._videos[video.id]
        for member in self._members.values():
            member.likes.pop(video.id, None)
            for playlist in member.playlists.values():
                playlist.added = [one for one in playlist.added if one[0] != video.id]

    def _keep(self, video: Video) -> Video:
        video.channel.videos.append(video)
        self._videos[video.id] = video
        return video


def _letters(serial: int) -> str:
    letters = ""
    for _ in range(7):  # enough for the milliseconds since 1970
        serial, digit = divmod(serial, len(_DIGITS))
        letters = _DIGITS[digit] + letters
    return letters
