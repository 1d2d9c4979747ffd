"""What tests of tidings and of its plugins stand on.

Suites of standard tests, one a contract: subclass one, set what it asks for, and all of its tests are yours.
`FakeClock`, `MemoryJournal` and `RecordedHttp` stand in for time, the journal and the world; `live_server` is a whole
server on a free port; `open_stream` and `tidings.testing.readers` read its streams as clients do.
"""

from tidings.testing.clock import FakeClock
from tidings.testing.exchanges import Faults, RecordedApi, RecordedHttp, answer
from tidings.testing.journal import MemoryJournal
from tidings.testing.server import LiveServer, live_server
from tidings.testing.streams import SseReader, open_stream
from tidings.testing.suite import Suite, Violation, fail, require, standard
from tidings.testing.suites.bus import BusSuite
from tidings.testing.suites.connector import ConnectorSuite
from tidings.testing.suites.extra import ExtraSuite
from tidings.testing.suites.journal import JournalSuite, Shelf
from tidings.testing.suites.plugin import PluginSuite
from tidings.testing.suites.polling import PollingSuite, Watched
from tidings.testing.suites.receiving import ReceivingSuite
from tidings.testing.suites.registering import RegisteringSuite, Registry
from tidings.testing.suites.strategy import StrategySuite
from tidings.testing.suites.transport import PushingSuite, StreamingSuite, TransportSuite

__all__ = [
    "BusSuite",
    "ConnectorSuite",
    "ExtraSuite",
    "FakeClock",
    "Faults",
    "JournalSuite",
    "LiveServer",
    "MemoryJournal",
    "PluginSuite",
    "PollingSuite",
    "PushingSuite",
    "ReceivingSuite",
    "RecordedApi",
    "RecordedHttp",
    "RegisteringSuite",
    "Registry",
    "Shelf",
    "SseReader",
    "StrategySuite",
    "StreamingSuite",
    "Suite",
    "TransportSuite",
    "Violation",
    "Watched",
    "answer",
    "fail",
    "live_server",
    "open_stream",
    "require",
    "standard",
]
