"""A connector with everything: consent, webhooks, polls."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidings import (
    Account,
    Answer,
    Api,
    Asked,
    AuthExpired,
    Budget,
    Connector,
    Connects,
    Event,
    Hint,
    Http,
    Keys,
    NotSent,
    OAuth,
    OAuthClient,
    Parsed,
    Pause,
    Polled,
    Polls,
    Receives,
    Registers,
    Rejected,
    Reply,
    Target,
    TokenSet,
    Unavailable,
    UnknownKey,
    Upstream,
    WebhookRequest,
    encode_json,
    retry_after_seconds,
)
from tidings.fields import as_objects, line, number
from tidings.testing import Faults, RecordedApi, RecordedHttp, answer, forgeries

NOW = datetime(2026, 11, 5, 8, 30, tzinfo=UTC)
API = "https://api.bell.example"


class Bell(Connector, Connects, Receives, Polls, Registers):
    platform = "bell"
    display_name = "Bells"
    api_url = API
    poll_every_seconds = 900.0
    shared_keys = Keys()  # every webhook has a secret of its own

    # --- consent

    @property
    def oauth(self) -> OAuth:
        return OAuth(
            provider="bell",
            authorize_url="https://bell.example/authorize",
            token_url="https://bell.example/token",
            scopes=("rings",),
        )

    @property
    def clients(self) -> Sequence[OAuthClient]:
        return [OAuthClient("client-id", "client-secret")]

    @property
    def budgets(self) -> Sequence[Budget]:
        return [Budget(calls=1000, seconds=3600)]

    async def identify(self, api: Api) -> Account:
        me = (await api.request("GET", "/me")).json()
        return Account(key=str(me["id"]), name=me["name"])

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        if answer.status != 429:
            return None
        seconds = retry_after_seconds(answer.headers, now) or 60.0
        return Pause(seconds, whole_app=True, reason="Too many calls.")

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        await http.send("POST", f"{API}/revoke", body=tokens.access_token.encode())

    # --- webhooks

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        given = request.headers.get("x-signature", "").encode("latin-1")
        wanted = [hmac.digest(key, request.body, "sha256").hex().encode() for key in keys.secrets]
        if True not in [hmac.compare_digest(one, given) for one in wanted]:  # every key is tried
            raise Rejected("X-Signature is not that of this webhook's secret.")

    def parse(self, request: WebhookRequest) -> Parsed:
        if request.body == b"something is new":  # the news itself must be asked for
            return Parsed([], kind="hint", hint=Hint(), answer=Reply(204))
        return Parsed([ring(int(request.body))], delivery_id=request.body.decode(), kind="ring")

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        body = str(abs(hash(serial))).encode()
        signature = hmac.digest(keys.secrets[0], body, "sha256").hex()
        return WebhookRequest("POST", "/", "", {"x-signature": signature}, body)

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        return [Target("all", "All bells")]

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        made = await api.request("POST", "/hooks", json={"url": callback_url, "secret": secret})
        return Upstream(id=str(made.json()["id"]), target=target, kinds=frozenset({"ring"}))

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        await api.request("GET", f"/hooks/{upstream.id}")  # a 404 is Rejected: it is gone
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        await api.request("DELETE", f"/hooks/{upstream.id}", accept=[404])

    # --- polls

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        last = asked.checkpoint.get("last")
        rings = as_objects((await api.request("GET", "/rings")).json())
        numbers = sorted(found for one in rings if (found := number(one, "number")) is not None)
        fresh = [
            one for one in numbers if last is not None and one > last
        ]  # what lay there before is no news
        checkpoint = {"last": max(numbers, default=last or 0)}
        yield Polled(events=[ring(one) for one in fresh], checkpoint=checkpoint)


def ring(serial: int) -> Event:
    return Event(
        id=f"bell:ring:{serial}",
        type="example.bell.ring",
        source="//bell.example",
        platform="bell",
        data={"title": line({"title": f"Ring {serial}"}, "title")},
    )


def show_a_signature() -> None:
    bell, keys = Bell(), Keys((b"a secret of this webhook",))
    request = bell.sample(keys, NOW, "1")
    bell.verify(request, keys, NOW)
    assert len(bell.parse(request).events) == 1
    try:
        bell.verify(forgeries.unsigned(request, "x-signature"), keys, NOW)
    except Rejected as refused:
        assert refused.status == 401
    assert issubclass(UnknownKey, Rejected)  # with published keys: have them read anew, and ask once more


async def show_a_poll_behind_a_position() -> None:
    bell, http = Bell(), RecordedHttp({f"GET {API}/rings": answer([{"number": 1}, {"number": 2}])})
    api = RecordedApi(bell, http)
    first = [piece async for piece in bell.poll(api, Asked(checkpoint={}, now=NOW, every_seconds=900))]
    assert (list(first[-1].events), first[-1].checkpoint) == ([], {"last": 2})
    http.say(f"GET {API}/rings", answer([{"number": 2}, {"number": 3}]))
    asked = Asked(checkpoint=first[-1].checkpoint, now=NOW, every_seconds=900)
    (piece,) = [one async for one in bell.poll(api, asked)]
    assert [event.id for event in piece.events] == ["bell:ring:3"]


async def show_the_words_for_failure() -> None:
    bell, http = Bell(), RecordedHttp({f"GET {API}/me": answer({"id": 5, "name": "ann"})})
    api = RecordedApi(bell, http)
    assert await bell.identify(api) == Account(key="5", name="ann")
    for fault, word in (
        (Faults.SIGNED_OUT, AuthExpired),
        (Faults.BROKEN, Unavailable),
        (Faults.LIMITED, Unavailable),
        (Faults.UNREACHABLE, NotSent),
    ):
        http.fault = fault
        try:
            await bell.identify(api)
        except word:
            continue
        raise AssertionError(word)


async def show_a_webhook_made_at_the_platform() -> None:
    bell = Bell()
    http = RecordedHttp(
        {f"POST {API}/hooks": answer({"id": 7}, 201), f"DELETE {API}/hooks/7": answer(status=204)}
    )
    api = RecordedApi(bell, http)
    (target,) = await bell.targets(api, {})
    made = await bell.register(api, target, "https://tidings.example.org/api/webhooks/bell/1", "secret")
    await bell.unregister(api, made)
    assert [str(one) for one in http.asked] == [f"POST {API}/hooks", f"DELETE {API}/hooks/7"]
    assert http.asked[0].body == encode_json(
        {"url": "https://tidings.example.org/api/webhooks/bell/1", "secret": "secret"}
    )


def show_rates() -> None:
    limited = answer(status=429, retry_after="120")
    assert Bell().pause(limited, NOW) == Pause(120.0, whole_app=True, reason="Too many calls.")
    tokens: TokenSet = Bell().read_tokens({"access_token": "a", "expires_in": 3600})
    assert tokens.expires_in_seconds == 3600
