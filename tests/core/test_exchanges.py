"""A platform written down: what it says, what it never says, and what can be the matter with it."""

from __future__ import annotations

import pytest

from contract_plants import Bell
from tidings.errors import AuthExpired, NotSent, Rejected, Unavailable
from tidings.testing import Faults, RecordedApi, RecordedHttp, answer

URL = "https://bell.example.org/rings"


async def test_answers_come_one_after_the_other_and_the_last_stays() -> None:
    http = RecordedHttp({f"GET {URL}": answer({"n": 0})})
    http.say(f"GET {URL}", answer({"n": 1}), answer({"n": 2}))
    assert [(await http.send("GET", URL)).json() for _ in range(3)] == [{"n": 1}, {"n": 2}, {"n": 2}]
    assert [str(one) for one in http.asked] == [f"GET {URL}"] * 3


async def test_a_query_need_not_be_written_down() -> None:
    http = RecordedHttp({f"GET {URL}": answer([1]), f"GET {URL}?all=1": answer([2])})
    assert (await http.send("GET", f"{URL}?page=9")).json() == [1]
    assert (await http.send("GET", f"{URL}?all=1")).json() == [2]


async def test_what_nobody_wrote_down_is_never_answered() -> None:
    with pytest.raises(AssertionError, match=r"no answer to POST .*It has: GET https"):
        await RecordedHttp({f"GET {URL}": answer()}).send("POST", URL)


async def test_an_answer_may_depend_on_what_was_asked() -> None:
    http = RecordedHttp({f"POST {URL}": lambda asking: answer(asking.body, x_seen=asking.headers["x-a"])})
    said = await http.send("POST", URL, headers={"X-A": "b"}, body=b'"ring"')
    assert (said.json(), said.headers) == ("ring", {"x-seen": "b"})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Faults.UNREACHABLE, NotSent),
        (Faults.SILENT, Unavailable),
        (Faults.BROKEN, Unavailable),
        (Faults.LIMITED, Unavailable),
        (Faults.SIGNED_OUT, AuthExpired),
        (answer({}, 404), Rejected),
    ],
)
async def test_a_fault_befalls_every_call(fault: object, error: type[Exception]) -> None:
    http = RecordedHttp({f"GET {URL}": answer([])})
    api = RecordedApi(Bell(""), http)
    http.fault = fault  # type: ignore[assignment]  # each is one
    with pytest.raises(error) as caught:
        await api.request("GET", "/rings")
    if fault is Faults.LIMITED:
        assert getattr(caught.value, "retry_after_seconds", None) == 120
    http.fault = Faults.OFF
    assert (await api.request("GET", "/rings", params={"a": "b"})).json() == []
    assert http.asked[-1].url == f"{URL}?a=b"
    assert http.asked[-1].headers["authorization"] == "Bearer recorded"


async def test_statuses_that_are_accepted_are_answers() -> None:
    http = RecordedHttp({f"GET {URL}": answer({}, 404)})
    assert (await RecordedApi(Bell(""), http).request("GET", URL, accept={404})).status == 404


async def test_garbage_is_no_json() -> None:
    http = RecordedHttp()
    http.fault = Faults.GARBLED
    with pytest.raises(Unavailable, match="something else than JSON"):
        (await http.send("GET", URL)).json()
