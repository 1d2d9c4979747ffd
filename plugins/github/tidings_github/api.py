"""GitHub's API: its headers, its pages, and reading answers that may hold anything."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Answer, Api
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object

# The first version, supported until March 2028 at least; Enterprise Servers know no other.
HEADERS: Final[Mapping[str, str]] = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
}
PAGE: Final = 100
# GitHub answers 404 for what this account may not see, 403 where it says so, 451 for what a court has closed.
HIDDEN: Final = frozenset({403, 404, 410, 451})

_NEXT = re.compile(r'<([^<>\s]{1,2000})>[^<>]*;\s*rel="?next"?')


def objects_in(answer: Answer, key: str = "") -> Sequence[Object]:
    """The objects of an answer that is a list, or has one at `key`.

    Raises:
        Unavailable: It is something else: not GitHub answered, or not as it does.
    """
    found: Any = object_in(answer).get(key) if key else answer.json()
    if not isinstance(found, list):
        raise Unavailable("GitHub answered something else than a list.")
    return [item for item in found if isinstance(item, dict)]


def object_in(answer: Answer) -> Object:
    """The object that an answer is.

    Raises:
        Unavailable: It is something else.
    """
    found = answer.json()
    if not isinstance(found, dict):
        raise Unavailable("GitHub answered something else than an object.")
    return found


def next_url(answer: Answer) -> str:
    """The address of the next page, from the `Link` header; "" behind the last."""
    found = _NEXT.search(answer.headers.get("link", ""))
    return found[1] if found else ""


async def pages(api: Api, url: str, *, most: int, key: str = "") -> AsyncIterator[Sequence[Object]]:
    """The pages of a list, one by one.

    Args:
        api: The account's.
        url: Of the first page.
        most: How many pages to read at most.
        key: Where the list lies in each page's object; "" where the page itself is the list.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    for _ in range(most):
        answer = await api.request("GET", url)
        yield objects_in(answer, key)
        url = next_url(answer)
        if not url:
            return


async def look_up(api: Api, path: str) -> Object | None:
    """The object at `path`; None where there is none that this account may see.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    try:
        return object_in(await api.request("GET", path))
    except Rejected as error:
        if error.status in HIDDEN:
            return None
        raise


def reason(answer: Answer) -> str:
    """Why GitHub refused, in its own words; "" where it does not say."""
    try:
        said = answer.json()
    except Unavailable:
        return ""
    if not isinstance(said, dict):
        return ""
    errors = said.get("errors")
    found = (
        [error.get("message") for error in errors if isinstance(error, dict)]
        if isinstance(errors, list)
        else []
    )
    texts = [text for text in (*found, said.get("message")) if isinstance(text, str) and text]
    return " ".join(texts[0].split())[:300] if texts else ""
