"""The emulated hub asks back, keeps leases, signs, tries again, and can be down."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

CALLBACK = "http://127.0.0.1:8080/api/webhooks/youtube/whkabc"
ATOM = "{http://www.w3.org/2005/Atom}"
YT = "{http://www.youtube.com/xml/schemas/2015}"
AT = "{http://purl.org/atompub/tombstones/1.0}"


def living(caller: Any) -> list[Any]:
    return list(caller.youtube.hub)


async def test_a_subscription_is_confirmed_by_asking_back(caller):
    answer = await caller.subscribe()
    assert (answer.status_code, answer.content) == (202, b"")
    (question,) = caller.address.questions
    assert question["hub.mode"] == "subscribe"
    assert question["hub.topic"].endswith(caller.channels[0])
    assert question["hub.lease_seconds"] == "864000"
    (one,) = living(caller)
    assert one.expires_at == caller.clock.now() + timedelta(days=10)
    assert caller.youtube.hooks()[0]["target"] == caller.channels[0]


async def test_what_is_not_confirmed_is_not_subscribed(caller):
    caller.address.confirms = False
    assert (await caller.subscribe()).status_code == 202
    assert living(caller) == []


@pytest.mark.parametrize(
    ("asked", "days"), [(None, 5), ("0", 5), ("soon", 5), ("86400", 1), ("864000", 10), ("99999999", 10)]
)
async def test_a_lease_is_five_days_by_default_and_ten_at_most(caller, asked, days):
    await caller.subscribe(lease_seconds=asked)
    (one,) = living(caller)
    assert one.expires_at - caller.clock.now() == timedelta(days=days)


async def test_the_same_again_renews_it_and_a_lease_ends(caller, clock):
    await caller.subscribe()
    (first,) = living(caller)
    await clock.advance(5 * 86_400)
    await caller.subscribe(secret="another")
    (second,) = living(caller)
    assert (second.id, second.secret) == (first.id, "another")
    await clock.advance(10 * 86_400)
    assert living(caller) == []
    caller.upload()
    await caller.world.settle()
    assert caller.address.deliveries == []


async def test_unsubscribing_is_asked_back_too(caller):
    await caller.subscribe()
    caller.address.confirms = False
    await caller.subscribe(mode="unsubscribe")
    assert len(living(caller)) == 1
    caller.address.confirms = True
    await caller.subscribe(mode="unsubscribe")
    assert living(caller) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "publish"},
        {"mode": None},
        {"topic": "https://www.youtube.com/"},
        {"topic": "http://[::1"},
        {"callback": "ftp://x"},
        {"callback": "/x"},
        {"callback": "http://x/#y"},
        {"secret": "x" * 200},
    ],
)
async def test_what_is_wrong_is_refused(caller, changes):
    answer = await caller.subscribe(**changes)
    assert answer.status_code == 400
    assert answer.text.startswith("hub.")
    assert caller.address.questions == []


async def test_it_takes_posts_alone(caller):
    assert (await caller.http.get("/sandbox/youtube/hub")).status_code == 405


async def test_while_it_is_down_nobody_subscribes_and_what_stands_goes_on(caller):
    await caller.subscribe()
    caller.youtube.hub.is_down = True
    answer = await caller.subscribe()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "120")
    assert caller.youtube.describe()["hub_is_down"]
    caller.upload()
    await caller.world.settle()
    assert len(caller.address.deliveries) == 1


async def test_an_upload_is_delivered_signed_as_atom(caller):
    await caller.subscribe()
    video = caller.upload(title="Knots & <splices>")
    await caller.world.settle()
    ((headers, body),) = caller.address.deliveries
    assert headers["X-Hub-Signature"] == f"sha1={hmac.new(b's3cr3t', body, 'sha1').hexdigest()}"
    assert headers["Content-Type"] == "application/atom+xml"
    entry = ElementTree.fromstring(body).find(f"{ATOM}entry")
    assert entry is not None
    assert entry.findtext(f"{YT}videoId") == video
    assert entry.findtext(f"{YT}channelId") == caller.channels[0]
    assert entry.findtext(f"{ATOM}title") == "Knots & <splices>"
    assert entry.findtext(f"{ATOM}published") == f"{caller.clock.now():%Y-%m-%dT%H:%M:%S}+00:00"
    updated = entry.findtext(f"{ATOM}updated")
    assert updated is not None
    assert len(updated.partition(".")[2]) == len("123456789+00:00")


async def test_an_edit_looks_like_an_upload_but_for_its_date(caller, clock):
    await caller.subscribe()
    await clock.advance(3600)
    caller.act("edit", channel=caller.channels[0], title="Another title")
    await caller.world.settle()
    ((_, body),) = caller.address.deliveries
    entry = ElementTree.fromstring(body).find(f"{ATOM}entry")
    assert entry is not None
    assert entry.findtext(f"{ATOM}title") == "Another title"
    assert str(entry.findtext(f"{ATOM}published")) < "2026" < str(entry.findtext(f"{ATOM}updated"))


async def test_a_deletion_is_a_tombstone(caller):
    await caller.subscribe()
    video = caller.act("delete", channel=caller.channels[0]).key.rpartition(":")[2]
    await caller.world.settle()
    ((_, body),) = caller.address.deliveries
    entry = ElementTree.fromstring(body).find(f"{AT}deleted-entry")
    assert entry is not None
    assert entry.get("ref") == f"yt:video:{video}"
    assert str(entry.findtext(f"{AT}by/{ATOM}uri")).endswith(caller.channels[0])


async def test_nobody_hears_of_private_videos_and_of_other_channels(caller):
    await caller.subscribe()
    caller.upload(is_public=False)
    caller.upload(channel=caller.channels[1])
    await caller.world.settle()
    assert caller.address.deliveries == []


async def test_without_a_secret_nothing_is_signed(caller):
    await caller.subscribe(secret=None)
    caller.upload()
    await caller.world.settle()
    assert "X-Hub-Signature" not in caller.address.deliveries[0][0]


async def test_what_is_not_answered_2xx_is_sent_again_some_times(caller, clock):
    await caller.subscribe()
    caller.address.status = 503
    caller.upload()
    await caller.world.settle()
    assert len(caller.address.deliveries) == 1
    for seconds, count in ((30, 2), (300, 3), (1800, 4), (7200, 5), (21_600, 6), (86_400, 6)):
        await clock.advance(seconds)
        await caller.world.settle()
        assert len(caller.address.deliveries) == count
    assert caller.youtube.hooks()[0]["last_status"] == 503
    assert [one["redelivery"] for one in caller.youtube.deliveries()] == [True] * 5 + [False]


async def test_an_answer_that_it_is_gone_ends_the_subscription(caller):
    await caller.subscribe()
    caller.address.status = 410
    caller.upload()
    await caller.world.settle()
    assert living(caller) == []


async def test_a_subscription_can_be_lost_denied_and_a_delivery_repeated(caller):
    await caller.subscribe()
    caller.upload()
    await caller.world.settle()
    caller.youtube.redeliver(caller.youtube.deliveries()[0]["id"])
    await caller.world.settle()
    assert len(caller.address.deliveries) == 2
    caller.youtube.change_hook(caller.youtube.hooks()[0]["id"], "delete")
    assert living(caller) == []
    await caller.subscribe()
    caller.youtube.hub.deny(living(caller)[0], "no more")
    await caller.world.settle()
    assert caller.address.questions[-1]["hub.mode"] == "denied"
    assert caller.address.questions[-1]["hub.reason"] == "no more"
    await caller.subscribe()
    assert [one["hub.mode"] for one in caller.address.questions[-2:]] == ["denied", "denied"]
    assert living(caller) == []
    with pytest.raises(LookupError):
        caller.youtube.change_hook(5, "delete")
    with pytest.raises(LookupError):
        caller.youtube.redeliver(5)
