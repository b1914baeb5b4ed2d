"""A database that counts the round trips of tests' queries."""

from typing import Any

from myaccount.database.database import Database
from myaccount.database.statements import Bound


class CountedReads(Database):
    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.embedded = database.embedded
        self.reads = 0

    async def query(self, *queries: Bound) -> list[list[Any]]:
        self.reads += 1
        return await self._database.query(*queries)
