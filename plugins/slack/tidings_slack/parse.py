"""A verified request of Slack's Events API -> what it says. It never raises but `Rejected`.

https://docs.slack.dev/apis/events-api. Whoever is not known here, and whatever kind of event is not, is answered like
everything else: an app that refuses too much is switched off for all its workspaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tidings.contracts import Hint, Parsed, Reply, WebhookRequest
from tidings.errors import Rejected
from tidings.fields import Object, instant, line, obj, objs, raw
from tidings_slack.addresses import of_channel, of_person, of_team
from tidings_slack.card import CHANNEL, Place, Told, kind_of
from tidings_slack.fields import identities, identity, read_object
from tidings_slack.messages import (
    RENAMED,
    TOMBSTONE,
    tell_deletion,
    tell_edit,
    tell_message,
)
from tidings_slack.names import Names
from tidings_slack.others import tell_created, tell_reaction
from tidings_slack.stamps import stamp

#: What a poll is to look at, as hints name it: the conversations that the account is a member of; a name that is
#: unknown here, or new; a minute of which Slack sent nothing.
MEMBERSHIPS: Final = "memberships"
NAME: Final = "name:"
LIMITED: Final = "limited:"

_MOST_NAMES: Final = 5
_LONGEST_CHALLENGE: Final = 500
# Slack says for each minute anew that it sends nothing; then one look at the end does for several.
_LIMITED_SECONDS: Final = 90.0
_JOIN_SECONDS: Final = 2.0


def parse(request: WebhookRequest, names: Names, *, own_messages: bool) -> Parsed:
    """What a verified request says.

    Args:
        request: The request.
        names: What people and channels are called; no event's id depends on it.
        own_messages: Whether accounts are told of what they did themselves.

    Raises:
        Rejected: The body is no JSON object, or a challenge can't be answered (400).
    """
    said = read_object(request.body)
    if said is None:
        raise Rejected("The body is not a JSON object, as every event of Slack's is.", status=400)
    kind, team = raw(said, "type"), identity(said, "team_id")
    if kind == "url_verification":
        return Parsed((), kind=kind, answer=_answer(said))
    if kind == "app_rate_limited":
        return _limited(said, team)
    if kind != "event_callback":
        return Parsed((), kind=line(said, "type", 64))
    event = obj(said, "event")
    handle = _HANDLERS.get(raw(event, "type"))
    found = Parsed(()) if handle is None or not team else handle(_Delivery(said, event, team, names))
    return Parsed(
        found.events,
        delivery_id=line(said, "event_id", 64),
        kind=line(event, "type", 64),
        addresses=found.addresses,
        apart_from=() if own_messages else found.apart_from,
        signal=found.signal,
        signalled_at=found.signalled_at,
        hint=found.hint,
    )


class _Delivery:
    """One event, and what it came in."""

    def __init__(self, said: Object, event: Object, team: str, names: Names) -> None:
        self.said = said
        self.event = event
        self.team = team
        self.names = names

    def place(self, channel: str) -> Place:
        """The conversation that a message is from."""
        return Place(self.names, self.team, channel, kind_of(self.event, channel))

    def parsed(self, told: Told | None, addresses: Iterable[str], *names: str) -> Parsed:
        """An event for all these addresses, and the names to look up that it shows, or that `names` are."""
        if told is None:
            return Parsed(())
        unknown = [*names, *self.names.missing_people(self.team, told.people)]
        targets = tuple(f"{NAME}{one}" for one in dict.fromkeys(unknown))[:_MOST_NAMES]
        return Parsed(
            (told.event,),
            addresses=tuple(addresses),
            apart_from=(of_person(self.team, told.doer),) if told.doer else (),
            hint=Hint(targets) if targets else None,
        )

    def members(self, place: Place) -> list[str]:
        """The addresses of those who see a conversation.

        Where it is private, whoever Slack names as one who sees it is a member, known here as one or not.
        """
        found = [of_channel(self.team, place.channel)]
        if place.kind != CHANNEL:
            found += [
                of_person(self.team, identity(one, "user_id"))
                for one in objs(self.said, "authorizations")
                if identity(one, "team_id") == self.team and identity(one, "user_id")
            ]
        return found


def _message(delivery: _Delivery) -> Parsed:
    event, channel = delivery.event, identity(delivery.event, "channel")
    if not channel:
        return Parsed(())
    place, subtype = delivery.place(channel), raw(event, "subtype")
    if subtype == "message_changed":
        told = _changed(place, event)
    elif subtype == "message_deleted":
        deleted, previous = stamp(event, "deleted_ts"), obj(event, "previous_message")
        told = tell_deletion(place, deleted, previous, stamp(event, "ts")) if deleted else None
    else:
        told = tell_message(place, event)
    is_unknown = place.is_unnamed or subtype in RENAMED
    return delivery.parsed(told, delivery.members(place), *((channel,) if is_unknown else ()))


def _changed(place: Place, event: Object) -> Told | None:
    """An edit or, at the beginning of a thread, a deletion; None where Slack changed it by itself."""
    message, previous = obj(event, "message"), obj(event, "previous_message")
    deleted = stamp(message, "ts")
    if raw(message, "subtype") == TOMBSTONE and deleted:
        return tell_deletion(place, deleted, previous, stamp(event, "ts"))
    return tell_edit(place, message, since=stamp(obj(previous, "edited"), "ts"))


def _reaction(delivery: _Delivery) -> Parsed:
    told = tell_reaction(delivery.names, delivery.team, delivery.event)
    channel = identity(obj(delivery.event, "item"), "channel")
    return delivery.parsed(told, [of_channel(delivery.team, channel)])


def _created(delivery: _Delivery) -> Parsed:
    told = tell_created(delivery.names, delivery.team, delivery.event)
    return delivery.parsed(told, [of_team(delivery.team)])


def _moved(delivery: _Delivery) -> Parsed:
    """Somebody joined or left: from now on other deliveries are for them. That is told by a message of Slack's."""
    return _look_again(delivery, [identity(delivery.event, "user")])


def _opened(delivery: _Delivery) -> Parsed:
    """Two people have a conversation that they had not before."""
    channel = obj(delivery.event, "channel")
    return _look_again(delivery, [identity(delivery.event, "user"), identity(channel, "user")])


def _look_again(delivery: _Delivery, users: Iterable[str]) -> Parsed:
    found = tuple(of_person(delivery.team, user) for user in dict.fromkeys(users) if user)
    return Parsed((), addresses=found, hint=Hint((MEMBERSHIPS,), _JOIN_SECONDS) if found else None)


def _revoked(delivery: _Delivery) -> Parsed:
    """Tokens of these people, or of these bots, are dead; ids of tokens are not said."""
    tokens = obj(delivery.event, "tokens")
    users = [*identities(tokens, "oauth"), *identities(tokens, "bot")]
    return _ended(delivery, [of_person(delivery.team, user) for user in users])


def _uninstalled(delivery: _Delivery) -> Parsed:
    return _ended(delivery, [of_team(delivery.team)])


def _ended(delivery: _Delivery, addresses: Iterable[str]) -> Parsed:
    # With "Delayed Events" this may come a day later, when the account has long consented anew.
    at = instant(delivery.said, "event_time")
    return Parsed((), addresses=tuple(addresses), signal="revoked", signalled_at=at)


_HANDLERS: Final[dict[str, Callable[[_Delivery], Parsed]]] = {
    "app_uninstalled": _uninstalled,
    "channel_created": _created,
    "im_created": _opened,
    "member_joined_channel": _moved,
    "member_left_channel": _moved,
    "message": _message,
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "tokens_revoked": _revoked,
}


def _limited(said: Object, team: str) -> Parsed:
    """Over 30,000 deliveries in an hour: Slack sends none of this minute's, and says so once."""
    if not team:
        return Parsed((), kind="app_rate_limited")
    minute: Any = said.get("minute_rate_limited")
    named = isinstance(minute, int) and not isinstance(minute, bool) and 0 <= minute < 10**10
    targets = ("", f"{LIMITED}{minute}") if named else ("",)
    return Parsed(
        (), kind="app_rate_limited", addresses=(of_team(team),), hint=Hint(targets, _LIMITED_SECONDS)
    )


def _answer(said: Object) -> Reply:
    """The answer to Slack's question whether this address is ours."""
    challenge = raw(said, "challenge")
    if not challenge or len(challenge) > _LONGEST_CHALLENGE or not challenge.isascii():
        raise Rejected("url_verification has no challenge that can be answered.", status=400)
    return Reply(200, challenge.encode())
