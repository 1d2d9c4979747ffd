"""Events, the journal and positions in it."""

from datetime import UTC, datetime

from tidings import (
    OLDEST,
    Appended,
    Checkpoint,
    Cursor,
    Entry,
    Event,
    Gap,
    Item,
    Journal,
    Page,
    TidingsError,
    UserId,
    encode_json,
    rfc3339,
)
from tidings.errors import InvalidCursor, NotFound
from tidings.event import MESSAGE_TYPE, OWN_PLATFORM
from tidings.items import DeliveryKey, JobEnd, JobLease, JobRequest
from tidings.selection import EVERYTHING, TypeSelection, parse_selection
from tidings.testing import FakeClock, MemoryJournal


def ring(serial: str) -> Event:
    return Event(
        id=f"doorbell:ring:{serial}",  # from the content: the same whichever way it comes
        type="org.example.doorbell.ring",
        source="//doorbell/front",
        time=datetime(2026, 11, 5, 8, 30, tzinfo=UTC),
        platform="doorbell",
        data={"title": "Somebody is at the front door", "url": ""},
    )


async def show_that_the_journal_takes_an_event_once() -> None:
    memory = MemoryJournal(FakeClock())
    journal: Journal = memory
    ann: UserId = memory.add_user()
    item = Item(
        user_id=ann,
        events=[ring("1"), ring("2")],
        via="webhook",
        connection_id="c1",
        delivery=DeliveryKey("hook-1", "delivery-1"),
        checkpoint=Checkpoint("c1", {"last": 2}),  # committed with the events, or not at all
        jobs=[JobRequest("sync", "c1", in_seconds=60)],
    )
    taken: Appended
    (taken,) = await journal.append(item)
    assert taken.fresh == 2
    (again,) = await journal.append(item)
    assert (again.fresh, again.repeated) == (0, True)

    page: Page = await journal.read(ann, OLDEST, limit=1)
    entry: Entry = page.entries[0]
    assert (entry.id, entry.cursor.seq, page.at_head) == ("doorbell:ring:1", 1, False)
    assert b'"specversion":"1.0"' in entry.cloudevent()
    rest = await journal.read(ann, page.cursor, limit=100)
    assert [one.id for one in rest.entries] == ["doorbell:ring:2"]
    assert rest.cursor == await journal.head(ann)

    try:
        await journal.append(Item(user_id=UserId(99), events=[ring("3")], via="api"))
    except NotFound as error:
        assert isinstance(error, TidingsError)  # as all that tidings raises on purpose


async def show_a_run_that_ends_with_what_it_brought() -> None:
    memory = MemoryJournal(FakeClock())
    end = JobEnd("sync", "c1", lease="l1", again_seconds=900)
    assert isinstance(end, JobLease)  # the right to commit: without it nothing of the item is stored
    (taken,) = await memory.append(
        Item(user_id=memory.add_user(), events=[ring("1")], via="polling", job_end=end)
    )
    assert taken.fresh == 1


def show_positions() -> None:
    cursor = Cursor.parse("k3f9-17")
    assert (cursor.epoch, cursor.seq, str(cursor)) == ("k3f9", 17, "k3f9-17")
    assert Cursor.parse("0") == OLDEST
    try:
        Cursor.parse("yesterday")
    except InvalidCursor as error:
        assert "yesterday" in str(error)
    gap = Gap(from_seq=1, to_seq=9, count=9, reason="retention")
    assert gap.encode() == b'{"from":1,"to":9,"count":9,"reason":"retention"}'


def show_what_a_reader_selects() -> None:
    rings = parse_selection("org.example.doorbell.*", "")
    assert rings.matches("org.example.doorbell.ring", "doorbell")
    assert not rings.matches(MESSAGE_TYPE, OWN_PLATFORM)
    assert EVERYTHING.matches(MESSAGE_TYPE, OWN_PLATFORM)
    assert TypeSelection(platforms=["doorbell"]).matches("org.example.doorbell.ring", "doorbell")


def show_the_wire() -> None:
    assert rfc3339(datetime(2026, 11, 5, 9, 30, tzinfo=UTC)) == "2026-11-05T09:30:00Z"
    assert encode_json({"title": "Tür"}) == '{"title":"Tür"}'.encode()
