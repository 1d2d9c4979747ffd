"""`tidings plugin new` and `tidings plugin check`: what is made passes at once, and what is broken then is found."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import installed
from tidings.choices import KINDS
from tidings.errors import Rejected
from tidings.plugincheck import check
from tidings.scaffold import new_plugin

NOUNS = [kind.noun for kind in KINDS]


class Author:
    """Makes plugins, and has them installed without any installer."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.cli = installed(folder)
        self._monkeypatch = monkeypatch

    def make(self, name: str, kind: str) -> Path:
        folder = self.folder / f"tidings-{name}"
        self.cli.done("plugin", "new", name, "--kind", kind, "--folder", str(folder))
        return folder

    def install(self, folder: Path) -> None:
        name = folder.name.removeprefix("tidings-")
        group = next(
            line.split('"')[1]
            for line in (folder / "pyproject.toml").read_text().splitlines()
            if line.startswith("[project.entry-points.")
        )
        info = folder / f"tidings_{name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tidings-{name}\nVersion: 0.1.0\n")
        point = f"{name} = tidings_{name}:{name.capitalize()}Plugin"
        (info / "entry_points.txt").write_text(f"[{group}]\n{point}\n")
        self._monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Author]:
    before = set(sys.modules)
    yield Author(tmp_path, monkeypatch)
    for name in [name for name in sys.modules if name not in before and name.startswith("tidings_")]:
        del sys.modules[name]


def test_what_is_to_be_typed_then_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = installed(tmp_path)("plugin", "new", "doorbell", "--kind", "connector", "--folder", "my bell")
    typed = [shlex.split(line.partition(": ")[2]) for line in made.stderr.splitlines()]
    assert [words[1:] for words in typed] == [
        ["-m", "pip", "install", "-e", "my bell[test]"],
        ["plugin", "check", "my bell"],
    ]
    for program, *_ in typed:
        run = subprocess.run([program, "--version"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert run.stdout.startswith(("Python", "tidings"))


@pytest.mark.parametrize("kind", NOUNS)
def test_a_new_plugin_passes_all_of_its_tests(author: Author, kind: str) -> None:
    folder = author.make(f"fresh{kind}", kind)
    author.install(folder)
    checked = check(folder)
    assert [one for one in checked if one.outcome != "passed"] == []
    assert len(checked) > 8


def test_what_was_broken_since_is_found_and_named(author: Author) -> None:
    folder = author.make("cracked", "connector")
    author.install(folder)
    source = folder / "tidings_cracked" / "__init__.py"
    source.write_text(source.read_text().replace('f"{self.platform}:message:', 'f"message:'))
    said = author.cli("plugin", "check", str(folder))
    assert said.exit_code == 1
    assert "connector/cracked  tells-what-to-show  failed" in said.stdout
    assert "an id begins with `cracked:`" in said.stdout
    assert "1 failed" in said.stdout


def test_an_exemption_is_shown_with_its_reason(author: Author) -> None:
    folder = author.make("timeless", "connector")
    author.install(folder)
    source = folder / "tidings_timeless" / "__init__.py"
    source.write_text(source.read_text().replace("abs(now.timestamp() - int(time)) > _LATE_SECONDS", "False"))
    (folder / "tidings_timeless" / "quality.yaml").write_text(
        "connector/timeless:\n  exempt:\n    refuses-what-is-stale: Its clock has no hands.\n"
        "    refuses-what-is-of-the-future: Its clock has no hands, either.\n"
    )
    said = author.cli.done("plugin", "check", str(folder))
    assert "refuses-what-is-stale          exempt   Its clock has no hands." in said
    assert "2 exempt, 0 failed" in said
    author.cli.config.write_text("plugins: {connectors: {timeless: {}}}\n")
    listed = author.cli.done("plugins")
    assert "connector/timeless  refuses-what-is-stale          Its clock has no hands." in listed


def test_a_plugin_without_a_suite_or_not_installed_fails(author: Author) -> None:
    folder = author.make("bare", "bus")
    (folder / "tests" / "test_bare.py").unlink()
    (folder / "README.md").unlink()
    assert {one.rule for one in check(folder)} == {"metadata"}  # without it nothing else can be judged
    told = [one.detail for one in check(folder) if one.rule == "metadata"]
    assert any("not installed. Run: python -m pip install -e" in one for one in told)
    assert "It has no README." in told


def test_an_installed_plugin_without_a_suite_fails(author: Author) -> None:
    folder = author.make("unproven", "bus")
    author.install(folder)
    (folder / "tests" / "test_unproven.py").unlink()
    (found,) = [one for one in check(folder) if one.outcome == "failed"]
    assert (found.rule, "No suite is about it." in found.detail) == ("has-a-suite", True)


def test_what_does_not_load_is_told_once(author: Author) -> None:
    folder = author.make("stillborn", "bus")
    author.install(folder)
    source = folder / "tidings_stillborn" / "__init__.py"
    source.write_text(source.read_text() + "\nraise ValueError('never born')\n")
    told = [one.detail for one in check(folder) if one.outcome == "failed"]
    assert [one for one in told if "never born" in one] == told[:1]
    assert set(told[1:]) == {"As arrives-by-its-entry-point."}


@pytest.mark.parametrize("name", ["Bell", "a", "7up", "no-dash", "é" * 3, "x" * 40])
def test_a_name_is_a_short_lower_case_word(name: str) -> None:
    with pytest.raises(Rejected, match="is no name for a plugin"):
        new_plugin(name, "bus")


def test_nothing_is_overwritten(author: Author) -> None:
    folder = author.make("twice", "extra")
    said = author.cli.failed("plugin", "new", "twice", "--kind", "extra", "--folder", str(folder))
    assert "exists and is not empty" in said


def test_a_folder_without_plugins_is_refused(author: Author) -> None:
    assert "can't be read" in author.cli.failed("plugin", "check", str(author.folder), code=2)
    (author.folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert "no entry point in any of" in author.cli.failed("plugin", "check", str(author.folder), code=2)


def test_every_name_is_filled_in() -> None:
    for kind in NOUNS:
        for path, text in new_plugin("doorbell", kind).items():
            assert "$" not in text.replace("${{ matrix.python }}", ""), path
            assert "doorbell" in f"{path}{text}".lower() or path.startswith(".git"), path
