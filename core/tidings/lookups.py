"""Reads that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from sqlalchemy import Connection

from tidings.database import Database

K = TypeVar("K")
V = TypeVar("V")

_LARGEST_BATCH = 500


class Lookups(Generic[K, V]):
    """Looks up many keys with one statement: what is asked for while one read is under way shares the next.

    No answer is older than its question, so that a right revoked before a request is missed by none.

    Args:
        database: Where.
        find: Finds what there is of some keys.
    """

    def __init__(
        self,
        database: Database,
        find: Callable[[Connection, Collection[K]], Mapping[K, V]],
    ) -> None:
        self._database = database
        self._find = find
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What belongs to `key`, or None.

        Raises:
            Unavailable: The database can't be read now.
        """
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        return await asyncio.shield(future)

    async def _read(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:_LARGEST_BATCH]
                batch = {key: self._waiting.pop(key) for key in keys}
                try:
                    found = await self._database.read(self._finding(keys))
                except Exception as error:  # noqa: BLE001 - belongs to those who asked
                    for future in batch.values():
                        future.set_exception(error)
                        future.exception()  # they may all have gone; asyncio then need not complain
                else:
                    for key, future in batch.items():
                        future.set_result(found.get(key))
        finally:
            self._reader = None

    def _finding(self, keys: Collection[K]) -> Callable[[Connection], Mapping[K, V]]:
        return lambda connection: self._find(connection, keys)
