"""Web origins, and which of them may act for somebody who is signed in."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from tidings.addresses import allowed_origin


class Origins:
    """The installation's own origin and those that its operator allows.

    Args:
        public_url: Where people reach this installation.
        allowed: Other origins whose pages may use it.

    Raises:
        ValueError: One of them is not a web address.
    """

    def __init__(self, public_url: str, allowed: Collection[str]) -> None:
        parts = urlsplit(public_url)
        own = allowed_origin(f"{parts.scheme}://{parts.netloc}")
        self.is_secure = parts.scheme == "https"
        self.allowed = frozenset(allowed_origin(origin).encode() for origin in allowed)
        self._trusted = self.allowed | {own.encode()}

    def trusts(self, origin: bytes | None, fetch_site: bytes | None) -> bool:
        """Whether a request with a cookie comes from a page that may send it.

        Args:
            origin: The `Origin` header, if there is one.
            fetch_site: The `Sec-Fetch-Site` header, if there is one. No page can forge it, and it also tells
                of requests to which browsers add no `Origin`.
        """
        if fetch_site == b"same-origin":
            return True
        if origin is not None:
            return origin in self._trusted
        return fetch_site is None or fetch_site == b"none"
