"""What becomes of Google's answers: one case a file, told as it was reviewed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calendar_exchanges import LIST, NOW, ScriptedApi, answer, asked, connector, later, polled, told
from tidings.event import Event, rfc3339

HERE = Path(__file__).parent
FIXTURES = sorted((HERE / "fixtures").glob("event__*.json"))
GOLDENS = HERE / "goldens.json"
ME = "ada@example.org"
EVENTS = "GET /calendars/ada%40example.org/events"
CALENDARS = {
    "items": [
        {
            "id": ME,
            "summary": ME,
            "summaryOverride": "Ada",
            "timeZone": "Europe/Berlin",
            "primary": True,
            "selected": True,
            "accessRole": "owner",
        }
    ],
    "nextSyncToken": "list1",
}
Json = dict[str, Any]


async def news(fixture: Json) -> list[Event]:
    """What is told when a calendar that was as before is answered with what changed, or with all there is."""
    of = connector()
    gone = answer(
        {"error": {"code": 410, "message": "gone", "errors": [{"reason": "fullSyncRequired"}]}}, 410
    )
    now = answer({"items": fixture["answer"], "nextSyncToken": "t2"})
    api = ScriptedApi(
        {
            f"GET {LIST}": answer(CALENDARS),
            EVENTS: [
                answer({"items": fixture["before"], "nextSyncToken": "t1"}),
                *([gone, now] if fixture["whole"] else [now]),
                answer({"items": [], "nextSyncToken": "t3"}),
            ],
        }
    )
    first = await polled(of, api, asked(at=later(hours=-1)))
    assert told(first) == []
    second = await polled(of, api, asked(_stored(first[-1].checkpoint)))
    third = await polled(of, api, asked(_stored(second[-1].checkpoint), at=later(hours=1)))
    assert told(third) == []
    return told(second)


def _stored(checkpoint: Any) -> Any:
    return json.loads(json.dumps(checkpoint))


def outcome(event: Event) -> Json:
    """What a reader of the feed gets to see; short enough to be read by eye."""
    data = event.data
    shown = {
        "type": event.type.rpartition(".")[2],
        "title": data["title"],
        "text": data["text"],
        "url": data["url"],
        "actor": data["actor"]["name"],
        "time": event.time and rfc3339(event.time),
        "id": event.id,
        "changed": data.get("changed"),
        "series": data.get("series"),
        "answer": data.get("answer"),
    }
    return {key: value for key, value in shown.items() if value}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
async def test_every_case_is_told_as_reviewed(path: Path) -> None:
    events = await news(json.loads(path.read_text()))
    assert [outcome(event) for event in events] == json.loads(GOLDENS.read_text())[path.stem]
    for event in events:
        assert event.source == "//calendar.google.com/calendars/ada@example.org"
        assert event.id == f"calendar:{ME}:{event.subject}:{event.id.split(event.subject + ':', 1)[1]}"
        assert event.data["calendar"] == {"id": ME, "name": "Ada"}


def test_every_golden_has_its_fixture() -> None:
    assert set(json.loads(GOLDENS.read_text())) == {path.stem for path in FIXTURES}


async def test_a_card_has_the_fields_that_any_page_can_show() -> None:
    fixture = json.loads((HERE / "fixtures" / "event__created_online.json").read_text())
    (event,) = await news(fixture)
    assert event.data == {
        "title": "New in Ada: Team lunch",
        "text": "Tuesday 1 December 2026, 12:00\u201313:00",
        "url": "https://www.google.com/calendar/event?eid=bHVuY2gx",
        "actor": {"name": "Grace", "avatar_url": ""},
        "calendar": {"id": ME, "name": "Ada"},
        "event": {
            "id": "lunch1",
            "title": "Team lunch",
            "status": "confirmed",
            "start": "2026-12-01T12:00:00+01:00",
            "end": "2026-12-01T13:00:00+01:00",
            "all_day": False,
            "meeting_url": "https://meet.google.com/abc-defg-hij",
        },
    }
    assert event.time == NOW.replace(hour=11, minute=59)


async def _write() -> None:
    """Write the goldens again: `python test_news.py`. Read the difference by eye before it is kept."""
    goldens = {
        path.stem: [outcome(event) for event in await news(json.loads(path.read_text()))] for path in FIXTURES
    }
    GOLDENS.write_text(json.dumps(goldens, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    import asyncio

    asyncio.run(_write())
