"""A push names a mailbox, or is junk that is acknowledged so that it does not come again for days."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmail_exchanges import FIXTURES, JSON, envelope, push
from tidings.errors import Rejected
from tidings_gmail.parse import ACKNOWLEDGED, parse

SAID = {"emailAddress": "user@example.com", "historyId": "9876543210"}
PUSHES = sorted(path.stem for path in FIXTURES.glob("push__*.json"))


@pytest.mark.parametrize("name", PUSHES)
def test_a_push_as_it_comes(name: str) -> None:
    kept = json.loads((FIXTURES / f"{name}.json").read_text())
    parsed = parse(push(json.dumps(kept["body"]).encode()))
    assert (list(parsed.addresses), parsed.delivery_id, parsed.kind) == (
        kept["addresses"],
        kept["delivery_id"],
        kept["kind"],
    )
    assert (parsed.hint is not None) == bool(kept["addresses"])
    assert (parsed.events, parsed.answer) == ((), ACKNOWLEDGED)


def test_the_guide_s_own_example() -> None:
    data = "eyJlbWFpbEFkZHJlc3MiOiAidXNlckBleGFtcGxlLmNvbSIsICJoaXN0b3J5SWQiOiAiMTIzNDU2Nzg5MCJ9"
    body = json.dumps({"message": {"data": data, "message_id": "2070443601311540"}}).encode()
    parsed = parse(push(body))
    assert (parsed.addresses, parsed.delivery_id) == (("mailbox:user@example.com",), "2070443601311540")


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_either_alphabet_of_base64(encode, padded: bool) -> None:  # type: ignore[no-untyped-def]
    data = encode(
        json.dumps({**SAID, "emailAddress": "ÿÿ?>~@example.com"}, ensure_ascii=False).encode()
    ).decode()
    body = json.dumps({"message": {"data": data if padded else data.rstrip("="), "messageId": "1"}}).encode()
    assert parse(push(body)).addresses == ("mailbox:ÿÿ?>~@example.com",)


JUNK = {
    "nothing": b"",
    "no JSON": b"hello",
    "no UTF-8": b"\xff\xfe",
    "an empty object": b"{}",
    "a list": b"[]",
    "no message": b'{"message": null}',
    "a message that is a word": b'{"message": "hello"}',
    "data that is a number": b'{"message": {"data": 5}}',
    "data that is no base64": b'{"message": {"data": "!!!"}}',
    "data cut in the middle": b'{"message": {"data": "eyJlbWF"}}',
    "empty data": b'{"message": {"data": ""}}',
    "an empty object in it": b'{"message": {"data": "e30="}}',
    "a list in it": envelope([SAID]),
    "no address": envelope({"historyId": "1"}),
    "an address that is a number": envelope({**SAID, "emailAddress": 5}),
    "an address that is none": envelope({**SAID, "emailAddress": "user"}),
    "an address with a blank": envelope({**SAID, "emailAddress": "us er@example.com"}),
    "an address with a line feed": envelope({**SAID, "emailAddress": "user@example.com\n"}),
    "a lone surrogate": envelope({**SAID, "emailAddress": "\ud800@example.com"}),
    "an endless address": envelope({**SAID, "emailAddress": "a" * 500 + "@example.com"}),
    "no history": envelope({"emailAddress": "user@example.com"}),
    "a history that is a word": envelope({**SAID, "historyId": "abc"}),
    "a history of nothing": envelope({**SAID, "historyId": 0}),
    "a history below nothing": envelope({**SAID, "historyId": -5}),
    "a history beyond 64 bits": envelope({**SAID, "historyId": 2**64}),
    "a history that is true": envelope({**SAID, "historyId": True}),
    "a history with a fraction": envelope({**SAID, "historyId": 1.5}),
    "nested without end": b'{"message":' * 3000,
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_acknowledged_and_dropped(name: str) -> None:
    parsed = parse(push(JUNK[name]))
    assert (parsed.events, parsed.addresses, parsed.hint, parsed.answer) == ((), (), None, ACKNOWLEDGED)


@pytest.mark.parametrize("number", [None, 5, "", "a b", "x" * 200])
def test_an_odd_message_id_counts_as_none(number: object) -> None:
    assert parse(push(envelope(SAID, messageId=number))).delivery_id == ""


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_nothing_is_raised(body: bytes) -> None:
    for one in (body, envelope(body)):
        try:
            assert parse(push(one)).answer == ACKNOWLEDGED
        except Rejected:
            raise AssertionError("junk must be acknowledged") from None


@given(JSON, JSON, JSON)
def test_whatever_is_in_a_push_its_address_is_one(address: object, history: object, number: object) -> None:
    parsed = parse(push(envelope({"emailAddress": address, "historyId": history}, messageId=number)))
    assert parse(push(envelope({"emailAddress": address, "historyId": history}, messageId=number))) == parsed
    for one in parsed.addresses:
        assert one.startswith("mailbox:")
        assert "@" in one
        assert one.encode()
