"""Where GitHub is: github.com, an Enterprise Server, or a test's own."""

from __future__ import annotations

import dataclasses
from typing import Final

_AUTHORIZE_PATH: Final = "/login/oauth/authorize"


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """The addresses of one GitHub.

    Attributes:
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        api_url: The REST API.
    """

    authorize_url: str = "https://github.com/login/oauth/authorize"
    token_url: str = "https://github.com/login/oauth/access_token"  # noqa: S105 - an address
    api_url: str = "https://api.github.com"

    @property
    def web_url(self) -> str:
        """Where its pages are, without a slash at the end."""
        base, path, _ = self.authorize_url.partition(_AUTHORIZE_PATH)
        return base if path else "/".join(self.authorize_url.split("/", 3)[:3])


GITHUB: Final = Site()
