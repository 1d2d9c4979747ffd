"""Lists in pages that end with a sync token, as the Calendar API gives them.

https://developers.google.com/workspace/calendar/api/guides/sync (2026).
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from tidings_sandbox.google import error
from tidings_sandbox.wire import Answer, json_answer

#: What must not stand beside a sync token (discovery document of calendar v3, `events.list`).
_FIXED: Final = frozenset(
    (
        "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax",
        "updatedMin",
    )
)  # fmt: skip

Thing = TypeVar("Thing")


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a sync token or in a page's.

    Attributes:
        of: Which list: an address and a calendar.
        generation: Tokens of an earlier one are dead.
        form: The parameters that it holds for.
        since: Only what changed after this change is listed; -1 for everything.
        until: The last change that counts: later ones are the next list's.
        after: On which place the last page ended, for a page; (-1, "") for a sync token.
    """

    of: str
    generation: int
    form: str
    since: int
    until: int
    after: tuple[int, str] = (-1, "")


class Source(NamedTuple, Generic[Thing]):
    """What a list is made of.

    Attributes:
        of: Names the list.
        things: All there are, with the number of the last change of each, and its id.
        newest: The number of the last change of all.
        is_shown: Whether a thing belongs on a list of everything.
        show: As the API shows it.
    """

    of: str
    things: Sequence[tuple[int, str, Thing]]
    newest: int
    is_shown: Callable[[Thing], bool]
    show: Callable[[Thing], Mapping[str, Any]]


def answer_list(
    source: Source[Thing],
    parameters: Mapping[str, str],
    head: Mapping[str, Any],
    *,
    generation: int,
    most: int,
    usual: int,
) -> Answer:
    """A page of a list.

    Args:
        source: What is listed.
        parameters: Of the request.
        head: What stands beside the items.
        generation: Tokens of an earlier one are dead.
        most: How many items a page has at most.
        usual: And where the request does not say.
    """
    size = parameters.get("maxResults", str(usual))
    if not size.isascii() or not size.isdigit() or not 0 < int(size) < 10**9:
        return error(400, "invalidParameter", f"Invalid integer value: '{size}'.")
    form = f"{parameters.get('singleEvents')} {parameters.get('showDeleted')}"
    sync, page = parameters.get("syncToken", ""), parameters.get("pageToken", "")
    if sync and not _FIXED.isdisjoint(parameters):
        return error(400, "invalidParameter", "Sync token cannot be used with this parameter.")
    at: Marker | None = Marker(source.of, generation, form, -1, source.newest)
    if page or sync:
        at = _read(page or sync)
    if at is None or at.of != source.of or at.form != form:
        return error(400, "invalidParameter", "Invalid sync token value.")
    if at.generation != generation:
        return error(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
    if sync and not page:
        at = msgspec.structs.replace(at, since=at.until, until=source.newest)
    items, more = _page(source, at, min(int(size), most))
    said = {**head, "items": [source.show(thing) for _, _, thing in items]}
    if more:
        change, identity, _ = items[-1]
        said["nextPageToken"] = _write(msgspec.structs.replace(at, after=(change, identity)))
    else:
        said["nextSyncToken"] = _write(Marker(source.of, generation, form, -1, at.until))
    return json_answer(said)


def _page(source: Source[Thing], at: Marker, size: int) -> tuple[list[tuple[int, str, Thing]], bool]:
    is_whole = at.since < 0
    wanted = sorted(
        (
            (change, identity, thing)
            for change, identity, thing in source.things
            # What changes between two pages moves to the end, and comes once more with the next list.
            if (change, identity) > at.after
            and (source.is_shown(thing) if is_whole else at.since < change <= at.until)
        ),
        key=lambda one: one[:2],
    )
    return wanted[:size], len(wanted) > size


def _write(marker: Marker) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(marker)).decode()


def _read(token: str) -> Marker | None:
    try:
        return msgspec.msgpack.decode(urlsafe_b64decode(token), type=Marker)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return None
