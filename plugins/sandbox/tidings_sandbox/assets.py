"""The files of the control page and the consent page, held in memory."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

from tidings_sandbox.catalog import cover
from tidings_sandbox.people import face
from tidings_sandbox.wire import Answer, json_answer

_MEDIA_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_DRAWN: Final = re.compile(r"(face|cover)-([0-9]{1,9})\.svg", re.ASCII)


def asset(name: str) -> Answer:
    """The file of this name, or the picture of an invented person or album; 404 where there is none."""
    if match := _DRAWN.fullmatch(name):
        draw = face if match[1] == "face" else cover
        return _file(draw(int(match[2])), ".svg")
    body = _files().get(name)
    if body is None:
        return json_answer({"message": f"The sandbox has no file {name!r}."}, 404)
    return _file(body, name[name.rindex(".") :])


def _file(body: bytes, ending: str) -> Answer:
    return Answer(200, body, [(b"content-type", _MEDIA_TYPES[ending]), (b"cache-control", b"no-cache")])


@cache
def _files() -> dict[str, bytes]:
    folder = resources.files("tidings_sandbox") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}
