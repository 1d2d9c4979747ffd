"""Forged deliveries: what somebody sends who does not know the key, or who sends again what somebody else signed.

Each takes a delivery that the platform signed, and the name of the header that holds its signature, in lower case.
"""

from __future__ import annotations

import msgspec

from tidings.deliveries import WebhookRequest


def unsigned(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same without its signature."""
    return _with(request, {name: value for name, value in request.headers.items() if name != signature})


def blank(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same with a signature that is empty."""
    return _with(request, {**request.headers, signature: ""})


def shortened(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same with a signature that lacks its last two characters."""
    return _with(request, {**request.headers, signature: request.headers[signature][:-2]})


def doubled(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same with its signature sent twice: a forged one before it. Servers join such headers with a comma."""
    given = request.headers[signature]
    forged = given[:-8] + given[-8:][::-1].swapcase()
    return _with(request, {**request.headers, signature: f"{forged}, {given}"})


def changed(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same with one bit of its body turned, or a body where there was none."""
    del signature  # it stays as it is: that is the forgery
    middle = len(request.body) // 2
    body = (
        request.body[:middle] + bytes([request.body[middle] ^ 1]) + request.body[middle + 1 :]
        if request.body
        else b"x"
    )
    return msgspec.structs.replace(request, body=body)


def truncated(request: WebhookRequest, signature: str) -> WebhookRequest:
    """The same with the second half of its body cut off."""
    del signature  # as above
    return msgspec.structs.replace(request, body=request.body[: len(request.body) // 2])


def retitled(request: WebhookRequest) -> dict[str, str]:
    """Its headers as other clients write them: `X-Signature` for `x-signature`. Names have no case (RFC 9110 §5.1)."""
    return {name.title(): value for name, value in request.headers.items()}


def _with(request: WebhookRequest, headers: dict[str, str]) -> WebhookRequest:
    return msgspec.structs.replace(request, headers=headers)
