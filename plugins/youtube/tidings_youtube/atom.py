"""Reading the Atom feeds that the hub delivers, with expat and nothing that a document type could do.

The form: https://developers.google.com/youtube/v3/guides/push_notifications (2026), tombstones by RFC 6721.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from xml.parsers import expat

from tidings.errors import Rejected
from tidings.fields import as_instant, one_line
from tidings_youtube.fields import identity
from tidings_youtube.verify import IGNORED

_MOST_BYTES: Final = 256 * 1024
_MOST_DEPTH: Final = 32

# Names as expat gives them: namespace, a blank, local name.
_ATOM: Final = "http://www.w3.org/2005/Atom "
_YOUTUBE: Final = "http://www.youtube.com/xml/schemas/2015 "
_TOMBSTONE: Final = "http://purl.org/atompub/tombstones/1.0 "
_FEED: Final = f"{_ATOM}feed"
_ENTRY: Final = f"{_ATOM}entry"
_DELETED: Final = f"{_TOMBSTONE}deleted-entry"
_REF: Final = "yt:video:"

_Fields = dict[str, str]


class VideoEntry(NamedTuple):
    """A video that is new, or was edited."""

    video_id: str
    channel_id: str
    title: str
    channel: str
    published: datetime | None
    updated: datetime | None


class DeletedEntry(NamedTuple):
    """A video that was deleted, or made private."""

    video_id: str
    channel_id: str
    channel: str
    deleted: datetime | None


def read_feed(body: bytes) -> Sequence[VideoEntry | DeletedEntry]:
    """The entries of a feed, in its order; those that name no video are left out.

    Raises:
        Rejected: 202. It is too large, no XML, has a document type, or is no Atom feed.
    """
    if len(body) > _MOST_BYTES:
        raise Rejected(f"A feed has at most {_MOST_BYTES} bytes.", status=IGNORED)
    return _Reader().read(body)


class _Reader:
    """Collects the texts of the entries' elements, by their path within the entry."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._parts: list[str] = []
        self._fields: _Fields = {}
        self._found: list[VideoEntry | DeletedEntry] = []

    def read(self, body: bytes) -> Sequence[VideoEntry | DeletedEntry]:
        # Whatever encoding a document claims, it is read as UTF-8, as the hub sends it.
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._parts.append
        try:
            parser.Parse(body, True)
        except (expat.ExpatError, ValueError) as error:
            raise Rejected(f"The delivery is no XML: {one_line(str(error), 100)}.", status=IGNORED) from None
        return self._found

    def _refuse_doctype(self, *_declared: object) -> None:
        raise Rejected("The delivery has a document type, which no feed needs.", status=IGNORED)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._path and name != _FEED:
            raise Rejected("The delivery is no Atom feed.", status=IGNORED)
        if len(self._path) >= _MOST_DEPTH:
            raise Rejected("The delivery is nested too deeply.", status=IGNORED)
        self._path.append(name)
        if len(self._path) == 2:
            self._fields = dict(attributes)
        self._parts.clear()

    def _end(self, name: str) -> None:
        del self._path[-1]
        if len(self._path) > 1:
            self._fields.setdefault("/".join((*self._path[2:], name)), "".join(self._parts))
        elif name == _ENTRY:
            self._add(_video(self._fields))
        elif name == _DELETED:
            self._add(_deleted(self._fields))
        self._parts.clear()

    def _add(self, entry: VideoEntry | DeletedEntry) -> None:
        if entry.video_id:
            self._found.append(entry)


def _video(fields: _Fields) -> VideoEntry:
    return VideoEntry(
        identity(_value(fields, f"{_YOUTUBE}videoId")),
        identity(_value(fields, f"{_YOUTUBE}channelId")),
        one_line(_value(fields, f"{_ATOM}title")),
        one_line(_value(fields, f"{_ATOM}author/{_ATOM}name"), 100),
        as_instant(_value(fields, f"{_ATOM}published")),
        as_instant(_value(fields, f"{_ATOM}updated")),
    )


def _deleted(fields: _Fields) -> DeletedEntry:
    """A tombstone has no `yt:channelId`; the address of its author ends with it."""
    by = f"{_TOMBSTONE}by/"
    uri, name = (
        _value(fields, f"{by}{_ATOM}{one}") or _value(fields, f"{by}{_TOMBSTONE}{one}")
        for one in ("uri", "name")
    )
    reference = _value(fields, "ref")
    return DeletedEntry(
        identity(reference.removeprefix(_REF)) if reference.startswith(_REF) else "",
        identity(uri.rstrip("/").rpartition("/")[2]),
        one_line(name, 100),
        as_instant(_value(fields, "when")),
    )


def _value(fields: _Fields, name: str) -> str:
    return fields.get(name, "").strip()
