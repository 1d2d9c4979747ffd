"""`/openapi.json`, made from the same descriptions as the routes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

import tidings
from tidings.api.operation import Operation
from tidings.contracts import Transport

_STRING = {"type": "string"}
_SCHEMAS: Mapping[str, Any] = {
    "CloudEvent": {
        "type": "object",
        "description": "CloudEvents 1.0 in JSON, with tidings' extensions.",
        "required": [
            "specversion", "id", "source", "type", "datacontenttype", "sequence", "recordedtime", "platform",
            "via", "cursor", "data",
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**_STRING, "description": "The same whichever way the event came."},
            "source": _STRING,
            "type": {**_STRING, "examples": ["com.github.push"]},
            "subject": _STRING,
            "time": {**_STRING, "format": "date-time", "description": "When it happened at the platform."},
            "datacontenttype": {"const": "application/json"},
            "sequence": {**_STRING, "description": "The number in the journal, with zeros in front."},
            "recordedtime": {**_STRING, "format": "date-time", "description": "When tidings stored it."},
            "platform": _STRING,
            "connection": _STRING,
            "via": {**_STRING, "examples": ["webhook", "polling", "api"]},
            "cursor": {**_STRING, "description": "Resume here, on any transport."},
            "data": {
                "type": "object",
                "required": ["title"],
                "properties": {
                    "title": _STRING,
                    "text": _STRING,
                    "url": _STRING,
                    "actor": {"type": "object", "properties": {"name": _STRING, "avatar_url": _STRING}},
                },
            },
        },
    },
    "Gap": {
        "type": "object",
        "description": "Events that can't be had any more.",
        "properties": {
            "from": {"type": "integer"},
            "to": {"type": "integer"},
            "count": {"type": "integer"},
            "reason": {"enum": ["retention", "restored"]},
        },
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": _STRING, "message": _STRING},
            }
        },
    },
}  # fmt: skip
_ERRORS = {
    "default": {
        "description": "It failed; the message says why and what to do.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
}


def describe(
    operations: Sequence[Operation],
    transports: Sequence[Transport],
    public_url: str,
    *,
    others: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document; `others` are the path items of routes that are no operations."""
    paths: dict[str, Any] = {path: dict(item) for path, item in others.items()}
    schemas = dict(_SCHEMAS)
    for operation in operations:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    for transport in transports:
        paths.update(transport.describe())
    return {
        "openapi": "3.1.0",
        "info": {"title": "tidings", "version": tidings.__version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": public_url}],
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "tidings_session"},
            },
        },
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.right}`." if operation.right else "Open to anyone.",
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.description,
                "required": parameter.place == "path",
                "schema": dict(parameter.schema),
            }
            for parameter in operation.parameters
        ],
        "responses": {
            str(operation.status): {
                "description": "Done.",
                **(
                    {"content": {"application/json": {"schema": operation.answer}}}
                    if operation.answer is not None
                    else {}
                ),
            },
            **_ERRORS,
        },
    }
    if not operation.right:
        described["security"] = []
    if operation.body is not None:
        (schema,), components = msgspec.json.schema_components(
            [operation.body], ref_template="#/components/schemas/{name}"
        )
        schemas.update(components)
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described
