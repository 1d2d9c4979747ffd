"""`quality.yaml`: exemptions with reasons, read without importing the plugin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tidings.errors import PluginError
from tidings.testing.quality import exemptions, quality_file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed plugin that can't be imported."""
    folder = tmp_path / "tidings_unimportable"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[tidings.connectors]\nmine = tidings_unimportable.plugin:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "quality.yaml"


def test_reasons_are_read_and_nothing_is_imported(package: Path) -> None:
    package.write_text("connector/mine:\n  exempt:\n    draws-its-icon: Nobody can draw it.\n")
    assert exemptions("connector/mine") == {"draws-its-icon": "Nobody can draw it."}
    assert exemptions("connector/other") == {}
    assert quality_file("connector/mine") == package
    assert "tidings_unimportable" not in sys.modules


def test_a_plugin_without_the_file_is_exempt_from_nothing(package: Path) -> None:
    assert not package.exists()
    assert exemptions("connector/mine") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("connector/mine:\n  exempt:\n    draws-its-icon:\n", "draws-its-icon: there is no reason"),
        ("connector/mine:\n  exempt:\n    draws-its-icon: n/a\n", "draws-its-icon: there is no reason"),
        ("connector/mine:\n  exempt: [draws-its-icon]\n", "standard tests and reasons are expected"),
        ("connector/mine:\n  excuse: {}\n", "the one key here is `exempt`"),
        ("connector/mine: yes\n", "the one key here is `exempt`"),
        ("- connector/mine\n", "plugins are expected here"),
        ("connector/mine: {\n", "it can't be read"),
    ],
)
def test_an_exemption_without_a_reason_is_an_error(package: Path, text: str, said: str) -> None:
    package.write_text(text)
    with pytest.raises(PluginError, match=said) as caught:
        exemptions("connector/mine")
    assert str(caught.value).startswith(str(package))
