"""Units are counted over a sliding window, for each by itself."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidings_sandbox.google import Units

START = datetime(2026, 11, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_is_too_much_takes_nothing_and_says_how_long_to_wait():
    units = Units(100, 60)
    assert units.take("ann", later(0), 40) is None
    assert units.take("ann", later(10), 50) is None
    assert units.take("ann", later(20), 20) == 40
    assert units.used("ann", later(20)) == 90
    assert units.take("ann", later(20), 10) is None
    assert units.take("ben", later(20), 100) is None
    assert units.take("ann", later(60), 40) is None
    assert units.take("ann", later(60), 101) == 60, "never: the longest wait there is"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=40))
def test_no_window_holds_more_than_the_limit_and_after_the_wait_there_is_room(calls):
    units, now, taken = Units(50, 60), 0, []
    for pause, wanted in calls:
        now += pause
        wait = units.take("ann", later(now), wanted)
        if wait is None:
            taken.append((now, wanted))
        else:
            assert sum(n for at, n in taken if at > now - 60) + wanted > 50
            assert sum(n for at, n in taken if at > now + wait - 60) + wanted <= 50
        assert sum(n for at, n in taken if at > now - 60) <= 50
