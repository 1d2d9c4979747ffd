"""Which runs may call a connector that blocked the event loop."""

from __future__ import annotations

import pytest

from tidings.connectors import Connector
from tidings.errors import Unavailable
from tidings.halting import Halts


class Clumsy(Connector):
    platform = "clumsy"
    display_name = "Clumsy"


class Nimble(Connector):
    platform = "nimble"
    display_name = "Nimble"


def test_only_runs_that_begin_after_its_connections_were_parked_may_call_it() -> None:
    halts, clumsy = Halts(), Clumsy()
    before = halts.now
    halts.check(clumsy, before)
    halts.begin("clumsy")
    meanwhile = halts.now
    for began in (before, meanwhile):
        with pytest.raises(Unavailable, match="The connector for Clumsy blocks the event loop"):
            halts.check(clumsy, began)
    halts.end("clumsy")
    for began in (before, meanwhile):  # they may have seen the connection while it was not parked
        with pytest.raises(Unavailable):
            halts.check(clumsy, began)
    halts.check(clumsy, halts.now)
    halts.begin("clumsy")
    halts.end("clumsy")
    halts.check(clumsy, halts.now)


def test_others_are_called_all_the_while() -> None:
    halts = Halts()
    before = halts.now
    halts.begin("clumsy")
    halts.check(Nimble(), before)
    halts.end("clumsy")
    halts.check(Nimble(), before)
