"""What all statements of a batch share: the connection, and how they are divided and sent."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

from ..database.database import DriverConnection
from ..database.statements import Bound

Value = TypeVar("Value")

# The most that one row adds to a statement, or to its answer: two ids, whose 45 characters have up to four bytes
# each, and numbers.
ROW_BYTES: Final = 512


class StillLocked(Exception):
    """Another transaction holds a row for longer than the batch waits."""


class TableLocked(Exception):
    """Another program has locked a whole table that openings need."""


class RoundTrips(ABC):
    """Statements on a driver's connection, several in each round trip.

    They are divided so that neither they nor their answers are larger than the database allows. Each method raises
    the driver's own errors, and TooLarge if an answer is too large all the same.
    """

    # The most bytes of a statement, and of an answer.
    limit_bytes = sys.maxsize

    def __init__(self, connection: DriverConnection) -> None:
        self._driver, self._info = connection

    async def rollback(self) -> None:
        await self._run(("ROLLBACK", ()))

    def _parts(self, values: Collection[Value], row_bytes: int = ROW_BYTES) -> list[Sequence[Value]]:
        """Divide the values into those of one statement each; of none, there is no part."""
        size, every = self._rows_at_once(row_bytes), list(values)
        return [every[start : start + size] for start in range(0, len(every), size)]

    def _rows_at_once(self, row_bytes: int) -> int:
        return max(1, self.limit_bytes // row_bytes)

    async def _query(self, *queries: Iterable[Bound]) -> list[list[Any]]:
        """Run the queries, each as the statements that it is divided into; return the values of each query."""
        divided = [list(statements) for statements in queries]
        found = iter(await self._run(*chain(*divided)))
        return [[value for _ in statements for value in next(found)] for statements in divided]

    @abstractmethod
    async def _run(self, *statements: Bound) -> list[list[Any]]:
        """Run the statements in one round trip; return the values of each query."""
