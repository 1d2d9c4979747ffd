"""What is watched for an account: repositories and organisations, by its user's choice.

The settings: `{"repositories": "all" | ["octo/hello", …], "organizations": ["octo", …]}`. By default it is all
repositories of which the account is an admin: only an admin can make a webhook. A key has GitHub's own id
(`repo:1296269`, `org:5`), which outlives every renaming.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api, Target
from tidings.fields import Object, flag, number, obj, one_line, raw
from tidings_github.api import PAGE, look_up, pages

ALL: Final = "all"
REPOSITORY: Final = "repo"
ORGANIZATION: Final = "org"
UNKNOWN: Final = "name"  # the key's first word where GitHub shows nothing of that name

FULL_NAME: Final = re.compile(r"(?![.]{1,2}/)[A-Za-z0-9_.-]{1,100}/(?![.]{1,2}$)[A-Za-z0-9_.-]{1,100}")
LOGIN: Final = re.compile(r"(?![.]{1,2}$)[A-Za-z0-9_.-]{1,100}")

_MOST_PAGES: Final = 50
_MOST_NAMES: Final = 1000
_MINE: Final = (
    f"/user/repos?affiliation=owner,collaborator,organization_member&sort=full_name&per_page={PAGE}"
)


async def watched(api: Api, settings: Mapping[str, Any], *, by_app: bool = False) -> Sequence[Target]:
    """What to watch.

    Args:
        api: The account's.
        settings: Its user's choice.
        by_app: Whether `all` means the repositories on which the GitHub App is installed.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found: dict[str, Target] = {}
    names = _names(settings.get("repositories", ALL))
    if names is None:
        async for repository in _installed(api) if by_app else _administered(api):
            _add(found, REPOSITORY, repository, "full_name", FULL_NAME)
    else:
        for name in names:
            await _add_named(api, found, REPOSITORY, name)
    for name in _names(settings.get("organizations", ())) or ():
        await _add_named(api, found, ORGANIZATION, name)
    return list(found.values())


def kind_of(key: str) -> str:
    """`repo`, `org` or `name`."""
    return key.partition(":")[0]


def id_of(key: str) -> int:
    """GitHub's id in a key; -1 where it has none."""
    digits = key.partition(":")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else -1


def _names(chosen: object) -> list[str] | None:
    """The names chosen; None for all."""
    if chosen == ALL or chosen is None:
        return None
    listed = chosen if isinstance(chosen, list | tuple) else [chosen]
    return list(
        dict.fromkeys(name.strip() for name in listed[:_MOST_NAMES] if isinstance(name, str) and name.strip())
    )


async def _administered(api: Api) -> AsyncIterator[Object]:
    async for page in pages(api, _MINE, most=_MOST_PAGES):
        for repository in page:
            # Nothing happens in an archived repository, and no webhook can be made there.
            is_open = not flag(repository, "archived") and not flag(repository, "disabled")
            if is_open and flag(obj(repository, "permissions"), "admin"):
                yield repository


async def _installed(api: Api) -> AsyncIterator[Object]:
    for identity in await installations(api):
        path = f"/user/installations/{identity}/repositories?per_page={PAGE}"
        async for page in pages(api, path, most=_MOST_PAGES, key="repositories"):
            for repository in page:
                yield repository


async def installations(api: Api) -> Sequence[int]:
    """The ids of the GitHub App's installations that the account can reach.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    found = []
    path = f"/user/installations?per_page={PAGE}"
    async for page in pages(api, path, most=_MOST_PAGES, key="installations"):
        found += [identity for one in page if (identity := number(one, "id")) is not None and identity > 0]
    return found


async def _add_named(api: Api, found: dict[str, Target], kind: str, name: str) -> None:
    pattern, field, folder = (
        (FULL_NAME, "full_name", "repos") if kind == REPOSITORY else (LOGIN, "login", "orgs")
    )
    thing = await look_up(api, f"/{folder}/{name}") if pattern.fullmatch(name) else None
    if thing is None or not _add(found, kind, thing, field, pattern):
        shown = one_line(name, 200)
        found[f"{UNKNOWN}:{shown}"] = Target(f"{UNKNOWN}:{shown}", shown)


def _add(found: dict[str, Target], kind: str, thing: Object, field: str, pattern: re.Pattern[str]) -> bool:
    identity, name = number(thing, "id"), raw(thing, field)
    if identity is None or identity < 0 or not pattern.fullmatch(name):
        return False
    found[f"{kind}:{identity}"] = Target(f"{kind}:{identity}", name)
    return True
