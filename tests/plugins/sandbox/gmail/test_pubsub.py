"""Pub/Sub delivers at least once: it pushes until that is acknowledged, or is pulled from."""

import asyncio
import json
from base64 import b64decode
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tidings_sandbox.gmail import PULL_SUBSCRIPTION, SUBSCRIPTION
from tidings_sandbox.google.serviceaccounts import JWT_BEARER, SERVICE_ACCOUNT, service_account_key

TOKEN_URL = "http://127.0.0.1:8080/sandbox/gmail/token"
PULL = f"/sandbox/gmail/v1/{PULL_SUBSCRIPTION}:pull"
ACKNOWLEDGE = f"/sandbox/gmail/v1/{PULL_SUBSCRIPTION}:acknowledge"
PUBSUB = "https://www.googleapis.com/auth/pubsub"


# --- push ---


async def test_a_push_has_an_envelope_and_a_token(caller):
    await caller.watch()
    await caller.settle()
    ((url, headers, body),) = caller.inlet.pushes
    assert url == "http://127.0.0.1:8080/api/webhooks/gmail"
    message = body.pop("message")
    assert body == {"subscription": SUBSCRIPTION}
    assert message["messageId"] == message["message_id"]
    assert message["publishTime"] == message["publish_time"]
    assert json.loads(b64decode(message["data"])).keys() == {"emailAddress", "historyId"}
    keys = KeySet.import_key_set((await caller.http.get("/sandbox/gmail/oauth2/v3/certs")).json())
    claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), keys, algorithms=["RS256"]).claims
    assert (claims["aud"], claims["email"]) == (url, SERVICE_ACCOUNT)


@pytest.mark.parametrize("status", [102, 200, 201, 202, 204])
async def test_these_acknowledge(caller, status):
    caller.inlet.status = status
    await caller.watch()
    await caller.settle()
    await caller.settle(86_400)
    assert len(caller.inlet.pushes) == 1
    assert caller.gmail.describe()["messages_waiting"] == 0


@pytest.mark.parametrize("status", [0, 203, 206, 301, 400, 401, 403, 404, 410, 429, 500, 503])
async def test_after_anything_else_it_comes_again_with_growing_pauses(caller, status):
    caller.inlet.status = status
    await caller.watch()
    counts = []
    await caller.settle()
    for pause in (10, 20, 40, 80, 160, 320, 600, 600):
        await caller.settle(pause - 1)
        counts.append(len(caller.inlet.pushes))
        await caller.settle(1)
    assert counts == [1, 2, 3, 4, 5, 6, 7, 8]
    caller.inlet.status = 204
    await caller.settle(600)
    assert len(caller.inlet.pushes) == 10
    await caller.settle(86_400)
    assert len(caller.inlet.pushes) == 10
    assert len({body["message"]["messageId"] for _, _, body in caller.inlet.pushes}) == 1


async def test_it_is_given_up_at_the_end_of_its_retention(caller):
    caller.gmail.subscription.retention = timedelta(minutes=10)
    caller.inlet.status = 500
    await caller.watch()
    for _ in range(120):
        await caller.settle(10)
    assert len(caller.inlet.pushes) == 6, "after 0, 10, 30, 70, 150 and 310 seconds"
    assert caller.gmail.describe()["messages_waiting"] == 0


async def test_a_push_may_come_twice_or_get_lost_on_the_way(caller):
    caller.gmail.faults.duplicate_webhooks = 1.0
    await caller.watch()
    await caller.settle()
    assert len(caller.inlet.pushes) == 2
    caller.gmail.faults.duplicate_webhooks, caller.gmail.faults.lose_webhooks = 0.0, 1.0
    await caller.watch()
    await caller.settle()
    caller.gmail.faults.clear()
    await caller.settle(10)
    assert len(caller.inlet.pushes) == 3


# --- pull ---


def assertion(**changed):
    key = service_account_key(TOKEN_URL)
    now = changed.pop("now")
    claims = {
        "iss": key["client_email"],
        "scope": PUBSUB,
        "aud": key["token_uri"],
        "iat": now,
        "exp": now + 3600,
        **changed,
    }
    return jwt.encode({"alg": "RS256", "kid": "x"}, claims, RSAKey.import_key(key["private_key"]))


class Puller:
    def __init__(self, caller):
        self.caller = caller
        self.headers = {}

    async def exchange(self, signed):
        form = {"grant_type": JWT_BEARER, "assertion": signed}
        return await self.caller.http.post(TOKEN_URL, data=form)

    async def sign_in(self, **changed):
        changed = {"now": int(self.caller.clock.now().timestamp()), **changed}
        answer = await self.exchange(assertion(**changed))
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["expires_in"], said["token_type"]) == (3599, "Bearer")
        self.headers = {"authorization": f"Bearer {said['access_token']}"}

    async def pull(self, most=100, **more):
        answer = await self.caller.http.post(PULL, json={"maxMessages": most, **more}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json().get("receivedMessages", [])

    async def acknowledge(self, *messages):
        body = {"ackIds": [one["ackId"] for one in messages]}
        return await self.caller.http.post(ACKNOWLEDGE, json=body, headers=self.headers)


@pytest.fixture
async def puller(caller):
    caller.gmail.subscription.push = None
    await caller.watch()
    puller = Puller(caller)
    await puller.sign_in()
    return puller


async def test_what_is_not_acknowledged_in_time_comes_again(caller, puller):
    await caller.clock.advance(1)
    caller.mail()
    await caller.settle()
    assert caller.inlet.pushes == []
    first, second = await puller.pull()
    assert await puller.pull(returnImmediately=True) == []
    assert (await puller.acknowledge(first)).json() == {}
    await caller.clock.advance(10)
    (again,) = await puller.pull()
    assert again["message"] == second["message"]
    assert again["ackId"] != second["ackId"]
    assert (await puller.acknowledge(second)).status_code == 200, "too late, and no error"
    await caller.clock.advance(10)
    (last,) = await puller.pull()
    await puller.acknowledge(last)
    await caller.clock.advance(86_400)
    await puller.sign_in()
    assert await puller.pull(returnImmediately=True) == []


async def test_at_most_so_many_come_at_once(caller, puller):
    for _ in range(4):
        await caller.clock.advance(1)
        caller.mail()
    assert [len(await puller.pull(2)) for _ in range(3)] == [2, 2, 1]


async def test_a_pull_waits_a_while_for_a_message(caller, puller):
    await puller.acknowledge(*await puller.pull())
    empty = asyncio.ensure_future(puller.pull())
    await caller.clock.advance(5)
    assert await empty == []
    waiting = asyncio.ensure_future(puller.pull())
    await caller.clock.advance(1)
    caller.mail()
    assert len(await waiting) == 1


async def test_what_is_too_old_is_not_kept(caller, puller):
    await caller.clock.advance(timedelta(days=7).total_seconds())
    await puller.sign_in()
    assert await puller.pull(returnImmediately=True) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exp": 1}, "short-lived"),
        ({"iat": "x"}, "short-lived"),
        ({"iat": 1}, "short-lived"),
        ({"iss": "somebody@else.example"}, "audience"),
        ({"aud": "https://elsewhere.example/"}, "audience"),
    ],
)
async def test_an_assertion_must_be_of_this_account_for_this_place_and_short(caller, puller, changed, said):
    now = int(caller.clock.now().timestamp())
    answer = await puller.exchange(assertion(now=now, **changed))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert said in answer.json()["error_description"]


async def test_an_assertion_must_be_signed_with_the_accounts_key(caller, puller):
    now = int(caller.clock.now().timestamp())
    good = assertion(now=now)
    head, payload, _ = good.split(".")
    other = jwt.encode(
        {"alg": "RS256"},
        {"iss": SERVICE_ACCOUNT, "aud": TOKEN_URL, "iat": now, "exp": now + 60, "scope": PUBSUB},
        RSAKey.generate_key(2048),
    )
    for bad in ("", "x", "a.b.c", f"{head}.{payload}.", other):
        answer = await puller.exchange(bad)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_who_has_no_living_token_with_the_scope_may_not_pull(caller, puller):
    token = puller.headers
    for headers in ({}, {"authorization": f"Bearer {caller.token}"}):
        puller.headers = headers
        answer = await caller.http.post(PULL, json={"maxMessages": 1}, headers=headers)
        assert answer.status_code == 401
    await puller.sign_in(scope="https://www.googleapis.com/auth/devstorage")
    answer = await caller.http.post(PULL, json={"maxMessages": 1}, headers=puller.headers)
    assert answer.status_code == 403
    await caller.clock.advance(3600)
    answer = await caller.http.post(PULL, json={"maxMessages": 1}, headers=token)
    assert answer.status_code == 401
    await puller.sign_in()
    caller.gmail.accounts.service_accounts.expire()
    answer = await caller.http.post(ACKNOWLEDGE, json={"ackIds": ["x"]}, headers=puller.headers)
    assert answer.status_code == 401


async def test_nonsense_is_refused(caller, puller):
    for path, body, status in [
        (PULL, {}, 400),
        (PULL, {"maxMessages": 0}, 400),
        (ACKNOWLEDGE, {}, 400),
        (ACKNOWLEDGE, {"ackIds": []}, 400),
        (PULL.replace("subscriptions/gmail-pull", "subscriptions/none"), {"maxMessages": 1}, 404),
    ]:
        answer = await caller.http.post(path, json=body, headers=puller.headers)
        assert answer.status_code == status, (path, body)
    answer = await caller.http.post(
        PULL.replace("gmail-pull", "gmail"),
        json={"maxMessages": 1, "returnImmediately": True},
        headers=puller.headers,
    )
    assert answer.status_code == 200
    caller.gmail.subscription.push = object()
    answer = await caller.http.post(
        PULL.replace("gmail-pull", "gmail"),
        json={"maxMessages": 1, "returnImmediately": True},
        headers=puller.headers,
    )
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "failedPrecondition")


async def test_what_nobody_pulls_is_dropped_at_the_end_of_its_retention(caller):
    await caller.watch()
    await caller.clock.advance(timedelta(days=8).total_seconds())
    await caller.watch()
    waiting = caller.gmail.pubsub.subscriptions[PULL_SUBSCRIPTION].waiting
    assert len(waiting) == 1
