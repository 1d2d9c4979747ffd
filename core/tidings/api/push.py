"""`/api/push/…`: the browsers that news is pushed to, and what their user wants to be told of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.api.operation import Operation, Parameter, read_body
from tidings.contracts import Principal
from tidings.errors import NotFound, Rejected
from tidings.presence import HOLDS_SECONDS
from tidings.push_rules import Rules, find_rules, set_rules
from tidings.push_subscriptions import PushSubscription, remove_subscription, show_subscriptions
from tidings.pushing import Pushing
from tidings.services import Services

_LONGEST_LABEL = 100
_ID = Parameter("id", "The device's id.", place="path")
_TEXT = {"type": "string"}
_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_DEVICE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "label": _TEXT,
        "service": {**_TEXT, "description": "The host of its push service."},
        "created_at": {**_TEXT, "format": "date-time"},
        "state": {"enum": ["new", "ok", "failing"], "description": "`new`: nothing was pushed there yet."},
        "problem": {**_TEXT, "description": 'Why the last push failed; "" where it did not.'},
        "last_tried_at": _INSTANT,
        "last_pushed_at": {**_INSTANT, "description": "When its push service took something last."},
        "failures": {"type": "integer", "description": "Since then."},
        "retry_at": {**_INSTANT, "description": "Until then nothing is pushed, after a failure."},
        "cursor": {**_TEXT, "description": "It was told of everything up to here."},
    },
}
_DEVICES = {
    "type": "object",
    "properties": {
        "subscriptions": {"type": "array", "items": _DEVICE},
        "most": {"type": "integer", "description": "How many you may have."},
    },
}
_KEY = {
    "type": "object",
    "properties": {
        "key": {**_TEXT, "description": "For `applicationServerKey`: P-256, uncompressed, base64url."},
        "ready": {"type": "boolean", "description": "Whether news can be pushed as the server is set up."},
        "problem": {**_TEXT, "description": "Why not, and what its operator can do."},
    },
}
_TEST = {
    "type": "object",
    "properties": {
        "outcome": {
            "enum": ["taken", "refused", "later", "blocked", "gone"],
            "description": "`gone`: the browser has ended the subscription, and it was removed.",
        },
        "status": {"type": "integer", "description": "Of the push service's answer; 0 where there was none."},
        "detail": {**_TEXT, "description": "Why it was not taken."},
    },
}
_RULES = {
    "type": "object",
    "properties": {
        "enabled": {"type": "boolean"},
        **{
            name: {"type": "array", "items": _TEXT}
            for name in ("platforms", "types", "muted_platforms", "muted_types")
        },
    },
}


class NewSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A browser's subscription as `JSON.stringify` shows it, with what tidings is to know beside it.

    `key` is the `applicationServerKey` that it was made with, so that a server with another key can say so.
    """

    endpoint: Annotated[str, msgspec.Meta(max_length=2000)]
    keys: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="`p256dh` and `auth`, in base64url.",
            extra_json_schema={
                "required": ["p256dh", "auth"],
                "properties": {"p256dh": _TEXT, "auth": _TEXT},
            },
        ),
    ]
    expiration_time: float | None = None
    label: Annotated[str, msgspec.Meta(description="What you call the device, up to 100 characters.")] = ""
    key: Annotated[str, msgspec.Meta(max_length=200)] = ""


class PagePresence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a page is in view; `page` is any name that it keeps while it is open."""

    visible: bool
    page: Annotated[str, msgspec.Meta(max_length=64)] = ""


class _Handlers:
    """What the operations do."""

    def __init__(self, services: Services, pushing: Pushing) -> None:
        self._services = services
        self._pushing = pushing

    async def key(self, _request: Request, _principal: Principal) -> Response:
        transport = self._pushing.transport
        return JSONResponse(
            {
                "key": next(iter(transport.public_keys.values())),
                "ready": not transport.problem,
                "problem": transport.problem,
            }
        )

    async def devices(self, _request: Request, principal: Principal) -> Response:
        found = await self._services.database.read(
            partial(show_subscriptions, user_id=principal.user_id), user_id=principal.user_id
        )
        now = self._services.clock.now()
        return JSONResponse(
            {
                "subscriptions": [_shown(one, now) for one in found],
                "most": self._pushing.transport.most_devices,
            }
        )

    async def subscribe(self, request: Request, principal: Principal) -> Response:
        wish: NewSubscription = await read_body(request, NewSubscription)
        label = wish.label.strip()
        if len(label) > _LONGEST_LABEL or not label.isprintable():
            raise Rejected(f"label has at most {_LONGEST_LABEL} printable characters.", status=400)
        subscription, is_new = await self._pushing.subscribe(
            principal,
            {"endpoint": wish.endpoint, **{name: wish.keys.get(name, "") for name in ("p256dh", "auth")}},
            key=wish.key,
            label=label,
        )
        shown = _shown(subscription, self._services.clock.now())
        return JSONResponse(shown, 201 if is_new else 200)

    async def remove(self, request: Request, principal: Principal) -> Response:
        device = request.path_params["id"]
        was_there = await self._services.writer.run_unit(
            partial(remove_subscription, user_id=principal.user_id, subscription_id=device)
        )
        if not was_there:
            raise NotFound(f"There is no device {device[:80]!r} of yours.")
        return Response(status_code=204)

    async def test(self, request: Request, principal: Principal) -> Response:
        pushed = await self._pushing.test(principal.user_id, request.path_params["id"])
        return JSONResponse({"outcome": pushed.fate.value, "status": pushed.status, "detail": pushed.detail})

    async def rules(self, _request: Request, principal: Principal) -> Response:
        rules = await self._services.database.read(
            partial(find_rules, user_id=principal.user_id), user_id=principal.user_id
        )
        return JSONResponse(msgspec.to_builtins(rules))

    async def set_rules(self, request: Request, principal: Principal) -> Response:
        rules: Rules = await read_body(request, Rules)
        rules.selection()  # says what is wrong with it
        await self._services.writer.run_unit(partial(set_rules, user_id=principal.user_id, rules=rules))
        return JSONResponse(msgspec.to_builtins(rules))

    async def presence(self, request: Request, principal: Principal) -> Response:
        said: PagePresence = await read_body(request, PagePresence)
        attention = self._services.fanout.attention
        await attention.say(principal.user_id, said.page, visible=said.visible)
        return Response(status_code=204)


def operations(services: Services, pushing: Pushing) -> list[Operation]:
    """The operations on devices."""
    does = _Handlers(services, pushing)
    devices = "/api/push/subscriptions"
    return [
        Operation("GET", "/api/push/key", "read", "What a browser subscribes with", does.key, answer=_KEY),
        Operation("GET", devices, "read", "Your devices, and how they fare", does.devices, answer=_DEVICES),
        Operation(
            "POST",
            devices,
            "read",
            "Push your news to a browser; the same one again (200 instead of 201) keeps its place",
            does.subscribe,
            answer=_DEVICE,
            status=201,
            body=NewSubscription,
        ),
        Operation(
            "DELETE",
            f"{devices}/{{id}}",
            "read",
            "Push nothing to a device any more",
            does.remove,
            status=204,
            parameters=(_ID,),
        ),
        Operation(
            "POST",
            f"{devices}/{{id}}/test",
            "read",
            "Push a test to a device now",
            does.test,
            answer=_TEST,
            parameters=(_ID,),
        ),
        Operation(
            "GET", "/api/push/rules", "read", "What your devices are told of", does.rules, answer=_RULES
        ),
        Operation(
            "PUT",
            "/api/push/rules",
            "read",
            "Choose what your devices are told of",
            does.set_rules,
            answer=_RULES,
            body=Rules,
        ),
        Operation(
            "POST",
            "/api/push/presence",
            "read",
            f"Say that a page is in view, for {HOLDS_SECONDS:.0f} s, or is no more: what it shows is not pushed",
            does.presence,
            status=204,
            body=PagePresence,
        ),
    ]


def _shown(device: PushSubscription, now: datetime) -> dict[str, Any]:
    paused = device.paused_until if device.paused_until is not None and device.paused_until > now else None
    return {
        "id": device.id,
        "label": device.label,
        "service": device.service,
        "created_at": device.created_at.isoformat(),
        "state": device.state,
        "problem": device.problem,
        "last_tried_at": _text(device.tried_at),
        "last_pushed_at": _text(device.pushed_at),
        "failures": device.failures,
        "retry_at": _text(paused),
        "cursor": str(device.cursor),
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
