"""What comes into a mailbox is told once, from our own position in its history."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gmail_exchanges import bench
from tidings.contracts import Asked
from tidings.errors import Unavailable


async def test_what_is_in_the_mailbox_at_first_is_not_news() -> None:
    one = bench()
    one.act("mail")
    assert await one.poll() == []
    assert one.checkpoint["history"] == str(one.mailbox.history_id)
    assert one.pieces[0].addresses == (f"mailbox:{one.person.google_email}",)
    assert await one.poll() == []


async def test_mails_are_told_in_their_order_with_what_is_in_them() -> None:
    one = bench()
    await one.poll()
    for subject in ("first", "second", "third"):
        one.act("mail", subject=subject, sender="Bea <bea@example.com>", text="It's <late>")
    told = await one.poll()
    assert len(set(told)) == 3
    assert [event.data["subject"] for event in one.events] == ["first", "second", "third"]
    card = one.events[0].data
    assert (card["from"], card["snippet"]) == ({"name": "Bea", "address": "bea@example.com"}, "It's <late>")
    assert card["labels"] == ["INBOX", "UNREAD"]
    assert await one.poll() == []


async def test_a_poll_without_news_asks_once_and_changes_nothing() -> None:
    one = bench()
    await one.poll()
    before = dict(one.checkpoint)
    one.api.calls.clear()
    await one.clock.advance(3600)
    await one.poll()
    assert one.api.calls == ["GET history"]
    assert one.checkpoint == before


async def test_a_mail_costs_one_look_at_the_history_and_one_at_itself() -> None:
    one = bench()
    await one.poll()
    one.api.calls.clear()
    one.act("mail")
    await one.poll()
    assert [call.partition("/")[0] for call in one.api.calls] == ["GET history", "GET messages"]


@pytest.mark.parametrize("kind", ["send", "draft"])
async def test_what_one_writes_oneself_is_not_news(kind: str) -> None:
    one = bench()
    await one.poll()
    one.act(kind)
    assert await one.poll() == []
    assert await one.poll() == []


async def test_a_mail_to_oneself_is_news() -> None:
    one = bench()
    await one.poll()
    one.act("mail", labels=("SENT", "INBOX"))
    assert len(await one.poll()) == 1


@pytest.mark.parametrize(
    ("labels", "inbox", "everything"),
    [
        (("INBOX",), 1, 1),
        (("INBOX", "UNREAD", "IMPORTANT"), 1, 1),
        (("Label_7",), 0, 1),
        (("UNREAD",), 0, 1),
        (("SPAM",), 0, 0),
        (("TRASH",), 0, 0),
        (("INBOX", "TRASH"), 0, 0),
        (("SENT",), 0, 0),
    ],
)
async def test_a_user_chooses_what_counts(labels: tuple[str, ...], inbox: int, everything: int) -> None:
    for mails, count in (("inbox", inbox), ("all", everything)):
        one = bench()
        await one.poll(mails=mails)
        one.act("mail", labels=labels)
        assert len(await one.poll(mails=mails)) == count


async def test_one_that_was_archived_at_once_is_told_all_the_same() -> None:
    one = bench()
    await one.poll()
    one.act("mail")
    one.act("archive")
    assert len(await one.poll()) == 1


async def test_what_is_not_there_yet_is_asked_for_once_more_and_then_left() -> None:
    one = bench()
    await one.poll()
    one.act("mail")
    (message,) = [each for each in one.mailbox if each.history_id == one.mailbox.history_id]
    vanished = one.mailbox._messages.pop(message.id)
    assert await one.poll() == []
    assert one.checkpoint["late"] == [message.id]
    assert one.pieces[-1].next_in_seconds == 3
    one.mailbox._messages[message.id] = vanished
    assert await one.poll() == [f"message:{message.id}"]
    assert "late" not in one.checkpoint


async def test_what_stays_away_is_forgotten() -> None:
    one = bench()
    await one.poll()
    one.act("mail")
    one.act("mail", subject="the other")
    first = list(one.mailbox)[-2]
    one.mailbox._messages.pop(first.id)
    assert len(await one.poll()) == 1
    assert await one.poll() == []
    one.api.calls.clear()
    assert await one.poll() == []
    assert one.api.calls == ["GET history"]


async def test_hundreds_of_mails_are_committed_in_pieces_and_none_is_lost_by_an_outage() -> None:
    one = bench()
    one.gmail.mail_api.units.limit = 10_000_000
    await one.poll()
    for number in range(620):
        one.act("mail", subject=f"mail {number}")
    told: list[str] = []
    fifth = list(one.mailbox)[-300].id
    one.http.failing = {fifth: 503}
    with pytest.raises(Unavailable):
        await one.poll()
    told += [event.data["subject"] for event in one.events]
    assert 0 < len(told) < 620
    assert len(one.pieces) > 5
    one.http.failing = {}
    await one.poll()
    told += [event.data["subject"] for event in one.events]
    assert list(dict.fromkeys(told)) == [f"mail {number}" for number in range(620)]
    assert len(told) < 640


async def test_what_was_reached_before_an_outage_is_told_however_little_it_is() -> None:
    one = bench()
    await one.poll()
    for number in range(5):
        one.act("mail", subject=f"mail {number}")
    told: list[str] = []
    for number in range(1, 5):
        one.http.failing = {list(one.mailbox)[number - 5].id: 502}
        with pytest.raises(Unavailable):
            await one.poll()
        told += [event.data["subject"] for event in one.events]
        assert list(dict.fromkeys(told)) == [f"mail {before}" for before in range(number)]
    one.http.failing = {}
    await one.poll()
    told += [event.data["subject"] for event in one.events]
    assert list(dict.fromkeys(told)) == [f"mail {number}" for number in range(5)]


@pytest.mark.parametrize("scope", ["metadata", "readonly"])
async def test_a_history_that_is_gone_becomes_a_visible_gap_and_the_newest_mails_are_looked_at(
    scope: str,
) -> None:
    one = bench(scope=scope)
    await one.poll()
    await one.clock.advance(3 * 3600)
    one.act("mail", subject="seen")
    await one.poll()
    await one.clock.advance(3 * 3600)
    one.act("mail", subject="unseen")
    one.act("mail", subject="elsewhere", labels=("Label_7",))
    one.mailbox.forget_history()
    await one.poll()
    assert [event.data["subject"] for event in one.events][-1] == "unseen"
    assert "elsewhere" not in [event.data["subject"] for event in one.events]
    assert "no longer shows" in one.pieces[-1].gap
    assert one.checkpoint["history"] == str(one.mailbox.history_id)
    assert len(one.events) <= 2  # the old mails of the mailbox are not told
    assert await one.poll() == []


async def test_so_many_at_most_are_looked_at_after_a_gap() -> None:
    one = bench()
    one.gmail.mail_api.units.limit = 10_000_000
    await one.poll()
    for _ in range(260):
        one.act("mail")
    one.mailbox.forget_history()
    assert len(await one.poll()) == 200
    assert one.pieces[-1].gap


async def test_labels_are_told_where_that_is_wanted() -> None:
    one = bench(labels=True)
    await one.poll()
    one.act("mail", subject="about labels")
    one.act("read")
    await one.poll()
    assert [event.data["title"] for event in one.events] == [
        "about labels",
        "about labels lost UNREAD",
    ] or [event.data["title"] for event in one.events] == ["about labels"]
    one.act("archive")
    await one.poll()
    assert [event.data["title"] for event in one.events] == ["about labels lost INBOX"]
    assert one.events[0].type == "com.google.gmail.labels_changed"


@pytest.mark.parametrize(
    "checkpoint",
    [{}, {"history": 5.5}, {"history": None}, {"history": "abc"}, {"history": "-1"}, {"history": str(2**64)}],
)
async def test_a_checkpoint_that_holds_no_position_begins_anew(checkpoint: dict[str, object]) -> None:
    one = bench()
    one.act("mail")
    asked = Asked(checkpoint=checkpoint, now=one.clock.now(), every_seconds=3600)
    (polled,) = [each async for each in one.connector.poll(one.api, asked)]
    assert (polled.events, polled.checkpoint["history"]) == ((), str(one.mailbox.history_id))


async def test_a_position_never_goes_back() -> None:
    one = bench()
    await one.poll()
    one.checkpoint = {**one.checkpoint, "history": str(one.mailbox.history_id + 1_000_000)}
    before = int(one.checkpoint["history"])
    await one.clock.advance(timedelta(hours=1).total_seconds())
    await one.poll()
    assert int(one.checkpoint["history"]) >= before
