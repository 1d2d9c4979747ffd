"""How the bus `nats` arrives; its driver is an extra, which is asked for only where the bus is used."""

from __future__ import annotations

from collections.abc import Iterable

from tidings.context import Context
from tidings.contracts import Bus
from tidings.errors import ConfigError
from tidings.hooks import Plugin, hookimpl
from tidings_buses.settings import NatsOptions


class NatsBusPlugin(Plugin):
    """Offers the bus `nats`."""

    options_model = NatsOptions

    @hookimpl
    def tidings_buses(self, context: Context) -> Iterable[Bus]:
        """The one bus."""
        try:
            from tidings_buses.dialling import Dialler  # noqa: PLC0415 - see above
            from tidings_buses.nats import NatsBus  # noqa: PLC0415 - likewise
        except ModuleNotFoundError as error:
            raise ConfigError(
                "plugins.bus.nats: its driver is missing. Run: pip install 'tidings[cluster]'."
            ) from error
        assert isinstance(self.options, NatsOptions)
        return [NatsBus(Dialler(self.options, name="tidings"), context.clock)]
