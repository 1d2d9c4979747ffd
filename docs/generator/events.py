"""`events.md`: what an event looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from generator.markdown import attributes_of, prose, table
from generator.routes import fields, type_of

from tidings.contracts import Keys
from tidings.event import MESSAGE_TYPE, Cursor, Entry, Event, Gap, UserId
from tidings_github.parse import parse
from tidings_github.sample import push
from tidings_transports.names import event_name


def sample() -> Entry:
    """GitHub's sample push in its place in a journal."""
    now = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
    (event,) = parse(push(Keys((b"secret",)), now, "1")).events
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
    """The name of each sort of event."""
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
    return (
        "# Events\n\nAn event is one JSON object in the form of "
        "[CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), the "
        "same on every transport and in the API.\n\n## CloudEvent\n\n"
        + _described_fields(schemas["CloudEvent"], api)
        + "\nAttributes without a value are left out. `data` holds enough to show the event without knowing the "
        f"platform; platforms add fields of their own. An example:\n\n```json\n{shown}\n```\n\n"
        "Which events GitHub sends, and how each gets its id: "
        "[the connector's page](../../plugins/github/README.md#ids).\n\n"
        "## Cursors\n\n" + prose(Cursor.__doc__ or "") + "\n## Gap\n\n" + fields(schemas["Gap"], api)
        + f"\n{prose(Gap.__doc__ or '')}\n"
        "## Names\n\nEach event has one of these names on its way out, the same on every transport: "
        "[how they look there](streams.md).\n\n"
        + table(("name", "what"), [(f"`{name}`", "; ".join(meanings)) for name, meanings in names().items()])
    )  # fmt: skip


def names() -> dict[str, list[str]]:
    """Each name of an event, with what it is given to."""
    found: dict[str, list[str]] = {}
    for name, meaning in event_names():
        found.setdefault(name, []).append(meaning)
    return found


def _described_fields(schema: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    told = attributes_of(Entry.__doc__ or "") | attributes_of(Event.__doc__ or "")
    rows = []
    for name, inner in schema["properties"].items():
        needed = "always" if name in schema["required"] else "where it has a value"
        meaning = inner.get("description") or told.get(name) or told.get(f"{name}_id", "")
        rows.append((f"`{name}`", type_of(inner, api), needed, meaning))
    return table(("attribute", "value", "present", "meaning"), rows)
