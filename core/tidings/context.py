"""The small frozen context that a plugin is given, never the runtime."""

from __future__ import annotations

import dataclasses

from structlog.typing import FilteringBoundLogger

from tidings.contracts import Access, Clock, Http, Journal, Requests, Streams


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What a plugin may use.

    Attributes:
        plugin: The plugin's key: `connector/github`.
        public_url: Where people and platforms reach this installation, without a slash at the end.
        clock: All time.
        log: A logger bound to the plugin's key; log ids, never payloads.
        journal: For plugins that write or read events themselves.
        streams: For transports.
        access: For transports and extras with routes of their own.
        requests: For transports by which people ask for something.
        http: The one HTTP client: with a time-out, without cookies, following no redirect.
        internet: The same for addresses that somebody typed or a stranger's page named: it refuses what is of this
            machine or its network, however it is named, at each request. Since API 1.
    """

    plugin: str
    public_url: str
    clock: Clock
    log: FilteringBoundLogger
    journal: Journal
    streams: Streams
    access: Access
    requests: Requests
    http: Http
    internet: Http
