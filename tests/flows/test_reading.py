"""Up to where one has read, on whatever device; what came before; what happened lately."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import stores
import tidings
from tidings.accounts import User
from tidings.contracts import Item
from tidings.event import Event
from tidings.retention import Policy, Retention
from tidings.testing.clock import FakeClock
from tidings.testing.readers import TRANSPORTS
from tidings.testing.server import CONFIG, LiveServer

_numbers = itertools.count()
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Reader:
    """A user with a token."""

    def __init__(self, server: LiveServer, user: User, token: str) -> None:
        self.server, self.user, self.token = server, user, token

    @classmethod
    async def at(cls, server: LiveServer) -> Reader:
        user = await server.add_user(f"reader{next(_numbers)}")
        return cls(server, user, await server.add_token(user))

    async def ask(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        method = "GET" if body is None else "PUT"
        answer = await self.server.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def append(
        self, count: int, *, platform: str = "test", late_seconds: float = 0, via: str = "api"
    ) -> None:
        happened = self.server.services.clock.now() - timedelta(seconds=late_seconds)
        made = [
            Event(
                id=f"test:{next(_numbers)}",
                type="com.test",
                source="//t",
                time=happened,
                platform=platform,
                data={},
            )
            for _ in range(count)
        ]
        await self.server.services.journal.append(Item(self.user.id, made, via=via))

    async def cursors(self) -> list[str]:
        return [event["cursor"] for event in (await self.ask("/api/events?limit=500"))["events"]]


# --- how far one has read ---------------------------------------------------------------------------------------


async def test_nothing_is_read_until_it_is_said_to_be(shared_server: LiveServer) -> None:
    reader = await Reader.at(shared_server)
    assert (await reader.ask("/api/reading"))["unread"] == 0
    await reader.append(5)
    assert (await reader.ask("/api/reading"))["unread"] == 5
    third = (await reader.cursors())[2]
    fifth = (await reader.cursors())[4]
    assert await reader.ask("/api/reading", {"cursor": third}) == {
        "cursor": third,
        "unread": 2,
        "head": fifth,
    }
    assert await reader.ask("/api/reading") == {"cursor": third, "unread": 2, "head": fifth}
    await reader.append(1)
    sixth = (await reader.cursors())[5]
    assert await reader.ask("/api/reading") == {"cursor": third, "unread": 3, "head": sixth}


async def test_what_was_read_stays_read_whatever_comes_late_or_of_elsewhere(
    shared_server: LiveServer,
) -> None:
    reader = await Reader.at(shared_server)
    await reader.append(3)
    first, second, third = await reader.cursors()
    await reader.ask("/api/reading", {"cursor": second})
    epoch = second.partition("-")[0]
    for other in (first, second, "0", f"{epoch}-4", f"{epoch}x-3"):
        told = await reader.ask("/api/reading", {"cursor": other})
        assert told == {"cursor": second, "unread": 1, "head": third}
    refused = await reader.ask("/api/reading", {"cursor": "no cursor"}, status=400)
    assert refused["error"]["code"] == "invalid_cursor"
    assert await reader.ask("/api/reading", {"cursor": third}) == {
        "cursor": third,
        "unread": 0,
        "head": third,
    }


@pytest.mark.usefixtures("every_database")
async def test_what_retention_has_cut_is_not_unread(tmp_path: Path) -> None:
    async with stores.live(tmp_path, CONFIG) as server:
        reader = await Reader.at(server)
        await reader.append(5)
        services = server.services
        await Retention(services.writer, services.clock, services.log, Policy(None, 2)).cut()
        told = await reader.ask("/api/reading")
        assert (told["unread"], told["cursor"].rpartition("-")[2]) == (2, "3")


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
async def test_the_other_pages_and_programs_are_told_and_nobody_else(
    shared_server: LiveServer, transport: str
) -> None:
    reader, stranger = await Reader.at(shared_server), await Reader.at(shared_server)
    await reader.append(2)
    first, second = await reader.cursors()
    listen = TRANSPORTS[transport]
    async with listen(shared_server, reader.token) as mine, listen(shared_server, stranger.token) as theirs:
        await reader.ask("/api/reading", {"cursor": first})
        await reader.ask("/api/reading", {"cursor": first})  # nothing new, so nothing is told
        await reader.ask("/api/reading", {"cursor": second})
        told = [await mine.event() for _ in range(2)]
        assert [(one.kind, one.name, one.cursor) for one in told] == [("notice", "connection_status", "")] * 2
        assert [(one.data["cursor"], one.data["unread"]) for one in told] == [(first, 1), (second, 0)]
        assert {one.data["head"] for one in told} == {second}
        assert {(one.data["type"], one.data["platform"]) for one in told} == {
            ("org.tidings.reading", "tidings")
        }
        await stranger.append(1)
        assert (await theirs.event()).kind == "event"


@pytest.mark.usefixtures("every_database")
async def test_what_is_there_when_positions_come_into_being_counts_as_read(tmp_path: Path) -> None:
    # The migration's own statement, on tables as they were before it.
    source = (Path(tidings.__file__).parent / "migrations" / "versions" / "0006_readings.py").read_text()
    (statement,) = re.findall(r'"(INSERT INTO readings [^"]+)"', source)
    async with stores.live(tmp_path, CONFIG) as server:
        reader = await Reader.at(server)
        await reader.append(4)
        await server.services.writer.run_unit(lambda sql: sql.exec_driver_sql(statement).rowcount)
        assert (await reader.ask("/api/reading"))["unread"] == 0


# --- what came before -------------------------------------------------------------------------------------------


async def test_the_journal_can_be_read_backwards(shared_server: LiveServer) -> None:
    reader = await Reader.at(shared_server)
    await reader.append(7)
    cursors = await reader.cursors()
    page = await reader.ask("/api/events?last=3")
    found: list[str] = []
    while page["events"] and len(found) <= len(cursors):
        found[:0] = [event["cursor"] for event in page["events"]]
        page = await reader.ask(f"/api/events?before={found[0]}&limit=2")
    assert found == cursors
    assert page["next"] == page["cursor"]
    page = await reader.ask(f"/api/events?before={cursors[4]}&limit=2")
    assert [event["cursor"] for event in page["events"]] == cursors[2:4]
    assert (await reader.ask(f"/api/events?after={page['next']}"))["events"][0]["cursor"] == cursors[4]


@pytest.mark.usefixtures("every_database")
async def test_nothing_lies_before_the_beginning_nor_before_another_journal(tmp_path: Path) -> None:
    async with stores.live(tmp_path, CONFIG) as server:
        reader = await Reader.at(server)
        await reader.append(5)
        cursors = await reader.cursors()
        assert (await reader.ask("/api/events?before=0"))["events"] == []
        other = await reader.ask("/api/events?before=elsewhere-3")
        assert (other["events"], other["gap"]["reason"]) == ([], "restored")
        services = server.services
        await Retention(services.writer, services.clock, services.log, Policy(None, 2)).cut()
        assert [
            one["cursor"] for one in (await reader.ask(f"/api/events?before={cursors[4]}"))["events"]
        ] == cursors[3:4]
        gone = await reader.ask(f"/api/events?before={cursors[1]}")
        assert (gone["events"], gone["gap"]["reason"]) == ([], "retention")


# --- what happened lately ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_database")
async def test_events_are_counted_by_hour_platform_and_how_late_they_came(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    async with stores.live(tmp_path, CONFIG, clock=clock) as server:
        reader = await Reader.at(server)
        await reader.append(2, platform="github", late_seconds=1, via="webhook")
        await reader.append(1, platform="github", late_seconds=1.000001, via="webhook")
        await clock.advance(3600)
        await reader.append(3, platform="github", late_seconds=7200, via="polling")
        await reader.append(1, platform="gmail", late_seconds=90_000, via="polling")
        await reader.append(1, platform="tidings", late_seconds=50)
        told = await reader.ask("/api/activity?hours=2")
        assert told["since"] == "2026-03-01T12:00:00Z"
        noon, later = "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"
        assert [(one["at"], one["platform"], one["events"]) for one in told["hours"]] == [
            (noon, "github", 3),
            (later, "github", 3),
            (later, "gmail", 1),
            (later, "tidings", 1),
        ]
        assert told["steps_seconds"] == [1, 5, 30, 120, 600, 3600, 21600]
        assert {(one["platform"], one["via"]): one["counts"] for one in told["delays"]} == {
            ("github", "polling"): [0, 0, 0, 0, 0, 0, 3, 0],
            ("github", "webhook"): [2, 1, 0, 0, 0, 0, 0, 0],
            ("gmail", "polling"): [0, 0, 0, 0, 0, 0, 0, 1],
        }
        assert {one["at"] for one in (await reader.ask("/api/activity?hours=1"))["hours"]} == {later}
        stranger = await Reader.at(server)
        assert (await stranger.ask("/api/activity"))["hours"] == []
        assert (
            "hours: '0' is not a number"
            in (await stranger.ask("/api/activity?hours=0", status=400))["error"]["message"]
        )


@pytest.mark.usefixtures("every_database")
async def test_of_very_many_events_the_newest_are_counted_and_since_when_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(NOON)
    async with stores.live(tmp_path, CONFIG, clock=clock) as server:
        reader = await Reader.at(server)
        for _ in range(4):
            await reader.append(5)
            await clock.advance(3600)
        monkeypatch.setattr("tidings.activity.MOST_EVENTS", 12)
        told = await reader.ask("/api/activity")
        assert told["since"] == "2026-03-01T14:00:00Z"
        assert [one["events"] for one in told["hours"]] == [5, 5]
