"""The emulated Web API: the methods that only read, and those that give tokens back.

https://docs.slack.dev/reference/methods. Every answer has status 200 and says in `ok` whether it is one; but one call
too many is a 429.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, TypeVar

from tidings_sandbox.slack.oauth import ROBOT, SlackConsents
from tidings_sandbox.slack.tiers import Tiers
from tidings_sandbox.slack.workspace import (
    BOT,
    BOT_USER,
    DOMAIN,
    TEAM,
    TEAM_NAME,
    Conversation,
    Json,
    Message,
    Workspace,
    user_of,
)
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, json_answer

_TYPES: Final = {"public_channel": "channel", "private_channel": "group", "im": "im"}
# By the kind of conversation, the beginning of the scopes that open it.
_SCOPE_OF: Final = {"channel": "channels", "group": "groups", "im": "im"}
_LARGEST_PAGE: Final = 999

T = TypeVar("T")


class Problem(Exception):
    """A refusal, by Slack's word for it, with what stands beside it."""

    def __init__(self, word: str, **more: str) -> None:
        super().__init__(word)
        self.word = word
        self.more = more


class Asked(NamedTuple):
    """A call whose token is good; `user` is Slack's id of its owner, a person or the bot."""

    access: Access
    user: str
    params: Mapping[str, str]

    @property
    def is_bot(self) -> bool:
        """Whether the token is a bot's."""
        return self.user == BOT_USER

    def require(self, *scopes: str) -> None:
        """Raise Problem unless the token has one of these scopes."""
        if self.access.scopes.isdisjoint(scopes):
            provided = ",".join(sorted(one for one in self.access.scopes if not one.startswith("as:")))
            raise Problem("missing_scope", needed=scopes[0], provided=provided)


class WebApi:
    """Answers `/api/{method}`.

    Attributes:
        tiers: Limits.
        most_messages: How many messages a page of a history has at most; 15 for apps that are distributed.

    Args:
        workspace: What there is.
        consents: Tokens.
        now: Slack's clock.
    """

    def __init__(self, workspace: Workspace, consents: SlackConsents, now: Callable[[], datetime]) -> None:
        self.tiers = Tiers()
        self.most_messages = _LARGEST_PAGE
        self._workspace = workspace
        self._consents = consents
        self._now = now
        self._methods: dict[str, Callable[[Asked], Json]] = {
            "auth.test": self._auth_test,
            "auth.revoke": self._auth_revoke,
            "apps.uninstall": self._apps_uninstall,
            "conversations.history": self._history,
            "conversations.info": self._info,
            "conversations.replies": self._replies,
            "team.info": self._team_info,
            "users.conversations": self._conversations,
            "users.info": self._users_info,
            "users.list": self._users_list,
        }

    def answer(self, call: Call) -> Answer:
        """Answer a call."""
        method = call.path.removeprefix("/api/")
        handler = self._methods.get(method)
        if handler is None or call.method not in {"GET", "POST"}:
            return _refusal("unknown_method", {})
        wait_seconds = self.tiers.take(method, self._now())
        if wait_seconds is not None:
            headers = [(b"retry-after", str(wait_seconds).encode())]
            return json_answer({"ok": False, "error": "ratelimited"}, 429, headers)
        try:
            return json_answer({"ok": True, **handler(self._asked(call))})
        except Problem as problem:
            return _refusal(problem.word, problem.more)

    def _asked(self, call: Call) -> Asked:
        scheme, _, text = call.header(b"authorization").partition(" ")
        if scheme != "Bearer" or not text:
            raise Problem("not_authed")
        access = self._consents.check(text)
        if access is None:
            raise Problem(self._consents.why_refused(text))
        user = BOT_USER if ROBOT in access.scopes else user_of(access.person)
        return Asked(access, user, {**call.parameters(), **call.form()})

    # --- who asks -----------------------------------------------------------------------------------------------------

    def _auth_test(self, asked: Asked) -> Json:
        who = {"user": asked.access.person.key, "user_id": asked.user}
        if asked.is_bot:
            who |= {"user": "tidings", "bot_id": BOT}
        return {
            "url": f"https://{DOMAIN}.slack.com/",
            "team": TEAM_NAME,
            "team_id": TEAM,
            **who,
            "is_enterprise_install": False,
        }

    def _auth_revoke(self, asked: Asked) -> Json:
        if self._consents.dialect.expires == "always":
            self._consents.end_access(asked.access)  # this one token alone; the app stays
        else:
            self._consents.end_consent(asked.access)
        return {"revoked": True}

    def _apps_uninstall(self, asked: Asked) -> Json:
        app = self._consents.app(asked.params.get("client_id", ""))
        if app is None or app.client_secret != asked.params.get("client_secret"):
            raise Problem("bad_client_secret")
        self._consents.revoke(client_id=app.client_id)
        return {}

    # --- people -------------------------------------------------------------------------------------------------------

    def _team_info(self, asked: Asked) -> Json:
        asked.require("team:read")
        return {"team": {"id": TEAM, "name": TEAM_NAME, "domain": DOMAIN}}

    def _users_info(self, asked: Asked) -> Json:
        asked.require("users:read")
        user = self._workspace.user(asked.params.get("user", ""))
        if user is None:
            raise Problem("user_not_found")
        return {"user": user}

    def _users_list(self, asked: Asked) -> Json:
        asked.require("users:read")
        shown, cursor = _page(self._workspace.users(), asked.params)
        return {"members": shown, "cache_ts": int(self._now().timestamp()), **cursor}

    # --- conversations ------------------------------------------------------------------------------------------------

    def _conversations(self, asked: Asked) -> Json:
        kinds = [_TYPES.get(one, "") for one in asked.params.get("types", "public_channel").split(",")]
        for kind in kinds:
            if kind:
                asked.require(f"{_SCOPE_OF[kind]}:read")
        leaves_archived = asked.params.get("exclude_archived") in {"true", "1"}
        found = [
            one.shown(asked.user)
            for one in self._workspace.of(asked.user)
            if one.kind in kinds and not (leaves_archived and one.is_archived)
        ]
        shown, cursor = _page(found, asked.params)
        return {"channels": shown, **cursor}

    def _info(self, asked: Asked) -> Json:
        conversation = self._visible(asked)
        asked.require(f"{_SCOPE_OF[conversation.kind]}:read")
        return {"channel": conversation.shown(asked.user)}

    def _visible(self, asked: Asked) -> Conversation:
        """The conversation that is named; a person sees all public ones, a bot those that it was invited to."""
        found = self._workspace.get(asked.params.get("channel", ""))
        if found is None:
            raise Problem("channel_not_found")
        if asked.user not in found.members:
            if found.kind != "channel":
                raise Problem("channel_not_found")
            if asked.is_bot:
                raise Problem("not_in_channel")
        return found

    def _history(self, asked: Asked) -> Json:
        conversation = self._visible(asked)
        asked.require(f"{_SCOPE_OF[conversation.kind]}:history")
        within = _within(conversation.messages, asked.params)[::-1]
        shown, cursor = _page(within, asked.params, most=self.most_messages, usual=100)
        has_more = bool(cursor["response_metadata"]["next_cursor"])
        return {"messages": [one.shown() for one in shown], "has_more": has_more, **cursor}

    def _replies(self, asked: Asked) -> Json:
        conversation = self._visible(asked)
        asked.require(f"{_SCOPE_OF[conversation.kind]}:history")
        parent = conversation.find(asked.params.get("ts", ""))
        if parent is None:
            raise Problem("thread_not_found")
        within = _within(parent.answers, asked.params)
        shown, cursor = _page(within, asked.params, most=self.most_messages, usual=self.most_messages)
        return {"messages": [parent.shown(), *(one.shown() for one in shown)], **cursor}


def _within(messages: Sequence[Message], params: Mapping[str, str]) -> list[Message]:
    """Those between `oldest` and `latest`; these two themselves only where `inclusive` says so."""
    try:
        oldest, latest = Decimal(params.get("oldest") or 0), Decimal(params.get("latest") or "Infinity")
    except InvalidOperation:
        raise Problem("invalid_ts_oldest") from None
    inclusive = params.get("inclusive") in {"true", "1"}
    found = []
    for one in messages:
        at = Decimal(one.ts)
        if oldest < at < latest or (inclusive and at in {oldest, latest}):
            found.append(one)
    return found


def _page(
    found: Sequence[T], params: Mapping[str, str], *, most: int = _LARGEST_PAGE, usual: int = 100
) -> tuple[Sequence[T], Json]:
    """A page of a list, and what stands beside it."""
    limit = params.get("limit") or str(usual)
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= _LARGEST_PAGE:
        raise Problem("invalid_limit")
    start = _start(params.get("cursor", ""))
    end = start + min(int(limit), most)
    following = urlsafe_b64encode(f"from:{end}".encode()).decode() if end < len(found) else ""
    return found[start:end], {"response_metadata": {"next_cursor": following}}


def _start(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = urlsafe_b64decode(cursor).decode("ascii").partition(":")
    except ValueError:
        raise Problem("invalid_cursor") from None
    if word != "from" or not number.isdigit():
        raise Problem("invalid_cursor")
    return int(number)


def _refusal(word: str, more: Mapping[str, Any]) -> Answer:
    return json_answer({"ok": False, "error": word, **more})
