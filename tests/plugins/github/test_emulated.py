"""The connector at the sandbox's GitHub, which was written from the same facts by other hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from emulated_github import API, PUBLIC_URL, SCOPES, Receiver, Sent
from github_exchanges import EmulatedApi, HttpxHttp, asked, connector, emulated_site, polled, told
from tidings.contracts import Asked, Keys, OAuthClient, TokenSet, Upstream, WebhookRequest
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings_github.connector import GitHubConnector
from tidings_github.hooks import KINDS
from tidings_sandbox.github.life import KINDS as ACTS
from tidings_sandbox.world import World

SITE = emulated_site(API)
CALLBACK = f"{PUBLIC_URL}/api/webhooks/github/w1"
SECRET = "the-secret"
# What a feed does not show, or not so that it could be recognised.
PUSHED_ALONE = {"branch_created", "branch_deleted", "workflow_run"}


class At:
    """Somebody's account at the emulated GitHub."""

    def __init__(self, world: World, clock: FakeClock, http: httpx.AsyncClient, number: int = 0) -> None:
        app = world.github.consents.app("sandbox-github")
        assert app is not None
        self.app, self.person = app, list(world.stage.people)[number]
        self.world, self.clock, self.http, self.login = world, clock, http, self.person.key
        client = OAuthClient(app.client_id, app.client_secret)
        self.of = connector(clock=_Sleepless(clock), site=SITE, client=client)
        self.checkpoint: Mapping[str, Any] = {}
        self.renew()

    def renew(self) -> None:
        """Have a new token: those of the emulated GitHub end after eight hours."""
        consents = self.world.github.consents
        code = consents.take_code(consents.grant_code(self.app, self.person, SCOPES.split(), CALLBACK))
        assert code is not None
        self.tokens: Mapping[str, Any] = consents.open(code)
        token, key = str(self.tokens["access_token"]), str(self.person.github_id)
        self.api = EmulatedApi(self.http, self.of, token, key)

    @property
    def garden(self) -> str:
        return f"{self.login}/garden"

    def act(self, kind: str, **details: Any) -> Any:
        return self.world.act("github", kind, self.login, **{"repository": self.garden, **details})

    async def poll(self, **given: Any) -> list[Event]:
        question: Asked = asked(self.checkpoint, at=self.clock.now(), **given)
        pieces = await polled(self.of, self.api, question)
        self.checkpoint = pieces[-1].checkpoint
        return told(pieces)

    async def target(self) -> Any:
        found = await self.of.targets(self.api, {"repositories": [self.garden]})
        return found[0]

    async def register(self) -> Upstream:
        upstream = await self.of.register(self.api, await self.target(), CALLBACK, SECRET)
        await self.world.settle()
        return upstream

    def keys(self) -> set[str]:
        return {happening.key for happening in self.world.happenings(self.login, "github")}


class _Sleepless:
    """The clock of a test, on which waiting takes no time."""

    def __init__(self, clock: FakeClock) -> None:
        self.now, self.monotonic = clock.now, clock.monotonic

    async def sleep(self, seconds: float) -> None:
        return


def read(of: GitHubConnector, sent: Sent) -> WebhookRequest:
    headers = {name.lower(): value for name, value in sent.headers.items()}
    return WebhookRequest("POST", "/", "", headers, sent.body)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def world(clock: FakeClock, receiver: Receiver) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=3, send=receiver)


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app)) as client:
        yield client


@pytest.fixture
def at(world: World, clock: FakeClock, http: httpx.AsyncClient) -> At:
    return At(world, clock, http)


async def test_an_account_is_identified_and_its_tokens_are_read(at: At) -> None:
    account = await at.of.identify(at.api)
    assert account.name == at.login
    assert account.key.isdigit()
    tokens = at.of.read_tokens({**at.tokens, "scope": "repo,notifications"})
    assert tokens.access_token == at.tokens["access_token"]


@pytest.mark.parametrize("kind", ACTS)
async def test_every_kind_pushed_and_polled_has_one_id_one_title_and_one_type(
    at: At, receiver: Receiver, clock: FakeClock, kind: str
) -> None:
    await at.poll()
    await at.register()
    receiver.sent.clear()
    at.act(kind)
    await at.world.settle()
    pushed = {event.id: event for sent in receiver.sent for event in at.of.parse(read(at.of, sent)).events}
    assert set(pushed) == at.keys()
    await clock.advance(3600)
    found = {event.id: event for event in await at.poll() if event.type != "com.github.notification"}
    assert bool(found) is (kind not in PUSHED_ALONE)
    for identity, event in found.items():
        same = pushed[identity]
        # A star is pushed under two names; its first one is what is told.
        assert event.data["title"] == same.data["title"]
        assert event.type == same.type or same.type == "com.github.watch"
        assert event.source == same.source
    if kind not in PUSHED_ALONE:
        assert set(found) == set(pushed)


async def test_a_webhook_is_made_signed_with_our_secret_and_greets(at: At, receiver: Receiver) -> None:
    upstream = await at.register()
    assert upstream.kinds == set(KINDS)
    (ping,) = receiver.sent
    request = read(at.of, ping)
    at.of.verify(request, Keys((SECRET.encode(),)), at.clock.now())
    assert at.of.parse(request).signal == "verified"
    assert (await at.of.check(at.api, upstream)).problem == ""


async def test_a_webhook_that_is_made_again_is_brought_up_to_date_and_keeps_its_secret(
    at: At, receiver: Receiver
) -> None:
    first = await at.register()
    at.world.github.change_hook(int(first.id), "disable")
    assert (await at.of.check(at.api, first)).problem
    receiver.sent.clear()
    again = await at.register()
    assert (again.id, again.problem) == (first.id, "")
    assert len(at.world.github.hooks()) == 1
    at.of.verify(read(at.of, receiver.sent[0]), Keys((SECRET.encode(),)), at.clock.now())


async def test_a_webhook_that_was_deleted_says_so_and_is_found_to_be_gone(at: At, receiver: Receiver) -> None:
    upstream = await at.register()
    receiver.sent.clear()
    at.world.github.change_hook(int(upstream.id), "delete")
    await at.world.settle()
    assert [at.of.parse(read(at.of, sent)).signal for sent in receiver.sent] == ["removed"]
    with pytest.raises(Rejected) as rejected:
        await at.of.check(at.api, upstream)
    assert rejected.value.status == 404
    await at.of.unregister(at.api, upstream)
    assert (await at.register()).id != upstream.id


async def test_a_webhook_is_removed(at: At) -> None:
    upstream = await at.register()
    await at.of.unregister(at.api, upstream)
    assert at.world.github.hooks() == []


async def test_who_is_no_admin_can_make_no_webhook(
    world: World, clock: FakeClock, http: httpx.AsyncClient
) -> None:
    at, stranger = At(world, clock, http), At(world, clock, http, number=1)
    with pytest.raises(Rejected, match="must be an admin"):
        await stranger.of.register(stranger.api, await at.target(), CALLBACK, SECRET)


async def test_a_repository_that_was_renamed_is_reached_by_its_old_name(at: At, receiver: Receiver) -> None:
    upstream = await at.register()
    await at.poll(repositories=[at.garden])
    repositories = at.world.github.site.repositories
    repository = repositories.get(at.garden)
    assert repository is not None
    repositories.rename(repository, "orchard")
    assert (await at.of.check(at.api, upstream)).problem == ""
    at.act("star", repository=repository.full_name)
    await at.clock.advance(3600)
    assert [event.type for event in await at.poll(repositories=[at.garden]) if "star" in event.type]
    await at.of.unregister(at.api, upstream)
    assert at.world.github.hooks() == []


async def test_deliveries_that_were_lost_are_found_in_the_log_and_fetched(at: At, receiver: Receiver) -> None:
    upstream = await at.register()
    started = at.clock.now()
    receiver.broken = True
    for kind in ("push", "issue_opened", "star"):
        at.act(kind)
        await at.world.settle()
        await at.clock.advance(60)
    receiver.broken = False
    lines = [line async for line in at.of.deliveries(at.api, upstream, started)]
    assert len(lines) == 4  # with the ping; of the two names of a star we have one sent
    lost = [line for line in lines if not line.succeeded]
    found: set[str] = set()
    for line in lost:
        request = await at.of.fetch_delivery(at.api, upstream, line)
        parsed = at.of.parse(request)
        assert parsed.delivery_id == line.delivery_id
        found |= {event.id for event in parsed.events}
    assert found == at.keys()


async def test_under_a_healthy_webhook_feeds_are_not_asked_for(at: At) -> None:
    await at.poll()
    pushed = {(await at.target()).key: frozenset(KINDS)}
    asked_for = []
    for _ in range(3):
        await at.clock.advance(6.5 * 3600)
        at.renew()
        at.api.calls.clear()
        await at.poll(pushed=pushed)
        asked_for.append(any(f"/repos/{at.garden}/events" in call for call in at.api.calls))
    assert asked_for == [True, True, False]


async def test_what_happened_between_two_webhooks_is_told(at: At) -> None:
    pushed = {(await at.target()).key: frozenset(KINDS)}
    await at.poll(pushed=pushed)
    happening = at.act("push")  # no webhook was there, or it was gone
    await at.poll()  # the feed does not show it yet
    await at.poll(pushed=pushed)
    await at.clock.advance(6.5 * 3600)
    assert happening.key in {event.id for event in await at.poll(pushed=pushed)}


async def test_asking_where_nothing_happened_costs_nothing_of_the_hour(at: At) -> None:
    at.act("issue_opened")
    await at.clock.advance(3600)
    await at.poll()
    await at.clock.advance(600)
    at.api.statuses.clear()
    await at.poll()
    assert set(at.api.statuses) == {304}


async def test_notifications_are_told(at: At) -> None:
    await at.poll()
    at.act("issue_opened")
    await at.clock.advance(3600)
    found = [event for event in await at.poll() if event.type == "com.github.notification"]
    assert len(found) == 1
    assert found[0].data["url"].startswith(f"{SITE.web_url}/{at.garden}/issues/")
    await at.clock.advance(3600)
    assert [event for event in await at.poll() if event.type == "com.github.notification"] == []


async def test_more_than_a_feed_can_hold_is_told_as_far_as_it_shows_and_the_rest_is_a_gap(at: At) -> None:
    await at.poll(repositories=[at.garden])
    at.act("star")
    await at.clock.advance(600)
    await at.poll(repositories=[at.garden])
    for _ in range(320):
        at.act("star")
    await at.clock.advance(600)
    question = asked(at.checkpoint, at=at.clock.now(), repositories=[at.garden])
    pieces = await polled(at.of, at.api, question)
    assert len([event for event in told(pieces) if event.type == "com.github.star"]) == 300
    assert sum(bool(piece.gap) for piece in pieces) == 1


async def test_a_used_up_hour_asks_for_patience_until_it_is_over(at: At) -> None:
    await at.poll()
    await at.clock.advance(600)
    at.world.github.limits.exhaust(int(at.api.account_key), at.clock.now())
    with pytest.raises(Unavailable) as failed:
        await at.poll()
    assert failed.value.retry_after_seconds is not None
    await at.clock.advance(3700)
    await at.poll()


@pytest.mark.parametrize("style", ["retry-after", "text"])
async def test_the_secondary_limit_asks_for_patience(at: At, style: Any) -> None:
    at.world.github.limits.secondary_style = style
    at.world.github.limits.secondary_until = at.clock.now() + timedelta(seconds=90)
    with pytest.raises(Unavailable) as failed:
        await at.poll()
    assert failed.value.retry_after_seconds == (90 if style == "retry-after" else 60)


async def test_a_token_that_was_given_back_is_dead(at: At, http: httpx.AsyncClient) -> None:
    tokens = TokenSet(str(at.tokens["access_token"]))
    (client,) = at.of.clients
    await at.of.revoke(HttpxHttp(http), client, tokens)
    with pytest.raises(AuthExpired):
        await at.poll()
    await at.of.revoke(HttpxHttp(http), client, tokens)


async def test_a_github_app_is_made_on_one_click_installed_and_addressed(
    world: World, clock: FakeClock, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    of = connector(site=SITE, client=None)
    made = of.manifest(
        PUBLIC_URL,
        f"{PUBLIC_URL}/api/oauth/github/callback",
        f"{PUBLIC_URL}/api/webhooks/github",
        f"{PUBLIC_URL}/api/oauth/github/made",
    )
    answer = await http.post(made.url, data=dict(made.fields))
    assert answer.status_code == 302, answer.text
    code = httpx.URL(answer.headers["location"]).params["code"]
    of.use(await of.provision(HttpxHttp(http), code))
    (client,) = of.clients
    with pytest.raises(Rejected):
        await of.provision(HttpxHttp(http), code)

    at = At(world, clock, http)
    consents, person = world.github.consents, next(iter(world.stage.people))
    app = consents.app(client.id)
    assert app is not None
    granted = consents.take_code(
        consents.grant_code(app, person, [], f"{PUBLIC_URL}/api/oauth/github/callback")
    )
    assert granted is not None
    api = EmulatedApi(http, of, str(consents.open(granted)["access_token"]), str(person.github_id))
    site = world.github.site
    github_app = next(iter(site.apps))
    installation = site.install_app(github_app, site.account_of(person))
    account = await of.identify(api)
    assert account.addresses == (f"user:{person.github_id}", f"installation:{installation.id}")

    at.act("issue_opened")
    await world.settle()
    requests = [read(of, sent) for sent in receiver.sent]
    for request in requests:
        of.verify(request, of.shared_keys, clock.now())
    parsed = [of.parse(request) for request in requests]
    assert {one.kind for one in parsed} == {"ping", "installation", "issues"}
    for one in parsed:
        if one.kind != "ping":
            assert f"installation:{installation.id}" in one.addresses
    first = await polled(of, api, asked(at=clock.now() - timedelta(hours=8)))
    await clock.advance(3600)
    again = told(await polled(of, api, asked(first[-1].checkpoint, at=clock.now())))
    assert not [event for event in again if event.type == "com.github.notification"]
