"""What every test stands on."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on plain asyncio."""
    return "asyncio", {"use_uvloop": False}
