from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from emulated_github import SINK, Caller, Connect, Receiver
from tidings.testing.clock import FakeClock
from tidings_sandbox.github import GitHub
from tidings_sandbox.github.requests import Problem
from tidings_sandbox.world import World

MANIFEST = {
    "name": "Tidings of the lantern",
    "url": "http://127.0.0.1:8080",
    "redirect_url": "http://127.0.0.1:8080/api/setup/github?from=manifest",
    "callback_urls": ["http://127.0.0.1:8080/api/oauth/github/callback"],
    "setup_url": "http://127.0.0.1:8080/setup",
    "hook_attributes": {"url": SINK, "active": True},
    "default_events": ["push", "issues"],
    "default_permissions": {"contents": "read", "issues": "read"},
}


class Made:
    """A GitHub App as its maker knows it."""

    def __init__(self, credentials: dict[str, Any], clock: FakeClock) -> None:
        self.credentials = credentials
        self.slug: str = credentials["slug"]
        self.clock = clock
        self.key = RSAKey.import_key(credentials["pem"])

    def sign(self, *, life: float = 540, **claims: Any) -> str:
        now = self.clock.now().timestamp()
        given = {"iat": int(now - 60), "exp": int(now + life), "iss": str(self.credentials["id"])} | claims
        return jwt.encode({"alg": "RS256"}, given, self.key)


@pytest.fixture
async def app(caller: Caller, clock: FakeClock) -> Made:
    form = {"manifest": msgspec.json.encode(MANIFEST).decode()}
    answer = await caller.http.post("/sandbox/github/settings/apps/new?state=abc", data=form)
    assert answer.status_code == 302, answer.text
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (back["from"], back["state"]) == (["manifest"], ["abc"])
    made = await caller("POST", f"/app-manifests/{back['code'][0]}/conversions")
    assert made.status_code == 201
    assert (await caller("POST", f"/app-manifests/{back['code'][0]}/conversions")).status_code == 404
    return Made(made.json(), clock)


async def as_app(caller: Caller, app: Made, method: str, path: str, json: Any = None, **claims: Any) -> Any:
    return await caller(method, path, json, authorization=f"Bearer {app.sign(**claims)}")


async def install(caller: Caller, app: Made) -> int:
    answer = await caller.http.get(f"/sandbox/github/apps/{app.slug}/installations/new?state=s")
    assert answer.status_code == 302
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (back["setup_action"], back["state"]) == (["install"], ["s"])
    return int(back["installation_id"][0])


async def test_an_app_is_made_from_its_manifest(
    caller: Caller, app: Made, world: World, receiver: Receiver
) -> None:
    credentials = app.credentials
    assert credentials["slug"] == "tidings-of-the-lantern"
    assert credentials["events"] == ["push", "issues"]
    assert all(credentials[name] for name in ("id", "client_id", "client_secret", "webhook_secret"))
    shown = await as_app(caller, app, "GET", "/app")
    assert (shown.status_code, shown.json()["id"]) == (200, credentials["id"])
    assert "pem" not in shown.json()
    await world.settle()
    assert receiver.events() == ["ping"]
    assert receiver.sent[0].payload["hook"]["type"] == "App"


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"life": 700}, "too far in the future"),
        ({"life": -1}, "'exp'"),
        ({"iat": 4_000_000_000}, "'iat'"),
        ({"iss": "77"}, "could not be decoded"),
    ],
)
async def test_a_token_that_the_app_should_not_have_signed_is_refused(
    caller: Caller, app: Made, claims: dict[str, Any], says: str
) -> None:
    answer = await as_app(caller, app, "GET", "/app", **claims)
    assert answer.status_code == 401
    assert says in answer.json()["message"]


async def test_a_token_of_another_key_is_refused(caller: Caller, app: Made) -> None:
    app.key = RSAKey.generate_key(2048)
    assert (await as_app(caller, app, "GET", "/app")).status_code == 401
    for odd in ("a.b.c", "..", "e30.e30.e30"):
        answer = await caller("GET", "/app", authorization=f"Bearer {odd}")
        assert answer.status_code == 401


async def test_the_client_id_names_the_app_too(caller: Caller, app: Made) -> None:
    answer = await as_app(caller, app, "GET", "/app", iss=app.credentials["client_id"])
    assert answer.status_code == 200


async def test_one_hook_hears_of_everything_that_is_installed(
    caller: Caller, app: Made, world: World, receiver: Receiver
) -> None:
    installation = await install(caller, app)
    for name in ("garden", "almanac"):
        world.act("github", "push", caller.login, repository=f"{caller.login}/{name}")
    world.act("github", "star", caller.login, repository=f"{caller.login}/garden")  # not asked for
    await world.settle()
    assert receiver.events() == ["ping", "installation", "push", "push"]
    push = receiver.sent[-1]
    assert push.payload["installation"] == {"id": installation}
    assert push.headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert push.headers["X-GitHub-Hook-Installation-Target-ID"] == str(app.credentials["id"])
    log = (await as_app(caller, app, "GET", "/app/hook/deliveries")).json()
    assert [each["event"] for each in log] == ["push", "push", "installation", "ping"]
    assert log[0]["installation_id"] == installation
    path = f"/app/hook/deliveries/{log[0]['id']}"
    assert (await as_app(caller, app, "GET", path)).json()["request"]["payload"] == push.payload
    assert (await as_app(caller, app, "POST", f"{path}/attempts")).status_code == 202
    await world.settle()
    assert receiver.sent[-1].headers["X-GitHub-Delivery"] == push.headers["X-GitHub-Delivery"]


async def test_the_apps_hook_can_be_led_elsewhere(
    caller: Caller, app: Made, world: World, receiver: Receiver
) -> None:
    await install(caller, app)
    await world.settle()
    changed = await as_app(caller, app, "PATCH", "/app/hook/config", {"url": f"{SINK}/2", "secret": "new"})
    assert changed.json() == (await as_app(caller, app, "GET", "/app/hook/config")).json()
    assert changed.json()["url"] == f"{SINK}/2"
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.sent[-1].url == f"{SINK}/2"


async def test_a_users_token_of_the_app_sees_what_is_installed(
    connect: Connect, caller: Caller, app: Made
) -> None:
    user = await connect(0, "", app.credentials["client_id"])
    assert (await user("GET", "/user/installations")).json()["total_count"] == 0
    assert (await user("GET", f"/repos/{user.login}/almanac")).status_code == 404
    installation = await install(caller, app)
    shown = (await user("GET", "/user/installations")).json()
    assert [each["id"] for each in shown["installations"]] == [installation]
    covered = (await user("GET", f"/user/installations/{installation}/repositories")).json()
    assert {each["name"] for each in covered["repositories"]} == {"garden", "almanac"}
    answer = await user("GET", f"/repos/{user.login}/almanac")
    assert answer.status_code == 200
    assert "x-oauth-scopes" not in answer.headers
    assert (await user("GET", "/user/installations/1/repositories")).status_code == 404


async def test_what_is_private_is_expected_where_the_app_is_installed(
    connect: Connect, caller: Caller, app: Made, github: GitHub, world: World
) -> None:
    github.consents.revoke(person=caller.login)
    await connect(0, "", app.credentials["client_id"])
    for count in (0, 1):
        world.act("github", "star", caller.login, repository=f"{caller.login}/almanac")
        assert len(world.happenings(caller.login)) == count
        await install(caller, app)


async def test_a_users_token_of_the_app_makes_no_hooks_and_has_no_notifications(
    connect: Connect, app: Made
) -> None:
    user = await connect(0, "", app.credentials["client_id"])
    for method, path in (("POST", f"/repos/{user.login}/garden/hooks"), ("GET", "/notifications")):
        answer = await user(method, path)
        assert (answer.status_code, answer.json()["message"]) == (
            403,
            "Resource not accessible by integration",
        )


async def test_an_oauth_apps_token_sees_no_installations(caller: Caller) -> None:
    assert (await caller("GET", "/user/installations")).status_code == 403


async def test_an_app_can_cover_some_repositories_only(
    caller: Caller, app: Made, github: GitHub, world: World, receiver: Receiver
) -> None:
    made = github.site.apps.by_slug(app.slug)
    account = github.site.accounts.get(caller.login)
    garden = github.site.repositories.get(f"{caller.login}/garden")
    assert made is not None
    assert account is not None
    assert garden is not None
    github.site.install_app(made, account, frozenset({garden.id}))
    for name in ("garden", "almanac"):
        world.act("github", "push", caller.login, repository=f"{caller.login}/{name}")
    github.site.app_api.tell_revoked(made, account)
    github.site.uninstall_app(made, account)
    world.act("github", "push", caller.login, repository=f"{caller.login}/garden")
    await world.settle()
    assert receiver.events() == ["ping", "installation", "push", "github_app_authorization", "installation"]
    assert [each.payload["action"] for each in receiver.sent[3:]] == ["revoked", "deleted"]
    assert receiver.sent[-1].payload["installation"]["repository_selection"] == "selected"
    assert world.github.describe()["apps"] == [{"slug": app.slug, "installed_on": []}]


async def test_an_apps_hook_can_be_disabled_but_not_deleted(app: Made, github: GitHub) -> None:
    (hook,) = github.hooks()
    assert hook["target"] == MANIFEST["name"]
    github.change_hook(hook["id"], "delete")
    assert [(each["id"], each["active"]) for each in github.hooks()] == [(hook["id"], False)]


async def test_a_manifest_that_cannot_be_used_is_refused(caller: Caller, github: GitHub) -> None:
    answer = await caller.http.post("/sandbox/github/settings/apps/new", data={"manifest": "{"})
    assert answer.status_code == 422
    account = github.site.accounts.get(caller.login)
    assert account is not None
    with pytest.raises(Problem, match="redirect_url"):
        github.site.create_app({"name": "x"}, account)
    assert (await caller.http.get("/sandbox/github/apps/none/installations/new")).status_code == 404
