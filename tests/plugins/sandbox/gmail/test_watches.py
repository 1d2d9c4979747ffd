"""A watch tells of changes through Pub/Sub: one for each mailbox, for seven days, at most once a second."""

from datetime import timedelta

import pytest

from tidings_sandbox.gmail import SUBSCRIPTION, TOPIC

ADDRESS = "ottilie.otterbourne@gmail.example"


async def test_a_watch_lasts_seven_days_and_tells_at_once(caller):
    answer = await caller.watch()
    assert answer == {
        "historyId": await caller.position(),
        "expiration": str(int((caller.clock.now() + timedelta(days=7)).timestamp() * 1000)),
    }
    await caller.settle()
    assert caller.inlet.said() == [(ADDRESS, int(answer["historyId"]))]


async def test_a_mail_is_told_with_the_position_of_the_mailbox(caller):
    await caller.watch()
    caller.mail()
    await caller.settle()
    assert caller.inlet.said()[1:] == [(ADDRESS, int(await caller.position()))]


async def test_nobody_is_told_without_a_watch_after_a_stop_or_at_its_end(caller):
    caller.mail()
    await caller.watch()
    caller.gmail.change_hook(1, "disable")
    caller.mail()
    assert caller.gmail.hooks() == []
    await caller.watch()
    await caller.clock.advance(timedelta(days=7).total_seconds())
    caller.mail()
    await caller.watch()
    answer = await caller.call("POST", "stop")
    assert (answer.status_code, answer.content) == (204, b"")
    caller.mail()
    await caller.settle()
    assert len(caller.inlet.pushes) == 3, "the first word of each watch"


async def test_renewing_prolongs_and_another_topic_is_refused(caller):
    other = "projects/tidings-sandbox/topics/other"
    caller.gmail.pubsub.publishers.add(other)
    first = await caller.watch()
    await caller.clock.advance(86_400)
    again = await caller.watch()
    assert int(again["expiration"]) == int(first["expiration"]) + 86_400_000
    refused = await caller.call("POST", "watch", {"topicName": other})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == (
        "Only one user push notification client allowed per developer (call /stop then try again)"
    )
    await caller.call("POST", "stop")
    assert (await caller.call("POST", "watch", {"topicName": other})).status_code == 200


@pytest.mark.parametrize(
    ("topic", "status", "said"),
    [
        ("projects/elsewhere/topics/gmail", 400, "Invalid topicName does not match projects/tidings-sandbox"),
        ("projects/tidings-sandbox/topics/secret", 403, "User not authorized to perform this action"),
        (7, 400, "Invalid JSON payload"),
    ],
)
async def test_a_topic_must_be_the_projects_and_let_gmail_publish(caller, topic, status, said):
    answer = await caller.call("POST", "watch", {"topicName": topic})
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


async def test_within_a_second_more_is_dropped(caller):
    await caller.watch()
    caller.mail()
    caller.mail()
    await caller.settle(0.5)
    caller.mail()
    await caller.settle(0.5)
    caller.mail()
    await caller.settle()
    assert len(caller.inlet.pushes) == 1 + 2
    assert caller.gmail.describe()["notifications_dropped"] == 2


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"labelFilterBehavior": "include"}, ["mail", "send", "draft"]),
        ({"labelFilterBehavior": "INCLUDE"}, ["mail", "send", "draft"]),
        ({"labelFilterAction": "exclude"}, ["spam", "send", "draft"]),
        ({"labelIds": []}, ["mail", "spam", "send", "draft"]),
    ],
)
async def test_the_filter_lowers_the_volume_but_drafts_and_sent_mails_come_through(caller, asked, told):
    await caller.watch(**asked)
    await caller.settle()
    heard = []
    for kind, details in [
        ("mail", {}),
        ("spam", {"labels": ["SPAM"]}),
        ("send", {}),
        ("draft", {}),
    ]:
        before = len(caller.inlet.pushes)
        caller.act("mail" if kind == "spam" else kind, **details)
        await caller.settle(1)
        if len(caller.inlet.pushes) > before:
            heard.append(kind)
    assert heard == told


async def test_some_of_what_is_told_is_lost(caller):
    await caller.watch()
    await caller.settle()
    caller.gmail.faults.lose_webhooks = 1.0
    caller.mail()
    caller.gmail.faults.clear()
    await caller.settle(3600)
    assert len(caller.inlet.pushes) == 1


async def test_watches_are_shown_and_can_be_stopped(caller):
    await caller.watch()
    await caller.settle()
    (shown,) = caller.gmail.hooks()
    assert shown == {
        "id": 1,
        "owner": "ottilie-otterbourne",
        "target": ADDRESS,
        "url": "http://127.0.0.1:8080/api/webhooks/gmail",
        "active": True,
        "events": ["INBOX"],
        "last_status": 204,
    }
    for hook_id, change in [(2, "delete"), (1, "enable")]:
        with pytest.raises(LookupError):
            caller.gmail.change_hook(hook_id, change)
    caller.gmail.change_hook(1, "delete")
    assert caller.gmail.hooks() == []


async def test_it_is_led_to_by_options(caller):
    options = caller.gmail.options("http://127.0.0.1:8080/sandbox/gmail", 7, lively=False)
    assert options["topic"] == TOPIC
    answer = await caller.http.get(options["jwks_url"])
    assert answer.json()["keys"]
    assert SUBSCRIPTION in caller.gmail.pubsub.subscriptions
