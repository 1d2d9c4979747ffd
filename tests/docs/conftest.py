"""Tests of the documentation: what it says is so, and what it tells people to type works."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "docs")]  # for the pages, and for the generator


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


class Clone:
    """A folder that looks like a clone after `make setup`, with a port of its own in place of 8080."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        text = (ROOT / "config.yaml").read_text("utf-8")
        (folder / "config.yaml").write_text(text.replace("port: 8080", f"port: {self.port}"), "utf-8")
        (folder / ".venv").symlink_to(sys.prefix)
        self.server: subprocess.Popen[str] | None = None

    def type(self, *commands: str, setup: str = "") -> str:
        """Type commands into a shell; what they printed, errors too. The test fails if one fails."""
        script = "\n".join(["set -eu", setup, *commands]).replace("8080", self.port)
        # `timeout` ends all that the shell has started, should something wait for ever.
        done = subprocess.run(
            ["timeout", "300", "bash", "-c", script],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def serve(self) -> str:
        """Start the server as `make run` does; what it says when it listens."""
        with (self.folder / "log.txt").open("a") as log:
            self.server = subprocess.Popen(
                [".venv/bin/tidings", "serve"], cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.server.stdout is not None
        said = ""
        while "send-sample" not in said and "user link" not in said:
            line = self.server.stdout.readline()
            assert line, (self.folder / "log.txt").read_text()
            said += line
        return said

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(60)
            assert self.server.stdout is not None
            self.server.stdout.close()
            self.server = None


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    made = Clone(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def needs() -> Callable[..., None]:
    """Skips a test where a program is missing that the documentation tells people to install."""

    def check(*programs: str) -> None:
        for program in programs:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")

    return check
