"""The files of the page, held in memory with their type and entity tag."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_PACKAGE: Final = resources.files("tidings_dashboard")
_CHECKOUT: Final = Path(__file__).parents[3]

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
# A service worker serves pages below its own path, and browsers look for it at the same address for ever.
_AT_THE_ROOT: Final = {"index.html": "/", "sw.js": "/sw.js"}


@dataclasses.dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.

    Attributes:
        path: Where it is served.
        etag: A strong entity tag: the same bytes have the same tag on every node and after every restart.
    """

    path: str
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
    """All files of the page, those of the JavaScript client, and the service worker that keeps them all.

    Raises:
        KeyError: A file's ending has no media type in `MEDIA_TYPES`.
    """
    folders = {"": _PACKAGE / "static", "client/": client_folder()}
    bodies = {
        prefix + file.name: file.read_bytes()
        for prefix, folder in folders.items()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }
    worker = bodies.pop("sw.js")
    files = [_asset(name, body) for name, body in bodies.items()]
    return [*files, _asset("sw.js", _shell(files, worker) + worker)]


def _shell(files: Sequence[Asset], worker: bytes) -> bytes:
    """The line that the service worker begins with: a browser sees another worker when any file is another."""
    version = _digest(b"".join(file.etag.encode() for file in files) + worker)
    shell = {"version": version, "paths": [file.path for file in files]}
    return f"const SHELL = {json.dumps(shell)};\n".encode()


def client_folder() -> Traversable:
    """The sources of the JavaScript client: a wheel has them beside this file, a checkout where they are at home."""
    packed = _PACKAGE / "client"
    return packed if packed.is_dir() else _CHECKOUT / "clients" / "javascript" / "src"


def _asset(name: str, body: bytes) -> Asset:
    media_type = MEDIA_TYPES["." + name.rpartition(".")[2]]
    path = _AT_THE_ROOT.get(name, f"/static/dashboard/{name}")
    return Asset(path, media_type, body, f'"{_digest(body)}"')


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _names(fields: Sequence[str], etag: str) -> bool:
    """Whether `If-None-Match` names this tag, by the weak comparison of RFC 9110 §13.1.2."""
    # Proxies that compress an answer make its tag weak.
    tags = [tag.strip().removeprefix("W/") for field in fields for tag in field.split(",")]
    return etag in tags or "*" in tags
