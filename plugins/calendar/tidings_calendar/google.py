"""Google's Calendar API, version 3: its addresses, and lists in pages with what is new since the last time.

A list's last page brings a `nextSyncToken`; given back, it brings only what has changed since. A token that Google
holds for too old or unusable is answered with 410, and everything has to be listed again
(developers.google.com/workspace/calendar/api/guides/sync, 2026).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from tidings.contracts import Api
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, objs, raw

CALENDARS: Final = "/users/me/calendarList"
STOP: Final = "/channels/stop"

_GONE: Final = frozenset({400, 410})  # 400 where a token is not one of this list's
_MOST_PAGES: Final = 200
_LONGEST_TOKEN: Final = 4000


class TokenGone(Exception):
    """Google does not go on from this sync token: list everything again."""


class Page(NamedTuple):
    """A page of a list.

    Attributes:
        items: What is on it.
        sync_token: For what is new from here on; "" on all pages but the last.
    """

    items: Sequence[Object]
    sync_token: str


def calendar_path(calendar_id: str) -> str:
    """Where the API has a calendar."""
    return f"/calendars/{quote(calendar_id, safe='')}"


def event_path(calendar_id: str, event_id: str) -> str:
    """Where the API has an event."""
    return f"{calendar_path(calendar_id)}/events/{quote(event_id, safe='')}"


async def pages(
    api: Api, path: str, parameters: Mapping[str, str], first: Mapping[str, str], sync_token: str
) -> AsyncIterator[Page]:
    """The pages of a list.

    Args:
        api: The account's.
        path: Of the list.
        parameters: Of every request.
        first: Of those alone that list everything: they must not stand beside a sync token.
        sync_token: From the last time; "" to list everything.

    Raises:
        TokenGone: List everything again.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    query = {**parameters, **({"syncToken": sync_token} if sync_token else first)}
    for _ in range(_MOST_PAGES):
        answer = await api.request("GET", path, params=query, accept=_GONE if sync_token else ())
        if answer.status in _GONE:
            raise TokenGone
        said = answer.json()
        if not isinstance(said, dict):
            raise Unavailable("Google answered something else than a list.")
        next_page, next_token = raw(said, "nextPageToken"), raw(said, "nextSyncToken")
        if not next_page and not 0 < len(next_token) <= _LONGEST_TOKEN:
            raise Unavailable("Google's list ends without a usable sync token.")
        yield Page(objs(said, "items"), "" if next_page else next_token)
        if not next_page:
            return
        query = {**query, "pageToken": next_page}
    raise Rejected(f"Google's list goes on after {_MOST_PAGES} pages.", status=422)
