import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contracts import Principal
from tidings.durations import Rate
from tidings.event import UserId
from tidings.ratelimit import Limiter, RequestLimits, address_key


def limiter(amount: int = 3, seconds: float = 10.0, **options: int) -> Limiter:
    return Limiter(Rate(amount, seconds), policy="api", **options)


def test_so_many_pass_and_the_next_does_not():
    counter = limiter(3)
    assert [counter.hit("a", 0.0).allowed for _ in range(5)] == [True, True, True, False, False]


def test_each_key_is_counted_by_itself():
    counter = limiter(1)
    assert counter.hit("a", 0.0).allowed
    assert counter.hit("b", 0.0).allowed
    assert not counter.hit("a", 0.0).allowed


def test_a_window_begins_with_the_first_hit_and_refusals_do_not_prolong_it():
    counter = limiter(1, 10.0)
    counter.hit("a", 5.0)
    assert not counter.hit("a", 14.9).allowed
    assert counter.hit("a", 15.0).allowed


def test_the_headers_follow_the_draft():
    counter = Limiter(Rate(100, 900.0), policy="api")
    for _ in range(42):
        counter.hit("a", 0.0)
    decision = counter.hit("a", 468.2)
    assert decision.headers() == {
        "RateLimit-Policy": '"api";q=100;w=900',
        "RateLimit": '"api";r=57;t=432',
    }


def test_a_refusal_says_when_to_come_back():
    counter = limiter(1, 10.0)
    counter.hit("a", 0.0)
    refused = counter.hit("a", 9.5)
    assert refused.headers() == {
        "RateLimit-Policy": '"api";q=1;w=10',
        "RateLimit": '"api";r=0;t=1',
        "Retry-After": "1",
    }
    assert counter.hit("a", 9.5 + int(refused.headers()["Retry-After"])).allowed


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(min_value=0, max_value=20)), max_size=60))
def test_no_window_ever_lets_more_through(hits: list[tuple[str, float]]):
    counter, now = limiter(3, 10.0), 0.0
    passed: dict[str, list[float]] = {"a": [], "b": []}
    for key, pause in hits:
        now += pause
        decision = counter.hit(key, now)
        assert 0 <= decision.remaining <= 3
        assert 0 < decision.reset_seconds <= 10.0
        if decision.allowed:
            passed[key].append(now)
        start = now + decision.reset_seconds - 10.0
        assert sum(at >= start - 1e-6 for at in passed[key]) <= 3


def test_memory_is_bounded_and_who_is_active_is_not_forgotten():
    counter = limiter(1, 1_000.0, most_keys=100)
    assert counter.hit("active", 0.0).allowed
    for number in range(10_000):
        counter.hit(f"attacker {number}", 1.0)
        assert not counter.hit("active", 1.0).allowed
    assert len(counter._windows) == 100


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_address_is_counted_with_its_neighbours(address: str, key: str):
    assert address_key(address) == key


def principal(kind: str, key: str, user_id: int = 1) -> Principal:
    return Principal(UserId(user_id), "anna", kind, key, frozenset({"read"}))


async def test_tokens_share_no_limit_and_the_jwts_of_one_user_share_one():
    limits = RequestLimits(api=Rate(1, 900.0), sessions=Rate(2, 900.0))
    who = [
        principal("token", "token:1"),
        principal("token", "token:2"),
        principal("jwt", "jwt:a"),
        principal("jwt", "jwt:b"),
        principal("jwt", "jwt:c", user_id=2),
        principal("session", "session:a"),
        principal("session", "session:a"),
        principal("session", "session:a"),
    ]
    decisions = [await limits.hit(each, 0.0) for each in who]
    assert [d is not None and d.allowed for d in decisions] == [
        True,
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert decisions[-1] is not None
    assert decisions[-1].policy == "sessions"


async def test_without_a_rate_there_is_no_limit():
    limits = RequestLimits(api=None, sessions=None)
    assert await limits.hit(principal("token", "token:1"), 0.0) is None
    assert await limits.hit(principal("session", "session:1"), 0.0) is None
