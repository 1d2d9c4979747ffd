"""A mailbox is watched once, each day anew, and whoever must mend something is told what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gmail_exchanges import bench
from tidings.errors import Rejected
from tidings_sandbox.gmail.service import TOPIC

PUBLIC = "https://tidings.example.org/api/webhooks/gmail"


async def test_the_mailbox_is_what_is_watched() -> None:
    one = bench()
    (target,) = await one.connector.targets(one.api, {})
    assert (target.key, target.name) == ("mailbox", one.person.google_email)


async def test_a_watch_is_renewed_daily_and_ends_after_seven() -> None:
    one = bench()
    (target,) = await one.connector.targets(one.api, {})
    upstream = await one.connector.register(one.api, target, PUBLIC, "unused")
    assert upstream.expires_at == one.clock.now() + timedelta(days=2)
    watch = one.gmail.watches.of(one.mailbox)
    assert watch is not None
    assert (watch.topic, watch.labels) == (TOPIC, {"INBOX"})
    await one.clock.advance(86_400)
    assert await one.connector.check(one.api, upstream) == upstream
    again = await one.connector.renew(one.api, target, PUBLIC, "unused", upstream)
    assert again.expires_at == one.clock.now() + timedelta(days=2)
    await one.clock.advance(2.1 * 86_400)
    with pytest.raises(Rejected) as gone:
        await one.connector.check(one.api, again)
    assert gone.value.status == 404


async def test_a_renewal_moves_no_position() -> None:
    one = bench()
    await one.poll()
    (target,) = await one.connector.targets(one.api, {})
    one.act("mail")
    await one.connector.register(one.api, target, PUBLIC, "unused")
    assert len(await one.poll()) == 1


async def test_another_topic_s_watch_is_ended_first() -> None:
    one = bench()
    other = TOPIC.replace("gmail", "older")
    one.gmail.pubsub.publishers.add(other)
    await one.api.request("POST", "/users/me/watch", json={"topicName": other, "labelIds": ["INBOX"]})
    (target,) = await one.connector.targets(one.api, {})
    one.api.calls.clear()
    upstream = await one.connector.register(one.api, target, PUBLIC, "unused")
    assert one.api.calls == ["POST watch", "POST stop", "POST watch"]
    assert upstream.id == TOPIC


async def test_a_topic_that_gmail_may_not_publish_to_is_the_operator_s_to_mend() -> None:
    one = bench()
    one.gmail.pubsub.publishers.clear()
    (target,) = await one.connector.targets(one.api, {})
    with pytest.raises(Rejected, match=r"Pub/Sub Publisher.*reconnecting the account changes nothing"):
        await one.connector.register(one.api, target, PUBLIC, "unused")


async def test_the_watch_is_ended_and_none_is_fine() -> None:
    one = bench()
    (target,) = await one.connector.targets(one.api, {})
    upstream = await one.connector.register(one.api, target, PUBLIC, "unused")
    for _ in range(2):
        await one.connector.unregister(one.api, upstream)
        assert one.gmail.watches.of(one.mailbox) is None


def test_without_a_topic_nothing_is_watched() -> None:
    assert not bench(topic="").connector.reaches(PUBLIC)
    assert bench().connector.reaches(PUBLIC)


async def test_a_watch_for_a_topic_of_before_counts_as_gone() -> None:
    one = bench()
    (target,) = await one.connector.targets(one.api, {})
    upstream = await one.connector.register(one.api, target, PUBLIC, "unused")
    moved = bench(topic=TOPIC.replace("gmail", "newer"))
    with pytest.raises(Rejected) as gone:
        await moved.connector.check(one.api, upstream)
    assert gone.value.status == 404


async def test_whose_account_it_is() -> None:
    one = bench()
    account = await one.connector.identify(
        _Userinfo(one)  # type: ignore[arg-type]  # its request alone is used
    )
    assert (account.key, account.addresses) == ("1234", ("mailbox:ada@example.com",))


class _Userinfo:
    account_key = ""

    def __init__(self, one: object) -> None:
        del one

    async def request(self, method: str, url: str, **_: object) -> object:
        from tidings.contracts import Answer

        assert url == "https://openidconnect.googleapis.com/v1/userinfo"
        return Answer(200, {}, b'{"sub": "1234", "email": "Ada@Example.com", "name": "Ada"}')


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("/users/me/profile", 1),
        ("/users/me/history?startHistoryId=5", 2),
        ("/users/me/messages?labelIds=INBOX", 5),
        ("/users/me/messages/18c1?format=metadata", 20),
        ("/users/me/watch", 100),
        ("/users/me/stop", 50),
    ],
)
def test_calls_cost_what_google_counts(path: str, units: int) -> None:
    assert bench().connector.cost("GET", path) == units
