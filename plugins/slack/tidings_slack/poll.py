"""What is asked of Slack, and in which order: the conversations of an account, then what is new in each.

The checkpoint:
    `listed`    when the conversations were listed last, as `ts` by this machine's clock
    `channels`  by id: `kind`, `name`, what `history` keeps, `at` (read last, in seconds since 1970), `left` (it has yet
                to have its turn), `new` (it was never read), `off` (Slack refused it then)
    `rounded`   when everything was last to be read

A run makes so many calls at most; what is left has its turn in runs that follow each other by the minute. A delivery
that names something to look at prompts a look at that alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event
from tidings.fields import Object, obj, raw
from tidings_slack.addresses import Whose, all_of
from tidings_slack.api import GONE, Refusal
from tidings_slack.card import CHANNEL, GROUP, Place, Told
from tidings_slack.fields import identity
from tidings_slack.history import Reading
from tidings_slack.memberships import PAGE, Conversation, memberships
from tidings_slack.messages import tell_edit, tell_message
from tidings_slack.mrkdwn import mentioned
from tidings_slack.names import Names
from tidings_slack.parse import LIMITED, MEMBERSHIPS, NAME
from tidings_slack.people import list_people, look_up
from tidings_slack.stamps import stamp, stamp_of

_MINUTE_SECONDS: Final = 60.0
_OFF_SECONDS: Final = 86_400.0
# Intervals vary a little; a run that is this near to its time is a whole one.
_NEARLY: Final = 0.9


async def poll(
    api: Api, asked: Asked, names: Names, *, most_calls: int, own_messages: bool
) -> AsyncIterator[Polled]:
    """Ask for what is new.

    Args:
        api: The account's.
        asked: What core wants to know.
        names: What people and channels are called; added to.
        most_calls: How many calls a run may make.
        own_messages: Whether the account is told of what it did itself.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`. What was yielded stays.
    """
    run = _Run(api, asked, names, most_calls=most_calls, own_messages=own_messages)
    if run.is_whole or MEMBERSHIPS in asked.hinted:
        yield await run.list_conversations()
    await run.learn_names()
    failure: Exception | None = None
    try:
        async for polled in run.read():
            yield polled
    except (AuthExpired, Unavailable, Rejected) as error:
        failure = error
    if failure is not None:
        yield run.polled()  # what was reached stays
        raise failure
    yield run.polled(gap=run.silence(), next_in_seconds=run.next_in_seconds())


class _Run:
    """One run, and the checkpoint as it grows."""

    def __init__(self, api: Api, asked: Asked, names: Names, *, most_calls: int, own_messages: bool) -> None:
        self._api = api
        self._asked = asked
        self._names = names
        self._whose = Whose.read(api.account_key)
        self._own_messages = own_messages
        self._calls = most_calls
        self._now = asked.now.timestamp()
        self._listed = stamp(asked.checkpoint, "listed")
        self._channels = {key: obj(obj(asked.checkpoint, "channels"), key) for key in _keys(asked)}
        self._rounded = _number(asked.checkpoint, "rounded") or 0.0
        self.is_whole = self._begins_round()
        for channel, state in self._channels.items():
            if names.channel_at(self._whose.team, channel) is None:  # since a start nobody has looked it up
                self._note_name(channel, raw(state, "kind"), raw(state, "name"), 0.0)

    def _begins_round(self) -> bool:
        """Whether everything is to be read: it is time, somebody wishes it, or nothing else is asked for."""
        asked = self._asked
        if "" in asked.hinted or asked.is_urgent:
            return True
        is_due = self._now - self._rounded >= asked.every_seconds * _NEARLY
        return not self._due() and (is_due or not asked.hinted)

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        """As it stands now."""
        return {"listed": self._listed, "channels": dict(self._channels), "rounded": self._rounded}

    def polled(
        self,
        events: Sequence[Event] = (),
        *,
        target: str = "",
        gap: str = "",
        next_in_seconds: float | None = None,
        addresses: tuple[str, ...] | None = None,
    ) -> Polled:
        """A piece of news with the checkpoint as it stands now."""
        return Polled(
            events=events,
            target=target,
            checkpoint=self.checkpoint,
            gap=gap,
            next_in_seconds=next_in_seconds,
            addresses=addresses,
        )

    def next_in_seconds(self) -> float | None:
        """When to ask again; None for the cadence."""
        if self._due():
            return _MINUTE_SECONDS
        if self._rounded == self._now:
            return None
        return max(1.0, self._rounded + self._asked.every_seconds - self._now)

    def silence(self) -> str:
        """What Slack sent nothing of, for people; "" for nothing."""
        minutes = sum(target.startswith(LIMITED) for target in self._asked.hinted)
        if not minutes:
            return ""
        return (
            f"More happened in this workspace than Slack sends of: for {minutes} minute{'s' * (minutes > 1)} it sent "
            "nothing. Messages were asked for; reactions, deletions and new channels of that time are missing."
        )

    # --- what there is ------------------------------------------------------------------------------------------------

    async def list_conversations(self) -> Polled:
        """List the conversations of the account, and say by which addresses it is named from now on."""
        found = await memberships(self._api)
        self._calls -= 1 + len(found) // PAGE
        before, now = self._channels, stamp_of(self._asked.now)
        # What was there before the first look is no news. A conversation that is new later is read from when it was not
        # there yet.
        start: Object = (
            {"ts": self._listed, "at": 0.0, "new": True} if self._listed else {"ts": now, "at": self._now}
        )
        self._channels = {
            channel: _described(before.get(channel, start), one)
            for channel, one in found.items()
            if not one.is_archived or channel in before  # what was written before that is yet to be read
        }
        for channel, one in found.items():
            self._note_name(channel, one.kind, one.name, self._now)
        self._listed = now
        if self.is_whole:
            self._rounded = self._now
            self._channels = {
                channel: {**state, "left": True} if channel in before else state
                for channel, state in self._channels.items()
            }
        return self.polled(addresses=self._addresses())

    def _addresses(self) -> tuple[str, ...]:
        open_ = (one for one, state in self._channels.items() if not state.get("archived"))
        return all_of(self._whose, open_)

    async def learn_names(self) -> None:
        """Look up the names that are wanted."""
        team = self._whose.team
        if self.is_whole or any(one.startswith(NAME) for one in self._asked.hinted):
            self._calls -= await list_people(self._api, self._names, team, self._asked.now)
        wanted = [one.removeprefix(NAME) for one in sorted(self._asked.hinted) if one.startswith(NAME)]
        self._calls -= await look_up(self._api, self._names, team, wanted, self._asked.now)

    def _note_name(self, channel: str, kind: str, name: str, at: float) -> None:
        if kind in {CHANNEL, GROUP} and name:
            self._names.note_channel(self._whose.team, channel, name, at)

    # --- what is new ------------------------------------------------------------------------------------------------

    async def read(self) -> AsyncIterator[Polled]:
        """Read those conversations whose turn it is, those that have waited longest first."""
        for channel in self._due():
            if self._calls <= 0:
                return
            polled = await self._read(channel)
            if polled is not None:
                yield polled

    def _due(self) -> Sequence[str]:
        return sorted(filter(self._is_due, self._channels), key=self._read_at)

    def _is_due(self, channel: str) -> bool:
        state = self._channels[channel]
        off = _number(state, "off")
        if off is not None and 0 <= self._now - off < _OFF_SECONDS:
            return False
        return "left" in state or "new" in state

    def _read_at(self, channel: str) -> float:
        return _number(self._channels[channel], "at") or 0.0

    async def _read(self, channel: str) -> Polled | None:
        state = self._channels[channel]
        reading = Reading(self._api, channel, state, self._calls)
        try:
            await reading.read()
        except Refusal as error:
            self._calls -= max(1, reading.calls)
            return self._refused(channel, error)
        self._calls -= reading.calls
        if "new" in state:
            reading.begin_at_joining(self._whose.user)
        await self._look_up_people([*reading.messages, *reading.edited])
        place = Place(self._names, self._whose.team, channel, raw(state, "kind") or CHANNEL)
        told = [tell_message(place, one) for one in reading.messages]
        told += [tell_edit(place, one) for one in reading.edited]
        events = [one.event for one in told if one is not None and self._is_news(one)]
        kept = {key: state[key] for key in ("kind", "name", "archived") if key in state}
        self._channels[channel] = {**kept, **reading.state, "at": self._now}
        if not reading.is_done:
            self._channels[channel] = {**self._channels[channel], "left": True}
        elif state.get("archived"):
            del self._channels[channel]  # nothing more happens there
        if not events and not reading.gap:
            return None
        # Of a conversation that is new here nothing was delivered: nobody knew whom it is for.
        return self.polled(events, target=channel if "new" in state else "", gap=reading.gap)

    def _refused(self, channel: str, error: Refusal) -> Polled | None:
        """Leave a conversation alone that Slack does not show: the account is no member, or it is gone."""
        if error.word in GONE:
            del self._channels[channel]
            return self.polled(addresses=self._addresses())
        self._channels[channel] = {**self._channels[channel], "off": self._now}
        return None

    def _is_news(self, told: Told) -> bool:
        return self._own_messages or told.doer != self._whose.user

    async def _look_up_people(self, messages: Sequence[Object]) -> None:
        """Learn whom new messages are from, and whom they name."""
        team = self._whose.team
        users = [
            user
            for one in messages
            for user in (identity(one, "user"), identity(one, "inviter"), *mentioned(raw(one, "text")))
        ]
        missing = self._names.missing_people(team, users)
        if missing:
            self._calls -= await look_up(self._api, self._names, team, missing, self._asked.now)


def _described(state: Object, conversation: Conversation) -> Object:
    """A conversation's state, with what it is now."""
    kept = {key: value for key, value in state.items() if key != "archived"}
    found = {**kept, "kind": conversation.kind, "name": conversation.name}
    return {**found, "archived": True} if conversation.is_archived else found


def _keys(asked: Asked) -> Sequence[str]:
    return list(obj(asked.checkpoint, "channels"))


def _number(parent: Object, key: str) -> float | None:
    value = parent.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
