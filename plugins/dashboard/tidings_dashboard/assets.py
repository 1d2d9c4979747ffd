"""The files of the page, held in memory with their type and entity tag."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.

    Attributes:
        etag: A strong entity tag: the same bytes have the same tag on every node and after every restart.
    """

    name: str
    media_type: str
    body: bytes = dataclasses.field(repr=False)
    etag: str

    async def respond(self, request: Request) -> Response:
        """The file, or 304 where the browser holds these very bytes."""
        # Names carry no version, so browsers must ask each time; the answer is mostly an empty 304.
        headers = {"Cache-Control": "no-cache", "ETag": self.etag}
        if _names(request.headers.getlist("if-none-match"), self.etag):
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def load() -> Sequence[Asset]:
    """All files of the page, by name.

    Raises:
        KeyError: A file's ending has no media type in `MEDIA_TYPES`.
    """
    folder = resources.files("tidings_dashboard") / "static"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [_asset(file.name, file.read_bytes()) for file in files]


def _asset(name: str, body: bytes) -> Asset:
    media_type = MEDIA_TYPES["." + name.rpartition(".")[2]]
    return Asset(name, media_type, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _names(fields: Sequence[str], etag: str) -> bool:
    """Whether `If-None-Match` names this tag, by the weak comparison of RFC 9110 §13.1.2."""
    # Proxies that compress an answer make its tag weak.
    tags = [tag.strip().removeprefix("W/") for field in fields for tag in field.split(",")]
    return etag in tags or "*" in tags
