"""News to devices whose pages are closed: reads the journal from each subscription's cursor, and pushes what is new.

A commit asks for a job for each subscription of its users; a crash in between loses nothing, since every start asks for
all of them. The job gathers what came since the cursor, has the transport push it as one, and moves the cursor. If the
process dies between the two, the same news is pushed again, under the same name, by which it replaces itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Clock, Item, Principal, Selection
from tidings.devices import Fate, News, Pushed, Pushes
from tidings.discretion import redact, use_secrets
from tidings.errors import Conflict, NotFound, Unavailable
from tidings.event import OWN_PLATFORM, Cursor, Entry, Event, UserId
from tidings.fanout import Fanout
from tidings.health import Component
from tidings.jobs import Ended, Job, request_jobs
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.push_rules import find_rules
from tidings.push_subscriptions import (
    PUSH,
    PushSubscription,
    find_subscription,
    list_subscriptions,
    move_cursor,
    note_push,
    open_device,
    push_job,
    put_subscription,
    remove_subscription,
)
from tidings.retries import Retries
from tidings.scheduler import Scheduler
from tidings.schema import to_stored
from tidings.vault import Vault
from tidings.writer import Writer

_PAGE_ENTRIES: Final = 500
_MOST_SHOWN: Final = 20
_AT_ONCE: Final = 20
_LONGEST_RUN_SECONDS: Final = 120.0
_USERS_AT_ONCE: Final = 200
_RETRY_SECONDS: Final = 5.0
_GIVE_UP_SECONDS: Final = 14 * 86400.0
_FEWEST_TRIES: Final = 20  # in that time: most of it this server may have been off
_OTHER_KEY: Final = "It was subscribed with a key that this installation no longer has."


class Pushing:
    """Pushes to the devices of all users.

    Args:
        transport: Speaks to the push services.
        names: What people call the platforms.
        journal: Where news is.
        writer: Writes.
        fanout: Knows what pages in view have been sent.
        vault: Seals the subscriptions' addresses.
        clock: All time.
        log: One line for each push that failed, and for each subscription that came or went.
        metrics: Counts pushes.
        health: Down while no push service takes anything for a reason that is this installation's own.
        random: For jitter.
    """

    def __init__(
        self,
        transport: Pushes,
        names: Mapping[str, str],
        journal: SqlJournal,
        writer: Writer,
        fanout: Fanout,
        vault: Vault,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        health: Component,
        random: Random,
    ) -> None:
        self.transport = transport
        self._names = names
        self._journal = journal
        self._writer = writer
        self._fanout = fanout
        self._vault = vault
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._health = health
        self._retries = Retries(random)
        self._blocked: dict[str, str] = {}  # why, by push service
        self._users: set[UserId] = set()  # who have, or had, a device
        self._pending: set[UserId] = set()
        self._waiting = asyncio.Event()
        journal.on_commit(self.committed)

    # --- who has news ---

    def committed(self, entries: Sequence[Entry], _seconds: float = 0.0) -> None:
        """New entries are on disk; called by the journal's writer, returns at once."""
        users = {entry.user_id for entry in entries} & self._users
        if users:
            self._pending |= users
            self._waiting.set()

    def register(self, scheduler: Scheduler) -> None:
        """Name the handler of its jobs."""
        scheduler.handle(PUSH, self.handle, at_once=_AT_ONCE, longest_seconds=_LONGEST_RUN_SECONDS)

    async def start(self) -> None:
        """Ask for a job for every subscription: nobody knows what was committed when the last process ended.

        Raises:
            Unavailable: The database can't be used.
        """
        found = await self._writer.database.read(list_subscriptions)
        self._users = {one.user_id for one in found}
        self.look_for(self._users)

    async def learn(self) -> None:
        """Know the people who subscribed at other nodes, and push what they were not pushed meanwhile.

        Raises:
            Unavailable: The database can't be used.
        """
        found = await self._writer.database.read(list_subscriptions)
        newcomers = {one.user_id for one in found} - self._users
        self._users |= newcomers
        self.look_for(newcomers)

    def look_for(self, users: set[UserId]) -> None:
        """These users may have news that can be pushed now."""
        self._pending |= users
        self._waiting.set()

    async def run(self) -> None:
        """Ask for the jobs of users who have news, until cancelled."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._pending:
                users = set(list(self._pending)[:_USERS_AT_ONCE])
                try:
                    await self._writer.run_unit(partial(self._request, users))
                except Unavailable:  # the writer says why
                    await self._clock.sleep(_RETRY_SECONDS)
                    continue
                self._pending -= users

    def _request(self, users: set[UserId], sql: Connection) -> None:
        now = self._clock.now()
        requests = [
            (one.user_id, push_job(one.id, max(self.transport.gather_seconds, self._wait_seconds(one, now))))
            for one in list_subscriptions(sql, users)
        ]
        request_jobs(sql, requests, to_stored(now))

    def _wait_seconds(self, subscription: PushSubscription, now: datetime) -> float:
        """How long nothing is to be pushed there."""
        waits = [0.0]
        if subscription.pushed_at is not None:
            waits.append(self.transport.pace_seconds - (now - subscription.pushed_at).total_seconds())
        if subscription.paused_until is not None:
            waits.append((subscription.paused_until - now).total_seconds())
        return max(waits)

    # --- one job ---

    async def handle(self, job: Job) -> Ended:
        """Push what is new to one subscription."""

        def load(sql: Connection) -> tuple[PushSubscription, Selection]:
            found = find_subscription(sql, job.key, user_id=job.user_id)
            return found, find_rules(sql, job.user_id).selection()

        try:
            subscription, selection = await self._writer.database.read(load)
        except NotFound:
            return Ended()
        if subscription.key_id not in self.transport.public_keys:
            await self._remove(subscription, _OTHER_KEY)
            return Ended()
        wait_seconds = self._wait_seconds(subscription, self._clock.now())
        if wait_seconds > 0 or self.transport.problem:
            return Ended(
                wait_seconds or None
            )  # nothing can be pushed as it is configured; a restart asks again
        cursor, news = await self._gather(subscription, selection)
        if news is None or await self._fanout.attention.was_shown(job.user_id, cursor):
            if cursor != subscription.cursor:
                await self._writer.run_unit(partial(move_cursor, subscription=subscription, cursor=cursor))
            return Ended()
        pushed = await self.transport.push(open_device(self._vault, subscription), news)
        return Ended(await self._settle(subscription, pushed, cursor))

    async def _gather(
        self, subscription: PushSubscription, selection: Selection
    ) -> tuple[Cursor, News | None]:
        """What is new behind the subscription's cursor, and the position behind it."""
        shown: deque[Entry] = deque(maxlen=_MOST_SHOWN)
        sources: Counter[tuple[str, str]] = Counter()
        first, cursor = None, subscription.cursor
        while True:
            page = await self._journal.read(
                subscription.user_id, cursor, limit=_PAGE_ENTRIES, selection=selection
            )
            if page.gap is not None and page.gap.reason == "restored":
                # Nobody knows what of a restored journal was told; all of it is no news.
                return await self._journal.head(subscription.user_id), None
            for entry in page.entries:
                first = first or entry.cursor
                sources[entry.platform, entry.source] += 1
                shown.append(entry)
            cursor = page.cursor
            if page.at_head:
                break
        if first is None:
            return cursor, None
        count, by_source = sources.total(), dict(sources.most_common())
        return cursor, News(tuple(shown), count, by_source, self._names, first, cursor)

    async def _settle(
        self, subscription: PushSubscription, pushed: Pushed, cursor: Cursor | None
    ) -> float | None:
        """Keep what became of a push; returns when to try again. A test has no cursor, and is not tried again."""
        now = self._clock.now()
        fate, detail = pushed.fate, redact(pushed.detail)
        self._metrics.pushes.labels(fate.value).inc()
        if fate is Fate.LATER and _is_given_up(subscription, now):
            fate, detail = Fate.GONE, f"Nothing was taken for 14 days. {detail}"
        if fate is Fate.GONE:
            await self._remove(subscription, detail)
            return None
        self._judge_service(subscription.service, fate, detail)
        if fate is not Fate.TAKEN:
            self._log.warning(
                "push_failed",
                subscription=subscription.id,
                user=subscription.user_id,
                service=subscription.service,
                fate=fate.value,
                status=pushed.status,
                reason=detail,
            )
        again_seconds = None
        if cursor is not None and fate in {Fate.LATER, Fate.BLOCKED}:
            failure = Unavailable(detail, pushed.retry_after_seconds)
            again_seconds = self._retries.judge(failure, subscription.failures).again_seconds
        await self._writer.run_unit(
            partial(
                note_push,
                subscription=subscription,
                pushed=Pushed(fate, pushed.status, detail),
                cursor=cursor if fate in {Fate.TAKEN, Fate.REFUSED} else None,
                pause_seconds=again_seconds,
                now=now,
            )
        )
        return again_seconds

    def _judge_service(self, service: str, fate: Fate, detail: str) -> None:
        """Be down while a push service refuses this installation itself."""
        if fate is Fate.BLOCKED:
            self._blocked[service] = detail
        elif fate is Fate.TAKEN:
            self._blocked.pop(service, None)
        if self._blocked:
            self._health.down(" ".join(f"{name}: {reason}" for name, reason in self._blocked.items()))
        else:
            self._health.up()

    async def _remove(self, subscription: PushSubscription, reason: str) -> None:
        """Remove a subscription that leads nowhere, and tell its user."""
        self._log.info(
            "push_subscription_removed",
            subscription=subscription.id,
            user=subscription.user_id,
            service=subscription.service,
            reason=reason,
        )
        event = _removed(subscription, reason, self._clock.now())

        def work(sql: Connection) -> tuple[None, Sequence[Item]]:
            was_there = remove_subscription(sql, subscription.user_id, subscription.id)
            return None, [Item(subscription.user_id, [event], via="api")] if was_there else []

        await self._journal.commit(work)

    # --- what users do ---

    async def subscribe(
        self, principal: Principal, wish: Mapping[str, str], *, key: str, label: str
    ) -> tuple[PushSubscription, bool]:
        """Keep a subscription that a client has made; says whether it is new. It is told what comes from now on.

        Args:
            principal: Whose it is, and by which right; when that ends, so does the subscription.
            wish: What the transport needs.
            key: The public key that the browser subscribed with; "" for the active one.
            label: What the device is called; "" for what it was called, or for its push service.

        Raises:
            Rejected: It is none, nothing may be pushed there, or the user has too many.
            Conflict: It was made with a key that is not this installation's, or nothing can be pushed as it is
                configured.
            Unavailable: Try again.
        """
        use_secrets(*wish.values())
        if self.transport.problem:
            raise Conflict(self.transport.problem)
        key_id = self._key_id(key)
        admitted = await self.transport.admit(wish)
        cursor = await self._journal.head(principal.user_id)
        self._users.add(principal.user_id)  # before it can be missed
        subscription, is_new = await self._writer.run_unit(
            partial(
                put_subscription,
                vault=self._vault,
                user_id=principal.user_id,
                made_by=principal.key,
                admitted=admitted,
                key_id=key_id,
                label=label,
                cursor=cursor,
                most=self.transport.most_devices,
                now=self._clock.now(),
            )
        )
        if is_new:
            self._log.info(
                "push_subscription_added",
                subscription=subscription.id,
                user=principal.user_id,
                service=subscription.service,
            )
        self.look_for({principal.user_id})
        return subscription, is_new

    def _key_id(self, key: str) -> str:
        keys = self.transport.public_keys
        if not key:
            return next(iter(keys))
        for key_id, public in keys.items():
            if public == key.rstrip("="):
                return key_id
        raise Conflict(
            "The browser has subscribed with a key that this installation no longer has. Unsubscribe there, and "
            "subscribe anew with the key of GET /api/push/key."
        )

    async def test(self, user_id: UserId, subscription_id: str) -> Pushed:
        """Push a test to one subscription now; if it is gone, it is removed.

        Raises:
            NotFound: There is none of that id, or it is another's.
            Conflict: Nothing can be pushed as it is configured.
        """
        subscription = await self._writer.database.read(
            partial(find_subscription, subscription_id=subscription_id, user_id=user_id)
        )
        if self.transport.problem:
            raise Conflict(self.transport.problem)
        if subscription.key_id not in self.transport.public_keys:
            pushed = Pushed(Fate.GONE, detail=_OTHER_KEY)
        else:
            pushed = await self.transport.push(open_device(self._vault, subscription), None)
        await self._settle(subscription, pushed, None)
        if pushed.fate is Fate.TAKEN:
            self.look_for({user_id})  # what has waited need not wait any longer
        return Pushed(pushed.fate, pushed.status, redact(pushed.detail))


def _removed(subscription: PushSubscription, reason: str, now: datetime) -> Event:
    return Event(
        id=f"tidings:{subscription.id}:removed",
        type="org.tidings.push.removed",
        source=f"/api/push/subscriptions/{subscription.id}",
        time=now,
        platform=OWN_PLATFORM,
        data={
            "title": f"{subscription.label} gets no notifications any more",
            "text": f"{reason} Open tidings there, and it subscribes anew.",
            "url": "",
            "service": subscription.service,
        },
    )


def _is_given_up(subscription: PushSubscription, now: datetime) -> bool:
    since = subscription.failing_since
    return (
        since is not None
        and (now - since).total_seconds() >= _GIVE_UP_SECONDS
        and subscription.failures >= _FEWEST_TRIES
    )
