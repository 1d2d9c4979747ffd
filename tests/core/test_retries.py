from __future__ import annotations

from random import Random

import pytest

from tidings.errors import AuthExpired, NotSent, Rejected, Unavailable
from tidings.jobs import LeaseLost
from tidings.retries import Retries


class Longest(Random):
    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def test_back_off_doubles_up_to_ten_minutes_and_after_ten_failures_up_to_an_hour() -> None:
    waits = [Retries(Longest()).judge(Unavailable("down"), attempts).again_seconds for attempts in range(13)]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 2048, 3600, 3600]
    assert Retries(Longest()).judge(Unavailable("down"), 10**6).again_seconds == 3600


def test_back_off_is_fully_jittered_and_repeatable_by_its_seed() -> None:
    def waits(seed: int) -> list[float]:
        retries = Retries(Random(seed))
        return [retries.judge(RuntimeError("x"), 8).again_seconds or 0 for _ in range(200)]

    assert waits(1) == waits(1) != waits(2)
    assert min(waits(1)) < 20
    assert 480 < max(waits(1)) <= 512


@pytest.mark.parametrize("seconds", [0, 0.5, 60, 43_200])
def test_what_is_asked_for_is_never_cut_and_hardly_exceeded(seconds: float) -> None:
    retries = Retries(Random(1))
    for _ in range(100):
        again = retries.judge(Unavailable("busy", retry_after_seconds=seconds), 3).again_seconds
        assert again is not None
        assert seconds <= again <= seconds + min(10, seconds / 10)


def test_an_answer_from_the_past_means_at_once() -> None:
    again = Retries(Longest()).judge(Unavailable("busy", retry_after_seconds=-5), 0).again_seconds
    assert again is not None
    assert 0 <= again <= 1


@pytest.mark.parametrize(
    ("failure", "outcome", "error"),
    [
        (AuthExpired(""), "auth_expired", "The token is no longer accepted."),
        (NotSent("no connection"), "unavailable", "no connection"),
        (Rejected("not yours"), "rejected", "not yours"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
        (LeaseLost("sync", "a"), "lost", ""),
    ],
)
def test_each_failure_has_its_word(failure: Exception, outcome: str, error: str) -> None:
    result = Retries(Random(1)).judge(failure, 0)
    assert (result.outcome, result.error) == (outcome, error)
    assert (result.defect is failure) == (outcome == "failed")
    assert (result.again_seconds is None) == (outcome in {"auth_expired", "lost"})
