"""Invented music: two thousand tracks, the same in every run."""

from __future__ import annotations

import colorsys
from functools import cache
from typing import Final

import msgspec

from tidings_sandbox.wire import encode

COUNT: Final = 2000

_ADJECTIVES: Final = (
    "Amber", "Borrowed", "Crooked", "Distant", "Electric", "Folded", "Gentle", "Hollow", "Inland", "Jagged",
    "Kindled", "Lunar", "Midnight", "Northern", "Orchard", "Paper", "Quiet", "Rusted", "Silver", "Tidal",
)  # fmt: skip
_NOUNS: Final = (
    "Anchors", "Bicycles", "Candles", "Doorways", "Embers", "Ferries", "Gardens", "Harbours", "Islands",
    "Junctions", "Kites", "Lanterns", "Maps", "Needles", "Oceans", "Postcards", "Rivers", "Signals", "Trains",
    "Umbrellas", "Valleys", "Windows", "Yesterdays",
)  # fmt: skip
_ARTISTS: Final = (
    "The Velvet Otters", "Marzipan Radio", "Low Tide Choir", "Clockwork Heron", "Ada & the Loops",
    "Gravel Moon", "Nine Quiet Rooms", "Paper Lighthouse", "Soft Machines Union", "Winter Cartographers",
    "Juniper Static", "The Borrowed Umbrellas", "Saltwater Piano", "Kettle Black Orchestra",
    "Sleeper Train Society", "Honest Robots",
)  # fmt: skip


class Track(msgspec.Struct, frozen=True):
    """A track, also as the platform shows it.

    Attributes:
        id: 22 characters, as Spotify's are.
        json: The track object, encoded.
    """

    number: int
    id: str
    name: str
    artist: str
    duration_ms: int
    json: bytes

    @property
    def uri(self) -> str:
        """What Spotify names it by."""
        return f"spotify:track:{self.id}"


@cache
def track(number: int, public_url: str) -> Track:
    """The track of this number, 0 to 1,999.

    Args:
        number: Which.
        public_url: Where its cover is served.
    """
    track_id = f"sandboxTrack{number:010d}"
    name = f"{_ADJECTIVES[number % 20]} {_NOUNS[number % 23]}"
    if number >= 460:  # 20 x 23 different names
        name = f"{name}, Part {number // 460 + 1}"
    artist_number = number * 7 % len(_ARTISTS)
    artist = _named("artist", f"sandboxArtist{artist_number:09d}", _ARTISTS[artist_number])
    duration_ms = 121_000 + number * 7919 % 180_000
    album = {
        "album_type": "album",
        "artists": [artist],
        **_named("album", f"sandboxAlbum{number // 10:010d}", f"{_NOUNS[number // 10 % 23]} at Dusk"),
        "images": [
            {"url": f"{public_url}/sandbox/static/cover-{number // 10}.svg", "height": 640, "width": 640}
        ],
        "release_date": f"{1990 + number // 10 % 35}-05-01",
        "release_date_precision": "day",
        "total_tracks": 10,
    }
    shown = {
        "album": album,
        "artists": [artist],
        "disc_number": 1,
        "duration_ms": duration_ms,
        "explicit": False,
        "external_ids": {"isrc": f"XXSBX{number:07d}"},
        **_named("track", track_id, name),
        "is_local": False,
        "track_number": number % 10 + 1,
    }
    return Track(number, track_id, name, str(artist["name"]), duration_ms, encode(shown))


def cover(number: int) -> bytes:
    """The cover of an album, as SVG."""
    shades = []
    for turn in (0.0, 0.12, 0.55):
        red, green, blue = colorsys.hls_to_rgb((number * 0.618034 + turn) % 1, 0.45, 0.55)
        shades.append(f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80">'
        f'<path fill="{shades[0]}" d="M0 0h80v80H0z"/><path fill="{shades[1]}" d="M0 {20 + number % 40}l80 30v40H0z"/>'
        f'<circle cx="{20 + number * 13 % 40}" cy="{18 + number * 5 % 20}" r="12" fill="{shades[2]}"/></svg>'
    ).encode()


def _named(kind: str, thing_id: str, name: str) -> dict[str, object]:
    """The fields that artists, albums and tracks share."""
    return {
        "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{thing_id}"},
        "href": f"https://api.spotify.com/v1/{kind}s/{thing_id}",
        "id": thing_id,
        "name": name,
        "type": kind,
        "uri": f"spotify:{kind}:{thing_id}",
    }
