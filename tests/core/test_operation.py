"""What all operations of the API share: reading a request's body."""

from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from tidings.api.operation import read_body
from tidings.errors import Rejected


class Wish(msgspec.Struct):
    name: str


def request(*messages: MutableMapping[str, Any]) -> Request:
    """A POST that brings these, one after the other."""
    left = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        return left.pop(0)

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def part(body: bytes, *, more: bool) -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_may_come_in_parts() -> None:
    found = await read_body(request(part(b'{"name":', more=True), part(b' "a"}', more=False)), Wish)
    assert found == Wish("a")


async def test_a_body_that_breaks_off_is_the_client_s_doing_and_no_failure() -> None:
    with pytest.raises(Rejected, match="ended before the body") as caught:
        await read_body(request(part(b'{"name":', more=True), {"type": "http.disconnect"}), Wish)
    assert caught.value.status == 400
