"""What GitHub's answers say about rates, in GitHub's own order."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_exchanges import NOW, JumpClock, answer, connector
from tidings.contracts import Answer
from tidings_github.limits import Writes

RESET = str(int(NOW.timestamp()) + 1234)
SECONDARY = {
    "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (answer(SECONDARY, 403, retry_after="17", x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 17),
        (answer({}, 429, retry_after=format_datetime(NOW + timedelta(seconds=90), usegmt=True)), 90),
        (answer({}, 403, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 1234),
        (answer({}, 429, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 1234),
        (answer([], 200, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 1234),
        (answer(b"", 304, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 1234),
        (answer({}, 403, x_ratelimit_remaining="0"), 60),
        (answer(SECONDARY, 403, x_ratelimit_remaining="4000"), 60),
        (answer(SECONDARY, 429), 60),
        (answer({}, 429), 60),
        (answer({}, 403, retry_after="0"), 1),
        (answer({}, 403, x_ratelimit_remaining="0", x_ratelimit_reset="1"), 1),
        (answer({}, 403, x_ratelimit_remaining="0", x_ratelimit_reset="9" * 12), 6 * 3600),
    ],
)
def test_a_limit_pauses_the_account_for_as_long_as_github_says(said: Answer, seconds: float) -> None:
    pause = connector().pause(said, NOW)
    assert pause is not None
    assert (pause.seconds, pause.whole_app) == (seconds, False)
    assert pause.reason


@pytest.mark.parametrize(
    "said",
    [
        answer({"message": "Resource not accessible by integration"}, 403, x_ratelimit_remaining="4999"),
        answer({"message": "Must have admin rights to Repository."}, 403),
        answer([], 200, x_ratelimit_remaining="1", x_ratelimit_reset=RESET),
        answer(SECONDARY, 200),
        answer({}, 404),
        answer({}, 500, retry_after="7"),
    ],
)
def test_what_is_no_limit_is_no_pause(said: Answer) -> None:
    assert connector().pause(said, NOW) is None


@given(
    status=st.sampled_from([200, 304, 401, 403, 404, 422, 429, 500]),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text(max_size=30)
    ),
    body=st.binary(max_size=60),
)
def test_no_answer_makes_for_an_odd_pause(status: int, headers: dict[str, str], body: bytes) -> None:
    pause = connector().pause(Answer(status, headers, body), NOW)
    assert pause is None or 1 <= pause.seconds <= 6 * 3600


async def test_an_account_s_writes_are_a_second_apart_and_another_s_are_not_held_up() -> None:
    clock = JumpClock()
    writes = Writes(clock)
    await writes.turn("1")
    await writes.turn("2")
    assert clock.slept == []
    await writes.turn("1")
    await writes.turn("1")
    assert clock.slept == [1.0, 1.0]
    await clock.sleep(5)
    await writes.turn("1")
    assert clock.slept == [1.0, 1.0, 5]


async def test_the_memory_of_writes_is_bounded() -> None:
    clock = JumpClock()
    writes = Writes(clock)
    for number in range(5000):
        await writes.turn(str(number))
        await clock.sleep(0.01)
    assert len(writes._next_at) <= 1000
