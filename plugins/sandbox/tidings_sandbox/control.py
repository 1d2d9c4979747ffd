"""The control page and its JSON API, for admins: make things happen, and make things go wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tidings.contracts import Access
from tidings.errors import Denied, NotFound, Rejected
from tidings_sandbox.assets import asset
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.orders import ChangeHook, EndTokens, Happen, Redeliver, SetFaults, SetOAuth
from tidings_sandbox.wire import encode
from tidings_sandbox.world import World

_API: Final = "/sandbox/api"
_SHOWN: Final = 50
_MOST_BODY_BYTES: Final = 64 * 1024

Order = TypeVar("Order", bound=msgspec.Struct)


class Control:
    """The page at `/sandbox` and the routes under `/sandbox/api`; all of them need the scope `admin`.

    Args:
        world: What is controlled.
        access: Says who may.
        served: The platforms whose connectors are led here; those of the others ask the real ones.
    """

    def __init__(self, world: World, access: Access, served: Collection[str]) -> None:
        self._world = world
        self._access = access
        self._served = served

    def routes(self) -> Sequence[BaseRoute]:
        """The page and the API."""
        return [
            Route("/sandbox", self._page),
            Route(f"{_API}/state", self._reading(self._state)),
            Route(f"{_API}/happenings", self._ordering(Happen, self._happen), methods=["POST"]),
            Route(f"{_API}/tokens", self._ordering(EndTokens, self._end_tokens), methods=["POST"]),
            Route(f"{_API}/faults", self._ordering(SetFaults, self._set_faults), methods=["POST"]),
            Route(f"{_API}/oauth", self._ordering(SetOAuth, self._set_oauth), methods=["POST"]),
            Route(f"{_API}/hooks", self._ordering(ChangeHook, self._change_hook), methods=["POST"]),
            Route(f"{_API}/deliveries", self._ordering(Redeliver, self._redeliver), methods=["POST"]),
            Route(f"{_API}/reset", self._reset, methods=["POST"]),
        ]

    # --- who may, and what came ---

    async def _page(self, request: Request) -> Response:
        try:
            await self._access.require(request.scope, "admin")
        except Denied as denied:
            return _file("denied.html", denied.status)
        return _file("sandbox.html", 200)

    def _reading(self, read: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            await self._access.require(request.scope, "admin")
            return _json(read())

        return endpoint

    def _ordering(
        self, order: type[Order], obey: Callable[[Order], Any]
    ) -> Callable[[Request], Awaitable[Response]]:
        decoder = msgspec.json.Decoder(order)

        async def endpoint(request: Request) -> Response:
            await self._access.require(request.scope, "admin")
            try:
                return _json(obey(decoder.decode(await _body(request))))
            except msgspec.DecodeError as error:
                raise Rejected(f"{request.url.path}: {error}.", status=400) from error
            except LookupError as error:
                raise NotFound(str(error.args[0])) from error

        return endpoint

    async def _reset(self, request: Request) -> Response:
        await self._access.require(request.scope, "admin")
        self._world.reset()
        return _json(self._state())

    # --- what is done ---

    def _emulator(self, name: str) -> Emulator:
        emulator = self._world.emulators.get(name)
        if emulator is None:
            known = ", ".join(self._world.emulators)
            raise LookupError(f"There is no platform {name!r}. There are: {known}.")
        return emulator

    def _person(self, key: str) -> str:
        """The key, if it is somebody's; "" stands for everybody, or nobody."""
        return self._world.person(key).key if key else ""

    def _happen(self, order: Happen) -> Any:
        return {
            "happenings": [
                self._world.act(order.platform, order.kind, order.person, **order.details)
                for _ in range(order.count)
            ]
        }

    def _end_tokens(self, order: EndTokens) -> Any:
        consents = self._emulator(order.platform).consents
        person = self._person(order.person)
        if order.action == "revoke":
            return {"consents": consents.revoke(person=person)}
        expire = consents.expire_access if order.action == "expire_access" else consents.expire_refresh
        return {"consents": expire(person)}

    def _set_faults(self, order: SetFaults) -> Any:
        faults = self._emulator(order.platform).faults
        if order.faults is not None:
            faults.replace(order.faults)
        if order.add is not None:
            faults.add(order.add)
        for name in ("lose_webhooks", "duplicate_webhooks", "delay_webhooks_seconds", "clock_offset_seconds"):
            value = getattr(order, name)
            if value is not None:
                setattr(faults, name, value)
        return _faults(self._emulator(order.platform))

    def _set_oauth(self, order: SetOAuth) -> Any:
        emulator = self._emulator(order.platform)
        if order.auto_accept is not None:
            emulator.oauth.auto_accept = self._person(order.auto_accept)
        for name in ("rotation", "grace_seconds", "access_seconds", "expires"):
            value = getattr(order, name)
            if value is not None:
                setattr(emulator.consents.dialect, name, value)
        return _oauth(emulator)

    def _change_hook(self, order: ChangeHook) -> Any:
        emulator = self._emulator(order.platform)
        emulator.change_hook(order.hook_id, order.change)
        return {"hooks": emulator.hooks()}

    def _redeliver(self, order: Redeliver) -> Any:
        self._emulator(order.platform).redeliver(order.delivery_id)
        return {"delivery_id": order.delivery_id}

    # --- what is shown ---

    def _state(self) -> Any:
        return {
            "people": [
                {"key": person.key, "name": person.name, "face": person.face_path}
                for person in self._world.stage.people
            ],
            "platforms": {
                name: {**_platform(one), "serves": name in self._served}
                for name, one in self._world.emulators.items()
            },
            "happenings": self._world.stage.record.newest(_SHOWN),
            "happened": self._world.stage.record.total,
            "calls": self._world.calls,
        }


def _platform(emulator: Emulator) -> Mapping[str, Any]:
    return {
        "title": emulator.title,
        "kinds": emulator.kinds,
        "now": emulator.now(),
        "consents": [
            {
                "person": consent.person,
                "client_id": consent.client_id,
                "scopes": consent.scopes,
                "at": consent.consented_at,
            }
            for consent in emulator.agreed()
        ],
        "faults": _faults(emulator),
        "oauth": _oauth(emulator),
        "hooks": emulator.hooks(),
        "deliveries": emulator.deliveries()[:_SHOWN],
        "more": emulator.describe(),
    }


def _faults(emulator: Emulator) -> Mapping[str, Any]:
    faults = emulator.faults
    return {
        "faults": faults.active(),
        "lose_webhooks": faults.lose_webhooks,
        "duplicate_webhooks": faults.duplicate_webhooks,
        "delay_webhooks_seconds": faults.delay_webhooks_seconds,
        "clock_offset_seconds": faults.clock_offset_seconds,
    }


def _oauth(emulator: Emulator) -> Mapping[str, Any]:
    dialect, redemptions = emulator.consents.dialect, emulator.consents.redemptions
    return {
        "auto_accept": emulator.oauth.auto_accept,
        "rotation": dialect.rotation,
        "grace_seconds": dialect.grace_seconds,
        "access_seconds": dialect.access_seconds,
        "expires": dialect.expires,
        "redemptions": redemptions.total,
        "accepted_twice": redemptions.accepted_twice,
        "after_answer": redemptions.after_answer,
    }


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise Rejected("An order to the sandbox has at most 64 KiB.", status=413)
    return body


def _json(value: Any) -> Response:
    return Response(encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def _file(name: str, status: int) -> Response:
    answer = asset(name)
    return Response(
        answer.body, status, {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    )
