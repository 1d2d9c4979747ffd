"""GitHub's own log of what it sent, so that lost deliveries can be had later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.contracts import AddressedDelivery, Api, LoggedDelivery, Upstream, WebhookRequest
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, instant, number, raw, word
from tidings_github.api import PAGE, pages
from tidings_github.hooks import hook_path
from tidings_github.parse import ABOUT_THE_APP

LOG_SECONDS: Final = 3 * 86_400.0

_APP_HOOK: Final = "/app/hook"
_MOST_PAGES: Final = 1000
_SUCCEEDED: Final = "OK"
# They cover the bytes that were sent; the log has the JSON in them, which core takes on the API's word.
_UNSIGNED: Final = ("x-hub-signature", "x-hub-signature-256", "content-length")


class _Request(msgspec.Struct):
    payload: msgspec.Raw
    headers: dict[str, Any] | None = None


class _Logged(msgspec.Struct):
    request: _Request


async def deliveries(api: Api, upstream: Upstream, since: datetime) -> AsyncIterator[LoggedDelivery]:
    """What was sent to a webhook since then, newest first; one line for each delivery, however often it was sent.

    A delivery has succeeded if any of its attempts has; it is fetched by the newest of them.

    Raises:
        AuthExpired, Unavailable: As `Api.request`.
        Rejected: The webhook is gone, and its log with it (404), or this account may not look.
    """
    async for line in _collapsed(api, hook_path(upstream), since):
        yield line


def common_deliveries(api: Api, since: datetime) -> AsyncIterator[AddressedDelivery]:
    """What the webhook of the GitHub App was sent since then, likewise; `api` is the App's own.

    Raises:
        Unavailable: As `Api.request`.
        Rejected: The App has no webhook (404), or its key is not believed (401).
    """
    return _collapsed(api, _APP_HOOK, since)


async def _collapsed(api: Api, hook: str, since: datetime) -> AsyncIterator[AddressedDelivery]:
    found: dict[str, AddressedDelivery] = {}
    async for line in _lines(api, hook, since):
        known = found.get(line.delivery_id)
        if known is None:
            found[line.delivery_id] = line
        elif line.succeeded and not known.succeeded:
            found[line.delivery_id] = msgspec.structs.replace(known, succeeded=True)
    for line in found.values():
        yield line


async def _lines(api: Api, hook: str, since: datetime) -> AsyncIterator[AddressedDelivery]:
    async for page in pages(api, f"{hook}/deliveries?per_page={PAGE}", most=_MOST_PAGES):
        for item in page:
            line = _line(item)
            if line is None:
                continue
            if line.delivered_at < since:
                return
            yield line


def _line(item: Object) -> AddressedDelivery | None:
    identity, guid, at = number(item, "id"), raw(item, "guid"), instant(item, "delivered_at")
    if identity is None or not guid or at is None:
        return None
    event, installation = word(item, "event"), number(item, "installation_id")
    addresses = () if installation is None or event in ABOUT_THE_APP else (f"installation:{installation}",)
    return AddressedDelivery(guid, str(identity), event, at, raw(item, "status") == _SUCCEEDED, addresses)


async def fetch_delivery(api: Api, upstream: Upstream, logged: LoggedDelivery) -> WebhookRequest:
    """The delivery itself, as it would have arrived but for its signature.

    Raises:
        AuthExpired, Unavailable: As `Api.request`.
        Rejected: GitHub no longer has it.
    """
    return await _fetched(api, hook_path(upstream), logged)


async def fetch_common_delivery(api: Api, logged: LoggedDelivery) -> WebhookRequest:
    """A delivery of the GitHub App's webhook, likewise.

    Raises:
        Unavailable: As `Api.request`.
        Rejected: GitHub no longer has it.
    """
    return await _fetched(api, _APP_HOOK, logged)


async def _fetched(api: Api, hook: str, logged: LoggedDelivery) -> WebhookRequest:
    answer = await api.request("GET", f"{hook}/deliveries/{logged.number}")
    try:
        request = _decoder.decode(answer.body).request
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Unavailable("GitHub answered something else than a delivery.") from None
    body = bytes(request.payload)
    if body == b"null":
        raise Rejected("GitHub no longer has what this delivery said.", status=404)
    return WebhookRequest("POST", "", "", _headers(request.headers or {}, logged), body)


def _headers(sent: Mapping[str, Any], logged: LoggedDelivery) -> Mapping[str, str]:
    headers = {name.lower(): value for name, value in sent.items() if isinstance(value, str)}
    for name in _UNSIGNED:
        headers.pop(name, None)
    return headers | {
        # What was sent as a form is JSON here.
        "content-type": "application/json",
        "x-github-event": headers.get("x-github-event") or logged.kind,
        "x-github-delivery": logged.delivery_id,
    }


_decoder: Final = msgspec.json.Decoder(_Logged)
