"""What deliveries say is new is looked at, once, and by the poll that it prompts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from scripted import Pushing, Watch, watching
from tidings.connectors import Asked, Polled
from tidings.contracts import Api, JobRequest
from tidings.hints import read_hints
from tidings.jobs import SYNC, request_job
from tidings.schema import connection_addresses, to_stored

pytestmark = pytest.mark.usefixtures("every_database")


class Prompted(Pushing):
    """Remembers what its polls were asked to look at, and can be interrupted by a further hint."""

    def __init__(self, remote: object) -> None:
        super().__init__(remote)  # type: ignore[arg-type]  # the harness makes it
        self.hinted: list[frozenset[str]] = []
        self.pushed: list[object] = []
        self.addresses: tuple[str, ...] | None = None
        self.meanwhile: object = None

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        self.hinted.append(asked.hinted)
        self.pushed.append(asked.pushed)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()  # type: ignore[operator]  # set by a test
        yield Polled(checkpoint=asked.checkpoint, addresses=self.addresses)


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with watching(tmp_path, Prompted) as watch:
        yield watch


def connector(watch: Watch) -> Prompted:
    assert isinstance(watch.connector, Prompted)
    return watch.connector


async def hint(watch: Watch, *targets: str, in_seconds: float = 0.0) -> None:
    connection = await watch.connection
    job = JobRequest(SYNC, connection.id, in_seconds=in_seconds, hints=targets)
    at = to_stored(watch.clock.now())
    await watch.store.write(lambda sql: request_job(sql, connection.user_id, job, at))


async def kept(watch: Watch) -> dict[str, int]:
    connection = await watch.connection
    return dict(await watch.store.read(lambda sql: read_hints(sql, connection.user_id, connection.id)))


async def test_a_hint_prompts_a_poll_that_is_told_what_to_look_at(watch: Watch) -> None:
    connector(watch).hinted.clear()
    await hint(watch, "a", "b")
    await watch.pass_seconds(1)
    assert connector(watch).hinted == [frozenset({"a", "b"})]
    assert await kept(watch) == {}


async def test_several_hints_within_the_time_allowed_for_it_are_one_poll(watch: Watch) -> None:
    connector(watch).hinted.clear()
    for _ in range(5):
        await hint(watch, "a", in_seconds=3)
        await watch.pass_seconds(0.5)
    assert connector(watch).hinted == []
    await watch.pass_seconds(1)
    assert connector(watch).hinted == [frozenset({"a"})]


async def test_a_hint_that_comes_while_a_poll_looks_is_looked_at_by_another(watch: Watch) -> None:
    connector(watch).hinted.clear()
    connector(watch).meanwhile = lambda: hint(watch, "a")
    await hint(watch, "a")
    await watch.pass_seconds(1)
    assert connector(watch).hinted == [frozenset({"a"}), frozenset({"a"})]
    assert await kept(watch) == {}


async def test_hints_outlive_a_poll_that_fails(watch: Watch) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a defect")

    connector(watch).hinted.clear()
    connector(watch).meanwhile = fail
    await hint(watch, "a")
    await watch.pass_seconds(3600)
    assert connector(watch).hinted[:2] == [frozenset({"a"}), frozenset({"a"})]
    assert await kept(watch) == {}


async def test_a_poll_says_by_what_deliveries_may_name_its_account(watch: Watch) -> None:
    def named(sql: Sql) -> set[str]:
        return set(sql.execute(select(connection_addresses.c.address)).scalars())

    for addresses, expected in (
        (("channel:1", "channel:2"), {"channel:1", "channel:2"}),
        (None, {"channel:1", "channel:2"}),
        (("channel:2",), {"channel:2"}),
        ((), set()),
    ):
        connector(watch).addresses = addresses
        await hint(watch, "")
        await watch.pass_seconds(1)
        assert await watch.store.read(named) == expected
