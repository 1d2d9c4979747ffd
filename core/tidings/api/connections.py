"""Connected accounts: what there is, how each is being watched, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.api.operation import Operation, Parameter, read_body
from tidings.connecting import Connects
from tidings.connections import (
    Connection,
    find_connection,
    list_connections,
    read_again,
    set_settings,
)
from tidings.connectors import Connector, Follows, Polls, Receives, Registers
from tidings.consent import missing_scopes
from tidings.contracts import Principal
from tidings.errors import Rejected
from tidings.grants import Grant, show_grant
from tidings.history import Attempt
from tidings.jobs import NEVER
from tidings.leaving import begin_leaving
from tidings.provisioning import draft_of
from tidings.schema import from_stored, jobs, platform_webhooks
from tidings.services import Services
from tidings.watching import encourage

_MOST_SETTINGS_BYTES = 16 * 1024
_MOST_ATTEMPTS = 20
_OBJECT = {"type": "object"}
_ID = Parameter("id", "The connection's id.", place="path")


class NewSettings(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a connection.

    `settings` replaces what was chosen: for GitHub `{"repositories": "all" | ["octo/hello"], "organizations": []}`.
    """

    settings: dict[str, Any]


_HOOK = [
    platform_webhooks.c[name]
    for name in (
        *("id", "target", "upstream", "state", "problem"),
        *("expires_at", "verified_at", "checked_at", "last_delivery_at"),
    )
]


class NewConnection(msgspec.Struct, forbid_unknown_fields=True):
    """What to follow, at a platform that needs no consent: those of `GET /api/platforms` that have `follow`."""

    platform: Annotated[str, msgspec.Meta(max_length=64)]
    address: Annotated[
        str, msgspec.Meta(max_length=2000, description="As `follow` of the platform asks for it.")
    ]


class _Handlers:
    """What the operations do."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._followed = {one.platform for one in services.connectors if isinstance(one, Follows)}

    def _shown(self, sql: Sql, connection: Connection, grant: Grant) -> dict[str, Any]:
        """A connection as all operations show it; `reconnect` is "" where nobody consents."""
        start = f"/api/oauth/{connection.platform}/start?connection={connection.id}"
        reconnect = "" if connection.platform in self._followed else start
        return {**_shown(sql, connection, grant), "reconnect": reconnect}

    async def platforms(self, _request: Request, principal: Principal) -> Response:
        """What could be connected."""

        def count(sql: Sql) -> Mapping[str, int]:
            found: dict[str, int] = {}
            for connection in list_connections(sql, user_id=principal.user_id):
                found[connection.platform] = found.get(connection.platform, 0) + 1
            return found

        counted = await self._services.database.read(count, user_id=principal.user_id)
        return JSONResponse(
            {
                "platforms": [
                    _platform(one, counted, self._services, principal) for one in self._services.connectors
                ],
                "notices": [
                    {"text": extra.notice, "url": extra.notice_url if "admin" in principal.scopes else ""}
                    for extra in self._services.extras
                    if extra.notice
                ],
            }
        )

    async def all_of_them(self, _request: Request, principal: Principal) -> Response:
        """All of the principal's."""

        def read(sql: Sql) -> Sequence[tuple[dict[str, Any], Connection, Grant]]:
            found = list_connections(sql, user_id=principal.user_id)
            granted = [show_grant(sql, one.grant_id, user_id=one.user_id) for one in found]
            return [
                (self._shown(sql, connection, grant), connection, grant)
                for connection, grant in zip(found, granted, strict=True)
            ]

        await self._services.upkeep.syncing.flush()
        found = await self._services.database.read(read, user_id=principal.user_id)
        shown = [{**answer, "limits": self._limits(connection, grant)} for answer, connection, grant in found]
        return JSONResponse({"connections": shown})

    async def one(self, request: Request, principal: Principal) -> Response:
        """One, with its details."""

        def read(sql: Sql) -> tuple[dict[str, Any], Connection, Grant]:
            connection = find_connection(sql, request.path_params["id"], user_id=principal.user_id)
            grant = show_grant(sql, connection.grant_id, user_id=connection.user_id)
            details = _details(sql, self._services, connection, grant)
            return {**self._shown(sql, connection, grant), **details}, connection, grant

        services = self._services
        await services.upkeep.syncing.flush()
        answer, connection, grant = await services.database.read(read, user_id=principal.user_id)
        attempts = [
            *await services.upkeep.history.last(connection.user_id, connection.id),
            *await services.upkeep.history.last(connection.user_id, grant.id),  # its refreshes
        ]
        attempts.sort(key=lambda attempt: attempt.at, reverse=True)
        answer["attempts"] = [_attempt(attempt) for attempt in attempts[:_MOST_ATTEMPTS]]
        answer["limits"] = self._limits(connection, grant)
        return JSONResponse(answer)

    async def follow(self, request: Request, principal: Principal) -> Response:
        """Follow what needs no consent."""
        wish: NewConnection = await read_body(request, NewConnection)
        address = wish.address.strip()
        consented = await self._services.upkeep.consent.follow(principal, wish.platform, address)
        self._services.scheduler.wake()
        connection_id, user_id = consented.connection.id, principal.user_id

        def read(sql: Sql) -> dict[str, Any]:
            connection = find_connection(sql, connection_id, user_id=user_id)
            return self._shown(
                sql, connection, show_grant(sql, connection.grant_id, user_id=connection.user_id)
            )

        shown = await self._services.database.read(read, user_id=user_id)
        return JSONResponse(shown, 201 if consented.is_new else 200)

    def _limits(self, connection: Connection, grant: Grant) -> Any:
        budgets = self._services.upkeep.budgets
        return msgspec.to_builtins(
            budgets.report(connection.platform, grant.client_id, connection.account_key)
        )

    async def sync(self, request: Request, principal: Principal) -> Response:
        """Ask for news."""
        await self._services.wishes.carry_out(principal.user_id, request.path_params["id"])
        return JSONResponse({"status": "asked"}, 202)

    async def change(self, request: Request, principal: Principal) -> Response:
        """Change what was chosen."""
        wish: NewSettings = await read_body(request, NewSettings)
        if len(msgspec.json.encode(wish.settings)) > _MOST_SETTINGS_BYTES:
            raise Rejected(f"settings are larger than {_MOST_SETTINGS_BYTES} bytes.", status=413)

        def store(sql: Sql) -> dict[str, Any]:
            connection = find_connection(sql, request.path_params["id"], user_id=principal.user_id)
            set_settings(sql, connection.user_id, connection.id, wish.settings)
            encourage(sql, connection, self._services.clock.now())
            return self._shown(
                sql,
                read_again(sql, connection),
                show_grant(sql, connection.grant_id, user_id=connection.user_id),
            )

        changed = await self._services.writer.run_unit(store)
        self._services.scheduler.wake()
        return JSONResponse(changed)

    async def disconnect(self, request: Request, principal: Principal) -> Response:
        """Disconnect."""
        events = request.query_params.get("events", "keep")
        if events not in {"keep", "delete"}:
            raise Rejected("events is neither keep nor delete.", status=400)

        def leave(sql: Sql) -> None:
            connection = find_connection(sql, request.path_params["id"], user_id=principal.user_id)
            begin_leaving(sql, connection, delete_events=events == "delete", now=self._services.clock.now())

        await self._services.writer.run_unit(leave)
        self._services.scheduler.wake()
        return JSONResponse({"status": "disconnecting"}, 202)


def operations(services: Services) -> list[Operation]:
    """The operations on connections."""
    handlers = _Handlers(services)
    listing = {"type": "object", "properties": {"connections": {"type": "array", "items": _OBJECT}}}
    return [
        Operation(
            "GET",
            "/api/platforms",
            "read",
            "The platforms here, and which accounts can be connected",
            handlers.platforms,
            answer={"type": "object", "properties": {"platforms": {"type": "array", "items": _OBJECT}}},
        ),
        Operation(
            "GET", "/api/connections", "read", "Your connected accounts", handlers.all_of_them, answer=listing
        ),
        Operation(
            "GET",
            "/api/connections/{id}",
            "read",
            "One of them: how it is being watched, why, since when, and its last attempts",
            handlers.one,
            answer=_OBJECT,
            parameters=(_ID,),
        ),
        *_changes(handlers),
    ]


def _changes(handlers: _Handlers) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/api/connections",
            "send",
            "Follow what needs no consent, such as a feed",
            handlers.follow,
            answer=_OBJECT,
            status=201,
            body=NewConnection,
        ),
        Operation(
            "POST",
            "/api/connections/{id}/sync",
            "send",
            "Ask its platform for news now",
            handlers.sync,
            answer=_OBJECT,
            status=202,
            parameters=(_ID,),
        ),
        Operation(
            "PATCH",
            "/api/connections/{id}",
            "send",
            "Change what is watched of it",
            handlers.change,
            answer=_OBJECT,
            parameters=(_ID,),
            body=NewSettings,
        ),
        Operation(
            "DELETE",
            "/api/connections/{id}",
            "send",
            "Disconnect it: its webhooks, tokens and position go; its events stay unless asked otherwise",
            handlers.disconnect,
            answer=_OBJECT,
            status=202,
            parameters=(
                _ID,
                Parameter("events", "`keep` (the default) or `delete`.", {"enum": ["keep", "delete"]}),
            ),
        ),
    ]


def _platform(
    connector: Connector, counted: Mapping[str, int], services: Services, principal: Principal
) -> dict[str, Any]:
    provisioning = services.upkeep.provisioning
    connects = isinstance(connector, Connects)
    ready = isinstance(connector, Connects) and bool(connector.clients)
    follows = isinstance(connector, Follows)
    may_provision = "admin" in principal.scopes and provisioning.is_offered(connector)
    draft = None
    if "admin" in principal.scopes and not ready:
        draft = draft_of(connector, services.settings.server.public_url)
    return {
        "id": connector.platform,
        "name": connector.display_name,
        "icon": connector.icon,
        "connects": connects,
        "ready": ready,
        "receives": isinstance(connector, Receives),
        "registers": isinstance(connector, Registers),
        "polls": isinstance(connector, Polls),
        "pushes": isinstance(connector, Receives) and connector.brings_news,
        "scopes": list(connector.oauth.scopes) if isinstance(connector, Connects) else [],
        "accounts": counted.get(connector.platform, 0),
        "settings_schema": dict(connector.settings_schema),
        "unseen": connector.unseen,
        "named_sources": connector.named_sources,
        "provisioned": provisioning.is_made(connector.platform),
        **({"connect": f"/api/oauth/{connector.platform}/start"} if ready and not follows else {}),
        **({"follow": connector.asks_for} if isinstance(connector, Follows) else {}),
        **({"provision": f"/api/platforms/{connector.platform}/provision"} if may_provision else {}),
        **({"draft": draft.url} if draft is not None else {}),
    }


def _shown(sql: Sql, connection: Connection, grant: Grant) -> dict[str, Any]:
    due = sql.execute(
        select(jobs.c.due_at).where(
            jobs.c.user_id == connection.user_id, jobs.c.kind == "sync", jobs.c.key == connection.id
        )
    ).scalar()
    return {
        "id": connection.id,
        "platform": connection.platform,
        "account": {
            "name": connection.account_name,
            "avatar_url": connection.avatar_url,
            "url": connection.url,
        },
        "state": connection.state,
        "reason": connection.reason,
        "settings": dict(connection.settings),
        "strategy": connection.strategy,
        "strategy_since": connection.strategy_since.isoformat(),
        "strategy_reason": connection.strategy_reason,
        "connected_at": connection.created_at.isoformat(),
        "last_checked_at": _text(connection.last_checked_at),
        "next_check_at": _stored_text(due),
        "last_event_at": _text(connection.last_event_at),
        "reauthorize_by": _text(grant.reauthorize_by),
    }


def _details(sql: Sql, services: Services, connection: Connection, grant: Grant) -> dict[str, Any]:
    connector = next((one for one in services.connectors if one.platform == connection.platform), None)
    missing = missing_scopes(connector, grant.scopes) if isinstance(connector, Connects) else ()
    hooks = sql.execute(
        select(*_HOOK)
        .where(platform_webhooks.c.connection_id == connection.id)
        .order_by(platform_webhooks.c.target)
    )
    return {
        "grant": {
            "scopes": list(grant.scopes),
            "missing_scopes": list(missing),
            "authorized_at": grant.authorized_at.isoformat(),
            "token_expires_at": _text(grant.expires_at),
            "state": grant.state,
            "reason": grant.reason,
        },
        "registrations": [
            {
                "id": row.id,
                "target": row.target,
                "name": "" if row.upstream is None else msgspec.json.decode(row.upstream)["target"]["name"],
                "state": row.state,
                "problem": row.problem,
                "expires_at": _stored_text(row.expires_at),
                "verified_at": _stored_text(row.verified_at),
                "checked_at": _stored_text(row.checked_at),
                "last_delivery_at": _stored_text(row.last_delivery_at),
            }
            for row in hooks
        ],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": attempt.at.isoformat(),
        "kind": attempt.kind,
        "outcome": attempt.outcome,
        "detail": attempt.detail,
        "ms": attempt.ms,
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _stored_text(stored: int | None) -> str | None:
    # A job that runs just now is due "never".
    return None if stored is None or stored == NEVER else from_stored(stored).isoformat()
