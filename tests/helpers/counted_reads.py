"""A database that counts the reads of tests, each of which is a transaction."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database


class CountedReads(Database):
    def __init__(self, database: Database) -> None:
        self._database = database
        self.reads = 0

    async def read(self, work: Callable[[AsyncConnection], Awaitable[Any]], *, reserved: bool = False) -> Any:
        self.reads += 1
        return await self._database.read(work, reserved=reserved)
