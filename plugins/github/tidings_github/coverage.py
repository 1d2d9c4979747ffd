"""What webhooks tell already, so that feeds need not be asked for it.

Two things keep a feed from being left alone at once. What happened before its webhook was made may come into it hours
late: so it is read once more after that time. And a webhook can be dead for hours before its check or the log of
deliveries shows it: so it is noted until when it was believed in, and once it is not any more, the feed is read from a
day before. What is told twice thereby is one event by its id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidings.contracts import Target
from tidings.event import rfc3339
from tidings.fields import Object, instant, number, raw
from tidings_github.feed import KINDS
from tidings_github.feeds import LATE
from tidings_github.targets import ORGANIZATION, kind_of

# Longer than any webhook can be dead unnoticed.
_DOUBT: Final = timedelta(days=1)
# Between the making of a webhook and its being known here, with clocks that differ.
_OVERLAP: Final = timedelta(minutes=10)
_ALL: Final = "*"
_OWN: Final = ("pushed", "covered", "handed", "read")


class Coverage:
    """The kinds of event that healthy webhooks deliver, by target.

    Args:
        pushed: By target's key, as core knows them.
        targets: All that is watched: the webhook of an organisation covers its repositories.
    """

    def __init__(self, pushed: Mapping[str, frozenset[str]], targets: Collection[Target]) -> None:
        self._pushed = pushed
        self._of_organizations = {
            target.name: pushed[target.key]
            for target in targets
            if kind_of(target.key) == ORGANIZATION and target.key in pushed
        }

    def of(self, target: Target) -> frozenset[str]:
        """The kinds that a webhook tells of a target and its feed would tell, too."""
        owner = target.name.partition("/")[0]
        kinds = self._pushed.get(target.key, frozenset()) | self._of_organizations.get(owner, frozenset())
        return kinds & KINDS


def note(state: Object, pushed: frozenset[str], now: datetime) -> Mapping[str, Any]:
    """The state of a feed with what is left to a webhook noted in it: `pushed`, `covered`, `handed` and `read`.

    Args:
        state: As the checkpoint has it.
        pushed: What a webhook tells now, see `Coverage.of`.
        now: The present.
    """
    before = _left(state)
    if not before <= pushed:
        # A kind that was left to a webhook is so no more: what was passed over lately may have come by no way.
        kept = {name: state[name] for name in ("at", "wait", "open") if name in state}
        state = {**kept, "since": raw(state, "covered")}
        before = frozenset()
    rest = {name: value for name, value in state.items() if name not in _OWN}
    if not pushed:
        return rest
    has_grown = not pushed <= before
    handed = int(now.timestamp()) if has_grown else number(state, "handed") or 0
    mine: dict[str, Any] = {
        "pushed": [_ALL] if pushed == KINDS else sorted(pushed),
        "covered": _covered(state, now),
        "handed": handed,
    }
    read = number(state, "read")
    if read is not None and not has_grown:
        mine["read"] = read
    return rest | mine


def is_left(state: Object) -> bool:
    """Whether a webhook tells all that a feed would, and all from before it has come."""
    handed, read = number(state, "handed"), number(state, "read")
    if handed is None or read is None or _left(state) != KINDS:
        return False
    return read >= handed + LATE.total_seconds()


def has_told(state: Object, kind: str, at: datetime) -> bool:
    """Whether a webhook tells what happened then; not where it was made later."""
    handed = number(state, "handed")
    if handed is None or kind not in _left(state):
        return False
    return at >= datetime.fromtimestamp(handed, UTC) + _OVERLAP


def noted(state: Object, now: int) -> Mapping[str, Any]:
    """What `note` wrote into a state, when its feed has just been read."""
    mine = {name: state[name] for name in _OWN if name in state}
    return mine | {"read": now} if mine else mine


def _left(state: Object) -> frozenset[str]:
    """The kinds that were left to a webhook."""
    kinds = state.get("pushed")
    if not isinstance(kinds, list):
        return frozenset()
    return KINDS if _ALL in kinds else frozenset(kind for kind in kinds if isinstance(kind, str))


def _covered(state: Object, now: datetime) -> str:
    """From when the feed is to be read once its webhook is believed in no more; not from before it was watched."""
    if not state:
        return rfc3339(now)
    first = instant(state, "since") or instant(state, "covered")
    return rfc3339(now - _DOUBT if first is None else max(first, now - _DOUBT))
