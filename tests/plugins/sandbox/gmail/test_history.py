"""The emulated Gmail tells what changed since a history id, as long as it remembers."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidings.testing.clock import FakeClock
from tidings_sandbox.gmail.mailbox import Change, Mailbox


async def history(caller, start, **params):
    """All pages: the records, and the history id of the last page."""
    records, token = [], ""
    while True:
        page = await caller.get(
            "history", startHistoryId=start, **params, **({"pageToken": token} if token else {})
        )
        assert page.get("history") != []
        records += page.get("history", [])
        if "nextPageToken" not in page:
            return records, page["historyId"]
        token = page["nextPageToken"]


async def test_nothing_new_is_said_without_a_list(caller):
    start = await caller.position()
    assert await caller.get("history", startHistoryId=start) == {"historyId": start}


async def test_each_change_is_a_record_of_its_sort(caller):
    start = await caller.position()
    message_id = caller.mail()
    caller.act("read", message=message_id)
    caller.act("archive", message=message_id)
    caller.act("delete", message=message_id)
    records, last = await history(caller, start)
    named = {"id": message_id, "threadId": message_id}
    assert [{name: one for name, one in record.items() if name != "id"} for record in records] == [
        {"messages": [named], "messagesAdded": [{"message": {**named, "labelIds": ["INBOX", "UNREAD"]}}]},
        {
            "messages": [named],
            "labelsRemoved": [{"message": {**named, "labelIds": ["INBOX"]}, "labelIds": ["UNREAD"]}],
        },
        {
            "messages": [named],
            "labelsRemoved": [{"message": {**named, "labelIds": []}, "labelIds": ["INBOX"]}],
        },
        {"messages": [named], "messagesDeleted": [{"message": {**named, "labelIds": []}}]},
    ]
    ids = [int(record["id"]) for record in records]
    assert ids == sorted(set(ids))
    assert last == records[-1]["id"] == await caller.position()
    assert await history(caller, records[1]["id"]) == (records[2:], last)


async def test_kinds_and_labels_are_sifted_but_the_position_is_the_mailboxes(caller):
    start = await caller.position()
    message_id = caller.mail()
    caller.act("archive", message=message_id)
    caller.act("send")
    caller.mail(labels=["SPAM"])
    for params, kinds in [
        ({"historyTypes": "messageAdded"}, ["messagesAdded"] * 3),
        (
            {"historyTypes": ["messageAdded", "labelRemoved"], "labelId": "INBOX"},
            ["messagesAdded", "labelsRemoved"],
        ),
        ({"historyTypes": "labelAdded"}, []),
        ({"labelId": "SENT"}, ["messagesAdded"]),
    ]:
        records, last = await history(caller, start, **params)
        assert [list(record)[-1] for record in records] == kinds
        assert last == await caller.position()


async def test_a_draft_that_is_saved_twice_leaves_a_message_that_is_gone(caller):
    start = await caller.position()
    caller.act("draft")
    records, _ = await history(caller, start)
    assert [list(record)[-1] for record in records] == ["messagesAdded", "messagesDeleted", "messagesAdded"]
    gone = records[0]["messages"][0]["id"]
    assert (await caller.call("GET", f"messages/{gone}")).status_code == 404


async def test_pages_hold_while_more_happens(caller):
    start = await caller.position()
    ids = [caller.mail() for _ in range(5)]
    first = await caller.get("history", startHistoryId=start, maxResults=2)
    ids.append(caller.mail())
    second = await caller.get("history", startHistoryId=start, maxResults=3, pageToken=first["nextPageToken"])
    third = await caller.get("history", startHistoryId=start, maxResults=3, pageToken=second["nextPageToken"])
    pages = [first, second, third]
    assert [one["messages"][0]["id"] for page in pages for one in page["history"]] == ids
    assert "nextPageToken" not in third
    assert third["historyId"] == await caller.position()


async def test_what_is_forgotten_is_not_found_and_what_follows_is(caller):
    start = await caller.position()
    caller.mail()
    now = await caller.position()
    mailbox = caller.gmail.mailbox(caller.world.person(caller.person))
    mailbox.forget_history()
    answer = await caller.call("GET", "history", startHistoryId=start)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    message_id = caller.mail()
    records, _ = await history(caller, now)
    assert [one["messages"][0]["id"] for one in records] == [message_id]


async def test_history_is_kept_for_a_week(caller):
    start = await caller.position()
    caller.mail()
    middle = await caller.position()
    await caller.clock.advance(timedelta(days=7).total_seconds())
    caller.mail()
    assert (await caller.call("GET", "history", startHistoryId=start)).status_code == 404
    assert len((await history(caller, middle))[0]) == 1


@given(st.lists(st.sampled_from(["add", "read", "archive", "delete"]), max_size=30), st.integers(0, 30))
def test_history_from_anywhere_is_what_happened_since(kinds, start_at):
    serial = iter(range(1000, 10_000, 3))
    told: list[Change] = []
    mailbox = Mailbox("a@b.example", lambda: next(serial), FakeClock().now, told.append)
    positions = [mailbox.history_id]
    for kind in kinds:
        messages = list(mailbox)
        if kind == "add" or not messages:
            mailbox.add({}, "", ["INBOX", "UNREAD"])
        elif kind == "delete":
            mailbox.delete(messages[0])
        else:
            mailbox.relabel(messages[-1], remove=["UNREAD" if kind == "read" else "INBOX"])
        positions.append(mailbox.history_id)
    start = positions[min(start_at, len(positions) - 1)]
    assert list(mailbox.changes(start)) == [change for change in told if change.id > start]
    mailbox.forget_history()
    assert list(mailbox.changes(0)) == []
