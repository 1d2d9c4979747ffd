"""The documentation as a site: strict, searchable, and whole without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from environments import ROOT

_FETCHED = re.compile(
    r"""(?:<(?:script|img|link|iframe)[^>]*(?:src|href)=|url\(|@import )["']?(?:https?:)?//"""
)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As `make site` does."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-n",
        "-W",
        "--keep-going",
        "-c",
        str(ROOT / "docs"),
        "-b",
        "html",
    ]
    return subprocess.run(
        [*command, "-d", str(site / "doctrees"), str(source), str(site / "html")],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_there_and_can_be_searched_for(site: Path) -> None:
    pages = {path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()
    index = (site / "searchindex.js").read_text("utf-8")
    for word in ("pollingsuite", "websub", "letterbox"):
        assert word in index


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    wrong = {
        str(path.relative_to(site)): found.group()
        for path in site.rglob("*")
        if path.suffix in {".html", ".css"}
        for found in [_FETCHED.search(path.read_text("utf-8"))]
        if found and "canonical" not in found.group()
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "planted",
    ["[x](nowhere.md)", "[x](first.md#no-such-heading)", "![x](images/none.png)", "# A\n\n#### Skipped"],
)
def test_what_leads_nowhere_stops_the_build(tmp_path: Path, planted: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    toc = "```{toctree}\nfirst\n```\n"
    (docs / "index.md").write_text(f"# Planted\n\n{toc}")
    (docs / "first.md").write_text("# First\n\nAll is well.\n")
    (tmp_path / "README.md").write_text("---\norphan: true\n---\n# Read me\n")
    assert build(tmp_path, tmp_path / "one").returncode == 0
    (docs / "first.md").write_text(f"# First\n\n{planted}\n")
    shutil.rmtree(tmp_path / "one")
    assert build(tmp_path, tmp_path / "one").returncode != 0
