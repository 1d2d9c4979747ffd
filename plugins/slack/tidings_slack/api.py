"""Calling Slack's Web API: every answer has status 200, and says in `ok` whether it is one.

https://docs.slack.dev/apis/web-api, "Evaluating responses".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from tidings.contracts import Answer, Api
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, flag, line, obj, raw, word
from tidings_slack.fields import read_object

# The access token is not taken (any more): it ended, was revoked, or its account is gone.
_REFUSED: Final = frozenset(
    {
        "token_expired",
        "token_revoked",
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "user_removed_from_team",
    }
)
# Slack's own trouble, by its documentation of every method.
_TROUBLE: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited"}
)
#: An account is no member of a conversation any more, or it is gone.
GONE: Final = frozenset({"not_in_channel", "channel_not_found"})
_GOOD: Final = b'{"ok":true'
_MOST_PAGES: Final = 200


class Refusal(Rejected):
    """Slack refuses a call.

    Args:
        word: Slack's own: `missing_scope`.
        reason: For people.
    """

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason, status=403 if word == "missing_scope" else 400)
        self.word = word


def is_refused(answer: Answer) -> bool:
    """Whether an answer says that the access token is no longer good."""
    if answer.status == 401:
        return True
    if answer.status != 200 or answer.body.startswith(_GOOD):
        return False
    said = read_object(answer.body)
    return said is not None and said.get("ok") is False and raw(said, "error") in _REFUSED


async def ask(api: Api, method: str, **params: str) -> Object:
    """Call a method that reads; returns what it answers.

    Raises:
        Refusal: Slack refuses.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    return _read(method, await api.request("GET", f"/{method}", params=params or None))


async def who_am_i(api: Api) -> Object:
    """`auth.test`, which is posted.

    Raises:
        Refusal: Slack refuses.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    return _read("auth.test", await api.request("POST", "/auth.test", json={}))


async def pages(
    api: Api, method: str, params: Mapping[str, str], *, most: int = _MOST_PAGES
) -> AsyncIterator[Object]:
    """The pages of a list, one after the other; a short one need not be the last.

    Raises:
        Refusal: Slack refuses.
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    cursor = ""
    for _ in range(most):
        page = await ask(api, method, **params, **({"cursor": cursor} if cursor else {}))
        yield page
        cursor = next_cursor(page)
        if not cursor:
            return


def next_cursor(page: Object) -> str:
    """Where the next page begins; "" behind the last one."""
    return raw(obj(page, "response_metadata"), "next_cursor")


def _read(method: str, answer: Answer) -> Object:
    said = read_object(answer.body)
    if said is None:
        raise Unavailable(f"Slack answered {method} with something else than JSON.")
    if flag(said, "ok"):
        return said
    reason = line(said, "error", 60) or "no reason"
    if reason in _TROUBLE:
        raise Unavailable(f"Slack can't answer {method} now ({reason}).")
    if reason == "missing_scope":
        needed = word(said, "needed") or "another one"
        raise Refusal(
            reason,
            f"Slack wants the scope {needed} for {method}, which this consent did not give. Add it to the app at "
            "api.slack.com, then connect the account again.",
        )
    raise Refusal(reason, f"Slack refuses {method}: {reason}.")
