"""The people of the emulated platforms. All are invented; one person has an account at every platform."""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Iterator
from typing import Final

_FIRST: Final = (
    "Ottilie", "Bram", "Juno", "Casimir", "Wren", "Dario", "Philippa", "Teodor", "Maren", "Ansel",
    "Ysolde", "Rufus", "Linnea", "Evander", "Saskia", "Florian", "Tamsin", "Leopold", "Ingrid", "Matteo",
)  # fmt: skip
_LAST: Final = (
    "Otterbourne", "Quillfeather", "Larkspur", "Pebblewick", "Thistledown", "Marrowby", "Candlewood",
    "Foxglove", "Hazeltine", "Windermarsh", "Copperfin", "Saltmarsh", "Bellweather",
)  # fmt: skip
_GITHUB_IDS_FROM: Final = 900_000_000  # beyond any real account's


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account at every emulated platform.

    Attributes:
        number: From 0, dense; the same person in every run.
        key: Names the person everywhere here: `ottilie-otterbourne`; also the GitHub login.
        name: As shown.
    """

    number: int
    key: str
    name: str

    @property
    def github_id(self) -> int:
        """The account's number at GitHub."""
        return _GITHUB_IDS_FROM + self.number

    @property
    def spotify_account_id(self) -> str:
        """What Spotify keys an account by: 22 characters."""
        return f"sandbox{self.number:015d}"

    @property
    def spotify_id(self) -> str:
        """The older, changeable name of the account at Spotify."""
        return self.key.replace("-", "")

    @property
    def google_sub(self) -> str:
        """What Google keys an account by: 21 digits."""
        return f"1{self.number:020d}"

    @property
    def google_email(self) -> str:
        """The account's address at Google, and its mailbox at Gmail."""
        return f"{self.key.replace('-', '.')}@gmail.example"

    @property
    def face_path(self) -> str:
        """Where the person's picture is, below the installation's address."""
        return f"/sandbox/static/face-{self.number}.svg"


class People:
    """Everybody, by key. Numbers give the same people in every run.

    Args:
        count: How many there are at first.
    """

    def __init__(self, count: int = 5) -> None:
        self._people: dict[str, Person] = {}
        self.grow(count)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._people.values())

    def __len__(self) -> int:
        return len(self._people)

    def get(self, key: str) -> Person | None:
        """The person of this key, None for nobody."""
        return self._people.get(key)

    def grow(self, count: int) -> None:
        """Add people until there are `count`."""
        for number in range(len(self._people), count):
            person = _person(number)
            self._people[person.key] = person


def face(number: int) -> bytes:
    """A picture of that person, as SVG."""
    red, green, blue = colorsys.hls_to_rgb((number * 0.381966) % 1, 0.42, 0.5)
    shade = f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"
    smile = 58 + number * 7 % 9
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80">'
        f'<path fill="{shade}" d="M0 0h80v80H0z"/><circle cx="40" cy="42" r="24" fill="#f6e7d2"/>'
        f'<path fill="none" stroke="#3b2f2f" stroke-width="3" stroke-linecap="round" d="M30 52Q40 {smile} 50 52"/>'
        '<circle cx="32" cy="40" r="3" fill="#3b2f2f"/><circle cx="48" cy="40" r="3" fill="#3b2f2f"/></svg>'
    ).encode()


def _person(number: int) -> Person:
    # 20 and 13 have no common divisor: 260 different names before a number must tell people apart.
    first, last = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
    key = f"{first}-{last}".lower()
    again = number // (len(_FIRST) * len(_LAST))
    return Person(number, f"{key}-{again + 1}" if again else key, f"{first} {last}")
