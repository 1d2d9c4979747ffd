"""What the control API takes, as data; unknown fields and wrong types are refused with their place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tidings_sandbox.faults import Fault

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Offset = Annotated[float, msgspec.Meta(ge=-366 * 86_400, le=366 * 86_400)]


class Happen(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/happenings: make something happen, `count` times."""

    platform: str
    kind: str
    person: str
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    details: dict[str, Any] = {}


class EndTokens(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/tokens: let tokens end, of one person or, with "", of everybody."""

    platform: str
    action: Literal["expire_access", "expire_refresh", "revoke"]
    person: str = ""


class SetFaults(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/faults: what goes wrong from now on. What is left out stays; `faults` replaces all."""

    platform: str
    faults: list[Fault] | None = None
    add: Fault | None = None
    lose_webhooks: Share | None = None
    duplicate_webhooks: Share | None = None
    delay_webhooks_seconds: Seconds | None = None
    clock_offset_seconds: Offset | None = None


class SetOAuth(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/oauth: how the authorization server behaves from now on. What is left out stays."""

    platform: str
    auto_accept: str | None = None
    rotation: Literal["never", "always", "single_use"] | None = None
    grace_seconds: Seconds | None = None
    access_seconds: Annotated[int, msgspec.Meta(ge=1, le=31_536_000)] | None = None
    expires: Literal["always", "offline_access"] | None = None


class ChangeHook(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/hooks: what an owner does to a hook in the platform's settings."""

    platform: str
    hook_id: int
    change: Literal["delete", "disable", "enable"]


class Redeliver(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sandbox/api/deliveries: send a delivery once more."""

    platform: str
    delivery_id: int
