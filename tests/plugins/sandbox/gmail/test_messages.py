"""The emulated Gmail lists and shows messages as the API does, within its limits."""

from datetime import timedelta

import pytest

from tidings_sandbox.gmail.api import METADATA

BRAM = "bram-quillfeather"


async def test_the_profile_counts_what_is_there(caller):
    before = await caller.get("profile")
    first = caller.mail()
    caller.mail(thread=first)
    profile = await caller.get("profile")
    assert profile["emailAddress"] == "ottilie.otterbourne@gmail.example"
    assert profile["messagesTotal"] == before["messagesTotal"] + 2
    assert profile["threadsTotal"] == before["threadsTotal"] + 1
    assert int(profile["historyId"]) > int(before["historyId"])


async def test_a_message_is_shown_with_the_headers_that_are_asked_for(caller):
    at = caller.clock.now()
    message_id = caller.mail(subject="Grüße & küsse", sender="Bo <bo@b.example>", text="It's <late>")
    params = {"format": "metadata", "metadataHeaders": ["From", "subject"]}
    message = await caller.get(f"messages/{message_id}", **params)
    history_id, size = message.pop("historyId"), message.pop("sizeEstimate")
    assert message == {
        "id": message_id,
        "threadId": message_id,
        "labelIds": ["INBOX", "UNREAD"],
        "snippet": "It&#39;s &lt;late&gt;",
        "internalDate": str(int(at.timestamp() * 1000)),
        "payload": {
            "mimeType": "text/plain",
            "headers": [
                {"name": "From", "value": "Bo <bo@b.example>"},
                {"name": "Subject", "value": "Grüße & küsse"},
            ],
        },
    }
    assert history_id == await caller.position()
    assert size > 0
    full = await caller.get(f"messages/{message_id}")
    assert [header["name"] for header in full["payload"]["headers"]] == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
    ]
    assert "payload" not in await caller.get(f"messages/{message_id}", format="minimal")


async def test_what_was_deleted_or_never_was_is_not_found(caller):
    message_id = caller.mail()
    caller.act("delete", message=message_id)
    for gone in (message_id, "ffffffffffffffff", "x"):
        answer = await caller.call("GET", f"messages/{gone}")
        assert answer.status_code == 404
        assert answer.json()["error"]["errors"][0]["reason"] == "notFound"


async def test_pages_go_back_in_time_though_mails_arrive_meanwhile(caller):
    ids = []
    for _ in range(7):
        await caller.clock.advance(60)
        ids.append(caller.mail())
    late = caller.mail(ago_seconds=150)
    ids.insert(4, late)
    listed, token = [], ""
    while True:
        page = await caller.get(
            "messages", labelIds="INBOX", maxResults=3, **({"pageToken": token} if token else {})
        )
        listed += [one["id"] for one in page["messages"]]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
        caller.mail()
    assert listed[:8] == ids[::-1]
    assert len(listed) == len(set(listed)) == 12, "those that were there before, too"


async def test_a_search_is_bounded_by_time_and_labels(caller):
    await caller.get("profile")
    await caller.clock.advance(timedelta(days=1).total_seconds())
    since = int(caller.clock.now().timestamp()) - 1
    inbox = caller.mail()
    spam = caller.mail(labels=["SPAM"])
    caller.act("send")

    async def found(**params):
        return [one["id"] for one in (await caller.get("messages", **params)).get("messages", [])]

    assert await found(labelIds="INBOX", q=f"after:{since}") == [inbox]
    assert await found(labelIds="SPAM", q=f"after:{since}") == [spam]
    assert len(await found(q=f"after:{since}")) == 2
    assert len(await found(q=f"after:{since}", includeSpamTrash="true")) == 3
    assert await found(q=f"after:{since} -in:sent") == [inbox]
    assert await found(q=f"after:{since + 10}") == []
    assert await found(labelIds=["INBOX", "UNREAD"], q=f"after:{since}") == [inbox]
    answer = await caller.get("messages", q=f"after:{since + 10}")
    assert answer == {"resultSizeEstimate": 0}


async def test_a_token_that_may_read_headers_alone_may_not_search_or_read(caller, world):
    message_id = caller.mail()
    caller.token = _token(world, METADATA)
    for path, params in [("messages", {"q": "after:1"}), (f"messages/{message_id}", {"format": "full"})]:
        answer = await caller.call("GET", path, **params)
        assert answer.status_code == 403
        assert "Metadata scope" in answer.json()["error"]["message"]
    assert (await caller.get("messages", labelIds="INBOX"))["messages"][0]["id"] == message_id
    assert (await caller.get(f"messages/{message_id}", format="metadata"))["id"] == message_id


async def test_who_did_not_consent_to_gmail_sees_nothing(caller, world):
    caller.token = _token(world, "openid")
    refused = await caller.call("GET", "profile")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    caller.token = "ya29.x"
    refused = await caller.call("GET", "profile")
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (401, "authError")


async def test_nobody_sees_the_mailbox_of_somebody_else(caller):
    headers = {"authorization": f"Bearer {caller.token}"}
    base = "/sandbox/gmail/gmail/v1/users"
    for address, status in [
        ("ottilie.otterbourne@gmail.example", 200),
        ("bram.quillfeather@gmail.example", 404),
    ]:
        assert (await caller.http.get(f"{base}/{address}/profile", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("messages", {"maxResults": "0"}),
        ("messages", {"maxResults": "many"}),
        ("messages", {"pageToken": "x"}),
        ("messages/x", {"format": "raw"}),
        ("history", {}),
        ("history", {"startHistoryId": "-1"}),
        ("history", {"startHistoryId": "1", "pageToken": "x"}),
        ("history", {"startHistoryId": "1", "maxResults": "0"}),
    ],
)
async def test_nonsense_is_an_invalid_argument(caller, path, params):
    answer = await caller.call("GET", path, **params)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(("method", "path"), [("GET", "watch"), ("POST", "messages"), ("GET", "drafts/1")])
async def test_what_is_not_emulated_is_not_found(caller, method, path):
    assert (await caller.call(method, path)).status_code == 404


@pytest.mark.parametrize(("status", "reason"), [(403, "userRateLimitExceeded"), (429, "rateLimitExceeded")])
async def test_six_thousand_units_a_minute_are_a_users(caller, world, status, reason):
    caller.gmail.mail_api.limit_status = status
    message_id = caller.mail()
    for _ in range(300):
        assert (await caller.call("GET", f"messages/{message_id}", format="minimal")).status_code == 200
    answer = await caller.call("GET", "profile")
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (status, reason)
    own = caller.token
    caller.token = _token(world, "https://mail.google.com/", person=BRAM)
    await caller.get("profile")
    caller.token = own
    await caller.clock.advance(60)
    await caller.get("profile")


@pytest.mark.parametrize(
    ("kind", "details", "said"),
    [
        ("fly", {}, "Gmail knows no 'fly'"),
        ("read", {"message": "x"}, "has no such mail"),
        ("mail", {"ago_seconds": -1}, "There is no such detail"),
    ],
)
async def test_what_can_not_happen_is_said(caller, kind, details, said):
    with pytest.raises(LookupError, match=said):
        caller.act(kind, **details)


async def test_only_what_comes_to_the_inbox_is_expected_to_be_told(caller, world):
    told = [f"gmail:100000000000000000000:message:{caller.mail()}"]
    caller.act("mail", labels=["SPAM"])
    for kind in ("send", "draft", "read", "archive", "delete"):
        caller.act(kind)
    assert [one.key for one in world.happenings(caller.person, "gmail")] == told


async def test_an_old_mailbox_forgets_old_mails(caller):
    first = caller.mail()
    await caller.clock.advance(timedelta(days=61).total_seconds())
    for _ in range(1000):
        caller.mail()
    assert (await caller.call("GET", f"messages/{first}")).status_code == 404


def _token(world, *scopes, person="ottilie-otterbourne"):
    consents = world.emulators["gmail"].consents
    (app,) = [consents.app(client_id) for client_id in world.emulators["gmail"].client_ids]
    code = consents.take_code(consents.grant_code(app, world.person(person), scopes, "http://127.0.0.1:8080"))
    return consents.open(code)["access_token"]
