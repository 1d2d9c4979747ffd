"""What is asked of GitHub, and in which order: the inbox, and the feed of each repository and organisation.

The checkpoint:
    `targets`   `found` (names by key), `at` (epoch seconds of the listing), `of` (the settings it followed), `login`
    `round`     while feeds are left: those asked since then (epoch seconds) have had their turn
    `feeds`     by key: `seen`, `since` and `tag` (see `feeds`), `at` (asked last), `wait` (GitHub's, where unusual),
                `off` (refused), `open` (an organisation's public feed alone), and under push what `coverage` notes
    `inbox`     see `notifications`, and `at`, `wait`, `off`

A run asks for 30 feeds at most; what is left has its turn in runs that follow at once. Where a healthy webhook
delivers all kinds that a feed has, the feed is not asked for at all; see `coverage`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled, Target
from tidings.errors import Rejected, Unavailable
from tidings.event import Event, encode_json, rfc3339
from tidings.fields import Object, flag, number, obj, raw
from tidings_github import coverage, feeds
from tidings_github.api import HIDDEN, look_up
from tidings_github.coverage import Coverage
from tidings_github.details import Details
from tidings_github.feed import event_of, understand
from tidings_github.feeds import USUAL_WAIT_SECONDS, Position, Reading
from tidings_github.notifications import read_inbox
from tidings_github.targets import LOGIN, ORGANIZATION, REPOSITORY, UNKNOWN, id_of, kind_of, watched

_MOST_FEEDS: Final = 30
_NEXT_RUN_SECONDS: Final = 5.0
_LIST_SECONDS: Final = 6 * 3600 * 0.9
# Where a webhook watches each target, the list is of no use here: what is new is found where webhooks are made.
_LIST_IF_COVERED_SECONDS: Final = 7 * 86_400
_OFF_SECONDS: Final = 86_400
_PIECE: Final = 25  # events committed at once: so much is asked for again after a failure
_MOST_FAILURES: Final = 3


async def poll(
    api: Api, asked: Asked, *, web_url: str, inbox_seconds: float, by_app: bool
) -> AsyncIterator[Polled]:
    """Ask for what is new.

    Args:
        api: The account's.
        asked: What core wants to know.
        web_url: Where GitHub's pages are.
        inbox_seconds: How often the inbox is looked into, however rarely the feeds are.
        by_app: Whether the account is connected by a GitHub App, which has no inbox.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`. What was yielded stays.
    """
    run = _Run(api, asked, web_url, by_app=by_app)
    await run.find_targets()
    if not by_app:
        async for polled in run.ask_inbox():
            yield polled
    async for polled in run.ask_feeds():
        yield polled
    yield run.polled(next_in_seconds=run.next_in_seconds(inbox_seconds if not by_app else None))


class _Run:
    """One run, and the checkpoint as it grows."""

    def __init__(self, api: Api, asked: Asked, web_url: str, *, by_app: bool) -> None:
        self._api = api
        self._asked = asked
        self._web_url = web_url
        self._by_app = by_app
        self._now = int(asked.now.timestamp())
        self._targets = obj(asked.checkpoint, "targets")
        self._coverage = Coverage(asked.pushed, ())
        self._feeds: dict[str, Object] = dict(obj(asked.checkpoint, "feeds"))
        self._inbox = obj(asked.checkpoint, "inbox")
        self._round = number(asked.checkpoint, "round")
        self._details = Details(api)
        self._longest_wait = 0

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        """As it stands now."""
        checkpoint = {"targets": self._targets, "feeds": dict(self._feeds), "inbox": self._inbox}
        return checkpoint if self._round is None else {**checkpoint, "round": self._round}

    def polled(
        self,
        events: Sequence[Event] = (),
        *,
        target: str = "",
        gap: str = "",
        next_in_seconds: float | None = None,
    ) -> Polled:
        """A piece of news with the checkpoint as it stands now."""
        return Polled(
            events=events, target=target, checkpoint=self.checkpoint, gap=gap, next_in_seconds=next_in_seconds
        )

    def next_in_seconds(self, inbox_seconds: float | None) -> float | None:
        """When to ask again; None for the cadence."""
        if self._round is not None:
            return _NEXT_RUN_SECONDS
        every = self._asked.every_seconds
        seconds = every if inbox_seconds is None or "off" in self._inbox else min(every, inbox_seconds)
        seconds = max(seconds, self._longest_wait)
        return None if seconds == every else seconds

    # --- targets --------------------------------------------------------------------------------------------------

    async def find_targets(self) -> None:
        """List what to watch, unless that was done lately for the same choice."""
        settings = self._asked.settings
        of = encode_json({key: settings.get(key) for key in ("repositories", "organizations")}).decode()
        listed_at = number(self._targets, "at")
        # The inbox is looked into more often than the rest.
        usual = max(_LIST_SECONDS, self._asked.every_seconds)
        found = obj(self._targets, "found")
        if found and self._asked.pushed.keys() >= found.keys():
            usual = _LIST_IF_COVERED_SECONDS
        if raw(self._targets, "of") == of and listed_at is not None and self._now - listed_at < usual:
            return
        targets = await watched(self._api, settings, by_app=self._by_app)
        names = {target.key: target.name for target in targets if kind_of(target.key) != UNKNOWN}
        login = ""
        if any(kind_of(key) == ORGANIZATION for key in names):
            login = raw(await look_up(self._api, "/user") or {}, "login")
        self._targets = {"found": names, "at": self._now, "of": of, "login": login}
        self._feeds = {key: state for key, state in self._feeds.items() if key in names}
        if listed_at is not None and listed_at > 0:  # what is new since then is watched from then on
            since = {"since": rfc3339(datetime.fromtimestamp(listed_at, UTC))}
            self._feeds = {key: self._feeds.get(key, since) for key in names}

    # --- the inbox ------------------------------------------------------------------------------------------------

    async def ask_inbox(self) -> AsyncIterator[Polled]:
        """Ask for notifications, where GitHub gives them to this account."""
        state = self._inbox
        if _is_off(state, self._now) or not self._may_ask(state):
            return
        try:
            inbox = await read_inbox(self._api, state, self._asked.now, self._web_url)
        except Rejected as error:
            if error.status not in HIDDEN:
                raise
            self._inbox = {"off": self._now}
            return
        self._longest_wait = max(self._longest_wait, inbox.wait_seconds)
        kept = {name: value for name, value in inbox.state.items() if name not in {"wait", "off"}}
        self._inbox = {**kept, "at": self._now, **_unusual(inbox.wait_seconds)}
        if inbox.events or inbox.gap:
            yield self.polled(inbox.events, gap=inbox.gap)

    # --- feeds ----------------------------------------------------------------------------------------------------

    async def ask_feeds(self) -> AsyncIterator[Polled]:
        """Ask for those feeds whose turn it is.

        One feed that fails does not keep the others from having their turn.
        """
        due = self._due()
        worked, failures, goes_on = False, [], True
        for target in due[:_MOST_FEEDS]:
            try:
                async for polled in self._ask_feed(target):
                    yield polled
                worked = True
            except Unavailable as error:
                failures.append(error)
                goes_on = error.retry_after_seconds is None and len(failures) < _MOST_FAILURES
                if not goes_on:
                    break
                self._feeds[target.key] = {**self._state(target.key), "at": self._now}
        if failures and not (goes_on and worked):
            yield self.polled()  # what was reached stays, and those that are left come first next time
            raise failures[-1]
        if len(due) <= _MOST_FEEDS:
            self._round = None

    def _due(self) -> Sequence[Target]:
        """The feeds to ask for, those that have waited longest first."""
        targets = self._feed_targets()
        self._coverage = Coverage(self._asked.pushed, targets)
        askable = [
            target
            for target in targets
            if not self._leave_to_webhook(target)
            and not _is_off(self._state(target.key), self._now)
            and self._may_ask(self._state(target.key))
        ]
        left = [target for target in askable if self._asked_at(target.key) < (self._round or 0)]
        if not left:
            self._round, left = self._now, askable
        return sorted(left, key=lambda target: self._asked_at(target.key))

    def _feed_targets(self) -> Sequence[Target]:
        names = obj(self._targets, "found")
        return [
            Target(key, name)
            for key, name in names.items()
            if isinstance(name, str) and kind_of(key) in {REPOSITORY, ORGANIZATION}
        ]

    def _leave_to_webhook(self, target: Target) -> bool:
        """Whether a webhook tells all that the feed would; notes what it tells."""
        state = coverage.note(self._state(target.key), self._coverage.of(target), self._asked.now)
        is_left = coverage.is_left(state)
        if is_left:  # where it was read to matters no more
            state = {name: value for name, value in state.items() if name not in {"seen", "since", "tag"}}
        self._feeds[target.key] = state
        return is_left

    async def _ask_feed(self, target: Target) -> AsyncIterator[Polled]:
        """Ask for one feed, and tell of it piece by piece."""
        state = self._state(target.key)
        try:
            reading = await self._read(target, state)
        except Rejected:  # it is gone, or this account may not see it (any more)
            self._feeds[target.key] = {**self._state(target.key), "off": self._now}
            return
        self._longest_wait = max(self._longest_wait, reading.wait_seconds)
        open_ = {"open": True} if flag(self._state(target.key), "open") else {}
        common = {
            **coverage.noted(state, self._now),
            "at": self._now,
            **_unusual(reading.wait_seconds),
            **open_,
        }
        position = feeds.load(state)
        # What is told under push came before the webhook, or is of no kind that it has: it has missed nothing.
        key = "" if "pushed" in state else target.key
        events: list[Event] = []
        seen, gap = set(position.seen), reading.gap
        for count, (identity, item) in enumerate(reading.items, 1):
            event = await self._event(item, target, state)
            if event is not None:
                events.append(event)
            seen.add(identity)
            if len(events) >= _PIECE and count < len(reading.items):
                self._feeds[target.key] = {**common, **feeds.store(Position(frozenset(seen)))}
                yield self.polled(events, target=key, gap=gap)
                events, gap = [], ""  # told with the oldest news: it lies before them
        self._feeds[target.key] = {**common, **feeds.store(reading.position)}
        if events or gap:
            yield self.polled(events, target=key, gap=gap)

    async def _read(self, target: Target, state: Object) -> Reading:
        position, now, name = feeds.load(state), self._asked.now, target.name
        if kind_of(target.key) == REPOSITORY:
            return await feeds.read(self._api, f"/repos/{name}/events", position, now, name)
        login = raw(self._targets, "login")
        if LOGIN.fullmatch(login) and not flag(state, "open"):
            try:
                return await feeds.read(self._api, f"/users/{login}/events/orgs/{name}", position, now, name)
            except Rejected as error:
                if error.status not in HIDDEN:
                    raise
                self._feeds[target.key] = {**state, "open": True}  # only members see more than the public
        return await feeds.read(self._api, f"/orgs/{name}/events", position, now, name)

    async def _event(self, item: Object, target: Target, state: Object) -> Event | None:
        """The event of a feed's item; None where a webhook tells it."""
        if kind_of(target.key) == REPOSITORY and number(obj(item, "repo"), "id") != id_of(target.key):
            return None  # the name is another repository's now
        understood = understand(item, self._web_url)
        if understood is None or coverage.has_told(state, understood.event, understood.at):
            return None
        return event_of(await self._details.complete(understood))

    # --- turns ----------------------------------------------------------------------------------------------------

    def _state(self, key: str) -> Object:
        return obj(self._feeds, key)

    def _asked_at(self, key: str) -> int:
        return number(self._state(key), "at") or 0

    def _may_ask(self, state: Object) -> bool:
        """Whether GitHub's own interval is over."""
        asked_at = number(state, "at")
        wait_seconds = number(state, "wait") or USUAL_WAIT_SECONDS
        return asked_at is None or not 0 <= self._now - asked_at < wait_seconds


def _unusual(wait_seconds: int) -> Mapping[str, int]:
    return {"wait": wait_seconds} if wait_seconds != USUAL_WAIT_SECONDS else {}


def _is_off(state: Object, now: int) -> bool:
    """Whether GitHub refused it less than a day ago."""
    refused_at = number(state, "off")
    return refused_at is not None and 0 <= now - refused_at < _OFF_SECONDS
