"""Writes `docs/reference/` and the README's table from the code.

python docs/generate.py            write what has changed
python docs/generate.py --check    exit 1 if something would change
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

import msgspec
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import tidings.errors
from tidings import config, context, contracts, hooks, rights, runtime
from tidings.api.operation import problem_of
from tidings.choices import KINDS
from tidings.cli.reference import command_reference
from tidings.contracts import Keys
from tidings.durations import format_duration
from tidings.event import MESSAGE_TYPE, Cursor, Entry, UserId
from tidings.metrics import Metrics
from tidings.testing.server import live_server
from tidings_github.connector import GitHubConnector
from tidings_transports.sse import event_name, named_frame

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
README: Final = ROOT / "README.md"
BEGIN, END = "<!-- configuration: begin -->\n", "<!-- configuration: end -->\n"
NOTICE: Final = "<!-- Written by docs/generate.py from the code: `make docs` writes it again. -->\n\n"
DISTRIBUTION: Final = "tidings"

# What each code of an error tells a program; which codes there are is read from the code.
CODES: Final = {
    "conflict": "It exists already, or something else stands in the way.",
    "csrf": "A change by a browser session without `X-CSRF-Token`, or from another site's page.",
    "forbidden": "The credentials are good and lack a right.",
    "internal": "A defect; the log has the traceback.",
    "invalid_cursor": "A cursor that tidings never issued.",
    "method_not_allowed": "The route exists and doesn't take this method.",
    "not_found": "No such route, user, token or webhook address.",
    "rate_limited": "The limit is used up; `Retry-After` says for how long.",
    "refused": "A webhook that isn't signed, isn't signed rightly, or can't be read. Nothing was stored.",
    "rejected": "The request can't be used as it is; the message says which part.",
    "too_many_streams": "As many streams are open as `limits.streams` allows.",
    "unauthenticated": "No credentials, or none that hold.",
    "unavailable": "Not now; `Retry-After` says when to try again. Nothing was stored.",
}
CLOSED: Final = {
    "expired": ("The token, session or JWT has reached its end.", "with new credentials"),
    "restart": ("The server is stopping.", "after `retry`, at the last cursor"),
    "revoked": ("The token was revoked.", "with another token"),
    "signed_out": ("The session was ended.", "after signing in"),
    "user_removed": ("The user was removed.", "not"),
}


# --- Markdown -----------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def prose(doc: str) -> str:
    """A docstring in Google's style as Markdown: its sections become lists."""
    out: list[str] = []
    section = ""
    for line in inspect.cleandoc(doc).splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            section = line[:-1]
            out += [f"**{section}**", ""]
        elif not line.startswith("    ") or not section:
            section = "" if line else section
            out.append(line)
        elif section != "Returns" and (found := re.fullmatch(r"    (\w+): (.*)", line)):
            out.append(f"- `{found[1]}`: {found[2]}")
        else:
            out.append(line.strip() if section == "Returns" else f"  {line.strip()}")
    return "\n".join(out).strip() + "\n"


def attributes_of(doc: str) -> dict[str, str]:
    """The entries of a docstring's `Attributes:`, each on one line."""
    entries = re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", prose(doc), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


# --- configuration ------------------------------------------------------------------------------------------


def accepts(field: FieldInfo, word: str) -> bool:
    """Whether the option takes this word for "none"."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, *field.metadata])
    try:
        return adapter.validate_python(word) is None
    except ValidationError:
        return False


def form(field: FieldInfo, schema: Mapping[str, Any]) -> str:
    """How a value is written."""
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    examples = schema.get("examples", [])
    if schema.get("format") == "password":
        return "secret"
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    words = [f"`{word}`" for word in ("unlimited", "forever") if accepts(field, word)]
    kind = {
        "30s": "duration", "100/15m": "rate", "25MiB": "size",
    }.get(examples[0] if examples else "") or {
        "integer": "whole number", "boolean": "`true` or `false`", "array": "list",
    }.get(schema.get("type", ""), "text")  # fmt: skip
    return " or ".join([kind, *words])


def default(field: FieldInfo, schema: Mapping[str, Any]) -> str:
    """What holds where the option is left out."""
    value = field.default
    if field.default_factory is not None:
        return "from the others"
    if value is PydanticUndefined:
        return "required"
    if value is None:
        words = [word for word in ("unlimited", "forever") if accepts(field, word)]
        return f"`{words[0]}`" if words else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if schema.get("examples", [""])[0] == "30s":
        return f"`{format_duration(value)}`"
    if schema.get("examples", [""])[0] == "25MiB":
        return f"`{value // 2**20}MiB`"
    return f"`{value}`"


def options(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Key, form, default and meaning of each option of a model, and of the models in it."""
    schemas = model.model_json_schema()["properties"]
    attributes = attributes_of(model.__doc__ or "")
    for name, field in model.model_fields.items():
        if name not in schemas:
            continue
        inner = section_of(field)
        if inner is not None:
            yield from options(inner, f"{prefix}{name}.")
            continue
        meaning = field.description or attributes[name]
        schema = schemas[name]
        yield f"`{prefix}{name}`", form(field, schema), default(field, schema), meaning


def section_of(field: FieldInfo) -> type[config.Section] | None:
    """The section that a field holds, or None where it holds a value."""
    for found in (field.annotation, *getattr(field.annotation, "__args__", ())):
        if isinstance(found, type) and issubclass(found, config.Section):
            return found
    return None


def plugins() -> Iterator[tuple[str, str, type[hooks.Plugin]]]:
    """Section, name and class of each plugin that tidings ships, in the order of `config.yaml`."""
    for kind in KINDS:
        for point in sorted(entry_points(group=kind.group), key=lambda point: point.name):
            if point.dist is not None and point.dist.name == DISTRIBUTION:
                yield kind.section, point.name, point.load()


def all_options() -> list[tuple[str, str, str, str]]:
    """Every option there is."""
    found = list(options(config.Settings, ""))
    for section, name, plugin in plugins():
        found += options(plugin.options_model, f"plugins.{section}.{name}.")
    return found


def config_page() -> str:
    """`config.md`."""
    parts = [
        "# Configuration\n\n"
        "`config.yaml` is the one file to edit. It runs as shipped, and every key has a default. "
        "`tidings check` reads it without starting anything; an error names the file, line, key and value, and "
        "says what to write instead.\n\n"
        "## How values are written\n\n",
        table(
            ("value", "meaning"),
            [
                ("`30s` `15m` `6h` `1d` `500ms`", "a duration"),
                ("`25MiB` `512KiB` `10MB` `1000`", "a size in bytes"),
                ("`100/15m`", "a rate: so many in so long"),
                ("`${NAME}`", "the environment variable `NAME`, which must be set"),
                ("`${NAME:-default}`", "the same, or `default` where it is not set or empty"),
                ("`{file: /run/secrets/name}`", "for a secret: the text of that file"),
            ],
        ),
        "\nPaths are relative to the file. A secret that is empty or blank is the same as an absent one. A value "
        "with `${…}` stands in block style or in quotes.\n",
    ]
    for name, field in config.Settings.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            parts.append(
                f"\n## {name}\n\n{field.description}\n\n{_options_table(options(inner, f'{name}.'))}"
            )
        elif name != "plugins":
            rows = [row for row in options(config.Settings, "") if row[0] == f"`{name}`"]
            parts.append(f"\n## {name}\n\n{_options_table(rows)}")
    parts.append(
        "\n## plugins\n\n"
        "Only what is named here is loaded; `tidings plugins` lists what could be. Every plugin takes "
        "`required: true` beside its own options: tidings then doesn't start without it. Without it a plugin that "
        "fails is reported and the rest runs on.\n"
    )
    for section, name, plugin in plugins():
        rows = list(options(plugin.options_model, f"plugins.{section}.{name}."))
        parts.append(
            f"\n### plugins.{section}.{name}\n\n{_options_table(rows) if rows else 'No options.' + chr(10)}"
        )
    return "".join(parts)


def _options_table(rows: Iterable[Sequence[str]]) -> str:
    return table(("key", "value", "default", "meaning"), rows)


# --- the command line, metrics ------------------------------------------------------------------------------


def cli_page() -> str:
    """`cli.md`."""
    return (
        "# Command line\n\nIn a clone the command is `.venv/bin/tidings`. Results go to standard output; hints, "
        f"warnings and errors to standard error.\n\n{command_reference()}"
    )


def metrics_page() -> str:
    """`metrics.md`."""
    rows = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = " ".join(f"`{label}`" for label in metric._labelnames) or "–"  # there is no public name
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return (
        "# Metrics\n\n`GET /metrics` speaks Prometheus' text format. It needs a token with the scope `read`, or "
        "[`auth.scrape_token`](config.md#auth). A histogram has `_bucket`, `_sum` and `_count`; names that end "
        f"in `_seconds` count seconds.\n\n{table(('name', 'type', 'labels', 'meaning'), rows)}"
    )


# --- routes -------------------------------------------------------------------------------------------------


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
    anchors = {(path, method): _anchor(f"{method} {path}") for path, method, _ in operations}
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
    elif operation.get("security") == []:
        parts.append(" Open to anyone.")
    parts.append("\n")
    if parameters := operation.get("parameters"):
        rows = [(f"`{one['name']}`", one["in"], one["description"]) for one in parameters]
        parts.append("\n" + table(("parameter", "in", "meaning"), rows))
    if body := operation.get("requestBody"):
        schema = _resolved(body["content"]["application/json"]["schema"], api)
        parts.append(f"\nBody: {schema.get('description', '')}\n\n{_fields(schema, api)}")
    for status, answer in operation["responses"].items():
        if status == "default":
            continue
        media = ", ".join(f"`{one}`" for one in answer.get("content", {}))
        parts.append(f"\n{status}: {answer['description']}" + (f" {media}" if media else "") + "\n")
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        if schema and schema.get("properties"):
            parts.append("\n" + _fields(schema, api))
    return "".join(parts)


def _fields(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    rows = [
        (f"`{name}`", _type(inner, api), inner.get("description", ""))
        for name, inner in schema["properties"].items()
    ]
    return table(("field", "value", "meaning"), rows)


def _type(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = reference.rsplit("/", 1)[1]
        return f"[{name}](events.md#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one, api) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], api)}"
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


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- errors -------------------------------------------------------------------------------------------------


def sources() -> Iterator[ast.Module]:
    """Core and every plugin, parsed."""
    for folder in ("core", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text("utf-8"))


def codes_in(tree: ast.AST) -> Iterator[str]:
    """The codes of errors that a source names: `code="…"`, `problem(400, "…")`, `{"code": "…"}`."""
    for node in ast.walk(tree):
        named: list[ast.expr] = []
        if isinstance(node, ast.Call):
            named += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if isinstance(node.func, ast.Name) and node.func.id == "problem":
                named += node.args[1:2]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            named += [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "code"]
        yield from (
            one.value for one in named if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )


def answers() -> list[tuple[type[tidings.errors.TidingsError], int, str]]:
    """Each error that the API can answer with, its status and its code."""
    found = []
    for name, kind in vars(tidings.errors).items():
        if (
            isinstance(kind, type)
            and issubclass(kind, tidings.errors.TidingsError)
            and not name.startswith("_")
        ):
            answer = problem_of(kind("x"))
            found.append((kind, answer.status_code, json.loads(bytes(answer.body))["error"]["code"]))
    return found


def errors_page() -> str:
    """`errors.md`.

    Raises:
        SystemExit: The code has a code or a reason that is not explained here.
    """
    told = answers()
    used = {code for tree in sources() for code in codes_in(tree)} | {code for _, _, code in told}
    reasons = {value for name, value in vars(rights).items() if name.isupper() and isinstance(value, str)}
    _demand("CODES", used, set(CODES))
    _demand("CLOSED", reasons | {"restart"}, set(CLOSED))
    tree = re.search(r"\n\n((?:    .*\n)+)", tidings.errors.__doc__ or "")
    assert tree is not None
    statuses = {code: str(status) for _, status, code in told} | {
        "csrf": "403", "forbidden": "403", "method_not_allowed": "405", "not_found": "404", "rate_limited": "429",
        "refused": "401, 404, 408, 413, 415, 429 or 400", "rejected": "400, 413 or 415", "too_many_streams": "429",
    }  # fmt: skip
    closed = [(f"`{reason}`", *words) for reason, words in sorted(CLOSED.items())]
    return (
        "# Errors\n\n## Codes\n\nThe API answers an error with a status and "
        '`{"error": {"code", "message"}}`. The code is for programs and stays; the message is for people, says '
        "what to do, and may change.\n\n"
        + table(
            ("code", "status", "meaning"),
            [(f"`{code}`", statuses[code], CODES[code]) for code in sorted(CODES)],
        )
        + "\nA 401 carries `WWW-Authenticate`, a 429 and a 503 `Retry-After`. Answers to limited requests carry "
        "`RateLimit` and `RateLimit-Policy`.\n\n"
        "## Why a stream was closed\n\nThe last frame of a stream that the server ends is `event: closed` with "
        '`{"reason"}`.\n\n'
        + table(("reason", "meaning", "come back"), closed)
        + f"\n## In Python\n\n```text\n{tree[1]}```\n"
        + "".join(f"\n### {kind.__name__}\n\n{prose(kind.__doc__ or '')}" for kind, _, _ in told)
    )


def _demand(where: str, used: set[str], explained: set[str]) -> None:
    if used != explained:
        raise SystemExit(
            f"docs/generate.py: {where} lacks {sorted(used - explained)} and has {sorted(explained - used)} "
            "that the code no longer uses."
        )


# --- events -------------------------------------------------------------------------------------------------


def sample() -> Entry:
    """GitHub's sample push in its place in a journal."""
    now = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
    connector = GitHubConnector(Keys())
    (event,) = connector.parse(connector.sample(Keys((b"secret",)), now, "1")).events
    return Entry(
        user_id=UserId(1),
        cursor=Cursor("k3v9x2mq", 42),
        id=event.id,
        type=event.type,
        source=event.source,
        subject=event.subject,
        time=event.time,
        recorded_at=now + timedelta(milliseconds=640),
        platform=event.platform,
        connection_id="",
        via="webhook",
        data=msgspec.Raw(msgspec.json.encode(event.data)),
    )


def event_names() -> Iterator[tuple[str, str]]:
    """The SSE name of each sort of event."""
    entry = sample()
    own = partial(msgspec.structs.replace, entry, platform="tidings", via="api")
    yield event_name(entry), "a platform's event that came by webhook"
    yield (
        event_name(msgspec.structs.replace(entry, via="streaming")),
        "one that came by a platform's own stream",
    )
    yield event_name(msgspec.structs.replace(entry, via="polling")), "one that came by asking the platform"
    yield event_name(own(type="org.tidings.token.refreshed")), "news of a platform's token"
    yield event_name(own(type="org.tidings.connection.connected")), "other news of tidings itself"
    yield event_name(own(type=MESSAGE_TYPE)), "a message sent by the API"


def events_page(api: Mapping[str, Any]) -> str:
    """`events.md`."""
    schemas = api["components"]["schemas"]
    entry = sample()
    shown = json.dumps(json.loads(entry.cloudevent()), indent=2, ensure_ascii=False)
    names: dict[str, list[str]] = {}
    for name, meaning in event_names():
        names.setdefault(name, []).append(meaning)
    frames = [(f"`{name}`", "; ".join(meanings), "a CloudEvent") for name, meanings in names.items()]
    frames += [
        ("`cursor`", "on opening, and when a filter has withheld events for a while", "`{}`"),
        ("`gap`", "events that can't be had any more", "[Gap](#gap)"),
        ("`closed`", "the server ends the stream", "[`{reason}`](errors.md#why-a-stream-was-closed)"),
    ]
    line = named_frame(entry).decode()
    return (
        "# Events\n\nAn event is one JSON object in the form of "
        "[CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), the "
        "same on every transport and in the API.\n\n## CloudEvent\n\n"
        + _described_fields(schemas["CloudEvent"], api)
        + "\nAttributes without a value are left out. `data` holds enough to show the event without knowing the "
        f"platform; platforms add fields of their own. An example:\n\n```json\n{shown}\n```\n\n"
        "Which events GitHub sends, and how each gets its id: "
        "[the connector's page](../../plugins/github/README.md#ids).\n\n"
        "## Cursors\n\n" + prose(Cursor.__doc__ or "") + "\n## Gap\n\n" + _fields(schemas["Gap"], api)
        + f"\n{prose(contracts.Gap.__doc__ or '')}\n## Server-Sent Events\n\n"
        "Each frame of `GET /api/sse/stream` that holds an event has `id:` (its cursor), `event:` and `data:`:\n\n"
        f"```text\n{line[:150]}…\n```\n\n"
        + table(("`event:`", "what", "`data:`"), frames)
        + "\nWith `?named=false` events have no `event:` line, so that `onmessage` gets them all; `cursor`, `gap` and "
        "`closed` keep theirs. A comment line (`: heartbeat`) keeps a quiet stream open.\n"
    )  # fmt: skip


def _described_fields(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    told = attributes_of(tidings.event.Event.__doc__ or "") | attributes_of(Entry.__doc__ or "")
    rows = []
    for name, inner in schema["properties"].items():
        needed = "always" if name in schema["required"] else "where it has a value"
        rows.append((f"`{name}`", _type(inner, api), needed, inner.get("description") or told.get(name, "")))
    return table(("attribute", "value", "present", "meaning"), rows)


# --- plugins ------------------------------------------------------------------------------------------------


def plugins_page() -> str:
    """`plugins.md`."""
    steps = re.findall(r'collect\(loaded, "(\w+)"', inspect.getsource(runtime))
    chain = " --> ".join(
        ["named[config.yaml names it]", "imported", "validated[options validated]", "built", *steps]
    )
    kinds = table(
        ("under `plugins:`", "entry-point group", "hook"),
        [(f"`{kind.section}`", f"`{kind.group}`", f"`{kind.hook}`") for kind in KINDS],
    )
    return (
        "# Plugins\n\nHow to write one: [a plugin of your own](../how-to/write-a-plugin.md).\n\n## Hooks\n\n"
        + prose(hooks.__doc__ or "").partition("\n")[2].lstrip()
        + f"\n{kinds}\nA plugin's life until the server listens:\n\n```mermaid\nflowchart LR\n  {chain} --> listening\n```\n"
        + _classes(hooks)
        + f"\n## Context\n\n{(context.__doc__ or '').strip()}\n"
        + _classes(context)
        + f"\n## Contracts\n\n{prose((contracts.__doc__ or '').partition(chr(10))[2])}"
        + _classes(contracts)
        + "\n## Failures\n\nA plugin tells core of a failure by one of three words; see [Errors](errors.md#in-python): "
        "`Unavailable`, `AuthExpired` and `Rejected`. Any other exception is a defect of the plugin, and is "
        "contained and logged under its name.\n"
    )


def _classes(module: ModuleType) -> str:
    parts = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = [ast.unparse(base) for base in node.bases]
            kind = " (protocol)" if "Protocol" in bases else ""
            parts.append(f"\n### {node.name}{kind}\n\n{prose(ast.get_docstring(node) or '')}")
            for inner in node.body:
                public = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name[0] != "_"
                if public and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    parts.append(_method(inner))
    return "".join(parts)


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    marks = {ast.unparse(one) for one in node.decorator_list}
    told = prose(ast.get_docstring(node) or "")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if "property" in marks:
        return f"\n#### {node.name}\n\n```python\n{node.name}{returns.replace(' ->', ':')}\n```\n\n{told}"
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"\n#### {node.name}\n\n```python\n{prefix}def {node.name}({ast.unparse(node.args)}){returns}\n```\n\n{told}"


# --- all of it ----------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Everything that is written, by path."""
    api = asyncio.run(described())
    made = {
        "config.md": config_page(),
        "cli.md": cli_page(),
        "routes.md": routes_page(api),
        "metrics.md": metrics_page(),
        "errors.md": errors_page(),
        "events.md": events_page(api),
        "plugins.md": plugins_page(),
    }
    found = {
        REFERENCE / name: NOTICE + re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"
        for name, text in made.items()
    }
    readme = README.read_text("utf-8")
    head, tail = readme.partition(BEGIN)[0], readme.partition(END)[2]
    rows = [(key, without, meaning) for key, _, without, meaning in all_options()]
    found[README] = f"{head}{BEGIN}{table(('key', 'default', 'meaning'), rows)}{END}{tail}"
    return found


def stale(found: Mapping[Path, str]) -> list[Path]:
    """The files that don't hold what the code says."""
    return [path for path, text in found.items() if not path.exists() or path.read_text("utf-8") != text]


def main(arguments: Sequence[str]) -> int:
    """Write or check; the exit code."""
    found = pages()
    changed = stale(found)
    checking = "--check" in arguments
    for path in changed:
        sys.stdout.write(f"{'stale' if checking else 'wrote'}: {path.relative_to(ROOT)}\n")
        if not checking:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found[path], "utf-8")
    return 1 if checking and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
