"""Webhooks that tidings makes at GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from github_exchanges import JumpClock, ScriptedApi, answer, connector
from tidings.contracts import Target, Upstream
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings_github import app
from tidings_github.hooks import KINDS
from tidings_github.site import Site

URL = "https://tidings.example.org/api/webhooks/github/w1"
HELLO = Target("repo:1", "octo/hello")
OCTO = Target("org:5", "octo")
LIST = "GET /repos/octo/hello/hooks?per_page=100"
MAKE = "POST /repos/octo/hello/hooks"
HOOK = "/repos/octo/hello/hooks/12"


def hook(identity: int = 12, **more: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "active": True,
        "events": list(KINDS),
        "config": {"url": URL, "content_type": "json", "secret": "********", "insecure_ssl": "0"},
        "last_response": {"code": 200, "status": "active", "message": "OK"},
        **more,
    }


def failing(code: int | None = 502, status: str = "invalid_http_response") -> dict[str, Any]:
    message = "Invalid HTTP Response: 502" if code else "failed to connect to host"
    return {"last_response": {"code": code, "status": status, "message": message}}


async def register(api: ScriptedApi, target: Target = HELLO, clock: Any = None) -> Upstream:
    return await connector(clock=clock).register(api, target, URL, "the-secret")


async def test_a_webhook_is_made_with_everything_that_it_takes() -> None:
    api = ScriptedApi({LIST: answer([]), MAKE: answer(hook(), 201)})
    upstream = await register(api)
    assert api.calls == [LIST, MAKE]
    assert api.asked[-1].json == {
        "name": "web",
        "active": True,
        "events": list(KINDS),
        "config": {"url": URL, "content_type": "json", "secret": "the-secret", "insecure_ssl": "0"},
    }
    assert upstream == Upstream(id="12", target=HELLO, kinds=frozenset(KINDS), data={"url": URL})


def test_what_is_asked_for_is_no_flood() -> None:
    assert "*" not in KINDS
    assert not {"check_run", "check_suite", "status", "workflow_job", "watch"} & set(KINDS)
    assert {"push", "issues", "issue_comment", "pull_request", "release", "star", "fork", "meta"} <= set(
        KINDS
    )
    assert list(KINDS) == sorted(set(KINDS))
    assert set(app.EVENTS) <= set(KINDS)


async def test_one_that_calls_here_already_is_brought_up_to_date_with_its_secret_and_pinged() -> None:
    old = hook(events=["push"], active=False)
    other = hook(11, config={"url": "https://ci.example.org/hook"})
    api = ScriptedApi(
        {
            LIST: answer([other, old]),
            f"PATCH {HOOK}": answer(hook()),
            f"POST {HOOK}/pings": answer(b"", 204),
        }
    )
    clock = JumpClock()
    upstream = await register(api, clock=clock)
    assert api.calls == [LIST, f"PATCH {HOOK}", f"POST {HOOK}/pings"]
    changed = api.asked[1].json
    assert changed["config"] == {
        "url": URL,
        "content_type": "json",
        "secret": "the-secret",
        "insecure_ssl": "0",
    }
    assert (changed["active"], changed["events"]) == (True, list(KINDS))
    assert (upstream.problem, upstream.kinds) == ("", frozenset(KINDS))
    assert clock.slept == [1.0]  # between two writes


async def test_one_that_was_made_at_the_same_time_is_found_and_updated() -> None:
    exists = {
        "message": "Validation Failed",
        "errors": [{"message": "Hook already exists on this repository"}],
    }
    api = ScriptedApi(
        {
            LIST: [answer([]), answer([hook()])],
            MAKE: answer(exists, 422),
            f"PATCH {HOOK}": answer(hook()),
            f"POST {HOOK}/pings": answer(b"", 204),
        }
    )
    assert (await register(api)).id == "12"
    assert f"PATCH {HOOK}" in api.calls


async def test_of_several_that_call_here_one_stays() -> None:
    api = ScriptedApi(
        {
            LIST: answer([hook(), hook(13)]),
            "DELETE /repos/octo/hello/hooks/13": answer(b"", 204),
            f"PATCH {HOOK}": answer(hook()),
            f"POST {HOOK}/pings": answer(b"", 204),
        }
    )
    assert (await register(api)).id == "12"
    assert "DELETE /repos/octo/hello/hooks/13" in api.calls


@pytest.mark.parametrize("after", [{}, failing()])
async def test_where_deliveries_failed_the_ping_says_whether_they_still_do(after: Mapping[str, Any]) -> None:
    api = ScriptedApi(
        {
            LIST: answer([hook(**failing())]),
            f"PATCH {HOOK}": answer(hook(**failing())),
            f"POST {HOOK}/pings": answer(b"", 204),
            f"GET {HOOK}": answer(hook(**after)),
        }
    )
    clock = JumpClock()
    upstream = await register(api, clock=clock)
    assert api.calls[-1] == f"GET {HOOK}"
    assert 3.0 in clock.slept
    assert bool(upstream.problem) is bool(after)


async def test_an_old_server_that_does_not_know_some_event_gets_the_old_ones() -> None:
    unknown = {"message": "Validation Failed", "errors": [{"message": "Invalid events: code_scanning_alert"}]}
    made = hook(events=["push"])
    api = ScriptedApi({LIST: answer([]), MAKE: [answer(unknown, 422), answer(made, 201)]})
    assert (await register(api)).kinds == {"push"}
    assert set(api.asked[-1].json["events"]) < set(KINDS)


@pytest.mark.parametrize("status", [403, 404])
async def test_who_is_no_admin_is_told_what_is_missing(status: int) -> None:
    refused = answer({"message": "Must have admin rights to Repository."}, status)
    for script in ({LIST: refused}, {LIST: answer([]), MAKE: refused}):
        with pytest.raises(Rejected, match=r"must be an admin there, .* scope admin:repo_hook"):
            await register(ScriptedApi(script))


async def test_an_organisation_s_webhook_needs_an_owner_and_its_own_scope() -> None:
    api = ScriptedApi({"GET /orgs/octo/hooks?per_page=100": answer({}, 404)})
    with pytest.raises(Rejected, match=r"must be an owner there, .*admin:org_hook"):
        await register(api, OCTO)


async def test_what_is_not_there_is_said_to_be_not_there() -> None:
    with pytest.raises(Rejected, match="octo/secret to this account"):
        await register(ScriptedApi(), Target("name:octo/secret", "octo/secret"))


async def test_a_limit_of_github_s_is_told_in_its_words() -> None:
    full = {"errors": [{"message": 'The "push" event cannot have more than 20 hooks'}]}
    api = ScriptedApi({LIST: answer([]), MAKE: answer(full, 422)})
    with pytest.raises(Rejected, match="more than 20 hooks"):
        await register(api)
    assert api.calls.count(MAKE) == 1


@pytest.mark.parametrize(
    ("stands", "problem"),
    [
        (hook(), ""),
        (hook(last_response={"code": None, "status": "unused", "message": None}), ""),
        (hook(last_response={"code": 204, "status": "active", "message": "OK"}), ""),
        (hook(last_response=None), ""),
        (hook(active=False), "switched off"),
        (hook(**failing()), "Invalid HTTP Response: 502"),
        (hook(**failing(None, "timeout")), "failed to connect"),
        (hook(config={"url": "https://elsewhere.example.org", "secret": "********"}), "another address"),
        (hook(config={"url": URL}), "no secret"),
    ],
)
async def test_a_check_says_what_keeps_a_webhook_from_delivering(stands: Any, problem: str) -> None:
    upstream = Upstream(id="12", target=HELLO, data={"url": URL})
    checked = await connector().check(ScriptedApi({f"GET {HOOK}": answer(stands)}), upstream)
    assert problem in checked.problem
    assert bool(checked.problem) is bool(problem)
    assert checked.data == {"url": URL}


async def test_a_check_of_one_that_wants_everything_names_what_we_know() -> None:
    api = ScriptedApi({f"GET {HOOK}": answer(hook(events=["*"]))})
    checked = await connector().check(api, Upstream(id="12", target=HELLO, data={"url": URL}))
    assert checked.kinds == set(KINDS)


async def test_a_check_of_one_that_is_gone_is_rejected_with_404() -> None:
    with pytest.raises(Rejected) as rejected:
        await connector().check(
            ScriptedApi({f"GET {HOOK}": answer({}, 404)}), Upstream(id="12", target=HELLO)
        )
    assert rejected.value.status == 404


@pytest.mark.parametrize("status", [204, 404])
async def test_removing_one_that_is_gone_is_fine(status: int) -> None:
    api = ScriptedApi({f"DELETE {HOOK}": answer(b"", status)})
    await connector().unregister(api, Upstream(id="12", target=HELLO))
    assert api.calls == [f"DELETE {HOOK}"]


@pytest.mark.parametrize(("status", "error"), [(401, AuthExpired), (500, Unavailable), (403, Rejected)])
async def test_a_removal_that_fails_says_how(status: int, error: type[Exception]) -> None:
    api = ScriptedApi({f"DELETE {HOOK}": answer({"message": "no"}, status)})
    with pytest.raises(error):
        await connector().unregister(api, Upstream(id="12", target=HELLO))


@pytest.mark.parametrize(("key", "place"), [("repo:1", "/repositories/1"), ("org:5", "/organizations/5")])
async def test_what_is_known_by_its_id_alone_can_be_cleaned_up(key: str, place: str) -> None:
    api = ScriptedApi(
        {
            f"GET {place}/hooks?per_page=100": answer([hook()]),
            f"PATCH {place}/hooks/12": answer(hook()),
            f"POST {place}/hooks/12/pings": answer(b"", 204),
            f"DELETE {place}/hooks/12": answer(b"", 204),
        }
    )
    upstream = await register(api, Target(key, key))
    await connector().unregister(api, upstream)
    assert api.calls[-1] == f"DELETE {place}/hooks/12"


async def test_a_github_app_makes_no_webhooks() -> None:
    of = connector(app=app.App("7", "tidings", connector().clients[0]))
    assert await of.targets(ScriptedApi(), {}) == ()


@pytest.mark.parametrize(
    ("api_url", "callback", "reached"),
    [
        ("https://api.github.com", "https://tidings.example.org/x", True),
        ("https://api.github.com", "http://127.0.0.1:8080/x", False),
        ("https://api.github.com", "https://192.168.1.4/x", False),
        ("http://127.0.0.1:8080/sandbox/github/api", "http://127.0.0.1:8080/x", True),
        ("https://ghe.corp.internal/api/v3", "http://10.0.0.7/x", True),
    ],
)
def test_github_reaches_public_addresses_and_a_private_one_its_own_network(
    api_url: str, callback: str, reached: bool
) -> None:
    assert connector(site=Site(api_url=api_url)).reaches(callback) is reached
