from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, func, select

from streams import Scene, scene_in
from tidings.contracts import Principal
from tidings.errors import NotFound, Rejected
from tidings.event import MESSAGE_TYPE, OLDEST, UserId
from tidings.messages import Messages, compose
from tidings.metrics import Metrics
from tidings.scheduler import Scheduler
from tidings.schema import broadcasts, jobs

SENDER = Principal(UserId(1), "alice", "token", "token:1", frozenset({"send"}))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as scene:
        yield scene


def _messages(scene: Scene) -> tuple[Messages, Scheduler]:
    log = structlog.wrap_logger(None, processors=[_drop])
    store = scene.store
    scheduler = Scheduler(scene.journal, store.writer, store.clock, log, Metrics())
    return Messages(scene.journal, store.writer, scheduler, store.clock), scheduler


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent


def test_a_message_has_what_every_event_shows() -> None:
    message = compose({"title": "Paid", "amount": 7}, SENDER, None)
    assert message.data == {
        "title": "Paid",
        "amount": 7,
        "text": "",
        "url": "",
        "actor": {"name": "alice", "avatar_url": ""},
    }


def test_nobody_speaks_in_anothers_name() -> None:
    message = compose({"title": "x", "actor": {"name": "bob"}}, SENDER, None)
    assert message.data["actor"]["name"] == "alice"


def test_the_key_becomes_the_id_and_without_one_every_message_is_another() -> None:
    assert compose({"title": "x"}, SENDER, "k").id == "tidings:message:1:k"
    assert compose({"title": "x"}, SENDER, None).id != compose({"title": "x"}, SENDER, None).id


@pytest.mark.parametrize(
    "fields",
    [{}, {"title": " \n"}, {"title": "x", "text": None}, {"title": "x", "url": "ftp://x"}, {"title": ["x"]}],
)
def test_what_can_not_be_shown_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refused:
        compose(fields, SENDER, None)
    assert refused.value.status == 400


async def test_a_message_is_an_event_of_its_receiver(scene: Scene) -> None:
    messages, _ = _messages(scene)
    message = compose({"title": "x"}, SENDER, "k")
    first = await messages.send(scene.bob, message)
    again = await messages.send(scene.bob, message)
    assert (first.fresh, again.fresh) == (1, 0)
    (entry,) = (await scene.journal.read(scene.bob, OLDEST, limit=10)).entries
    assert (entry.type, entry.platform, entry.via) == (MESSAGE_TYPE, "tidings", "api")


async def test_nobody_is_sent_nothing(scene: Scene) -> None:
    messages, _ = _messages(scene)
    with pytest.raises(NotFound):
        await messages.send(UserId(999), compose({"title": "x"}, SENDER, None))


async def test_a_broadcast_is_one_row_and_one_job_however_often_it_is_asked_for(scene: Scene) -> None:
    messages, _ = _messages(scene)
    for _ in range(3):
        await messages.broadcast(scene.alice, compose({"title": "x"}, SENDER, "k"))

    def counts(connection: Connection) -> list[int]:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (broadcasts, jobs)
        ]

    assert await scene.store.read(counts) == [1, 1]


async def test_a_broadcast_goes_out_in_chunks_to_everyone_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.messages._USERS_AT_ONCE", 3)
    users = [scene.alice, scene.bob, *[(await scene.store.add_user(f"u{n}")).id for n in range(8)]]
    messages, scheduler = _messages(scene)
    running = asyncio.create_task(scheduler.run())
    try:
        await messages.broadcast(scene.alice, compose({"title": "x"}, SENDER, "k"))
        async with asyncio.timeout(5):
            while not await scene.store.read(_finished):
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [(await scene.journal.head(user)).seq for user in users] == [1] * len(users)


def _finished(connection: Connection) -> int:
    done = select(func.count()).select_from(broadcasts).where(broadcasts.c.finished_at.is_not(None))
    return int(connection.execute(done).scalar_one())
