"""Databases with all tables and nothing in them: made by the migrations once in a process, and copied ever after."""

from __future__ import annotations

import functools
from pathlib import Path

from sqlalchemy import StaticPool, create_engine

from tidings.migrate import upgrade
from tidings.sqlite import create_file


def write_blank(path: Path) -> None:
    """Make SQLite's file there, as a first start would; a fifth of what starting a server takes is saved.

    Raises:
        OSError: It can't be written.
    """
    create_file(path)
    path.write_bytes(_blank())


@functools.cache
def _blank() -> bytes:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            upgrade(connection)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            return bytes(raw.serialize())
    finally:
        engine.dispose()
