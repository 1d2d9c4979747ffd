"""What each OAuth client has used of its platform's limits, and how long it must pause; kept over restarts.

Checks are answered from memory. A pause is written down at once; counts are written behind, so a crash forgets
the calls of the last two minutes. Nodes that share a database add their counts up there, and learn of one another's
counts and pauses every ten seconds.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import cast

import anyio
import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from tidings.breaker import Breaker
from tidings.connecting import Budget, Pause
from tidings.contracts import Clock
from tidings.errors import Unavailable
from tidings.health import Health
from tidings.rowsets import insert_rows
from tidings.schema import budgets, from_stored, to_stored
from tidings.statements import Statement
from tidings.writer import Writer

_SLOTS = 96
_FLUSH_SECONDS = 120.0
_SHARE_SECONDS = 10.0
_RESERVE = 0.1  # of a budget is kept for what people ask for
_COLUMNS = ("platform", "client_id", "account_key", "used", "paused_until", "reason")
_AGAIN = (
    "(platform, client_id, account_key) DO UPDATE SET "
    "used = excluded.used, paused_until = excluded.paused_until, reason = excluded.reason"
)
_OVER = Statement(
    delete(budgets).where(budgets.c.account_key != "", budgets.c.paused_until <= bindparam("now"))
)

_Row = tuple[str, str, str, str, int | None, str]  # in the order of `_COLUMNS`


class Usage(msgspec.Struct, frozen=True):
    """How much of a budget is used: `used` of `calls` in the last `seconds`."""

    calls: int
    seconds: float
    used: int


class Report(msgspec.Struct, frozen=True):
    """Where an OAuth client stands.

    Attributes:
        paused_until: Until when nothing is asked; None for no pause.
        reason: Why it pauses; "" for no pause.
        circuit: The platform's circuit breaker: `closed`, `open`, or `half-open`.
    """

    platform: str
    client_id: str
    budgets: Sequence[Usage]
    paused_until: datetime | None
    reason: str
    circuit: str


class _Window:
    """Counts calls in the last so many seconds, in slots of a 96th of them."""

    __slots__ = ("budget", "slot_seconds", "slots", "unwritten", "used")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.slot_seconds = budget.seconds / _SLOTS
        self.slots: deque[list[int]] = deque()  # number and count of each, oldest first
        self.used = 0
        self.unwritten: dict[int, int] = {}  # counted here since it was written down

    def advance(self, now: float) -> int:
        """Forget what is too old; returns the number of the present slot."""
        present = int(now / self.slot_seconds)
        slots = self.slots
        # The slot in which the window begins is counted as a whole: rather too much than too little.
        while slots and slots[0][0] < present - _SLOTS:
            self.used -= slots.popleft()[1]
        return present

    def add(self, now: float, calls: int) -> None:
        """Count calls."""
        present = self.advance(now)
        if self.slots and self.slots[-1][0] >= present:  # the clock may have been set back
            present = self.slots[-1][0]
            self.slots[-1][1] += calls
        else:
            self.slots.append([present, calls])
        self.used += calls
        self.unwritten[present] = self.unwritten.get(present, 0) + calls

    def take(self) -> dict[int, int]:
        """What is to be written down."""
        taken, self.unwritten = self.unwritten, {}
        return taken

    def put_back(self, taken: Mapping[int, int]) -> None:
        """It could not be written down."""
        self.unwritten = _sum(taken, self.unwritten)

    def adopt(self, stored: Mapping[int, int]) -> None:
        """Go on from what is written down, by whomever, and what is not yet."""
        self.slots = deque([number, calls] for number, calls in sorted(_sum(stored, self.unwritten).items()))
        self.used = sum(calls for _, calls in self.slots)

    def free_in_seconds(self, now: float) -> float:
        """How long until a call may be made; 0 for now."""
        self.advance(now)
        left_over = self.used - self.budget.calls
        for number, count in self.slots:
            if left_over < 0:
                break
            left_over -= count
            if left_over < 0:
                return max(0.0, (number + _SLOTS + 1) * self.slot_seconds - now)
        return 0.0


@dataclasses.dataclass(slots=True)
class _Paused:
    until: float = 0.0  # seconds since 1970
    reason: str = ""


@dataclasses.dataclass(slots=True)
class _Client:
    platform: str
    id: str
    windows: Sequence[_Window]
    breaker: Breaker
    each: Sequence[Budget] = ()  # what every account has for itself
    pause: _Paused = dataclasses.field(default_factory=_Paused)
    accounts: dict[str, _Paused] = dataclasses.field(default_factory=dict)
    own_windows: dict[str, Sequence[_Window]] = dataclasses.field(default_factory=dict)
    is_changed: bool = False

    def windows_of(self, account_key: str) -> Sequence[_Window]:
        """The windows that count the calls of an account alone."""
        if not self.each:
            return ()
        windows = self.own_windows.get(account_key)
        if windows is None:
            windows = self.own_windows[account_key] = [_Window(budget) for budget in self.each]
        return windows

    def paused_accounts(self, now: float) -> dict[str, _Paused]:
        """Forget pauses that are over; returns the others."""
        self.accounts = {key: one for key, one in self.accounts.items() if one.until > now}
        return self.accounts


class Budgets:
    """Keeps every OAuth client within its platform's limits.

    Args:
        writer: Writes, and reads beside.
        clock: All time.
        health: Told when a platform goes down and comes back, as `platform/{platform}`.
        random: For jitter.
        flush_seconds: How long counts wait at most to be written down.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        health: Health,
        *,
        random: Random | None = None,
        flush_seconds: float = _FLUSH_SECONDS,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._health = health
        self._random = random or Random()  # noqa: S311 - jitter
        self._flush_seconds = flush_seconds
        self._limits: dict[str, Sequence[Budget]] = {}
        self._clients: dict[tuple[str, str], _Client] = {}
        self._breakers: dict[str, Breaker] = {}
        self._changed = anyio.Event()

    def limit(self, platform: str, limits: Sequence[Budget]) -> None:
        """Name a platform's budgets; before `load`, and before its first call."""
        self._limits[platform] = limits

    async def load(self) -> None:
        """Read what was used and paused before this start.

        Raises:
            Unavailable: The database can't be used.
        """
        self._learn(await self._writer.database.read(_read))

    def _learn(self, rows: Iterable[_Row]) -> None:
        """Go on from what is written down."""
        for platform, client_id, account_key, used, paused_until, reason in rows:
            client = self._client(platform, client_id)
            if paused_until is not None:
                paused = client.accounts.setdefault(account_key, _Paused()) if account_key else client.pause
                until = from_stored(paused_until).timestamp()
                if until > paused.until:
                    paused.until, paused.reason = until, reason
            if not account_key:
                counts = _decode(used)
                for window in client.windows:
                    window.adopt(dict(counts.get(_name(window), ())))

    async def run(self) -> None:
        """Write counts down from time to time, and learn of those of others who may, until cancelled."""
        while self._writer.database.units_at_once > 1:
            await self._clock.sleep(_SHARE_SECONDS)
            await self.flush()
            with suppress(Unavailable):  # the next time will do
                await self.load()
        while True:
            await self._changed.wait()
            await self._clock.sleep(self._flush_seconds)
            self._changed = anyio.Event()
            await self.flush()

    async def flush(self) -> None:
        """Write down what was counted since the last time; also wanted at a stop."""
        now = self._now()
        changed = [client for client in self._clients.values() if client.is_changed]
        if not changed:
            return
        rows, taken = [], []
        for client in changed:
            client.is_changed = False
            taken += [(window, window.take()) for window in client.windows]
            counts = {_name(window): counted for window, counted in taken[-len(client.windows) :]}
            paused = {"": client.pause, **client.paused_accounts(now)}
            rows += [
                self._row(client, account_key, one, {} if account_key else counts)
                for account_key, one in paused.items()
            ]
        try:
            await self._writer.run_unit(partial(_save, rows, now))
        except Unavailable:
            for window, counted in taken:
                window.put_back(counted)
            for client in changed:
                self._change(client)

    def check(self, platform: str, client_id: str, account_key: str) -> None:
        """Say whether a call may be made now; count it with `spent`, without an await in between.

        Raises:
            Unavailable: Not now; it says when. A pause, a budget that is used up, or a platform that is down.
        """
        client = self._client(platform, client_id)
        now = self._now()
        for paused in (client.pause, client.accounts.get(account_key)):
            if paused is not None and paused.until > now:
                raise Unavailable(paused.reason, retry_after_seconds=paused.until - now)
        for window in (*client.windows, *client.windows_of(account_key)):
            if window.used >= window.budget.calls and (wait_seconds := window.free_in_seconds(now)) > 0:
                raise Unavailable(
                    f"The budget of {window.budget.calls} calls in {window.budget.seconds:.0f} s is used up.",
                    retry_after_seconds=wait_seconds,
                )
        try:
            client.breaker.check()
        except Unavailable as error:  # all who wait would come in the instant in which one may try
            wait_seconds = (error.retry_after_seconds or 0.0) + client.breaker.spread_seconds()
            raise Unavailable(str(error), retry_after_seconds=wait_seconds) from None

    def spent(self, platform: str, client_id: str, account_key: str = "", calls: int = 1) -> None:
        """Count calls that are being made, or what they cost."""
        client = self._client(platform, client_id)
        now = self._now()
        for window in client.windows_of(account_key):
            window.add(now, calls)
        if client.windows:
            for window in client.windows:
                window.add(now, calls)
            self._change(client)

    async def pause(self, platform: str, client_id: str, account_key: str, pause: Pause) -> None:
        """Make a client (account "") or one account of it pause; returns when that is on disk.

        A pause in force is never shortened.
        """
        client = self._client(platform, client_id)
        now = self._now()
        until = now + pause.seconds
        paused = client.pause
        if account_key:
            paused = client.paused_accounts(now).setdefault(account_key, _Paused())
        if until <= paused.until:
            return
        paused.until, paused.reason = until, pause.reason
        row = self._row(client, account_key, paused, {})
        try:
            await self._writer.run_unit(partial(_save, [row], now))
        except Unavailable:
            self._change(client)  # it is in force, and written down with the counts

    def failed(self, platform: str, client_id: str, reason: str) -> None:
        """A call failed for the platform's sake: a 5xx, a time-out, no connection."""
        breaker = self._client(platform, client_id).breaker
        breaker.failed(reason)
        if breaker.state == "open":
            self._health.component(f"platform/{platform}").down(reason)

    def worked(self, platform: str, client_id: str) -> None:
        """A call was answered, whatever the answer."""
        breaker = self._client(platform, client_id).breaker
        if breaker.state != "closed":
            self._health.component(f"platform/{platform}").up()
        breaker.worked()

    def share_seconds(self, platform: str, client_id: str, accounts: int) -> float:
        """What one call costs of an account's fair share of its client's budgets; 0 without a budget.

        A poll of n calls at intervals of n times as long never uses a budget up. Once less than a tenth is left
        it is twice as much, so that something is left for what people ask for.
        """
        share = 0.0
        now = self._now()
        for window in self._client(platform, client_id).windows:
            window.advance(now)
            calls, seconds = window.budget.calls, window.budget.seconds
            scarce = window.used > calls * (1 - _RESERVE)
            share = max(share, max(1, accounts) * seconds / max(1, calls) * (2 if scarce else 1))
        return share

    def report(self, platform: str, client_id: str, account_key: str = "") -> Report:
        """Where a client stands, and one account of it."""
        client = self._client(platform, client_id)
        now = self._now()
        for window in client.windows:
            window.advance(now)
        paused = max(client.pause, client.accounts.get(account_key, client.pause), key=lambda one: one.until)
        is_paused = paused.until > now
        return Report(
            platform,
            client_id,
            [Usage(one.budget.calls, one.budget.seconds, one.used) for one in client.windows],
            datetime.fromtimestamp(paused.until, UTC) if is_paused else None,
            paused.reason if is_paused else "",
            client.breaker.state,
        )

    def reports(self) -> Sequence[Report]:
        """Where all clients stand that were used."""
        return [self.report(*key) for key in sorted(self._clients)]

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _client(self, platform: str, client_id: str) -> _Client:
        client = self._clients.get((platform, client_id))
        if client is None:
            breaker = self._breakers.get(platform)
            if breaker is None:
                breaker = self._breakers[platform] = Breaker(platform, self._clock.monotonic, self._random)
            limits = self._limits.get(platform, ())
            windows = [_Window(limit) for limit in limits if not limit.per_account]
            each = [limit for limit in limits if limit.per_account]
            client = self._clients[platform, client_id] = _Client(platform, client_id, windows, breaker, each)
        return client

    def _change(self, client: _Client) -> None:
        client.is_changed = True
        self._changed.set()

    def _row(
        self, client: _Client, account_key: str, paused: _Paused, used: Mapping[str, Mapping[int, int]]
    ) -> _Row:
        until = datetime.fromtimestamp(paused.until, UTC) if paused.until else None
        encoded = _encode(used)
        stored = None if until is None else to_stored(until)
        return client.platform, client.id, account_key, encoded, stored, paused.reason


def _name(window: _Window) -> str:
    return f"{window.budget.seconds:g}"


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {slot: one.get(slot, 0) + other.get(slot, 0) for slot in {**one, **other}}


def _encode(counts: Mapping[str, Mapping[int, int]]) -> str:
    return msgspec.json.encode({name: sorted(slots.items()) for name, slots in counts.items()}).decode()


def _decode(text: str) -> dict[str, list[tuple[int, int]]]:
    return msgspec.json.decode(text, type=dict[str, list[tuple[int, int]]])


def _read(connection: Connection) -> Sequence[_Row]:
    return cast("Sequence[_Row]", connection.execute(select(*(budgets.c[name] for name in _COLUMNS))).all())


def _save(rows: Sequence[_Row], now: float, connection: Connection) -> None:
    """Add counts to what is written down, keep the longer pauses, and take out pauses of accounts that are over."""
    known = {row[:3]: row for row in _read(connection)}
    merged = [_merged(row, known.get(row[:3]), now) for row in rows]
    insert_rows(connection, budgets, _COLUMNS, merged, on_conflict=_AGAIN)
    _OVER.run(connection, now=round(now * 1e6))


def _merged(row: _Row, stored: _Row | None, now: float) -> _Row:
    if stored is None:
        return row
    platform, client_id, account_key, used, paused_until, reason = row
    counts, before = _decode(used), _decode(stored[3])
    added = {
        name: {
            slot: calls
            for slot, calls in _sum(dict(counts.get(name, ())), dict(before.get(name, ()))).items()
            if slot >= int(now / (float(name) / _SLOTS)) - _SLOTS
        }
        for name in {**counts, **before}
    }
    if (stored[4] or 0) > (paused_until or 0):
        paused_until, reason = stored[4], stored[5]
    return platform, client_id, account_key, _encode(added), paused_until, reason
