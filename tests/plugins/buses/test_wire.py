"""What comes from a broker is read if it is understood, and else ignored."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.bus import Glance, Notice, Question, WakeUp
from tidings.event import Cursor, UserId
from tidings_buses.wire import Received, Subjects, encode, wake_up

SUBJECTS = Subjects("tidings")
users = st.integers(0, 2**63 - 1).map(UserId)
texts = st.text(max_size=20)
cursors = st.builds(Cursor, st.text("0123456789abcdef", min_size=1, max_size=8), st.integers(0, 2**63 - 1))
told = st.one_of(
    st.builds(Notice, users, texts, texts, texts, st.binary(max_size=40)),
    st.builds(Glance, users, texts, st.booleans()),
    st.builds(Question, users, st.none() | cursors, st.just("reply.1")),
)


@given(users, st.integers(0, 2**63 - 1))
def test_a_wake_up_comes_out_as_it_went_in(user_id: UserId, seq: int) -> None:
    wakeup = WakeUp(user_id, seq)
    assert SUBJECTS.decode(SUBJECTS.of(user_id), wake_up(wakeup), "") == wakeup


@given(told)
def test_everything_else_comes_out_as_it_went_in(frame: Notice | Glance | Question) -> None:
    assert SUBJECTS.decode(SUBJECTS.of(frame.user_id), encode(frame), "reply.1") == frame


@given(st.text(max_size=40) | users.map(SUBJECTS.of), st.binary(max_size=80), st.text(max_size=10))
def test_what_is_not_understood_is_ignored(subject: str, payload: bytes, reply: str) -> None:
    arrival = SUBJECTS.decode(subject, payload, reply)
    assert arrival is None or subject == SUBJECTS.of(arrival.user_id)


@pytest.mark.parametrize(
    ("subject", "payload"),
    [
        ("tidings.user.1", b""),
        ("tidings.user.1", b"-5"),
        ("tidings.user.1", b"9" * 20),
        ("tidings.user.1", b"{}"),
        ("tidings.user.1", b'{"news": {"of": "a later version"}}'),
        ("tidings.user.1", b'{"glance": {"user_id": 1}}'),
        ("tidings.user.", b"5"),
        ("tidings.user.\u0661", b"5"),
        ("tidings.user.1.2", b"5"),
        ("other.user.1", b"5"),
        ("1", b"5"),
        ("tidings.user.2", encode(Glance(UserId(1), "page", visible=True))),
    ],
)
def test_each_way_not_to_be_understood(subject: str, payload: bytes) -> None:
    assert SUBJECTS.decode(subject, payload, "") is None


def test_a_frame_with_something_new_in_it_is_still_read() -> None:
    """Nodes of two versions share a bus while one replaces the other."""
    glance = Glance(UserId(1), "page", visible=True)
    later = msgspec.json.encode({**msgspec.json.decode(encode(glance)), "since": 7})
    expected: Received = glance
    assert SUBJECTS.decode("tidings.user.1", later, "") == expected
