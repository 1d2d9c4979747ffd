"""Who looks at a page just now: as long as some page has said so, and not longer."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidings.event import UserId
from tidings.presence import HOLDS_SECONDS, Presence
from tidings.testing.clock import FakeClock

ALICE, BOB = UserId(1), UserId(2)


class Timed(FakeClock):
    """A clock that a test sets without a loop."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class PresenceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Timed()
        self.presence = Presence(self.clock)
        self.until: dict[tuple[UserId, str], float] = {}

    @rule(user=st.sampled_from([ALICE, BOB]), page=st.sampled_from("ab"))
    def comes(self, user: UserId, page: str) -> None:
        self.presence.say(user, page, visible=True)
        self.until[user, page] = self.clock.seconds + HOLDS_SECONDS

    @rule(user=st.sampled_from([ALICE, BOB]), page=st.sampled_from("ab"))
    def goes(self, user: UserId, page: str) -> None:
        self.presence.say(user, page, visible=False)
        self.until.pop((user, page), None)

    @rule(seconds=st.sampled_from([0.5, 20.0, HOLDS_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.clock.seconds += seconds

    @invariant()
    def looks_who_has_a_page_in_view(self) -> None:
        for user in (ALICE, BOB):
            pages = [until for (of, _), until in self.until.items() if of == user]
            assert self.presence.is_looking(user) == any(until > self.clock.seconds for until in pages)


TestPresence = PresenceMachine.TestCase


def test_pages_without_end_take_no_memory_without_end() -> None:
    presence = Presence(Timed())
    for number in range(10_000):
        presence.say(ALICE, f"page{number}", visible=True)
    assert presence.is_looking(ALICE)
    assert len(presence._until[ALICE]) <= 50
    presence.say(ALICE, "page9999", visible=False)
    assert presence.is_looking(ALICE)
