"""What is asked of Slack, what becomes news, and what is remembered in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.contracts import Answer, Asked, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings_slack.history import PAGE
from tidings_slack.names import Names
from tidings_slack.parse import parse
from tidings_slack.poll import poll
from tidings_slack.stamps import stamp_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY = 4 * 3600.0
ME = "U1"
Message = dict[str, Any]


class Slack:
    """What a workspace answers to one account."""

    account_key = f"-:T1:{ME}"

    def __init__(self) -> None:
        self.now = NOON
        self.channels: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, list[Message]] = {}
        self.replies: dict[tuple[str, str], list[Message]] = {}
        self.refusals: dict[str, str] = {}  # by conversation, or by method
        self.most = 1000  # answers before it is down
        self.page = PAGE
        self.asked: list[str] = []
        self.garbage: Any = None
        self.is_limited = False
        self._serial = 0

    def ts(self) -> str:
        self._serial += 1
        return stamp_of(self.now + timedelta(microseconds=self._serial))

    def add(self, channel: str, **fields: Any) -> None:
        self.channels[channel] = {"id": channel, "name": channel.lower(), **fields}
        self.messages.setdefault(channel, [])

    def write(self, channel: str, text: str = "Hello", user: str = "U2", **fields: Any) -> str:
        ts = self.ts()
        self.messages[channel].append({"type": "message", "user": user, "text": text, "ts": ts, **fields})
        return ts

    def reply(self, channel: str, thread: str, text: str = "Yes", user: str = "U2") -> str:
        ts = self.ts()
        parent = next(one for one in self.messages[channel] if one["ts"] == thread)
        parent |= {"thread_ts": thread, "latest_reply": ts}
        reply = {"type": "message", "user": user, "text": text, "ts": ts, "thread_ts": thread}
        self.replies.setdefault((channel, thread), []).append(reply)
        return ts

    def edit(self, channel: str, written: str, text: str, user: str = "U2") -> str:
        ts = self.ts()
        message = next(one for one in self.messages[channel] if one["ts"] == written)
        message |= {"text": text, "edited": {"user": user, "ts": ts}}
        return ts

    async def request(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, json: Any = None, **_: Any
    ) -> Answer:
        params, name = params or {}, url.removeprefix("/")
        self.asked.append(f"{name} {params.get('channel') or params.get('user') or ''}".strip())
        if len(self.asked) > self.most:
            raise Unavailable("Slack is down.")
        if self.garbage is not None:
            return _answer(self.garbage)
        refused = self.refusals.get(params.get("channel", ""), self.refusals.get(name, ""))
        if refused:
            return _answer({"ok": False, "error": refused})
        return _answer({"ok": True, **getattr(self, "_" + name.replace(".", "_"))(params)})

    def _users_conversations(self, params: Mapping[str, str]) -> Any:
        assert params["types"] == "public_channel,private_channel,mpim,im"
        return {"channels": list(self.channels.values())}

    def _users_list(self, params: Mapping[str, str]) -> Any:
        return {"members": [{"id": "U2", "profile": {"display_name": "Bob"}}]}

    def _users_info(self, params: Mapping[str, str]) -> Any:
        return {"user": {"id": params["user"], "profile": {"display_name": f"Name of {params['user']}"}}}

    def _conversations_info(self, params: Mapping[str, str]) -> Any:
        return {"channel": self.channels[params["channel"]]}

    def _conversations_history(self, params: Mapping[str, str]) -> Any:
        newest = self.messages[params["channel"]][::-1]
        found = [
            one
            for one in newest
            if Decimal(one["ts"]) > Decimal(params["oldest"])
            and Decimal(one["ts"]) < Decimal(params.get("latest", "Infinity"))
        ]
        return {**self._paged(found, params), "is_limited": self.is_limited}

    def _conversations_replies(self, params: Mapping[str, str]) -> Any:
        thread = params["ts"]
        parent = [one for one in self.messages[params["channel"]] if one["ts"] == thread]
        since = [
            one
            for one in self.replies[params["channel"], thread]
            if Decimal(one["ts"]) > Decimal(params["oldest"])
        ]
        page = self._paged(since, params)
        return {**page, "messages": parent + page["messages"]}

    def _paged(self, found: list[Message], params: Mapping[str, str]) -> Any:
        start, limit = int(params.get("cursor") or 0), min(self.page, int(params["limit"]))
        end = start + limit
        cursor = str(end) if end < len(found) else ""
        return {"messages": found[start:end], "response_metadata": {"next_cursor": cursor}}


def _answer(content: Any) -> Answer:
    return Answer(200, {}, content if isinstance(content, bytes) else json.dumps(content).encode())


class Account:
    """Polls an account as core does: each piece is committed, its checkpoint kept."""

    def __init__(self, *, most_calls: int = 40) -> None:
        self.slack = Slack()
        self.names = Names()
        self.checkpoint: Mapping[str, Any] = {}
        self.addresses: tuple[str, ...] = ()
        self.most_calls = most_calls
        self.ids: list[str] = []
        self.events: list[Any] = []
        self.targets: list[str] = []
        self.gaps: list[str] = []
        self.next_in_seconds: float | None = None
        self.own_messages = False

    @property
    def texts(self) -> list[str]:
        return [event.data["text"] for event in self.events]

    async def poll(self, *hinted: str, after_seconds: float = EVERY, urgent: bool = False) -> list[Polled]:
        self.slack.now += timedelta(seconds=after_seconds)
        self.slack.asked.clear()
        asked = Asked(
            checkpoint=json.loads(json.dumps(self.checkpoint)),
            now=self.slack.now,
            every_seconds=EVERY,
            is_urgent=urgent,
            hinted=frozenset(hinted),
        )
        pieces = []
        found = poll(
            self.slack, asked, self.names, most_calls=self.most_calls, own_messages=self.own_messages
        )
        async for piece in found:
            pieces.append(piece)
            self.events += piece.events
            self.ids += [event.id for event in piece.events]
            self.targets += [piece.target] * bool(piece.events)
            self.gaps += [piece.gap] if piece.gap else []
            self.checkpoint = piece.checkpoint
            self.next_in_seconds = piece.next_in_seconds
            if piece.addresses is not None:
                self.addresses = piece.addresses
        return pieces

    async def finish(self) -> None:
        """Poll to the end of a round."""
        await self.poll(after_seconds=60 if self.next_in_seconds == 60 else EVERY)
        while self.next_in_seconds == 60:
            await self.poll(after_seconds=60)

    def told(self, *stamps: str, channel: str = "C1") -> list[str]:
        return [f"slack:T1:{channel}:{one}" for one in stamps]


@pytest.fixture
def account() -> Account:
    found = Account()
    found.slack.add("C1")
    return found


# --- what is news -------------------------------------------------------------------------------------------------


async def test_what_was_there_before_is_no_news_and_costs_no_call(account: Account) -> None:
    account.slack.write("C1")
    await account.poll()
    assert account.slack.asked == ["users.conversations", "users.list"]
    await account.poll()
    assert account.slack.asked == ["users.conversations", "conversations.history C1"]
    assert account.ids == []


async def test_each_message_is_told_once_oldest_first(account: Account) -> None:
    await account.poll()
    stamps = [account.slack.write("C1", str(number)) for number in range(3)]
    await account.poll()
    await account.poll()
    assert account.ids == account.told(*stamps)
    assert account.texts == ["0", "1", "2"]
    assert account.events[0].data["actor"]["name"] == "Bob"
    assert account.events[0].data["title"] == "Message in #c1"


async def test_own_messages_are_no_news_unless_that_is_wished(account: Account) -> None:
    await account.poll()
    account.slack.write("C1", user=ME)
    await account.poll()
    assert account.ids == []
    account.own_messages = True
    mine = account.slack.write("C1", user=ME)
    await account.poll()
    assert account.ids == account.told(mine)


async def test_several_pages_are_told_in_order(account: Account) -> None:
    await account.poll()
    stamps = [account.slack.write("C1") for _ in range(2 * PAGE + 7)]
    await account.poll()
    assert account.ids == account.told(*stamps)
    assert account.slack.asked.count("conversations.history C1") == 3


async def test_edits_are_found_of_what_was_told_and_of_what_was_not(account: Account) -> None:
    await account.poll()
    early = account.slack.write("C1", "x")
    await account.poll()
    late = account.slack.write("C1", "y")
    edits = [account.slack.edit("C1", late, "y!"), account.slack.edit("C1", early, "x!")]
    await account.poll()
    assert account.ids[1:] == [
        *account.told(late),
        f"slack:T1:C1:{late}:edited:{edits[0]}",
        f"slack:T1:C1:{early}:edited:{edits[1]}",
    ]
    await account.poll()
    assert len(account.ids) == 4


async def test_answers_in_threads_are_found_though_no_history_has_them(account: Account) -> None:
    await account.poll()
    thread = account.slack.write("C1", "Lunch?")
    await account.poll()
    answers = [account.slack.reply("C1", thread, str(number)) for number in range(3)]
    account.slack.reply("C1", thread, "mine", user=ME)
    await account.poll()
    assert account.ids[1:] == account.told(*answers)
    assert account.events[1].data["thread_ts"] == thread
    await account.poll()
    assert account.slack.asked.count("conversations.replies C1") == 0
    later = account.slack.reply("C1", thread)
    await account.poll()
    assert account.ids[4:] == account.told(later)


async def test_a_message_that_comes_while_threads_are_read_is_not_lost(account: Account) -> None:
    await account.poll()
    thread = account.slack.write("C1")
    account.slack.reply("C1", thread)
    original, extra = account.slack._conversations_replies, list[str]()

    def meanwhile(params: Mapping[str, str]) -> Any:
        if not extra:
            extra.append(account.slack.write("C1", "meanwhile"))
            account.slack.reply("C1", thread, "after it")
        return original(params)

    account.slack._conversations_replies = meanwhile  # type: ignore[method-assign]  # something happens in between
    await account.poll()
    await account.poll()
    assert account.told(*extra)[0] in account.ids


async def test_what_slack_writes_into_a_channel_is_told_as_what_it_is(account: Account) -> None:
    await account.poll()
    account.slack.write("C1", "<@U3> has joined", user="U3", subtype="channel_join", inviter="U2")
    account.slack.write("C1", "renamed", subtype="channel_name", name="new", old_name="c1")
    account.slack.write("C1", "left", user="U3", subtype="channel_leave")
    await account.poll()
    assert [event.type for event in account.events] == [
        "com.slack.member_joined_channel",
        "com.slack.channel_rename",
    ]
    assert account.texts[0] == "Name of U3 was added by Bob"


async def test_the_same_message_pushed_and_polled_is_one_event(account: Account) -> None:
    await account.poll()
    ts = account.slack.write("C1", "Hi")
    edited = account.slack.edit("C1", ts, "Hi!")
    await account.poll()
    event = {**account.slack.messages["C1"][0], "channel": "C1", "channel_type": "channel"}
    change = {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C1",
        "ts": edited,
        "message": event,
    }
    pushed = []
    for one in ({**event, "text": "Hi", "edited": None}, change):
        body = json.dumps({"type": "event_callback", "team_id": "T1", "event": one}).encode()
        request: Any = type("Request", (), {"body": body, "headers": {}})()
        pushed += parse(request, account.names, own_messages=False).events
    assert [one.id for one in pushed] == account.ids
    assert [(one.type, one.data["title"]) for one in pushed] == [
        (one.type, one.data["title"]) for one in account.events
    ]


# --- which conversations --------------------------------------------------------------------------------------------


async def test_an_account_is_named_by_the_conversations_that_it_is_a_member_of(account: Account) -> None:
    account.slack.add("D1", is_im=True, user="U2")
    account.slack.add("C9", is_archived=True)
    await account.poll()
    assert account.addresses == ("user:T1:U1", "team:T1", "channel:T1:C1", "channel:T1:D1")
    del account.slack.channels["C1"]
    await account.poll()
    assert account.addresses == ("user:T1:U1", "team:T1", "channel:T1:D1")


async def test_addresses_are_told_before_any_history_is_read(account: Account) -> None:
    await account.poll()
    account.slack.most = 1
    with pytest.raises(Unavailable):
        await account.poll()
    assert account.addresses


async def test_a_new_conversation_is_read_from_when_it_was_not_there_yet(account: Account) -> None:
    await account.poll()
    account.slack.add("D2", is_im=True, user="U2")
    first = account.slack.write("D2", "Psst")
    await account.poll("memberships", after_seconds=60)
    assert account.slack.asked == ["users.conversations", "conversations.history D2"]
    assert account.ids == account.told(first, channel="D2")
    assert account.targets == ["D2"]  # nobody knew whom it is for, so push has missed nothing
    assert account.addresses[-1] == "channel:T1:D2"
    assert account.next_in_seconds == EVERY - 60
    later = account.slack.write("D2")
    await account.poll()
    assert account.ids[1:] == account.told(later, channel="D2")
    assert account.targets == ["D2", ""]


async def test_of_a_channel_that_was_joined_only_what_came_after_is_told(account: Account) -> None:
    await account.poll()
    account.slack.add("C2")
    account.slack.write("C2", "before")
    joined = account.slack.write("C2", "joined", user=ME, subtype="channel_join", inviter="U2")
    after = account.slack.write("C2", "after")
    await account.poll()
    assert account.ids == account.told(joined, after, channel="C2")


async def test_joining_by_oneself_is_no_news(account: Account) -> None:
    await account.poll()
    account.slack.add("C2")
    account.slack.write("C2", "joined", user=ME, subtype="channel_join")
    await account.poll()
    assert account.ids == []


async def test_what_was_written_before_a_channel_was_archived_is_told(account: Account) -> None:
    await account.poll()
    last = account.slack.write("C1", "The end")
    archived = account.slack.write("C1", "archived", subtype="channel_archive")
    account.slack.channels["C1"]["is_archived"] = True
    await account.poll()
    assert account.ids == account.told(last, archived)
    assert "channel:T1:C1" not in account.addresses
    await account.poll()
    assert account.slack.asked == ["users.conversations"]
    account.slack.channels["C1"]["is_archived"] = False
    back = account.slack.write("C1", "back", subtype="channel_unarchive")
    await account.poll()
    assert account.ids[2:] == account.told(back)


@pytest.mark.parametrize("word", ["not_in_channel", "channel_not_found"])
async def test_a_conversation_that_is_shown_no_more_is_dropped(account: Account, word: str) -> None:
    account.slack.add("C2")
    await account.poll()
    account.slack.refusals["C1"] = word
    account.slack.write("C2")
    await account.poll()
    assert account.addresses == ("user:T1:U1", "team:T1", "channel:T1:C2")
    assert len(account.ids) == 1


async def test_a_conversation_that_is_refused_is_left_alone_for_a_day(account: Account) -> None:
    account.slack.add("C2")
    await account.poll()
    account.slack.refusals["C1"] = "missing_scope"
    await account.poll()
    account.slack.refusals.clear()
    missed = account.slack.write("C1")
    await account.poll()
    assert account.slack.asked == ["users.conversations", "conversations.history C2"]
    await account.poll(after_seconds=86_400)
    assert account.ids == account.told(missed)


# --- hints ----------------------------------------------------------------------------------------------------------


async def test_a_name_that_is_wanted_is_looked_up_and_nothing_else(account: Account) -> None:
    await account.poll()
    account.slack.write("C1")
    await account.poll("name:U7", "name:C1", after_seconds=120)
    assert account.slack.asked == ["conversations.info C1", "users.info U7"]
    found = account.names.person("T1", "U7")
    assert found is not None
    assert found.name == "Name of U7"
    assert account.next_in_seconds == EVERY - 120
    await account.poll("name:U7", "name:C1", after_seconds=1)
    assert account.slack.asked == []
    assert account.ids == []


async def test_a_new_name_of_a_channel_is_learnt(account: Account) -> None:
    await account.poll()
    account.slack.channels["C1"]["name"] = "roses"
    await account.poll("name:C1", after_seconds=120)
    assert account.names.channel("T1", "C1") == "roses"


async def test_whom_slack_does_not_name_is_asked_for_once(account: Account) -> None:
    account.slack.refusals |= {"users.info": "user_not_found", "users.list": "missing_scope"}
    await account.poll()
    account.slack.write("C1", user="U8")
    await account.poll()
    account.slack.write("C1", user="U8")
    await account.poll()
    assert "users.info U8" not in account.slack.asked
    assert account.events[0].data["actor"]["name"] == "U8"


async def test_a_minute_without_deliveries_is_looked_after_and_told(account: Account) -> None:
    await account.poll()
    lost = account.slack.write("C1")
    await account.poll("", "limited:1763634600", "limited:1763634660", after_seconds=90)
    assert account.ids == account.told(lost)
    (gap,) = account.gaps
    assert "for 2 minutes it sent nothing" in gap
    assert account.next_in_seconds is None


async def test_a_hint_late_in_an_interval_is_a_whole_look(account: Account) -> None:
    await account.poll()
    message = account.slack.write("C1")
    await account.poll("name:U7", after_seconds=EVERY * 0.95)
    assert account.ids == account.told(message)


async def test_a_wish_is_a_whole_look(account: Account) -> None:
    await account.poll()
    message = account.slack.write("C1")
    await account.poll(after_seconds=1, urgent=True)
    assert account.ids == account.told(message)


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_what_is_left_has_its_turn_in_the_next_minutes(account: Account) -> None:
    account.most_calls = 4
    for number in range(2, 8):
        account.slack.add(f"C{number}")
    await account.poll()
    stamps = {f"C{number}": account.slack.write(f"C{number}") for number in range(1, 8)}
    await account.poll()
    assert (len(account.ids), account.next_in_seconds) == (3, 60.0)
    await account.poll(after_seconds=60)
    assert "users.conversations" not in account.slack.asked
    assert sorted(account.ids) == sorted(f"slack:T1:{one}:{ts}" for one, ts in stamps.items())
    assert account.next_in_seconds == EVERY - 60


async def test_a_long_stretch_is_read_piece_by_piece_and_nothing_is_told_twice(account: Account) -> None:
    account.most_calls = 2
    account.slack.page = 15  # what Slack gives to apps that are distributed
    await account.poll()
    old = account.slack.write("C1", "old")
    await account.poll()
    stamps = [account.slack.write("C1") for _ in range(100)]
    for _ in range(6):
        await account.poll(after_seconds=60 if account.next_in_seconds == 60 else EVERY)
    late = account.slack.write("C1", "late")
    await account.poll()
    await account.poll()
    assert sorted(account.ids) == sorted(account.told(old, *stamps, late))
    assert len(account.ids) == len(set(account.ids))


async def test_long_threads_are_read_piece_by_piece(account: Account) -> None:
    account.most_calls, account.slack.page = 3, 10
    await account.poll()
    threads = [account.slack.write("C1") for _ in range(3)]
    answers = [account.slack.reply("C1", thread) for _ in range(25) for thread in threads]
    for _ in range(8):
        await account.poll(after_seconds=60 if account.next_in_seconds == 60 else EVERY)
    assert sorted(account.ids) == sorted(account.told(*threads, *answers))


@pytest.mark.parametrize("most", range(1, 9))
async def test_whenever_slack_fails_what_was_reached_stays_and_nothing_is_lost(
    account: Account, most: int
) -> None:
    for number in range(2, 5):
        account.slack.add(f"C{number}")
    await account.poll()
    stamps = {f"C{number}": account.slack.write(f"C{number}") for number in range(1, 5)}
    thread = account.slack.write("C4")
    answer = account.slack.reply("C4", thread)
    account.slack.most = most
    if most < 6:
        with pytest.raises(Unavailable):
            await account.poll()
    else:
        await account.poll()
    account.slack.most = 1000
    await account.poll(after_seconds=1, urgent=True)
    wanted = [f"slack:T1:{one}:{ts}" for one, ts in stamps.items()] + account.told(
        thread, answer, channel="C4"
    )
    assert sorted(account.ids) == sorted(wanted)


async def test_what_a_free_workspace_no_longer_shows_is_a_gap(account: Account) -> None:
    account.slack.is_limited = True
    await account.poll()
    account.slack.write("C1")
    await account.poll()
    assert account.gaps == []
    account.slack.messages["C1"].clear()
    account.slack.now += timedelta(days=100)
    account.slack.write("C1")
    await account.poll()
    assert len(account.gaps) == 1
    assert "90 days" in account.gaps[0]


# --- properties -----------------------------------------------------------------------------------------------------

NAMES = ["ok", "channels", "id", "messages", "ts", "edited", "user", "text", "response_metadata", "next_cursor",
         "latest_reply", "members", "profile", "subtype", "is_im", "thread_ts", "error"]  # fmt: skip
VALUES = ["C1", "U2", "1767268800.000100", "", "channel_join", "1767300000.5", "\ud800", "not_in_channel"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(
    garbage=st.lists(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=6), min_size=1, max_size=3)
)
def test_whatever_slack_answers_nothing_but_the_three_errors_is_raised(garbage: list[Any]) -> None:
    async def run() -> None:
        account = Account()
        account.slack.add("C1")
        await account.poll()
        for one in garbage:
            account.slack.garbage = {"ok": True, **one}
            with suppress(AuthExpired, Unavailable, Rejected):
                await account.poll()
        json.dumps(account.checkpoint)

    anyio.run(run)


@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(st.sampled_from(["write", "edit", "reply", "poll", "own"]), max_size=60),
    most_calls=st.integers(2, 10),
    page=st.integers(2, 20),
)
def test_however_polls_fall_between_messages_each_is_told_once(
    acts: list[str], most_calls: int, page: int
) -> None:
    async def run() -> None:
        account = Account(most_calls=most_calls)
        slack = account.slack
        slack.page = page
        slack.add("C1")
        slack.add("C2")
        await account.poll()
        wanted: list[str] = []
        written: list[tuple[str, str]] = []
        for number, act in enumerate(acts):
            channel = f"C{number % 2 + 1}"
            # Further back than the page that reaches what is told, nobody looks.
            newest = slack.messages[channel][-1]["ts"] if slack.messages[channel] else ""
            mine = [ts for where, ts in written if (where, ts) == (channel, newest)]
            if act == "write":
                written.append((channel, slack.write(channel)))
                wanted += account.told(written[-1][1], channel=channel)
            elif act == "own":
                slack.write(channel, user=ME)
            elif act == "reply" and mine:
                wanted += account.told(slack.reply(channel, mine[-1]), channel=channel)
            elif act == "edit" and mine and not any("edited" in one for one in slack.messages[channel]):
                edited = slack.edit(channel, mine[-1], "!")
                wanted.append(f"slack:T1:{channel}:{mine[-1]}:edited:{edited}")
            elif act == "poll":
                await account.poll(after_seconds=60 if account.next_in_seconds == 60 else EVERY)
        await account.finish()  # a round that is under way
        await account.finish()
        assert set(wanted) == set(account.ids)

    anyio.run(run)
