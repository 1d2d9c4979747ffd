"""tidings: everything new in the accounts you already have, the moment the platform allows.

What plugins are made of can be imported from here:

    from tidings import Connector, Context, Event, Keys, Parsed, Plugin, Receives, WebhookRequest, hookimpl

Each name comes from the module that says more of it: `tidings.contracts` (what a plugin must be), `tidings.event`
(what moves), `tidings.errors` (what goes wrong), `tidings.hooks` (how a plugin arrives), `tidings.config` (values of
options). It is imported when it is first used. What is promised about these names stands in `tidings.surface`.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidings.bus import Arrival, Glance, Outage, Question
    from tidings.config import Duration, Rate, Secret, Section, Size
    from tidings.context import Context
    from tidings.contracts import (
        Account,
        Answer,
        Api,
        Appended,
        Asked,
        Budget,
        Bus,
        Checkpoint,
        Clock,
        Connector,
        Connects,
        Extra,
        Follows,
        Greeted,
        Greets,
        Hint,
        Http,
        Item,
        Journal,
        Keys,
        Notice,
        OAuth,
        OAuthClient,
        Page,
        Parsed,
        Pause,
        Plan,
        Polled,
        Polls,
        Principal,
        Receives,
        Recovers,
        Registers,
        Reply,
        Sink,
        Strategy,
        Streams,
        Subscription,
        Target,
        TokenSet,
        Transport,
        Upstream,
        Verdict,
        WakeUp,
        WatchState,
        WebhookRequest,
        retry_after_seconds,
    )
    from tidings.devices import Admitted, Device, Fate, News, Pushed, Pushes
    from tidings.errors import (
        AuthExpired,
        ConfigError,
        NotSent,
        Rejected,
        TidingsError,
        Unavailable,
        UnknownKey,
    )
    from tidings.event import OLDEST, Cursor, Entry, Event, Gap, UserId, encode_json, rfc3339
    from tidings.hooks import API_VERSION, Options, Plugin, ServerAddress, hookimpl

_HOMES = {
    "bus": "Arrival Glance Outage Question",
    "config": "Duration Rate Secret Section Size",
    "context": "Context",
    "contracts": "Account Answer Api Appended Asked Budget Bus Checkpoint Clock Connector Connects Extra Follows "
    "Greeted Greets Hint Http Item Journal Keys Notice OAuth OAuthClient Page Parsed Pause Plan Polled Polls Principal "
    "Receives Recovers Registers Reply Sink Strategy Streams Subscription Target TokenSet Transport Upstream Verdict "
    "WakeUp WatchState WebhookRequest retry_after_seconds",
    "devices": "Admitted Device Fate News Pushed Pushes",
    "errors": "AuthExpired ConfigError NotSent Rejected TidingsError Unavailable UnknownKey",
    "event": "Cursor Entry Event Gap OLDEST UserId encode_json rfc3339",
    "hooks": "API_VERSION Options Plugin ServerAddress hookimpl",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "API_VERSION",
    "OLDEST",
    "Account",
    "Admitted",
    "Answer",
    "Api",
    "Appended",
    "Arrival",
    "Asked",
    "AuthExpired",
    "Budget",
    "Bus",
    "Checkpoint",
    "Clock",
    "ConfigError",
    "Connector",
    "Connects",
    "Context",
    "Cursor",
    "Device",
    "Duration",
    "Entry",
    "Event",
    "Extra",
    "Fate",
    "Follows",
    "Gap",
    "Glance",
    "Greeted",
    "Greets",
    "Hint",
    "Http",
    "Item",
    "Journal",
    "Keys",
    "News",
    "NotSent",
    "Notice",
    "OAuth",
    "OAuthClient",
    "Options",
    "Outage",
    "Page",
    "Parsed",
    "Pause",
    "Plan",
    "Plugin",
    "Polled",
    "Polls",
    "Principal",
    "Pushed",
    "Pushes",
    "Question",
    "Rate",
    "Receives",
    "Recovers",
    "Registers",
    "Rejected",
    "Reply",
    "Secret",
    "Section",
    "ServerAddress",
    "Sink",
    "Size",
    "Strategy",
    "Streams",
    "Subscription",
    "Target",
    "TidingsError",
    "TokenSet",
    "Transport",
    "Unavailable",
    "UnknownKey",
    "Upstream",
    "UserId",
    "Verdict",
    "WakeUp",
    "WatchState",
    "WebhookRequest",
    "encode_json",
    "hookimpl",
    "retry_after_seconds",
    "rfc3339",
]
__version__ = version("tidings")


def __getattr__(name: str) -> Any:
    """Import a public name from its home; a server that is starting needs few of them."""
    if name not in _MODULES:
        from tidings.deprecated import replacement  # noqa: PLC0415 - seldom needed

        instead = replacement(name)
        if instead is None:
            raise AttributeError(f"module 'tidings' has no public name {name!r}")
        name = instead
    return getattr(importlib.import_module(f"tidings.{_MODULES[name]}"), name)
