"""The page on the JavaScript client, from the types that it is published with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from generator.markdown import table

TYPES: Final = Path(__file__).resolve().parents[2] / "clients" / "javascript" / "types"
_INTERFACE: Final = re.compile(
    r"(?:/\*\*(?P<doc>(?:(?!\*/).)*)\*/\n)?export interface (?P<name>\w+)(?:<[^{]*>)?(?: extends [^{]+)? \{\n"
    r"(?P<body>.*?)^\}$",
    re.MULTILINE | re.DOTALL,
)
_MEMBER: Final = re.compile(
    r"(?:^  /\*\*(?P<doc>(?:(?!\*/).)*)\*/\n)?^  (?:readonly )?(?P<name>[\w]+)\??"
    r"(?P<type>(?:<[^\n]*?>)?\([^\n]*|: [^\n]*);$",
    re.MULTILINE | re.DOTALL,
)
_COMPUTED: Final = re.compile(r"^  \[.*;$", re.MULTILINE)  # `[Symbol.asyncIterator]` is told in the text
_INTRODUCTION: Final = """\
# The JavaScript client

`clients/javascript`, the npm package `tidings-client`. How to put it into a page, step by step:
[Embed tidings in your own web application](../how-to/embed-in-your-web-application.md). What goes over the wire:
[events](events.md) and [errors](errors.md).

```js
import { connect } from "tidings-client";

const client = connect({ url: "https://tidings.example.org", getToken });
client.on("event", (event) => show(event.data.title));
```

`connect` throws a `TypeError` where the options contradict each other. It connects after the current task, so that
listeners added at once miss nothing. All lengths of time are milliseconds.
"""
_LISTENING: Final = """\
## Listening

`client.on(name, listener)` returns a function that ends it. A `name` with a dot is a type of CloudEvents, `*` for any
characters: `client.on("com.github.*", …)`. A listener that throws disturbs no other; the page gets its error.

`for await (const event of client)` gives the events from when it was begun; it ends after `close()`, and
throws the error that ended the client. While more than `buffer` events wait to be read, the stream pauses.
"""
_RESUMING: Final = """\
## Positions

`client.cursor`, and each event's `cursor`, is where to come back: keep that of the last event that you have handled,
and give it as `after`. Between one connection and the next the client does so by itself, whatever the transport. What a
server tells twice is given out once. After a [gap](events.md#gap) it goes on behind it. `isPast(known, cursor)` says
whether who is at the one cursor has seen what is at the other: with `GET /api/reading`, whether an event is read.

## Coming back

After a failure the client waits what the server asks for (`Retry-After`, else `retry:` of the stream), and on top of
that a random time between 0 and `backoffMs`, doubled with each failure up to `maxBackoffMs`. Ten seconds of connection
make the next failure the first again. It tries at once when the network comes back or the page comes into view, and
takes a connection for dead on which nothing was heard for `silenceMs`: keep that above twice the server's `heartbeat`.

`auto` tries a WebSocket first. Where that fails and SSE then works, it stays with SSE for five minutes.

A refused or expired token is asked for anew by `getToken`, at once, and the stream goes on where it was. If the new one
is refused too, the client is closed.

## One stream for all tabs

Tabs of one browser and origin share a stream if they have the same `url`, `types`, `platforms` and user. The user is
known by a JWT's `iss` and `sub`, by an API token, or as the cookie's; `share: "a name"` says it. One tab, the leader,
holds a Web Lock and the connection, and tells the others by a `BroadcastChannel`. When it is closed, or does not answer
for `silenceMs` and five seconds more, another leads from its own position. A tab that was told too little, or that
asked for an older position, reads the rest by `GET /api/events`. A `pauseWhenHidden` tab in the background leaves the
lead to one in view. A `ticket` is never shared.

Pages that sign somebody else in by a cookie should be loaded anew, or `close()` and connect again.

## Errors

A `TidingsError` has `code`, `message` for people, and `status`, 0 where there was no HTTP answer.

| `code` | what | then |
| --- | --- | --- |
| `unauthenticated`, `expired`, `revoked` | The token does not hold. | `getToken` is asked; without it, closed |
| `forbidden` | The token lacks the scope `read`. | closed |
| `signed_out`, `user_removed` | The session or the user has ended. | closed |
| `invalid_cursor`, `rejected` | `after` or a filter can't be used. | closed |
| `too_many_streams`, `rate_limited`, `unavailable` | Not now. | it waits, as long as the server says |
| `restart` | The server is stopping. | it waits |
| `silent` | Nothing was heard for `silenceMs`. | it waits |
| `unreachable` | No answer, or the connection broke. | it waits |

`request` and `sync` reject with the [codes of the API](errors.md#codes).
"""
_REACT: Final = """\
## React

`tidings-client/react` needs React 18 or later. `useServerSentEvents(options)`, `useWebSocket(options)` and
`useTidings(options)` (whichever transport comes about) follow the stream while the component is there and return a
`Stream`. Components with the same options share one stream. Another `url`, filter, `after` or token begins anew;
other functions do not. `useConnections(client)` returns the connected accounts, `useServiceWorker(options)` the page's
worker.
"""


class Member(NamedTuple):
    """One line of an interface; the type of a property begins with a colon, that of a method with its parameters."""

    name: str
    type: str
    meaning: str


def members(source: str, name: str) -> list[Member]:
    """What an interface declares, in its order.

    Raises:
        SystemExit: There is no such interface, or it holds something that this does not understand.
    """
    for found in _INTERFACE.finditer(source):
        if found["name"] == name:
            read = list(_members(found["body"]))
            rest = re.sub(r"\s+", " ", _MEMBER.sub("", _COMPUTED.sub("", found["body"]))).strip()
            if rest:
                raise SystemExit(f"{name} holds what docs/generator/javascript.py can't read: {rest}")
            return read
    raise SystemExit(f"There is no interface {name} in {TYPES}.")


def _members(body: str) -> Iterator[Member]:
    for found in _MEMBER.finditer(body):
        doc = re.sub(r"\n\s*\*(?!/)", " ", found["doc"] or "")
        said = found["type"].removesuffix(" | undefined")
        if said.startswith(": ("):
            said = f": {said[3:-1]}"  # a function, which needs brackets before `| undefined` alone
        text = re.sub(r"@throws \{(\w+)\}", r"Throws `\1`:", " ".join(doc.split()))
        yield Member(found["name"], said, text)


def _rows(source: str, name: str) -> str:
    rows = []
    for member in members(source, name):
        is_method = not member.type.startswith(": ")
        label = f"`{member.name}{member.type if is_method else ''}`"
        if member.meaning:
            rows.append((label, "" if is_method else f"`{member.type[2:]}`", member.meaning))
    return table(("name", "type", "meaning"), rows)


def javascript_page() -> str:
    """`javascript.md`."""
    client, react = ((TYPES / name).read_text("utf-8") for name in ("index.d.ts", "react.d.ts"))
    told = [(f"`{one.name}`", f"`{one.type[2:]}`", one.meaning) for one in members(client, "Listeners")]
    parts = [
        _INTRODUCTION,
        f"## Options\n\n{_rows(client, 'Options')}",
        f"## The client\n\n{_rows(client, 'Client')}",
        _LISTENING,
        table(("name", "with", "when"), told),
        f"### Status\n\n{_rows(client, 'Status')}",
        _RESUMING,
        _REACT,
    ]
    hooks = ("StreamOptions", "Stream", "Connections", "ServiceWorkerOptions", "PageServiceWorker")
    parts += [f"### {name}\n\n{_rows(react, name)}" for name in hooks]
    return "\n".join(part.rstrip() + "\n" for part in parts)
