"""A push of Pub/Sub: which mailbox has news. It holds none of the news itself.

developers.google.com/workspace/gmail/api/guides/push and cloud.google.com/pubsub/docs/push (2026): the message's `data`
is base64 of `{"emailAddress": …, "historyId": …}`; Gmail's guide says base64url. What can't be read is acknowledged
all the same, for it would only come again, for days.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any, Final

import msgspec

from tidings.contracts import Hint, Parsed, Reply, WebhookRequest
from tidings.fields import as_object, obj, raw
from tidings_gmail.fields import position

#: Any of 102, 200, 201, 202 and 204 acknowledges a push.
ACKNOWLEDGED: Final = Reply(204)

_JUNK: Final = Parsed((), kind="junk", answer=ACKNOWLEDGED)
_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^\s@\x00-\x1f\x7f\ud800-\udfff]{1,190}")
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def mailbox_address(email: str) -> str:
    """What a push names an account by: `mailbox:ada@example.com`."""
    return f"mailbox:{email.lower()}"


def parse(request: WebhookRequest) -> Parsed:
    """Whose mailbox is to be looked at; nobody's where the push says nothing that can be read."""
    envelope = as_object(_decoded(request.body))
    message = obj(envelope, "message")
    number = raw(message, "messageId") or raw(message, "message_id")
    said = as_object(_decoded(_data(raw(message, "data"))))
    email = raw(said, "emailAddress")
    if _ADDRESS.fullmatch(email) is None or position(said.get("historyId")) is None:
        return _JUNK
    return Parsed(
        (),
        delivery_id=number if _NUMBER.fullmatch(number) else "",
        kind="push",
        addresses=(mailbox_address(email),),
        hint=Hint(),
        answer=ACKNOWLEDGED,
    )


def _data(encoded: str) -> bytes:
    """What base64 or base64url stands for; nothing where it is neither."""
    plain = encoded.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
