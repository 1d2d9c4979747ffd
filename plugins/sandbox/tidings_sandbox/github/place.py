"""Where, by whom, when and how something is to happen, and what it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any, Final

from tidings_sandbox.github.accounts import Account, Accounts
from tidings_sandbox.github.news import Newsroom
from tidings_sandbox.github.payloads import Payloads
from tidings_sandbox.github.repositories import Repositories, Repository

_NAME_LENGTH: Final = 100


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What is known before something happens.

    Attributes:
        details: What the caller wants to be special about it; what is not understood is ignored.
    """

    repository: Repository
    by: Account
    at: datetime
    details: Mapping[str, Any]

    def text(self, name: str, default: str, length: int = _NAME_LENGTH) -> str:
        """A detail's text of at most `length` characters; `default` where it is absent, empty or no text."""
        value = self.details.get(name)
        return value[:length] if isinstance(value, str) and value else default

    def number(self, name: str = "number") -> int:
        """A detail's positive number; 0 where it is absent or none."""
        value = self.details.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        return value if isinstance(value, int) and value > 0 else 0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Kit:
    """What it takes to make something happen.

    Attributes:
        newsroom: Tells it.
        accounts: Who else is here.
        repositories: For the hashes of commits.
        payloads: Shows repositories and commits.
        serial: Gives ids.
        chance: Where chance comes from.
    """

    newsroom: Newsroom
    accounts: Accounts
    repositories: Repositories
    payloads: Payloads
    serial: Callable[[], int]
    chance: Random
