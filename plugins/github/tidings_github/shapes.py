"""Of which fields of a payload tidings makes use, so that the rest of it is skipped and not built.

Most of a delivery is addresses of GitHub's API. Leaving them out halves the time it takes to read a push, the most
frequent kind, and the memory that one with thousands of commits needs. Only the shape is checked here: what a value
is, `fields` asks. A payload of another shape is read whole.
"""

from __future__ import annotations

from typing import Any, Final, TypedDict

import msgspec


class _Account(TypedDict, total=False):
    login: Any
    avatar_url: Any
    html_url: Any


class _Installation(TypedDict, total=False):
    id: Any
    account: _Account | None


class _Repository(TypedDict, total=False):
    id: Any
    full_name: Any
    html_url: Any
    pushed_at: Any


class _Author(TypedDict, total=False):
    name: Any
    username: Any


class _Commit(TypedDict, total=False):
    id: Any
    message: Any
    timestamp: Any
    url: Any
    author: _Author | None


class _Push(TypedDict, total=False):
    ref: Any
    before: Any
    after: Any
    created: Any
    deleted: Any
    forced: Any
    compare: Any
    action: Any
    commits: list[_Commit] | None
    head_commit: _Commit | None
    pusher: _Author | None
    sender: _Account | None
    repository: _Repository | None
    organization: _Account | None
    installation: _Installation | None


SHAPES: Final = {"push": msgspec.json.Decoder(_Push)}
