"""The command line in this process, on an installation in a folder of its own."""

import dataclasses
from pathlib import Path

from click.testing import CliRunner, Result

from tidings.cli.installation import Installation
from tidings.cli.root import root

CONFIG = """
server: {port: 0}
plugins:
  connectors: {github: {}}
  transports: {sse: {}}
  extras: {dashboard: {}}
"""


@dataclasses.dataclass
class Commands:
    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def installation(self) -> Installation:
        return Installation(str(self.config))

    def __call__(self, *args: str, stdin: str = "") -> Result:
        """Run a command; the result has its output, errors and exit code."""
        return CliRunner().invoke(root, ["--config", str(self.config), *args], input=stdin)

    def done(self, *args: str, stdin: str = "") -> str:
        """Run a command that must succeed; what it printed."""
        result = self(*args, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def failed(self, *args: str, code: int = 1) -> str:
        """Run a command that must fail with plain lines; what it said."""
        result = self(*args)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert all(line.startswith("tidings: ") for line in result.stderr.splitlines()), result.stderr
        return result.stderr


def installed(folder: Path, config: str = CONFIG) -> Commands:
    path = folder / "config.yaml"
    path.write_text(config)
    return Commands(path)
