"""GitHub's log of deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from github_exchanges import NOW, ScriptedApi, answer, connector
from tidings.contracts import AddressedDelivery, LoggedDelivery, Target, Upstream
from tidings.errors import Rejected, Unavailable
from tidings.event import rfc3339

UPSTREAM = Upstream(id="12", target=Target("repo:1", "octo/hello"))
LOG = "GET /repos/octo/hello/hooks/12/deliveries?per_page=100"
SECOND = "/repos/octo/hello/hooks/12/deliveries?per_page=100&cursor=v1_5"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def line(identity: int, guid: str, minutes: float, status: str = "OK", **more: Any) -> dict[str, Any]:
    at = rfc3339(NOW - timedelta(minutes=minutes))
    return {"id": identity, "guid": guid, "delivered_at": at, "status": status, "event": "push", **more}


async def logged(
    api: ScriptedApi, minutes: float = 60, upstream: Upstream = UPSTREAM
) -> list[LoggedDelivery]:
    since = NOW - timedelta(minutes=minutes)
    return [one async for one in connector().deliveries(api, upstream, since)]


async def test_the_log_is_read_newest_first_back_to_where_it_is_known() -> None:
    following = f'<https://api.github.com{SECOND}>; rel="next"'
    api = ScriptedApi(
        {
            LOG: answer([line(9, "c", 1), line(8, "b", 2)], link=following),
            f"GET {SECOND}": answer([line(5, "a", 59), line(4, "z", 61)], link='<https://x/y>; rel="next"'),
        }
    )
    found = await logged(api)
    assert [(one.delivery_id, one.number, one.kind) for one in found] == [
        ("c", "9", "push"),
        ("b", "8", "push"),
        ("a", "5", "push"),
    ]
    assert api.calls == [LOG, f"GET {SECOND}"]


async def test_a_delivery_that_was_sent_again_is_one_line_that_has_succeeded_if_any_has() -> None:
    lines = [
        line(9, "a", 1, "timed out"),
        line(8, "b", 2),
        line(7, "a", 3),
        line(6, "b", 4, "Invalid HTTP Response: 503"),
        line(5, "c", 5, "Invalid HTTP Response: 503"),
    ]
    found = await logged(ScriptedApi({LOG: answer(lines)}))
    assert [(one.delivery_id, one.number, one.succeeded) for one in found] == [
        ("a", "9", True),
        ("b", "8", True),
        ("c", "5", False),
    ]


async def test_the_log_of_an_organisation_s_webhook_is_read_likewise() -> None:
    api = ScriptedApi({"GET /orgs/octo/hooks/3/deliveries?per_page=100": answer([line(1, "a", 1)])})
    assert len(await logged(api, upstream=Upstream(id="3", target=Target("org:5", "octo")))) == 1


async def test_the_log_of_a_webhook_that_is_gone_is_rejected_with_404() -> None:
    with pytest.raises(Rejected) as rejected:
        await logged(ScriptedApi({LOG: answer({}, 404)}))
    assert rejected.value.status == 404


def a_delivery(payload: Any, **headers: str) -> dict[str, Any]:
    sent = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": GUID,
        "X-Hub-Signature-256": "sha256=00",
        "Content-Type": "application/x-www-form-urlencoded",
        **headers,
    }
    return line(9, GUID, 1) | {"request": {"headers": sent, "payload": payload}, "response": {}}


LINE = LoggedDelivery(GUID, "9", "issues", NOW, succeeded=False)
ONE = "GET /repos/octo/hello/hooks/12/deliveries/9"


async def test_a_delivery_of_the_log_is_read_as_if_it_had_arrived() -> None:
    payload = {"action": "opened", "issue": {"id": 3, "number": 7, "title": "héllo ✓"}}
    request = await connector().fetch_delivery(
        ScriptedApi({ONE: answer(a_delivery(payload))}), UPSTREAM, LINE
    )
    assert request.headers["content-type"] == "application/json"
    assert "x-hub-signature-256" not in request.headers
    parsed = connector().parse(request)
    assert parsed.delivery_id == GUID
    assert parsed.events[0].id == "github:issues:3:opened"


async def test_a_delivery_whose_content_is_gone_is_rejected() -> None:
    api = ScriptedApi({ONE: answer(a_delivery(None))})
    with pytest.raises(Rejected) as rejected:
        await connector().fetch_delivery(api, UPSTREAM, LINE)
    assert rejected.value.status == 404


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"request": []}'])
async def test_an_answer_that_is_no_delivery_is_to_be_had_later(body: bytes) -> None:
    with pytest.raises(Unavailable):
        await connector().fetch_delivery(ScriptedApi({ONE: answer(body)}), UPSTREAM, LINE)


APP_LOG = "GET /app/hook/deliveries?per_page=100"


async def test_the_log_of_an_app_says_which_installation_each_delivery_is_for() -> None:
    lines = [
        line(9, "a", 1, installation_id=5),
        line(8, "b", 2, installation_id=5) | {"event": "installation"},
        line(7, "c", 3, installation_id=None) | {"event": "github_app_authorization"},
        line(6, "a", 4, installation_id=5),
    ]
    api = ScriptedApi({APP_LOG: answer(lines)})
    found = [one async for one in connector().common_deliveries(api, NOW - timedelta(hours=1))]
    # Who is meant by what an App is told of itself, only the payload says.
    assert [(one.delivery_id, one.addresses) for one in found] == [
        ("a", ("installation:5",)),
        ("b", ()),
        ("c", ()),
    ]


async def test_a_delivery_of_an_app_is_read_as_if_it_had_arrived() -> None:
    payload = {"action": "opened", "issue": {"id": 3, "number": 7}, "installation": {"id": 5}}
    api = ScriptedApi({"GET /app/hook/deliveries/9": answer(a_delivery(payload))})
    logged_ = AddressedDelivery(GUID, "9", "issues", NOW, succeeded=False)
    parsed = connector().parse(await connector().fetch_common_delivery(api, logged_))
    assert (parsed.delivery_id, parsed.addresses) == (GUID, ("installation:5",))


def test_the_log_reaches_back_three_days() -> None:
    assert connector().log_seconds == 3 * 86_400
