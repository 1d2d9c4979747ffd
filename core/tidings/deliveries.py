"""What a platform sends, and what a connector makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tidings.event import Event


class WebhookRequest(msgspec.Struct, frozen=True):
    """One inbound request as it arrived, before anything about it is believed.

    Attributes:
        headers: Names in lower case. A header sent twice has both values, joined with `, ` (RFC 9110 §5.3).
        body: The exact bytes received: what a signature covers.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Keys(msgspec.Struct, frozen=True):
    """What a delivery may be verified with.

    Attributes:
        secrets: Any one of them will do, so that a secret can be rotated.
        jwks: The JSON Web Key Set (RFC 7517) at the connector's `jwks_url`, as core last read it; {} without one.
    """

    secrets: tuple[bytes, ...] = ()
    jwks: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"Keys({len(self.secrets)} secrets)"  # never the secrets


class Reply(msgspec.Struct, frozen=True):
    """What to answer a platform that does not take core's own answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class Hint(msgspec.Struct, frozen=True):
    """Something is new: a delivery that does not hold the news itself, or not all of it.

    Whom it is for is asked at once; that is committed together with the delivery, before the platform is answered.

    Attributes:
        targets: What is to be looked at, as `Target.key`; empty for the registration's own target, or for
            everything where the delivery came to the common address.
        in_seconds: How long more of the same are waited for, where a platform sends several for one change.
    """

    targets: tuple[str, ...] = ()
    in_seconds: float = 0.0


class Parsed(msgspec.Struct, frozen=True):
    """What a verified delivery says.

    Attributes:
        events: The news in it; empty where there is none worth telling.
        delivery_id: The platform's own id of this delivery, the same when it is sent again; "" where it has none.
        kind: The platform's word for it, for logs and metrics: `push`.
        addresses: Whom it is for, where it came to `/api/webhooks/{platform}` itself: `installation:5`. Every
            connection with one of these addresses (see `Account.addresses`) gets the events.
        signal: What it says about the webhook or the grant itself: `verified` (the platform greets the webhook),
            `removed` (the webhook is gone there), `revoked` (the account took its consent back), `reach` (what the
            account reaches has changed, and with it perhaps its addresses), or "".
        hint: That there is news to ask for.
        answer: What to answer instead of 200 and core's own JSON, once everything is committed.
        apart_from: Addresses of connections that get nothing of it, though `addresses` names them: of who did it.
        signalled_at: When it came to what `signal` says, where the delivery tells: a consent that was given after it
            was taken back is another one. None for just now.
    """

    events: Sequence[Event]
    delivery_id: str = ""
    kind: str = ""
    addresses: tuple[str, ...] = ()
    signal: str = ""
    hint: Hint | None = None
    answer: Reply | None = None
    apart_from: tuple[str, ...] = ()
    signalled_at: datetime | None = None
