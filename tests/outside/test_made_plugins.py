"""What `tidings plugin new` makes installs and passes at once, in an environment without this clone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from environments import ROOT, Environment
from tidings.choices import KINDS

NOUNS = [kind.noun for kind in KINDS]


@pytest.mark.parametrize("kind", NOUNS)
def test_a_new_plugin_installs_and_passes(environment: Environment, tmp_path: Path, kind: str) -> None:
    name = f"new{kind}"
    environment.run("tidings", "plugin", "new", name, "--kind", kind, cwd=tmp_path)
    project = tmp_path / f"tidings-{name}"
    environment.install("--no-deps", "--no-build-isolation", "-e", str(project))
    assert " passed" in environment.run("python", "-m", "pytest", "-q", cwd=project)
    assert "0 exempt, 0 failed" in environment.run("tidings", "plugin", "check", ".", cwd=project)
    (tmp_path / "config.yaml").write_text("plugins: {bus: {local: {}}}\n")
    listed = environment.run("tidings", "plugins", cwd=tmp_path)
    assert f"tidings-{name} 0.1.0" in listed
    lint = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,I,B,UP,RUF",
        "--line-length",
        "110",
    ]
    done = subprocess.run([*lint, str(project)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    types = [sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null", f"tidings_{name}"]
    done = subprocess.run(types, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wheel = [
        str(environment.bin / "python"),
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        ".",
    ]
    subprocess.run([*wheel, "-w", str(tmp_path)], cwd=project, check=True, capture_output=True)
    assert list(tmp_path.glob("*.whl"))
    assert ROOT not in project.parents
