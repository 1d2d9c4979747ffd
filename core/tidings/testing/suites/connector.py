"""What a connector must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from tidings.connecting import Answer, Connects
from tidings.connectors import Connector, Follows
from tidings.testing.bench import Bench
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.plugin import PluginSuite

_PLATFORM: Final = re.compile(r"[a-z][a-z0-9]{1,31}", re.ASCII)
_ICON: Final = re.compile(r"[MmZzLlHhVvCcSsQqTtAa0-9 ,.eE+-]*", re.ASCII)
_WAIT_SECONDS: Final = 120


class ConnectorSuite(PluginSuite):
    """What a connector must be; `ReceivingSuite`, `PollingSuite` and `RegisteringSuite` ask more of those that can."""

    @contextmanager
    def connector(self) -> Iterator[tuple[Connector, Bench]]:
        """The connector, and what its plugin was given."""
        with self.offered() as (offer, bench):
            if not isinstance(offer, Connector):
                fail(f"{self.plugin} offers {type(offer).__qualname__}, which is no Connector.")
            yield offer, bench

    @standard
    def test_is_called_as_its_platform(self) -> None:
        """Its platform, the entry point and the key in `config.yaml` are one short lower-case word."""
        with self.connector() as (connector, _):
            require(
                connector.platform == self.name,
                f"The entry point is called {self.name!r} and the platform {connector.platform!r}. Make them one.",
            )
            require(
                _PLATFORM.fullmatch(connector.platform),
                "`platform` is not 2 to 32 letters and digits, in lower case.",
            )
            require(connector.display_name.strip(), "`display_name` is empty.")

    @standard
    def test_draws_its_icon(self) -> None:
        """Its icon is an SVG path or nothing: pages put it into their markup."""
        with self.connector() as (connector, _):
            require(
                _ICON.fullmatch(connector.icon), "`icon` is no SVG path of letters, digits, points and signs."
            )

    @standard
    def test_offers_settings_that_pages_can_show(self) -> None:
        """Each setting has a title, in a JSON Schema of an object."""
        with self.connector() as (connector, _):
            schema = connector.settings_schema
            require(
                not schema or schema.get("type") == "object", "`settings_schema` is not that of an object."
            )
            untitled = [name for name, one in schema.get("properties", {}).items() if not one.get("title")]
            require(not untitled, f"These settings have no title: {', '.join(untitled)}.")

    @standard
    def test_consents_where_it_should(self) -> None:
        """Its OAuth addresses are URLs, and what it needs is among what it asks for."""
        with self.connector() as (connector, _):
            if isinstance(connector, Follows) or not isinstance(connector, Connects):
                return
            oauth = connector.oauth
            for url in (oauth.authorize_url, oauth.token_url, connector.api_url):
                parts = urlsplit(url)
                require(parts.scheme in {"https", "http"} and parts.hostname, f"{url!r} is no URL.")
            for needed in oauth.needed_scopes:
                require(
                    not oauth.scopes or set(needed.split("|")) & set(oauth.scopes),
                    f"needed_scopes has {needed!r}, which `scopes` does not ask for.",
                )

    @standard
    def test_waits_as_long_as_it_is_asked_to(self) -> None:
        """A 429 with `Retry-After` pauses for at least as long (RFC 9110 §10.2.3)."""
        with self.connector() as (connector, bench):
            if not isinstance(connector, Connects):
                return
            pause = connector.pause(
                Answer(429, {"retry-after": str(_WAIT_SECONDS)}, b"{}"), bench.clock.now()
            )
            require(
                pause is not None and pause.seconds >= _WAIT_SECONDS,
                f"A 429 that asks for {_WAIT_SECONDS} seconds is answered with {pause}.",
            )
