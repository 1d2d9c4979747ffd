"""The tutorial of a first connector, letter by letter, in an environment from wheels."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import httpx

from environments import ROOT, Environment

PAGE = ROOT / "docs" / "tutorial" / "your-first-connector.md"
_BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The environment is there already, made of wheels that nobody has published yet.
_MADE = "python3 -m venv env\n. env/bin/activate\npip install tidings pytest\n"


class Reader:
    """Does what the page says, in a folder."""

    def __init__(self, environment: Environment, folder: Path, port: int) -> None:
        self._environment = environment
        self._folder = folder
        self._port = str(port)
        self._server: subprocess.Popen[bytes] | None = None

    def write(self, path: str, text: str) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("8080", self._port))

    def type(self, commands: str) -> str:
        if commands == _MADE:
            return ""
        if commands == "tidings serve\n":
            self._serve()
            return ""
        # As from a package index, but for what nobody has published, and without fetching what builds it.
        commands = re.sub(
            r"^pip (install|wheel)", r"pip \1 --no-build-isolation", commands, flags=re.MULTILINE
        )
        done = subprocess.run(
            ["bash", "-euc", commands], cwd=self._folder, env=self._environment.variables,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _serve(self) -> None:
        with (self._folder / "log.txt").open("wb") as log:
            self._server = subprocess.Popen(
                [str(self._environment.bin / "tidings"), "serve"],
                cwd=self._folder, env=self._environment.variables, stdout=log, stderr=log,
            )  # fmt: skip
        for _ in range(600):
            try:
                if httpx.get(f"http://127.0.0.1:{self._port}/api/health", trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError((self._folder / "log.txt").read_text())

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)


def test_the_tutorial_works_letter_by_letter(
    environment: Environment, tmp_path: Path, free_port: int
) -> None:
    reader, said, done = Reader(environment, tmp_path, free_port), "", []
    try:
        for path, language, text in _BLOCK.findall(PAGE.read_text("utf-8")):
            if path:
                reader.write(path, text)
            elif language == "sh":
                said = reader.type(text)
            elif language == "text":
                for line in text.splitlines():
                    assert " ".join(line.split()) in " ".join(said.split()), (
                        f"{line}\n--- was promised of\n{said}"
                    )
            else:
                raise AssertionError(
                    f"A block of {language} says neither what to type nor where to write it."
                )
            done.append(language)
    finally:
        reader.stop()
    assert done.count("sh") > 10
    assert done.count("text") > 5
