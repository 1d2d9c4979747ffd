"""`plugins.md` and `tools.md`: hooks, contracts, and what else plugins may use, from their docstrings."""

from __future__ import annotations

import inspect
import re

from generator.markdown import prose, table
from generator.members import members_of

from tidings import (
    asgi,
    bus,
    commonlog,
    config,
    connecting,
    connectors,
    context,
    contracts,
    deliveries,
    devices,
    durations,
    event,
    exchange,
    fields,
    hooks,
    internet,
    items,
    rhythm,
    runtime,
    secret,
    selection,
    strategies,
    websocket,
    websub,
)
from tidings.choices import KINDS


def plugins_page() -> str:
    """`plugins.md`."""
    steps = re.findall(r'collect\(loaded, "(\w+)"', inspect.getsource(runtime))
    chain = "\n  → ".join(["named in config.yaml", "imported", "options validated", "built", *steps])
    kinds = table(
        ("under `plugins:`", "entry-point group", "hook"),
        [(f"`{kind.section}`", f"`{kind.group}`", f"`{kind.hook}`") for kind in KINDS],
    )
    return (
        "# Plugins\n\nHow to write one: [a plugin of your own](../how-to/write-a-plugin.md). Every public name: "
        "[public API](public-api.md). Tools to write one with: [tools](tools.md). The suites that plugins pass: "
        "[conformance](conformance.md).\n\n## Hooks\n\n"
        + prose(hooks.__doc__ or "").partition("\n")[2].lstrip()
        + f"\n{kinds}\nA plugin's life until the server listens:\n\n"
        + f"```text\n{chain}\n  → listening\n```\n"
        + members_of(hooks)
        + "\n## Options\n\nTheir types: [durations, sizes and rates](tools.md).\n"
        + members_of(config, {"Section"})
        + members_of(secret, {"Secret"})
        + f"\n## Context\n\n{(context.__doc__ or '').strip()}\n"
        + members_of(context)
        + f"\n## Contracts\n\n{prose((contracts.__doc__ or '').partition(chr(10))[2])}"
        + members_of(contracts)
        + "".join(
            f"\n## {title}\n\n{prose(module.__doc__ or '')}{members_of(module)}"
            for title, module in (
                ("Connectors", connectors),
                ("Deliveries", deliveries),
                ("The log of a common address", commonlog),
                ("Events", event),
                ("Calling a platform, connecting accounts", connecting),
                ("Strategies", strategies),
                ("Buses", bus),
                ("Devices", devices),
                ("Items of the journal", items),
            )
        )
        + "\n## Failures\n\nA plugin tells core of a failure by one of three words; see [Errors](errors.md#in-python): "
        "`Unavailable`, `AuthExpired` and `Rejected`. Any other exception is a defect of the plugin, and is "
        "contained and logged under its name.\n"
    )


def tools_page() -> str:
    """`tools.md`."""
    modules = (fields, durations, exchange, rhythm, websub, internet, asgi, websocket, selection)
    return (
        "# Tools for plugins\n\nModules of tidings that no plugin must use, and that save most of them some work. What "
        "plugins are made of: [plugins](plugins.md). What their tests stand on: [test kit](test-kit.md).\n"
        + "".join(f"\n## {one.__name__}\n\n{prose(one.__doc__ or '')}{members_of(one)}" for one in modules)
    )
