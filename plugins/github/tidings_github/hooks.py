"""Webhooks that tidings makes at GitHub: made, brought up to date, looked at, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Answer, Api, Clock, Target, Upstream
from tidings.errors import Rejected
from tidings.fields import Object, flag, number, obj, raw, word
from tidings_github.api import HIDDEN, PAGE, object_in, pages, reason
from tidings_github.limits import Writes
from tidings_github.targets import FULL_NAME, LOGIN, ORGANIZATION, UNKNOWN, id_of, kind_of

# What a person would want to be told of. Not `*`: that also sends every check, status and job of every build, dozens
# for one push, and whatever GitHub invents next. `watch` is the same act as `star`.
KINDS: Final = (
    "code_scanning_alert",
    "commit_comment",
    "create",
    "delete",
    "dependabot_alert",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "issue_comment",
    "issues",
    "member",
    "meta",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "repository",
    "secret_scanning_alert",
    "star",
    "workflow_run",
)
# Those that every Enterprise Server knows, too.
_OLD_KINDS: Final = (
    "commit_comment",
    "create",
    "delete",
    "fork",
    "gollum",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "star",
)
_EVERYTHING: Final = "*"
_MOST_PAGES: Final = 5
_UNPROCESSABLE: Final = 422
_EXISTS: Final = "already exists"
_FINE: Final = frozenset({"", "active", "ok", "pending", "unused"})
_PING_SECONDS: Final = 3.0


class Hooks:
    """The webhooks of all accounts.

    Args:
        clock: All time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._writes = Writes(clock)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """Make the webhook, or bring those that call this address already up to date.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
            Rejected: This account may not; the text says what is missing.
        """
        if kind_of(target.key) == UNKNOWN:
            raise Rejected(_nothing_there(target), status=404)
        found = await self._calling(api, target, callback_url)
        if not found:
            made = await self._create(api, target, callback_url, secret, KINDS)
            if made is not None:
                return made  # GitHub pings it by itself
            found = await self._calling(api, target, callback_url)
        if not found:
            raise Rejected(
                f"GitHub says that {target.name} has this webhook already, but does not show it: another application "
                "made it. Remove it there.",
                status=_UNPROCESSABLE,
            )
        for double in found[1:]:
            await self._write(api, "DELETE", _path(target, _id(double)), accept=HIDDEN)
        return await self._update(api, target, found[0], callback_url, secret)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """How the webhook stands now.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
            Rejected: It is gone (404), or this account may not look.
        """
        answer = await api.request("GET", _path(upstream.target, upstream.id))
        return _upstream(upstream.target, object_in(answer), str(upstream.data.get("url", "")))

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """Remove the webhook; one that is gone already is fine.

        Raises:
            AuthExpired, Unavailable: As `Api.request`.
            Rejected: This account may not.
        """
        await self._write(api, "DELETE", _path(upstream.target, upstream.id), accept=(404, 410))

    async def _calling(self, api: Api, target: Target, callback_url: str) -> Sequence[Object]:
        """The webhooks there that call this address."""
        found: list[Object] = []
        try:
            async for page in pages(api, f"{_path(target)}?per_page={PAGE}", most=_MOST_PAGES):
                found += [
                    hook for hook in page if raw(obj(hook, "config"), "url") == callback_url and _id(hook)
                ]
        except Rejected as error:
            if error.status in HIDDEN:
                raise Rejected(_not_allowed(target), status=error.status) from None
            raise
        return found

    async def _create(
        self, api: Api, target: Target, callback_url: str, secret: str, kinds: Sequence[str]
    ) -> Upstream | None:
        """Make it; None where GitHub has it already."""
        wanted = {"name": "web", "active": True, **_wanted(callback_url, secret, kinds)}
        answer = await self._write(api, "POST", _path(target), json=wanted, accept=(*HIDDEN, _UNPROCESSABLE))
        if answer.status in HIDDEN:
            raise Rejected(f"{_not_allowed(target)} {reason(answer)}".strip(), status=answer.status)
        if answer.status != _UNPROCESSABLE:
            return _upstream(target, object_in(answer), callback_url)
        why = reason(answer)
        if _EXISTS in why:
            return None
        if kinds is KINDS and "event" in why.lower() and "more than" not in why:
            return await self._create(api, target, callback_url, secret, _OLD_KINDS)
        raise Rejected(
            f"GitHub takes no webhook for {target.name}: {why or 'it gives no reason.'}", status=422
        )

    async def _update(
        self, api: Api, target: Target, hook: Object, callback_url: str, secret: str
    ) -> Upstream:
        path = _path(target, _id(hook))
        # A `config` replaces the one before: without the secret in it, GitHub would sign no more.
        kinds = KINDS if set(_events(hook)) != set(_OLD_KINDS) else _OLD_KINDS
        wanted = {"active": True, **_wanted(callback_url, secret, kinds)}
        answer = await self._write(api, "PATCH", path, json=wanted, accept=(*HIDDEN, _UNPROCESSABLE))
        if answer.status >= 400:
            raise Rejected(
                f"GitHub does not let the webhook of {target.name} be changed: {reason(answer) or answer.status}",
                status=answer.status,
            )
        updated = object_in(answer)
        await self._write(api, "POST", f"{path}/pings", accept=HIDDEN)
        if not _failing(hook):
            return _upstream(target, {**updated, "last_response": None}, callback_url)
        # Deliveries failed so far: what became of the ping says whether they still do.
        await self._clock.sleep(_PING_SECONDS)
        return _upstream(target, object_in(await api.request("GET", path)), callback_url)

    async def _write(
        self, api: Api, method: str, path: str, *, json: Any = None, accept: Sequence[int] | frozenset[int]
    ) -> Answer:
        await self._writes.turn(api.account_key)
        return await api.request(method, path, json=json, accept=accept)


def hook_path(upstream: Upstream) -> str:
    """Where the API has a webhook."""
    return _path(upstream.target, upstream.id)


def _path(target: Target, identity: str = "") -> str:
    is_organization = kind_of(target.key) == ORGANIZATION
    if (LOGIN if is_organization else FULL_NAME).fullmatch(target.name):
        place = f"/{'orgs' if is_organization else 'repos'}/{target.name}"
    else:  # of what is to be cleaned up, the name may be forgotten; the addresses of GitHub's redirects have the id
        place = f"/{'organizations' if is_organization else 'repositories'}/{id_of(target.key)}"
    return f"{place}/hooks" + (f"/{identity}" if identity else "")


def _wanted(callback_url: str, secret: str, kinds: Sequence[str]) -> Mapping[str, Any]:
    config = {"url": callback_url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
    return {"events": list(kinds), "config": config}


def _upstream(target: Target, hook: Object, callback_url: str) -> Upstream:
    identity = _id(hook)
    if not identity:
        raise Rejected(f"GitHub answered without the id of {target.name}'s webhook.", status=502)
    kinds = _events(hook)
    return Upstream(
        id=identity,
        target=target,
        kinds=frozenset(KINDS if _EVERYTHING in kinds else kinds),
        problem=_problem(hook, callback_url),
        data={"url": callback_url},
    )


def _problem(hook: Object, callback_url: str) -> str:
    """What keeps a webhook from delivering to us; "" for nothing."""
    config = obj(hook, "config")
    if not flag(hook, "active"):
        return "The webhook is switched off at GitHub."
    if callback_url and raw(config, "url") != callback_url:
        return "The webhook was changed at GitHub: it calls another address."
    if not raw(config, "secret"):
        return "The webhook was changed at GitHub: it has no secret any more, so nothing it sends is signed."
    return _failing(hook)


def _failing(hook: Object) -> str:
    """How the last delivery failed; "" where it arrived, or there was none."""
    last = obj(hook, "last_response")
    code, status = number(last, "code") or 0, word(last, "status")
    if 200 <= code < 300 or (code == 0 and status.lower() in _FINE):
        return ""
    said = word(last, "message") or status
    return f"GitHub's last delivery failed ({said or code})."


def _id(hook: Object) -> str:
    identity = number(hook, "id")
    return "" if identity is None or identity < 0 else str(identity)


def _events(hook: Object) -> Sequence[str]:
    events = hook.get("events")
    return [event for event in events if isinstance(event, str)] if isinstance(events, list) else ()


def _nothing_there(target: Target) -> str:
    return (
        f"GitHub shows nothing called {target.name} to this account. Check the name; private repositories need "
        "private_repositories: true, and connecting once more."
    )


def _not_allowed(target: Target) -> str:
    if kind_of(target.key) == ORGANIZATION:
        return (
            f"This account may not make webhooks for {target.name}. It must be an owner there, the connection needs "
            "the scope admin:org_hook (organization_hooks: true), and the organisation must allow this application."
        )
    return (
        f"This account may not make webhooks for {target.name}. It must be an admin there, the connection needs the "
        "scope admin:repo_hook, and an organisation must allow this application."
    )
