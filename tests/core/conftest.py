"""What the tests of core share."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributions import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    # A bus that is always there, so that these tests need nothing of the shipped plugins.
    Site(folder).install(
        """
        class BusPlugin(Plugin):
            @hookimpl
            def tidings_buses(self):
                return []
        """,
        name="still", distribution="still", group="tidings.buses", target="BusPlugin",
    )  # fmt: skip
    return Site(folder)
