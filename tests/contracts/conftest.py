"""A distribution with the planted plugins."""

import pytest

import contract_plants

_METADATA = "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\nSummary: Planted.\n"


@pytest.fixture
def planted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted plugins are installed."""
    info = tmp_path_factory.mktemp("site") / "planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(contract_plants.ENTRY_POINTS)
    monkeypatch.syspath_prepend(info.parent)
