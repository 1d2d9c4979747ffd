from __future__ import annotations

from random import Random

import pytest

from tidings.breaker import Breaker
from tidings.errors import Unavailable


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = Breaker("github", lambda: self.now, Random(1))

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed("it answers 503")

    def wait_seconds(self) -> float | None:
        try:
            self.breaker.check()
        except Unavailable as error:
            return error.retry_after_seconds
        return None


def test_it_opens_after_five_failures_in_a_row_and_says_why() -> None:
    scene = Scene()
    scene.fail(4)
    scene.breaker.worked()
    scene.fail(4)
    assert scene.wait_seconds() is None
    scene.fail()
    assert scene.breaker.state == "open"
    with pytest.raises(Unavailable, match=r"github is not called for now.*it answers 503") as caught:
        scene.breaker.check()
    assert 15 <= (caught.value.retry_after_seconds or 0) <= 30


def test_one_call_tries_and_its_success_closes_it() -> None:
    scene = Scene()
    scene.fail(5)
    scene.now += scene.wait_seconds() or 0
    assert scene.breaker.state == "half-open"
    assert scene.wait_seconds() is None
    assert (scene.wait_seconds() or 0) >= 5  # the others wait for the one that tries
    scene.breaker.worked()
    assert (scene.breaker.state, scene.breaker.reason) == ("closed", "")
    assert scene.wait_seconds() is None


def test_it_stays_open_ever_longer_up_to_ten_minutes() -> None:
    scene = Scene()
    scene.fail(5)
    for bound in (30, 60, 120, 240, 480, 600, 600, 600):
        wait = scene.wait_seconds()
        assert wait is not None
        assert bound / 2 <= wait <= bound
        scene.fail()  # one that was under way; it changes nothing
        assert scene.wait_seconds() == wait
        scene.now += wait
        assert scene.wait_seconds() is None
        scene.fail()


def test_after_a_success_it_opens_for_a_short_time_again() -> None:
    scene = Scene()
    scene.fail(5)
    for _ in range(4):
        scene.now += scene.wait_seconds() or 0
        scene.wait_seconds()
        scene.fail()
    scene.breaker.worked()
    scene.fail(5)
    assert (scene.wait_seconds() or 0) <= 30


def test_a_trial_that_never_comes_back_does_not_keep_it_half_open_for_ever() -> None:
    scene = Scene()
    scene.fail(5)
    scene.now += scene.wait_seconds() or 0
    assert scene.wait_seconds() is None
    scene.now += 59
    assert scene.wait_seconds() is not None
    scene.now += 1
    assert scene.wait_seconds() is None
