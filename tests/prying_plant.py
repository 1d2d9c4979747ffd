"""A plugin that uses what is not public."""

from collections.abc import Iterable

from contract_plants import Bell
from tidings.contracts import Connector
from tidings.hooks import Plugin, hookimpl
from tidings.journal import SqlJournal


class PryingPlugin(Plugin):
    journal = SqlJournal

    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        return [Bell("")]
