"""The parts of a server, put together and taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidings.testing.server import live_server


class Mishap(Exception):
    pass


async def test_an_error_in_a_running_server_is_seen_as_it_was_raised(tmp_path: Path) -> None:
    reason = KeyError("why")
    mishap = Mishap()
    with pytest.raises(Mishap) as caught:
        async with live_server(tmp_path):
            try:
                raise reason
            except KeyError:
                raise mishap  # noqa: B904 - the context is what is looked for
    assert caught.value is mishap
    assert mishap.__context__ is reason
