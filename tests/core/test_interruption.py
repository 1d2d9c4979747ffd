"""Breaking off a plugin's code from another thread: in its own code and in libraries, and nowhere else."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tidings.blame import Blame
from tidings.defects import Defect
from tidings.interruption import Interruption

KEY = "connector/clumsy"


def defined(module: str, source: str, **names: Any) -> Any:
    """A function `run` of a module that is called so."""
    given = {"__name__": module, "time": time, **names}
    exec(source, given)
    return given["run"]


WAITS = """
def run(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "ended"
"""
CALLS = """
def run(seconds):
    return inner(seconds)
"""


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    plugin = SimpleNamespace(key=KEY, plugin=type("Clumsy", (), {"__module__": "acme.clumsy"})())
    interruption = Interruption(Blame([plugin]))  # type: ignore[list-item]  # as much of one as is looked at
    with interruption.ready():
        yield interruption


@dataclasses.dataclass
class Outcome:
    said: str
    seconds: float


def outcome(interruption: Interruption, work: Callable[[float], Any], *, plugin: str = KEY) -> Outcome:
    """What becomes of work for 0.6 seconds that is broken off after 0.1."""
    thread = threading.get_ident()
    timer = threading.Timer(0.1, interruption.break_off, [thread, plugin, "It blocked the event loop"])
    began = time.monotonic()
    timer.start()
    try:
        said = str(work(0.6))
    except Defect as error:
        said = str(error)
    seconds = time.monotonic() - began
    timer.join()
    return Outcome(said, seconds)


@pytest.mark.parametrize("library", ["acme.clumsy", "acme", "json.decoder", "leftpad"])
def test_a_plugin_and_the_libraries_it_calls_are_broken_off(interruption: Interruption, library: str) -> None:
    found = outcome(interruption, defined("acme.clumsy", CALLS, inner=defined(library, WAITS)))
    assert found.said.startswith(
        "It blocked the event loop, and was broken off. Compute in a thread (`asyncio.to_"
    )
    assert found.seconds < 0.6


def test_what_waits_in_the_system_is_broken_off_too(interruption: Interruption) -> None:
    found = outcome(interruption, defined("acme.clumsy", CALLS, inner=time.sleep))
    assert "was broken off" in found.said
    assert found.seconds < 0.6


@pytest.mark.parametrize("other", ["tidings.journal", "tidings", "asyncio.events", "logging"])
def test_what_others_rely_on_is_not_broken_off_though_a_plugin_called_it(
    interruption: Interruption, other: str
) -> None:
    called = defined("acme.clumsy", CALLS, inner=defined(other, WAITS))
    assert outcome(interruption, called).said == "ended"


def test_neither_is_another_plugin_nor_what_no_plugin_called(interruption: Interruption) -> None:
    assert outcome(interruption, defined("acme.clumsy", WAITS), plugin="connector/other").said == "ended"
    assert outcome(interruption, defined("json", WAITS)).said == "ended"


def test_who_has_come_to_an_end_by_then_is_left_alone(interruption: Interruption) -> None:
    interruption.break_off(threading.get_ident(), KEY, "It blocked the event loop")
    assert defined("acme.clumsy", WAITS)(0.05) == "ended"


def test_it_does_nothing_in_another_thread_than_the_main_one() -> None:
    said: list[str] = []

    def work() -> None:
        interruption = Interruption(Blame())
        with interruption.ready():
            interruption.break_off(threading.get_ident(), KEY, "It blocked the event loop")
            said.append(defined("acme.clumsy", WAITS)(0.05))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["ended"]


def test_the_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGURG)
    with Interruption(Blame()).ready():
        assert signal.getsignal(signal.SIGURG) != before
    assert signal.getsignal(signal.SIGURG) == before
