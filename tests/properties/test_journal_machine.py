"""The journal against a model of it: whatever is appended, cut, read and restarted, in any order."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import stores
from examples import examples
from stores import placed, with_our_clock
from tidings.accounts import add_user
from tidings.contracts import DeliveryKey, Item
from tidings.event import OLDEST, Cursor, Event, UserId
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.retention import Policy, Retention
from tidings.selection import TypeSelection
from tidings.testing.clock import FakeClock
from tidings.writer import Writer

USERS = 2
# Few ids, so that many are known already; some that databases and JSON treat with care.
IDS = [*[f"x:{number}" for number in range(30)], "x:\"'", "x:\\", "x:😀\u2028", "x:%s?", "x:" + "y" * 700]
_drop = structlog.wrap_logger(None, processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])


@dataclasses.dataclass
class Model:
    """One user's journal, as simply as it can be said."""

    epoch: str
    ids: list[str] = dataclasses.field(default_factory=list)  # of seq 1, 2, …
    at: list[datetime] = dataclasses.field(default_factory=list)
    floor: int = 0
    deliveries: set[str] = dataclasses.field(default_factory=set)

    def append(
        self, ids: list[str], delivery: str | None, now: datetime
    ) -> tuple[list[int | None], int, bool]:
        repeated = delivery in self.deliveries
        fresh = 0
        if not repeated:
            if delivery is not None:
                self.deliveries.add(delivery)
            for id_ in ids:
                if id_ not in self.ids:
                    self.ids.append(id_)
                    self.at.append(now)
                    fresh += 1
        return [self.place(id_) for id_ in ids], fresh, repeated

    def place(self, id_: str) -> int | None:
        """Its seq; None where it is not kept."""
        if id_ not in self.ids or self.ids.index(id_) < self.floor:
            return None
        return self.ids.index(id_) + 1

    def cut(self, *, before: datetime | None, keep: int | None) -> None:
        while self.floor < len(self.ids) and (
            (before is not None and self.at[self.floor] < before)
            or (keep is not None and len(self.ids) - self.floor > keep)
        ):
            self.floor += 1


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.place = AsyncExitStack()
        self.url = self.runner.run(self.place.enter_async_context(placed(Path(self.folder.name))))
        self.users: list[UserId] = []
        self.runner.run(self.open())
        self.models = {user: Model(self.runner.run(self.epoch(user))) for user in self.users}

    async def open(self) -> None:
        self.database = with_our_clock(self.url)
        self.writer = Writer(
            self.database, Health(self.clock, _drop).component("database"), self.clock.monotonic
        )
        self.journal = SqlJournal(self.database, self.writer, self.clock)
        self.told: list[tuple[int, int, str]] = []
        self.journal.on_commit(
            lambda entries, _seconds: self.told.extend((e.user_id, e.cursor.seq, e.id) for e in entries)
        )
        if not self.users:
            now = self.clock.now()
            self.users = [
                (
                    await self.writer.run_unit(
                        lambda connection, name=f"user{number}": add_user(
                            connection, name=name, is_admin=False, now=now
                        )
                    )
                ).id
                for number in range(USERS)
            ]

    async def epoch(self, user: UserId) -> str:
        return (await self.journal.head(user)).epoch

    async def shut(self) -> None:
        self.writer.close()
        await self.writer.drained()
        await self.database.close()

    def teardown(self) -> None:
        self.runner.run(self.shut())
        self.runner.run(self.place.aclose())
        self.runner.close()
        self.folder.cleanup()

    @rule(
        items=st.lists(
            st.tuples(
                st.integers(0, USERS - 1),
                st.lists(st.sampled_from(IDS), max_size=8),
                st.none() | st.sampled_from(["d1", "d2", "d3", "d4"]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def append(self, items: list[tuple[int, list[str], str | None]]) -> None:
        self.told.clear()
        now = self.clock.now()
        before = {user: len(model.ids) for user, model in self.models.items()}
        wanted = [
            self.models[self.users[user]].append([_stored(id_) for id_ in ids], delivery, now)
            for user, ids, delivery in items
        ]
        results = self.runner.run(
            self._append(
                [
                    Item(
                        self.users[user],
                        [_event(id_) for id_ in ids],
                        via="webhook",
                        delivery=None if delivery is None else DeliveryKey("r", delivery),
                    )
                    for user, ids, delivery in items
                ]
            )
        )
        for (user, ids, _), (places, fresh, repeated), result in zip(items, wanted, results, strict=True):
            del user
            assert (result.fresh, result.repeated) == (fresh, repeated)
            # A repeated delivery may name events that came later in the batch, or never.
            seqs = [None if cursor is None else cursor.seq for cursor in result.cursors]
            assert len(seqs) == len(ids)
            if not repeated:
                assert seqs == places
        news = [
            (user, seq, id_)
            for user, model in self.models.items()
            for seq, id_ in enumerate(model.ids[before[user] :], before[user] + 1)
        ]
        assert sorted(self.told) == sorted(news)

    async def _append(self, items: list[Item]) -> Any:
        return await self.journal.append(*items)

    @rule(hours=st.floats(0.1, 12))
    def pass_time(self, hours: float) -> None:
        self.runner.run(self.clock.advance(hours * 3600))

    @rule(days=st.none() | st.floats(0.1, 3), keep=st.none() | st.integers(1, 12))
    def cut(self, days: float | None, keep: int | None) -> None:
        before = None if days is None else self.clock.now() - timedelta(days=days)
        kept = sum(len(model.ids) - model.floor for model in self.models.values())
        for model in self.models.values():
            model.cut(before=before, keep=keep)
        left = sum(len(model.ids) - model.floor for model in self.models.values())
        retention = Retention(self.writer, self.clock, _drop, Policy(days, keep))
        assert self.runner.run(retention.cut()) == kept - left

    @rule(
        user=st.integers(0, USERS - 1),
        after=st.just(OLDEST)
        | st.tuples(st.sampled_from(["own", "own", "own", "foreign"]), st.integers(0, 60)),
        limit=st.integers(1, 20),
        odd_only=st.booleans(),
    )
    def read(self, user: int, after: Any, limit: int, odd_only: bool) -> None:
        model = self.models[self.users[user]]
        head = len(model.ids)
        cursor = (
            after if after is OLDEST else Cursor(model.epoch if after[0] == "own" else "foreign", after[1])
        )
        selection = TypeSelection(["odd"]) if odd_only else None
        entries, page_cursor, first = [], cursor, True
        while True:
            page = self.runner.run(
                self.journal.read(self.users[user], page_cursor, limit=limit, selection=selection)
            )
            assert page.gap is None or first, "a gap is told once"
            if first:
                start = self._check_gap(model, cursor, head, page.gap)
            first = False
            assert len(page.entries) <= limit
            entries += page.entries
            page_cursor = page.cursor
            if page.at_head:
                break
        assert page_cursor == Cursor(model.epoch, head)
        wanted = [
            (seq, id_)
            for seq, id_ in enumerate(model.ids, 1)
            if seq > start and (not odd_only or _type(id_) == "odd")
        ]
        assert [(entry.cursor.seq, entry.id) for entry in entries] == wanted

    def _check_gap(self, model: Model, cursor: Cursor, head: int, gap: Any) -> int:
        """The seq behind which reading must start."""
        if cursor is OLDEST:
            assert gap is None
            return model.floor
        if cursor.epoch != model.epoch or cursor.seq > head:
            assert (gap.reason, gap.to_seq, gap.count) == ("restored", model.floor, model.floor)
            return model.floor
        if cursor.seq < model.floor:
            assert (gap.reason, gap.from_seq, gap.to_seq) == ("retention", cursor.seq + 1, model.floor)
            assert gap.count == model.floor - cursor.seq
            return model.floor
        assert gap is None
        return cursor.seq

    @rule()
    def restart(self) -> None:
        self.runner.run(self.shut())
        self.runner.run(self.open())

    @invariant()
    def heads_are_dense_and_epochs_stay(self) -> None:
        for user, model in self.models.items():
            assert self.runner.run(self.journal.head(user)) == Cursor(model.epoch, len(model.ids))


def _event(id_: str) -> Event:
    return Event(id=id_, type=_type(_stored(id_)), source="//x", platform="x", data={"title": id_})


def _stored(id_: str) -> str:
    from tidings.rows import prepare

    if id_ in IDS and len(id_) <= 500:
        return id_
    return prepare(Event(id=id_, type="t", source="s", platform="x", data={})).id


def _type(id_: str) -> str:
    return "odd" if sum(id_.encode()) % 2 else "even"


@pytest.mark.usefixtures("every_database")
def test_the_journal_does_what_its_model_does() -> None:
    run_state_machine_as_test(
        JournalMachine,
        settings=settings(
            max_examples=examples(20 if stores.server is None else 8), stateful_step_count=25, deadline=None
        ),
    )
