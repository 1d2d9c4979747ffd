"""The emulated Spotify Web API, in development mode as of late 2026.

https://developer.spotify.com/documentation/web-api, with the changes of February to July 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final

import msgspec

from tidings_sandbox.catalog import COUNT, Track, track
from tidings_sandbox.dialects import Dialect, spotify_dialect
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.happenings import Happening
from tidings_sandbox.listener import Listener
from tidings_sandbox.people import Person
from tidings_sandbox.quota import Quota
from tidings_sandbox.replies import Parameters, error, holding, listing, too_many, whole
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access, Mint
from tidings_sandbox.wire import Answer, Call, json_answer

CLIENT_IDS: Final = tuple(f"sandbox-spotify-{number}" for number in range(1, 26))

_TRIES: Final = 50
_LIVELY_CALLS_PER_DAY: Final = 100_000
_API: Final = "https://api.spotify.com"
_DEVICE: Final = {
    "id": "sandboxdevice",
    "is_active": True,
    "is_private_session": False,
    "is_restricted": False,
    "name": "Invented headphones",
    "type": "Computer",
    "volume_percent": 60,
}

Handler = Callable[[Person, Parameters], Answer]


class _Details(msgspec.Struct, frozen=True):
    """What `act` understands."""

    track: Annotated[int, msgspec.Meta(ge=0, lt=COUNT)] | None = None
    ago_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Spotify(Emulator):
    """Spotify: plays, saved tracks, what plays now; no webhooks.

    `act` understands these details: `track` (a number from 0 to 1,999), `ago_seconds` (a play that is listed
    late), `seconds` (how long what plays now lasts).

    Attributes:
        owner_has_premium: Without it development mode refuses every call.
        calls_per_window: Of each app, in rolling 30 seconds, for apps that have not called yet.
        calls_per_day: Of each app, in rolling 24 hours, likewise.
    """

    name: ClassVar[str] = "spotify"
    title: ClassVar[str] = "Spotify"
    client_ids: ClassVar[Sequence[str]] = CLIENT_IDS
    kinds: ClassVar[Mapping[str, str]] = {
        "play": "Play a track to its end",
        "listen": "Start playing a track",
        "like": "Save a track",
        "unlike": "Remove the track saved last",
    }
    small: ClassVar[Sequence[str]] = ("play", "like")

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.owner_has_premium = True
        self.calls_per_window = 180
        self.calls_per_day = 1000
        self._listeners: dict[str, Listener] = {}
        self._quotas: dict[str, Quota] = {}
        self._routes: dict[str, tuple[Handler, frozenset[str]]] = {
            "/v1/me": (self._me, frozenset()),
            "/v1/me/player/recently-played": (
                self._recently_played,
                frozenset({"user-read-recently-played"}),
            ),
            "/v1/me/player/currently-playing": (
                self._currently_playing,
                frozenset({"user-read-currently-playing", "user-read-playback-state"}),
            ),
            "/v1/me/player": (self._player, frozenset({"user-read-playback-state"})),
            "/v1/me/tracks": (self._tracks, frozenset({"user-library-read"})),
        }

    @classmethod
    def dialect(cls) -> Dialect:
        """As in `dialects`."""
        return spotify_dialect()

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """Every client, and for newcomers a cadence that shows them something within a minute."""
        mint = Mint(seed, cls.title)
        return {
            "clients": [
                {"client_id": client_id, "client_secret": mint.secret(client_id)}
                for client_id in cls.client_ids
            ],
            "authorize_url": f"{base}/authorize",
            "token_url": f"{base}/api/token",
            "api_url": f"{base}/v1",
            **(
                {"poll_every": "1m", "saved_every": "1m", "daily_budget": _LIVELY_CALLS_PER_DAY}
                if lively
                else {}
            ),
        }

    def become_lively(self) -> None:
        """Lift the quota, which a newcomer's cadence would use up."""
        self.calls_per_day = _LIVELY_CALLS_PER_DAY

    def listener(self, person: Person) -> Listener:
        """This person's music."""
        return self._listeners.setdefault(person.key, Listener())

    def quota(self, client_id: str) -> Quota:
        """The calls of one app."""
        quota = self._quotas.get(client_id)
        if quota is None:
            quota = Quota(per_window=self.calls_per_window, window_seconds=30, per_day=self.calls_per_day)
            self._quotas[client_id] = quota
        return quota

    def describe(self) -> Mapping[str, Any]:
        """The calls of each app in the last 24 hours."""
        now = self.now()
        return {
            "calls_24h": {client_id: quota.used(now) for client_id, quota in self._quotas.items()},
            "calls_per_day": self.calls_per_day,
            "owner_has_premium": self.owner_has_premium,
        }

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen. Of `listen` and `unlike` tidings need not tell: they are not recorded."""
        wanted = _details(details)
        listener = self.listener(person)
        if kind == "play":
            played = self._choose(wanted, lambda one: self._was_just_played(listener, one))
            return self._play(person, played, wanted.ago_seconds)
        if kind == "listen":
            return self._listen(person, self._choose(wanted, lambda _: False), wanted.seconds)
        if kind == "like":
            liked = self._choose(wanted, listener.likes_track)
            added_at = listener.add_like(self.now(), liked)
            return self.stage.record.add(
                self._happening("like", person, liked, f"like:{liked.id}:{added_at}", "saved")
            )
        if kind == "unlike":
            if not listener.likes:
                raise LookupError(f"{person.name} has no saved track.")
            removed = listener.likes[-1].track
            listener.remove_like(removed)
            return self._happening("unlike", person, removed, f"unlike:{removed.id}", "removed")
        raise LookupError(f"Spotify knows no {kind!r}. There are: {', '.join(self.kinds)}.")

    def told_by(self, event: Mapping[str, Any]) -> str:
        """By the track and its instant."""
        data = event["data"]
        played = data["track"]["uri"].rpartition(":")[2]
        return (
            f"play:{played}:{data['played_at']}"
            if "played_at" in data
            else f"like:{played}:{data['added_at']}"
        )

    def _choose(self, wanted: _Details, unwelcome: Callable[[Track], bool]) -> Track:
        """The track that is wanted; else one by chance, not an unwelcome one as far as there is another."""
        number = self.chance.randrange(COUNT) if wanted.track is None else wanted.track
        found = track(number, self.stage.public_url)
        for _ in range(_TRIES):
            if wanted.track is not None or not unwelcome(found):
                break
            found = track(self.chance.randrange(COUNT), self.stage.public_url)
        return found

    def _was_just_played(self, listener: Listener, chosen: Track) -> bool:
        return any(play.track.number == chosen.number for play in listener.plays)

    def _play(self, person: Person, played: Track, ago_seconds: float = 0.0) -> Happening:
        at = self.now() - timedelta(seconds=ago_seconds)
        played_at = self.listener(person).add_play(at, played)
        happening = self._happening("play", person, played, f"play:{played.id}:{played_at}", "played", at)
        return self.stage.record.add(happening)

    def _listen(self, person: Person, started: Track, seconds: float | None) -> Happening:
        lasts_seconds = started.duration_ms / 1000 if seconds is None else seconds
        listener = self.listener(person)
        playing = listener.start(started, self.now())

        async def finish() -> None:
            if listener.playing is playing:
                listener.playing = None
                if lasts_seconds > 30:  # shorter ones are not listed
                    self._play(person, started)

        self.stage.agenda.add(finish, in_seconds=lasts_seconds)
        return self._happening("listen", person, started, f"listen:{started.id}", "began to play")

    def _happening(
        self, kind: str, person: Person, about: Track, key: str, verb: str, at: Any = None
    ) -> Happening:
        title = f"{person.name} {verb} {about.name} by {about.artist}"
        return Happening(self.name, person.key, kind, at or self.now(), key, title)

    # --- the API ---

    def answer(self, call: Call) -> Answer:
        """Answer a request at once."""
        if not call.path.startswith("/v1/"):
            return self.oauth.answer(call) or error(404, "Service not found")
        access = self.consents.authenticate(call)
        if access is None:
            given = b"authorization" in call.headers
            return error(401, "The access token expired" if given else "No token provided")
        handler, scopes = self._routes.get(call.path, (None, frozenset()))
        if handler is None:
            return error(404, "Service not found")
        if call.method != "GET":
            return error(405, "Method not allowed")
        refusal = self._refusal(access, scopes)
        return handler(access.person, call.parameters()) if refusal is None else refusal

    def _refusal(self, access: Access, scopes: frozenset[str]) -> Answer | None:
        limited = self.quota(access.client_id).take(self.now())
        if limited is not None:
            return too_many(limited[0], is_quota=limited[1])
        if not self.owner_has_premium:
            return error(403, "Active premium subscription required for the owner of the app.")
        if not self.consents.serves(access.client_id, access.person.key):
            return error(403, "User not registered in the Developer Dashboard")
        if scopes and not scopes & access.scopes:
            return error(403, "Insufficient client scope")
        return None

    def _me(self, person: Person, _parameters: Parameters) -> Answer:
        image = f"{self.stage.public_url}{person.face_path}"
        return json_answer(
            {
                "account_id": person.spotify_account_id,
                "display_name": person.name,
                "external_urls": {"spotify": f"https://open.spotify.com/user/{person.spotify_id}"},
                "href": f"{_API}/v1/users/{person.spotify_id}",
                "id": person.spotify_id,
                "images": [{"url": image, "height": 300, "width": 300}],
                "type": "user",
                "uri": f"spotify:user:{person.spotify_id}",
            }
        )

    def _recently_played(self, person: Person, parameters: Parameters) -> Answer:
        if "after" in parameters and "before" in parameters:
            return error(400, "Only one of before and after may be given")
        limit = whole(parameters, "limit", 20)
        if limit is None or not 1 <= limit <= 50:
            return error(400, "Invalid limit")
        after, before = whole(parameters, "after"), whole(parameters, "before")
        if (after is None and "after" in parameters) or (before is None and "before" in parameters):
            return error(400, "Invalid cursor")
        plays = self.listener(person).between(after, before, limit)
        href = f"{_API}/v1/me/player/recently-played?limit={limit}"
        cursors: dict[str, str] | None = None
        following: str | None = None
        if plays:
            newest, oldest = plays[0].played_at_ms, plays[-1].played_at_ms
            cursors = {"after": str(newest), "before": str(oldest)}
            if after is None and self.listener(person).between(None, oldest, 1):
                following = f"{href}&before={oldest}"
        rest = {"next": following, "cursors": cursors, "limit": limit, "href": href}
        return listing([play.json for play in plays], rest)

    def _tracks(self, person: Person, parameters: Parameters) -> Answer:
        limit, offset = whole(parameters, "limit", 20), whole(parameters, "offset", 0)
        if limit is None or not 1 <= limit <= 50:
            return error(400, "Invalid limit")
        if offset is None or offset < 0:
            return error(400, "Invalid offset")
        likes = self.listener(person).likes
        end = len(likes) - offset
        shown = likes[max(0, end - limit) : max(0, end)]
        href = f"{_API}/v1/me/tracks?limit={limit}"
        rest = {
            "href": f"{href}&offset={offset}",
            "limit": limit,
            "next": f"{href}&offset={offset + limit}" if offset + limit < len(likes) else None,
            "offset": offset,
            "previous": f"{href}&offset={max(0, offset - limit)}" if offset else None,
            "total": len(likes),
        }
        return listing([like.json for like in reversed(shown)], rest)

    def _currently_playing(self, person: Person, _parameters: Parameters) -> Answer:
        return self._state(person, {})

    def _player(self, person: Person, _parameters: Parameters) -> Answer:
        return self._state(person, {"device": _DEVICE, "shuffle_state": False, "repeat_state": "off"})

    def _state(self, person: Person, more: Mapping[str, Any]) -> Answer:
        playing = self.listener(person).playing
        if playing is None:
            return Answer(204)
        now = self.now()
        fields = {
            "timestamp": int(playing.started_at.timestamp() * 1000),
            "context": None,
            "progress_ms": int((now - playing.started_at).total_seconds() * 1000),
            "currently_playing_type": "track",
            "actions": {"disallows": {"resuming": True}},
            "is_playing": True,
            **more,
        }
        return holding(b"item", playing.track.json, fields)


def _details(given: Mapping[str, Any]) -> _Details:
    try:
        return msgspec.convert(given, _Details)
    except msgspec.ValidationError as error:
        raise LookupError(f"There is no such detail: {error}.") from error
