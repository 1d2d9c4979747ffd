"""A real NATS server for tests, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from tidings.contracts import Clock
from tidings_buses.dialling import Dialler
from tidings_buses.nats import NatsBus
from tidings_buses.settings import NatsOptions

BINARY = Path(sysconfig.get_path("scripts")) / "nats-server"


class Broker:
    """One server: it can be stopped and started again at its port."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self._file = folder / "nats.conf"
        self._config = config
        self._process: subprocess.Popen[str] | None = None
        self.port = -1  # any free one, the first time
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._file.write_text(f'listen: "127.0.0.1:{self.port}"\n{self._config}\n')
        self._process = subprocess.Popen([BINARY, "-c", self._file], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = ""
        for line in self._process.stderr:
            said += line
            if listening := re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)", line):
                self.port = int(listening[1])
            if "Server is ready" in line:
                return
        raise RuntimeError(f"The NATS server did not start:\n{said[-2000:]}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def freeze(self) -> None:
        """Connections stay open, and nothing answers any more."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        while any(state != "T" for state in self._states()):  # its threads stop one after the other
            time.sleep(0.001)

    def _states(self) -> list[str]:
        assert self._process is not None
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        return [task.read_text().rpartition(")")[2].split()[0] for task in tasks]

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


@contextlib.contextmanager
def broker_in(folder: Path, config: str = "") -> Iterator[Broker]:
    broker = Broker(folder, config)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop(signal.SIGKILL)


def nats_bus(broker: Broker, clock: Clock, **options: object) -> NatsBus:
    settings = NatsOptions.model_validate({"servers": [broker.url], **options})
    return NatsBus(Dialler(settings, name="test"), clock)
