"""Whatever three people do, in whatever order: each is shown what is theirs, and all of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from examples import examples
from stores import Store, opened
from tidings.accounts import User
from tidings.api_tokens import add_token, list_tokens, revoke_token
from tidings.connecting import Account
from tidings.connections import list_connections, save_connection
from tidings.contracts import Item
from tidings.event import OLDEST, Event
from tidings.history import History
from tidings.journal import SqlJournal
from tidings.push_rules import Rules, find_rules, set_rules

DOINGS = ["event", "token", "revoke", "rules", "connect", "attempt"]
steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(DOINGS), st.integers(0, 3)), min_size=1, max_size=30
)


class Life:
    """Three people, and what each has made."""

    def __init__(self, store: Store, people: list[User]) -> None:
        self.store = store
        self.people = people
        self.journal = SqlJournal(store.database, store.writer, store.clock)
        self.history = History(store.writer, store.clock)
        self.has: list[dict[str, Counter[object]]] = [
            {name: Counter() for name in ("event", "token", "connect", "attempt")} for _ in people
        ]
        self.rules = [Rules() for _ in people]
        self.tokens: list[dict[str, int]] = [{} for _ in people]

    async def do(self, who: int, doing: str, number: int) -> None:
        user, has = self.people[who], self.has[who]
        if doing == "event":
            # The same thing can happen to several people, and is each one's own.
            event = Event(
                id=f"x:{number}", type="com.x", source="//x", platform="x", data={"whose": user.name}
            )
            await self.journal.append(Item(user.id, [event], via="webhook"))
            has["event"][f"x:{number}", user.name] = 1
        elif doing == "token":
            label = f"{user.name}{number}"
            token_id, _ = await self.store.write(
                partial(add_token, user=user, scopes=["read"], now=self.store.clock.now(), label=label)
            )
            self.tokens[who][label] = token_id
            has["token"][token_id] = 1
        elif doing == "revoke" and self.tokens[who]:
            _, token_id = self.tokens[who].popitem()
            await self.store.write(partial(revoke_token, token_id=token_id))
            del has["token"][token_id]
        elif doing == "rules":
            self.rules[who] = Rules(types=(f"com.{user.name}.{number}",))
            await self.store.write(partial(set_rules, user_id=user.id, rules=self.rules[who]))
        elif doing == "connect":
            await self.store.write(partial(self._connect, user, f"{number}"))
            has["connect"][f"{number}", user.name] = 1
        elif doing == "attempt":
            self.history.note(user.id, "c", "sync", "done", f"{user.name}{number}")
            await self.store.clock.advance(1)
            has["attempt"][f"{user.name}{number}"] += 1

    def _connect(self, user: User, key: str, sql: Connection) -> None:
        save_connection(
            sql, user_id=user.id, platform="x", account=Account(key, user.name), grant_id=f"g{user.id}",
            now=self.store.clock.now(),
        )  # fmt: skip

    async def check(self, who: int) -> None:
        """What one person is shown, by the ways in which the API reads."""
        user, has = self.people[who], self.has[who]
        read = partial(self.store.database.read, user_id=user.id)
        page = await self.journal.read(user.id, OLDEST, limit=500)
        for entries in (page.entries, (await self.journal.last(user.id, 500)).entries):
            assert {entry.user_id for entry in entries} <= {user.id}
            assert Counter((entry.id, _whose(entry.data)) for entry in entries) == has["event"]
        assert (await self.journal.head(user.id)).seq == len(has["event"])
        tokens = await read(partial(list_tokens, user_id=user.id))
        assert Counter(token.id for token in tokens) == has["token"]
        found = await read(partial(list_connections, user_id=user.id))
        assert Counter((one.account_key, one.account_name) for one in found) == has["connect"]
        assert await read(partial(find_rules, user_id=user.id)) == self.rules[who]
        attempts = await self.history.last(user.id, "c")
        told = Counter(attempt.detail for attempt in attempts)
        assert told == has["attempt"] if has["attempt"].total() <= 20 else told <= has["attempt"]


def _whose(data: bytes) -> str:
    return bytes(data).decode().split('"whose":"')[1].split('"')[0]


async def live(doings: list[tuple[int, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as store:
            life = Life(store, [await store.add_user(name) for name in ("anna", "bert", "carl")])
            for who, doing, number in doings:
                await life.do(who, doing, number)
            for who in range(3):
                await life.check(who)


@pytest.mark.usefixtures("every_database")
def test_each_is_shown_what_is_theirs_and_all_of_it() -> None:
    @settings(max_examples=examples(20), deadline=None)
    @given(steps)
    def whatever_they_do(doings: list[tuple[int, str, int]]) -> None:
        asyncio.run(live(doings))

    whatever_they_do()
