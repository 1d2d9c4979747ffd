"""Virtual environments of their own, for tests of what is installed from wheels."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ("rss", "ntfy")


class Environment:
    """A virtual environment that holds what was installed into it from wheels, and nothing of this clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True)
        self.bin = folder / "bin"

    def run(self, *command: str, cwd: Path, code: int = 0) -> str:
        """Run something of it; what it said. The test fails if it ends with another code."""
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd, env=self.variables, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{' '.join(command)}\n{said}"
        return said

    @property
    def variables(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TIDINGS"))
        }
        return {**kept, "PATH": f"{self.bin}:{os.environ['PATH']}", "NO_COLOR": "1"}

    def install(self, *what: str) -> None:
        self.run("python", "-m", "pip", "install", "-q", *what, cwd=self.folder)
