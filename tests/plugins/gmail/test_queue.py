"""Where nothing can reach tidings, what Pub/Sub would push is pulled."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from gmail_exchanges import Bench, WorldHttp, bench, other_key
from tidings.connecting import Answer
from tidings.errors import ConfigError, NotSent, Rejected, Unavailable
from tidings_gmail.parse import parse
from tidings_gmail.queue import Queue
from tidings_gmail.serviceaccount import ServiceAccount, read_key
from tidings_sandbox.gmail.service import SUBSCRIPTION
from tidings_sandbox.google.serviceaccounts import service_account_key

BASE = "http://127.0.0.1:8080/sandbox/gmail"


@pytest.fixture
def one() -> Bench:
    made = bench()
    made.gmail.subscription.push = None
    made.gmail.pull_api.wait_seconds = 0.0
    return made


@pytest.fixture
def queue(one: Bench) -> Queue:
    return make_queue(one, one.http)


def make_queue(one: Bench, http: WorldHttp) -> Queue:
    key = read_key(json.dumps(service_account_key(f"{BASE}/token")))
    return Queue(ServiceAccount(key, http, one.clock), http, one.clock, f"{BASE}/v1/{SUBSCRIPTION}")


async def watched(one: Bench) -> None:
    (target,) = await one.connector.targets(one.api, {})
    await one.connector.register(one.api, target, "https://tidings.example.org/", "")


async def test_what_was_published_is_pulled_and_names_the_mailbox(one: Bench, queue: Queue) -> None:
    await watched(one)
    await one.clock.advance(2)
    one.act("mail")
    pulled = await queue.pull()
    assert len(pulled) == 2  # a watch that begins tells so as well
    assert {parse(each.request).addresses for each in pulled} == {(f"mailbox:{one.person.google_email}",)}
    await queue.acknowledge([each.receipt for each in pulled])
    assert one.gmail.subscription.waiting == {}


async def test_what_was_not_acknowledged_comes_again(one: Bench, queue: Queue) -> None:
    await watched(one)
    first = await queue.pull()
    await one.clock.advance(11)
    again = await queue.pull()
    assert [parse(each.request).delivery_id for each in again] == [
        parse(each.request).delivery_id for each in first
    ]


async def test_one_token_serves_until_shortly_before_its_end(one: Bench, queue: Queue) -> None:
    asked = _count_tokens(one)
    for _ in range(5):
        assert await queue.pull() == []
    assert asked() == 1
    await one.clock.advance(3400)
    await queue.pull()
    assert asked() == 2


async def test_a_token_that_google_ended_is_replaced_at_the_next_try(one: Bench, queue: Queue) -> None:
    await queue.pull()
    one.gmail.accounts.service_accounts.expire()
    with pytest.raises(Unavailable):
        await queue.pull()
    assert await queue.pull() == []


def _count_tokens(one: Bench):  # type: ignore[no-untyped-def]
    original, seen = one.http.send, []

    async def send(
        method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        seen.append(url)
        return await original(method, url, headers=headers, body=body)

    one.http.send = send  # type: ignore[method-assign]  # listens
    return lambda: len([url for url in seen if url.endswith("/token")])


class _Slow:
    """Gives no answer, after so long."""

    def __init__(self, one: Bench, seconds: float, error: type[Unavailable]) -> None:
        self._one, self._seconds, self._error = one, seconds, error

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        if url.endswith("/token"):
            return await self._one.http.send(method, url, headers=headers, body=body)
        await self._one.clock.advance(self._seconds)
        raise self._error("No answer.")


async def test_a_pull_that_waits_longer_than_we_do_found_nothing(one: Bench) -> None:
    assert await make_queue(one, _Slow(one, 12.0, Unavailable)).pull() == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(("seconds", "error"), [(0.1, Unavailable), (12.0, NotSent)])
async def test_but_an_outage_is_one(one: Bench, seconds: float, error: type[Unavailable]) -> None:
    with pytest.raises(Unavailable):
        await make_queue(one, _Slow(one, seconds, error)).pull()  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_google_s_trouble_passes(one: Bench, queue: Queue, status: int) -> None:
    one.http.failing = {":pull": status}
    with pytest.raises(Unavailable):
        await queue.pull()


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_ours_is_told_with_what_to_do(one: Bench, queue: Queue, status: int) -> None:
    one.http.failing = {":pull": status}
    with pytest.raises(Rejected, match="Subscriber"):
        await queue.pull()


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_what_could_not_be_acknowledged_comes_again(one: Bench, queue: Queue, status: int) -> None:
    one.http.failing = {":acknowledge": status}
    with pytest.raises(Unavailable):
        await queue.acknowledge(["1"])


async def test_another_key_is_refused_in_words(one: Bench) -> None:
    pem = other_key().as_pem(private=True).decode()
    key = read_key(json.dumps({**service_account_key(f"{BASE}/token"), "private_key": pem}))
    account = ServiceAccount(key, one.http, one.clock)
    with pytest.raises(Rejected, match="Google refuses the service account's key"):
        await account.token()


@pytest.mark.parametrize(
    "written",
    ["", "hello", "{}", "[]", '{"client_email": "a@b.example"}', '{"client_email": 5, "private_key": "x"}'],
)
def test_what_is_no_key_file_is_told_at_the_start(written: str) -> None:
    with pytest.raises(ConfigError, match="service_account_key"):
        read_key(written)


async def test_a_key_file_without_a_usable_key(one: Bench) -> None:
    key = read_key(json.dumps({"client_email": "a@b.example", "private_key": "nonsense"}))
    with pytest.raises(Rejected, match="no usable private key"):
        await ServiceAccount(key, one.http, one.clock).token()
