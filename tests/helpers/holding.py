"""Another program's transaction, which holds rows locked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pymysql
import pytest

from .servers import MariaDB


class Holding:
    """Gives a context in which the rows that a statement locks stay locked."""

    def __init__(self, connection: "pymysql.connections.Connection[pymysql.cursors.Cursor]") -> None:
        self._connection = connection

    @asynccontextmanager
    async def __call__(self, statement: str) -> AsyncIterator[None]:
        self._connection.begin()
        with self._connection.cursor() as cursor:
            # Not in the event loop: the service may hold a row, and must be able to finish.
            await asyncio.to_thread(cursor.execute, statement)
        yield
        with self._connection.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")
        self._connection.rollback()


@pytest.fixture
def holding(mariadb: MariaDB, mysql_section: dict[str, object]) -> Iterator[Holding]:
    with mariadb.connect(database=str(mysql_section["db"])) as other:
        yield Holding(other)
