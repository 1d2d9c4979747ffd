"""What feeds leave out and cards need: the pull request, the issue, the commits between two ends of a push.

A pull request costs a call, and so does a push; without them a card could say no more than that something happened.
What was asked once is remembered for one poll.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidings.contracts import Api
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, number, obj, raw
from tidings_github.api import look_up
from tidings_github.feed import Item

_MOST_COMPARISONS: Final = 50
_MOST_COMMITS: Final = 2048  # as in a webhook
_FORCED: Final = frozenset({"behind", "diverged"})
_COMMIT: Final = "0123456789abcdef"
_FOLDERS: Final = {"pull_request": "pulls", "issue": "issues"}


class _Name(msgspec.Struct):
    name: Any = None
    login: Any = None
    date: Any = None


class _Text(msgspec.Struct):
    message: Any = None
    author: _Name | None = None


class _Commit(msgspec.Struct):
    sha: Any = None
    html_url: Any = None
    commit: _Text | None = None
    author: _Name | None = None


class _Comparison(msgspec.Struct):
    """Of an answer that can have megabytes of changes, what a card shows."""

    commits: list[_Commit]
    total_commits: int
    status: str = ""


class Details:
    """Asks for them, for one poll.

    Args:
        api: The account's.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._things: dict[str, Object | None] = {}
        self._comparisons = 0

    async def complete(self, item: Item) -> Item:
        """The same with what the feed left out.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
        """
        if item.event == "push":
            return item._replace(payload={**item.payload, **await self._commits(item)})
        payload = item.payload
        for name, folder in _FOLDERS.items():
            thing = obj(payload, name)
            if thing and not isinstance(thing.get("title"), str):
                whole = await self._thing(item.repository, folder, thing)
                payload = payload | {name: {**thing, **whole}}
        if item.is_merging:
            payload = payload | {"pull_request": {**obj(payload, "pull_request"), "merged": True}}
        return item._replace(payload=payload)

    async def _thing(self, repository: str, folder: str, thing: Object) -> Object:
        """A pull request or an issue in full; nothing where it is gone, or where its number is another's now."""
        place = number(thing, "number")
        if place is None or place < 1:
            return {}
        path = f"/repos/{repository}/{folder}/{place}"
        if path not in self._things:
            try:
                self._things[path] = await look_up(self._api, path)
            except Rejected:  # the card then shows what the feed has
                self._things[path] = None
        whole = self._things[path]
        return whole if whole is not None and whole.get("id") == thing.get("id") else {}

    async def _commits(self, item: Item) -> Mapping[str, Any]:
        """What a push brought; nothing where it can't be compared, or too much was compared already."""
        before, after = raw(item.payload, "before"), raw(item.payload, "after")
        is_plain = not item.payload.get("created") and not item.payload.get("deleted")
        if not is_plain or not _is_commit(before) or not _is_commit(after):
            return {}
        if self._comparisons >= _MOST_COMPARISONS:
            return {}
        self._comparisons += 1
        try:
            answer = await self._api.request("GET", f"/repos/{item.repository}/compare/{before}...{after}")
            found = _decoder.decode(answer.body)
        except Unavailable as error:
            if error.retry_after_seconds is not None:
                raise
            return {}  # GitHub gives up on large comparisons with a 500, each time
        except (Rejected, msgspec.DecodeError, UnicodeError, RecursionError):
            return {}  # a force-push has taken the commits away
        commits = [_as_pushed(commit) for commit in found.commits]
        return {
            "commits": commits,
            "size": min(found.total_commits, _MOST_COMMITS),
            "head_commit": commits[-1] if commits else None,
            "forced": found.status in _FORCED,
        }


def _as_pushed(commit: _Commit) -> Object:
    told = commit.commit or _Text()
    signed = told.author or _Name()
    return {
        "id": commit.sha,
        "message": told.message,
        "timestamp": signed.date,
        "url": commit.html_url,
        "author": {"name": signed.name, "username": commit.author.login if commit.author else None},
    }


def _is_commit(text: str) -> bool:
    return 7 <= len(text) <= 64 and all(digit in _COMMIT for digit in text)


_decoder: Final = msgspec.json.Decoder(_Comparison)
