"""What is public: the modules that plugins may import, and what is promised about them.

Names that begin with an underscore are private everywhere. `docs/reference/public-api.md` lists every public name, and
what is promised: within a plugin API version nothing public is removed or changed; the version before is supported too.
"""

from __future__ import annotations

from typing import Final

#: Modules of `tidings` that plugins may import, beside `tidings` itself and `tidings.testing`.
MODULES: Final = frozenset(
    {
        "asgi",
        "bus",
        "commonlog",
        "config",
        "connecting",
        "connectors",
        "context",
        "contracts",
        "deliveries",
        "devices",
        "durations",
        "errors",
        "event",
        "exchange",
        "fields",
        "hooks",
        "internet",
        "items",
        "rhythm",
        "selection",
        "strategies",
        "websocket",
        "websub",
    }
)
