"""`routes.md`, from the description that a server gives of its API."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.markdown import anchor, table

from tidings.testing.server import live_server


async def described() -> dict[str, Any]:
    """The API's own description, as a server gives it."""
    with tempfile.TemporaryDirectory() as folder:
        async with live_server(Path(folder)) as server:
            token = await server.add_token(await server.add_user("reader"))
            answer = await server.client.get("/openapi.json", headers={"authorization": f"Bearer {token}"})
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
            return document


def routes_page(api: Mapping[str, Any]) -> str:
    """`routes.md`."""
    operations = sorted(
        (path, method.upper(), operation)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    )
    anchors = {(path, method): anchor(f"{method} {path}") for path, method, _ in operations}
    summary = table(
        ("route", "what"),
        [
            (f"[`{method} {path}`](#{anchors[path, method]})", operation["summary"])
            for path, method, operation in operations
        ],
    )
    return (
        "# Routes\n\n`/openapi.json` tells programs the same; it needs the scope `read`. Errors are "
        '`{"error": {"code", "message"}}`; [their codes](errors.md#codes). Credentials are `Authorization: Bearer` '
        "with an API token or a JWT, or the cookie of a session; a change by cookie also needs `X-CSRF-Token` "
        "from `GET /api/me`. Two routes are for people alone: `GET /login/{token}`, where a login link leads, and "
        f"the page at `/`.\n\n{summary}"
        + "".join(_operation(path, method, operation, api) for path, method, operation in operations)
    )


def _operation(path: str, method: str, operation: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    parts = [f"\n## {method} {path}\n\n{operation['summary']}."]
    if "description" in operation:
        parts.append(f" {operation['description']}")
    else:
        parts.append(" Open to anyone." if operation.get("security") == [] else " Needs credentials.")
    parts.append("\n")
    if parameters := operation.get("parameters"):
        rows = [(f"`{one['name']}`", one["in"], one["description"]) for one in parameters]
        parts.append("\n" + table(("parameter", "in", "meaning"), rows))
    if body := operation.get("requestBody"):
        schema = _resolved(body["content"]["application/json"]["schema"], api)
        parts.append(f"\nBody: {schema.get('description', '')}\n\n{fields(schema, api)}")
    for status, answer in operation["responses"].items():
        if status == "default":
            continue
        media = ", ".join(f"`{one}`" for one in answer.get("content", {}))
        parts.append(f"\n{status}: {answer['description']}" + (f" {media}" if media else "") + "\n")
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        if schema and schema.get("properties"):
            parts.append("\n" + fields(schema, api))
    return "".join(parts)


def fields(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    """A table of an object's fields."""
    rows = [
        (f"`{name}`", type_of(inner, api), inner.get("description", ""))
        for name, inner in schema["properties"].items()
    ]
    return table(("field", "value", "meaning"), rows)


def type_of(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    """What a field holds, in words."""
    if reference := schema.get("$ref"):
        name = reference.rsplit("/", 1)[1]
        return f"[{name}](events.md#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_of(one, api) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'], api)}"
    if schema.get("type") == "object" and schema.get("properties"):
        return f"object: {', '.join(f'`{name}`' for name in schema['properties'])}"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(kinds) + (" (RFC 3339)" if schema.get("format") == "date-time" else "")


def _resolved(schema: Mapping[str, Any], api: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema
    if reference := schema.get("$ref"):
        found = api
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    return found
