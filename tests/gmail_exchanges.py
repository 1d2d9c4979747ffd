"""Pushes of Gmail's as Google signs them, and mailboxes of the sandbox as the connector asks them."""

from __future__ import annotations

import dataclasses
import json
import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from tidings.contracts import Answer, Asked, Http, Keys, Polled, WebhookRequest
from tidings.errors import Rejected, Unavailable
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings_gmail.connector import GmailConnector
from tidings_gmail.queue import Queue
from tidings_gmail.rules import Rules
from tidings_gmail.verify import Sender
from tidings_gmail.watch import Watching
from tidings_google import GoogleOptions
from tidings_sandbox.gmail.mailbox import Mailbox
from tidings_sandbox.gmail.service import TOPIC, Gmail
from tidings_sandbox.people import Person
from tidings_sandbox.world import World

FIXTURES = Path(__file__).parent / "plugins" / "gmail" / "fixtures"
AUDIENCE = "https://tidings.example.org/api/webhooks/gmail"
ACCOUNT = "push@a-project.iam.gserviceaccount.com"
SENDER = Sender(AUDIENCE, ACCOUNT)
KID = "the-key-of-this-week"
API = "http://127.0.0.1:8080/sandbox/gmail/gmail/v1"


@cache
def google_key() -> RSAKey:
    """What Google signs with in these tests."""
    return RSAKey.generate_key(2048, {"kid": KID}, private=True)


@cache
def other_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": KID}, private=True)


def keys() -> Keys:
    public = google_key().as_dict(private=False)
    return Keys((), {"keys": [{"kty": "EC", "kid": KID}, {**public, "use": "sig"}]})


def claims(now: datetime, **more: Any) -> dict[str, Any]:
    """What stands in a good token; None leaves a claim out."""
    begins = int(now.timestamp())
    made = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "azp": "1" * 21,
        "sub": "1" * 21,
        "email": ACCOUNT,
        "email_verified": True,
        "iat": begins,
        "exp": begins + 3600,
        **more,
    }
    return {name: value for name, value in made.items() if value is not None}


def token(
    now: datetime, *, key: RSAKey | None = None, alg: str = "RS256", kid: Any = KID, **more: Any
) -> str:
    header = {"alg": alg, **({"kid": kid} if kid is not None else {})}
    return jwt.encode(header, claims(now, **more), key or google_key(), algorithms=[alg])


def push(body: bytes, authorization: str = "") -> WebhookRequest:
    headers = {"content-type": "application/json"}
    if authorization:
        headers["authorization"] = authorization
    return WebhookRequest("POST", "/api/webhooks/gmail", "", headers, body)


def envelope(said: Any, **more: Any) -> bytes:
    """A push with this in it, as JSON or as it is."""
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    message = {"data": b64encode(data).decode(), "messageId": "2070443601311540", **more}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def connector(
    clock: FakeClock,
    http: Http,
    *,
    scope: str = "metadata",
    labels: bool = False,
    topic: str = TOPIC,
    queue: Queue | None = None,
) -> GmailConnector:
    return GmailConnector(
        GoogleOptions(client_id="an-app"),
        http,
        api_url=API,
        rules=Rules(scope, 3600.0, 6000, labels),
        sender=SENDER,
        watching=Watching(clock, topic),
        queue=queue,
        jwks_url="https://www.googleapis.com/oauth2/v3/certs",
    )


class WorldHttp:
    """The client's way into a world, without a network."""

    def __init__(self, world: World) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app))
        self.failing: dict[str, int] = {}

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        for part, status in self.failing.items():
            if part in url:
                return Answer(status, {}, b'{"error": {"message": "It fails."}}')
        answer = await self._client.request(method, url, headers=dict(headers or {}), content=body)
        return Answer(answer.status_code, dict(answer.headers), answer.content)


class Api:
    """The Gmail API as one person's token opens it; fulfils `tidings.connecting.Api`."""

    def __init__(self, http: WorldHttp, account_key: str, access: str) -> None:
        self.account_key = account_key
        self.calls: list[str] = []
        self._http = http
        self._access = access

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        self.calls.append(f"{method} {url.partition('?')[0].removeprefix('/users/me/')}")
        body = b"" if json is None else _json(json)
        full = url if url.startswith("http") else f"{API}{url}"
        answer = await self._http.send(
            method,
            full,
            headers={"authorization": f"Bearer {self._access}", "user-agent": "tidings"},
            body=body,
        )
        if answer.status < 300 or answer.status in accept:
            return answer
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"{answer.status}")
        raise Rejected(answer.body.decode(), status=answer.status)


@dataclasses.dataclass
class Bench:
    """A person's mailbox, and a connection to it that is polled by hand."""

    clock: FakeClock
    world: World
    person: Person
    http: WorldHttp
    api: Api
    connector: GmailConnector
    checkpoint: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pieces: list[Polled] = dataclasses.field(default_factory=list)

    @property
    def gmail(self) -> Gmail:
        return self.world.one(Gmail)

    @property
    def mailbox(self) -> Mailbox:
        return self.gmail.mailbox(self.person)

    def act(self, kind: str, **details: Any) -> Any:
        return self.world.act("gmail", kind, self.person.key, **details)

    async def poll(self, **settings: Any) -> list[str]:
        """Ask once; returns the ids of what is told, without the account."""
        asked = Asked(
            checkpoint=self.checkpoint, now=self.clock.now(), every_seconds=3600.0, settings=settings
        )
        self.pieces = []
        async for polled in self.connector.poll(self.api, asked):
            self.pieces.append(polled)
            self.checkpoint = json.loads(_json(polled.checkpoint))
        return [event.id.removeprefix(f"gmail:{self.api.account_key}:") for event in self.events]

    @property
    def events(self) -> list[Any]:
        return [event for piece in self.pieces for event in piece.events]


def bench(**options: Any) -> Bench:
    """A mailbox of the sandbox; its person agreed to `options`' scope."""
    clock = FakeClock()
    world = World(clock, public_url="http://127.0.0.1:8080")
    person = next(iter(world.stage.people))
    http = WorldHttp(world)
    consents = world.one(Gmail).consents
    consents.dialect.access_seconds = 10**8  # refreshing is core's
    app = consents.app(world.one(Gmail).client_ids[0])
    assert app is not None
    scope = f"https://www.googleapis.com/auth/gmail.{options.get('scope', 'metadata')}"
    code = consents.take_code(consents.grant_code(app, person, [scope, "openid"], app.redirect_uris[0]))
    assert code is not None
    access = str(consents.open(code)["access_token"])
    return Bench(
        clock, world, person, http, Api(http, person.google_sub, access), connector(clock, http, **options)
    )


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


#: Whatever JSON can hold.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def is_cloudevent(event: Event) -> None:
    """Whether an event is fit to be stored and shown."""
    assert 0 < len(event.id) <= 300
    assert event.id.isascii()
    assert event.id.startswith("gmail:")
    assert event.type.startswith("com.google.gmail.")
    assert event.source == "//mail.google.com"
    assert event.time is None or event.time.tzinfo is not None
    encoded = msgspec.json.encode(event.data)
    assert len(encoded) < 20_000
    shown = [event.data["title"], event.data["text"], *event.data["labels"], *event.data["from"].values()]
    assert event.data["title"].strip()
    assert all(not re.search("[\x00-\x1f\x7f]", one) for one in shown)
    assert event.data["url"].startswith("https://mail.google.com/mail/?authuser=")
