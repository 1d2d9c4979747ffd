from __future__ import annotations

import base64

import pytest

from emulated_github import API, Caller, Connect
from tidings.testing.clock import FakeClock
from tidings_sandbox.github import GitHub


async def test_the_user_is_who_the_token_belongs_to_and_the_scopes_are_shown(caller: Caller) -> None:
    answer = await caller("GET", "/user")
    assert answer.status_code == 200
    assert (answer.json()["login"], answer.json()["id"]) == (caller.login, 900_000_000)
    assert set(answer.headers["x-oauth-scopes"].split(", ")) >= {"repo", "notifications"}


async def test_scopes_that_another_contains_are_not_shown(connect: Connect) -> None:
    caller = await connect(0, "repo public_repo admin:repo_hook write:repo_hook")
    answer = await caller("GET", "/user")
    assert answer.headers["x-oauth-scopes"] == "admin:repo_hook, repo"


async def test_a_token_that_nobody_has_is_refused(caller: Caller) -> None:
    caller.token = "gho_of-nobody"
    answer = await caller("GET", "/user")
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_a_token_is_refused_when_its_life_is_over(caller: Caller, clock: FakeClock) -> None:
    await clock.advance(28_799)
    assert (await caller("GET", "/user")).status_code == 200
    await clock.advance(1)
    assert (await caller("GET", "/user")).status_code == 401


async def test_a_call_without_a_user_agent_is_forbidden(caller: Caller) -> None:
    answer = await caller("GET", "/user", user_agent="")
    assert answer.status_code == 403
    assert "User-Agent" in answer.json()["message"]


async def test_a_version_of_the_api_that_is_not_there_is_refused(caller: Caller) -> None:
    answer = await caller("GET", "/user", x_github_api_version="2019-01-01")
    assert answer.status_code == 400
    answer = await caller("GET", "/user", x_github_api_version="2026-03-10")
    assert answer.headers["x-github-api-version-selected"] == "2026-03-10"


async def test_without_a_token_there_is_no_user(caller: Caller) -> None:
    caller.token = ""
    answer = await caller("GET", "/user")
    assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (401, "60")


async def test_repositories_come_in_pages_with_what_the_caller_may_do(caller: Caller) -> None:
    first = await caller("GET", "/user/repos?per_page=2")
    assert first.links["next"]["url"] == f"{API}/user/repos?per_page=2&page=2"
    assert first.links["last"]["url"] == first.links["next"]["url"]
    second = await caller.http.get(
        first.links["next"]["url"], headers={"authorization": f"Bearer {caller.token}"}
    )
    assert set(second.links) == {"prev", "first"}
    found = [*first.json(), *second.json()]
    assert {each["full_name"] for each in found} == {
        f"{caller.login}/garden",
        f"{caller.login}/almanac",
        "lantern-works/lighthouse",
    }
    assert all(each["permissions"]["admin"] for each in found)


async def test_a_member_of_an_organisation_is_no_admin_of_its_repositories(connect: Connect) -> None:
    member = await connect(2)
    answer = await member("GET", "/user/repos?affiliation=organization_member")
    (found,) = answer.json()
    assert found["full_name"] == "lantern-works/lighthouse"
    assert found["permissions"] == {
        "admin": False,
        "maintain": False,
        "push": True,
        "triage": True,
        "pull": True,
    }


async def test_private_repositories_need_the_scope(connect: Connect) -> None:
    caller = await connect(0, "public_repo")
    names = {each["name"] for each in (await caller("GET", "/user/repos")).json()}
    assert "almanac" not in names
    assert (await caller("GET", f"/repos/{caller.login}/almanac")).status_code == 404
    assert (await caller("GET", f"/repos/{caller.login}/garden")).status_code == 200


async def test_a_private_repository_is_not_there_for_strangers(connect: Connect) -> None:
    owner, stranger = await connect(3), await connect(4)
    assert (await owner("GET", f"/repos/{owner.login}/almanac")).status_code == 200
    assert (await stranger("GET", f"/repos/{owner.login}/almanac")).status_code == 404


async def test_organisations_are_listed_with_the_callers_role(connect: Connect) -> None:
    owner, member, outsider = await connect(0), await connect(2), await connect(5)
    assert [each["login"] for each in (await owner("GET", "/user/orgs")).json()] == ["lantern-works"]
    assert (await outsider("GET", "/user/orgs")).json() == []
    roles = [(await each("GET", "/user/memberships/orgs")).json()[0]["role"] for each in (owner, member)]
    assert roles == ["admin", "member"]
    assert (await (await connect(0, "repo"))("GET", "/user/orgs")).status_code == 403


async def test_a_collaborator_may_do_what_the_role_says(connect: Connect, github: GitHub) -> None:
    owner, other = await connect(3), await connect(4)
    repository = github.site.repositories.get(f"{owner.login}/almanac")
    account = github.site.accounts.get(other.login)
    assert repository is not None
    assert account is not None
    path = f"/repos/{owner.login}/almanac/hooks"
    for role, status in (("read", 404), ("write", 404), ("admin", 200)):
        github.site.repositories.let_in(repository, account, role)  # type: ignore[arg-type] # one of the three
        assert (await other("GET", path)).status_code == status
    found = (await other("GET", "/user/repos?affiliation=collaborator")).json()
    assert [each["full_name"] for each in found] == [repository.full_name]


async def test_a_renamed_repository_sends_its_callers_on(caller: Caller, github: GitHub) -> None:
    repository = github.site.repositories.get(f"{caller.login}/garden")
    assert repository is not None
    hook = await caller.hook()
    github.site.repositories.rename(repository, "orchard")
    answer = await caller("GET", f"/repos/{caller.login}/garden/hooks?per_page=5")
    assert (answer.status_code, answer.headers["location"]) == (
        301,
        f"{API}/repositories/{repository.id}/hooks?per_page=5",
    )
    answer = await caller("GET", answer.headers["location"].removeprefix(API))
    assert [each["id"] for each in answer.json()] == [hook["id"]]
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks/{hook['id']}/pings")
    assert answer.status_code == 307
    shown = (await caller("GET", f"/repos/{caller.login}/ORCHARD")).json()
    assert shown["full_name"] == f"{caller.login}/orchard"


async def test_a_comparison_lists_what_was_pushed_oldest_first(caller: Caller, github: GitHub) -> None:
    person = github.stage.people.get(caller.login)
    assert person is not None
    where = f"{caller.login}/garden"
    before = github.site.repositories.get(where).branches["main"]  # type: ignore[union-attr] # it is there
    github.act("push", person, {"repository": where, "commits": 3, "branch": "main"})
    answer = (await caller("GET", f"/repos/{where}/compare/{before}...main")).json()
    assert (answer["total_commits"], answer["status"]) == (3, "ahead")
    assert answer["commits"][0]["parents"] == [{"sha": before}]
    assert answer["commits"][1]["parents"] == [{"sha": answer["commits"][0]["sha"]}]
    assert (await caller("GET", f"/repos/{where}/compare/{'0' * 40}...main")).status_code == 404


async def test_a_comparison_takes_branches_with_slashes(caller: Caller, github: GitHub) -> None:
    person = github.stage.people.get(caller.login)
    assert person is not None
    where = f"{caller.login}/garden"
    github.act("push", person, {"repository": where, "commits": 2, "branch": "fix/the/gate"})
    answer = (await caller("GET", f"/repos/{where}/compare/main...fix/the/gate")).json()
    assert answer["ahead_by"] == 2


async def test_meta_tells_where_webhooks_come_from(caller: Caller) -> None:
    assert "127.0.0.0/8" in (await caller("GET", "/meta")).json()["hooks"]


@pytest.mark.parametrize("path", ["/nothing", "/repos/a", "/repos/a/b/c/d/e/f", "/users//events", "//"])
async def test_what_is_not_there_is_not_found(caller: Caller, path: str) -> None:
    assert (await caller("GET", path)).status_code == 404


async def test_a_body_that_is_no_object_is_refused(caller: Caller) -> None:
    answer = await caller("POST", f"/repos/{caller.login}/garden/hooks", [1])
    assert (answer.status_code, answer.json()["message"]) == (400, "Body should be a JSON object")


# --- limits ---


async def test_every_call_counts_and_the_hour_turns(caller: Caller, clock: FakeClock) -> None:
    first = await caller("GET", "/user")
    second = await caller("GET", "/nothing")
    assert (first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]) == (
        "4999",
        "4998",
    )
    assert int(first.headers["x-ratelimit-reset"]) == clock.now().timestamp() + 3600
    await clock.advance(3600)
    assert (await caller("GET", "/user")).headers["x-ratelimit-used"] == "1"


async def test_when_the_hour_is_spent_the_caller_is_refused_until_it_turns(
    caller: Caller, github: GitHub, clock: FakeClock
) -> None:
    github.limits.exhaust(900_000_000, clock.now())
    answer = await caller("GET", "/user")
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (403, "0")
    assert "retry-after" not in answer.headers
    await clock.advance(3600)
    assert (await caller("GET", "/user")).status_code == 200


async def test_nobody_has_sixty_calls(caller: Caller) -> None:
    caller.token = ""
    answers = [await caller("GET", "/meta") for _ in range(61)]
    assert [answer.status_code for answer in answers[-2:]] == [200, 403]


async def test_more_than_900_points_in_a_minute_meet_the_secondary_limit(
    caller: Caller, clock: FakeClock
) -> None:
    for _ in range(180):
        await caller("POST", f"/repos/{caller.login}/garden/hooks/1/pings")
    answer = await caller("GET", "/user")
    assert (answer.status_code, answer.headers["retry-after"]) == (403, "60")
    assert "secondary rate limit" in answer.json()["message"]
    await clock.advance(60)
    assert (await caller("GET", "/user")).status_code == 200


@pytest.mark.parametrize(("style", "told"), [("retry-after", True), ("text", False)])
async def test_the_secondary_limit_can_be_set_off(
    caller: Caller, github: GitHub, clock: FakeClock, style: str, told: bool
) -> None:
    github.limits.secondary_until = clock.now().replace(minute=5)
    github.limits.secondary_status = 429
    github.limits.secondary_style = style  # type: ignore[assignment] # one of the two
    answer = await caller("GET", "/user")
    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == ("300" if told else None)
    await clock.advance(300)
    assert (await caller("GET", "/user")).status_code == 200


# --- tokens ---


def basic(client_id: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"


async def test_an_app_can_check_and_end_a_token(caller: Caller, github: GitHub) -> None:
    app = github.consents.app("sandbox-github")
    assert app is not None
    token, body = caller.token, {"access_token": caller.token}
    caller.token = ""
    path, shown = "/applications/sandbox-github/token", basic("sandbox-github", app.client_secret)
    checked = await caller("POST", path, body, authorization=shown)
    assert (checked.status_code, checked.json()["user"]["login"]) == (200, caller.login)
    assert (await caller("POST", path, body, authorization=basic("sandbox-github", "no"))).status_code == 404
    assert (await caller("POST", path, body)).status_code == 401
    assert (await caller("POST", path, {}, authorization=shown)).status_code == 422
    assert (
        await caller.http.request("DELETE", f"{API}{path}", json=body, headers={"authorization": shown})
    ).status_code == 204
    assert (await caller("POST", path, body, authorization=shown)).status_code == 404
    caller.token = token
    assert (await caller("GET", "/user")).status_code == 401


async def test_an_app_can_end_all_that_was_agreed_to(connect: Connect, github: GitHub) -> None:
    one, other = await connect(), await connect()
    app = github.consents.app("sandbox-github")
    assert app is not None
    shown = basic("sandbox-github", app.client_secret)
    body = {"access_token": one.token}
    path = "/applications/sandbox-github/grant"
    assert (await one("DELETE", path, body, authorization=shown)).status_code == 204
    assert [(await each("GET", "/user")).status_code for each in (one, other)] == [401, 401]


# --- pages ---


async def test_other_addresses_lead_to_a_page_that_says_what_it_is(caller: Caller) -> None:
    answer = await caller.http.get("/sandbox/github/somebody/<repo>/issues/7")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "This is not GitHub" in answer.text
    assert "<repo>" not in answer.text
