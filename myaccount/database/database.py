"""The service's database, on either engine: the only way to a connection or a transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from ..errors import Unavailable
from ..settings.schema import Config
from ..system.addresses import address_text
from ..system.cancellation import raise_if_cancelled
from .embedded_file import prepare_file
from .engines import mysql_engine, sqlite_engine
from .freshness import Freshness
from .migration_lock import lift_timeouts, migration_lock
from .pipeline import PACKET_LIMIT, for_sqlite, is_sqlite, run_mysql_pipeline, run_sqlite_pipeline
from .retries import Retries
from .statements import Bound

Result = TypeVar("Result")

SQLITE_CONNECTIONS: Final = 4
# One to see whether the database takes writes, one to count what waits in it, and one to read the API keys.
PROBE_CONNECTIONS: Final = 3
# A service whose database hangs starts all the same.
OPENING_SECONDS: Final = 1


class DriverConnection(NamedTuple):
    """The driver's own connection, and SQLAlchemy's `info` about it."""

    driver: Any
    info: Mapping[str, Any]


class Database:
    """The service's database; `name` is the server's name for it, or the file's path."""

    def __init__(
        self, engine: AsyncEngine, batch_engine: AsyncEngine, probe_engine: AsyncEngine, freshness: Freshness
    ) -> None:
        self._engine = engine
        # Batches have a connection of their own, so that no other load delays orders.
        self._batch_engine = batch_engine
        self._probe_engine = probe_engine
        self.dialect = engine.dialect
        self.embedded = is_sqlite(self)
        # SQLite has one writer at a time and does not queue those that wait; this lock does.
        self._writer_lock = asyncio.Lock() if self.embedded else nullcontext()
        # Of those that write beside batches, only the one with this lock has a connection and waits for the writer
        # lock. The others would keep connections from queries, and a batch would have to wait for all of them.
        self._beside_batches = asyncio.Lock() if self.embedded else nullcontext()
        url = engine.url
        self.name = url.database or ""
        # For people: with the server's address, if it has one.
        address = url.query.get("unix_socket") or (url.host and address_text(url.host, url.port or 0))
        self.place = f"{self.name} at {address}" if address else self.name
        # Work that bypasses SQLAlchemy raises the driver's own errors.
        self._driver: Any = engine.dialect.loaded_dbapi
        self._retries = Retries(self._driver, self.place, freshness)

    async def read(
        self, work: Callable[[AsyncConnection], Awaitable[Result]], *, reserved: bool = False
    ) -> Result:
        """Return what `work` returns of a connection, to which it must not write. Errors are as for `write`.

        A `reserved` connection is one of the probes': it is free, however busy the others are.
        """
        engine = self._probe_engine if reserved else self._engine
        return await self._retries.run("read", engine.begin, work)

    async def query(self, *queries: Bound) -> list[list[Any]]:
        """Return the values of each query of a pipeline, in one round trip past SQLAlchemy's transactions.

        Each query sees what was committed when it begins. Errors are as for `write`, and TooLarge.
        """

        async def work(connection: DriverConnection) -> list[list[Any]]:
            driver, info = connection
            if self.embedded:
                return await run_sqlite_pipeline(driver, for_sqlite(queries))
            return await run_mysql_pipeline(driver, [*queries, ("COMMIT", ())], info[PACKET_LIMIT])

        return await self._retries.run("read", partial(self._driver_connection, self._engine, nullcontext()), work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run `work` in one transaction and return what it returned once that is committed.

        After a deadlock, a lost connection, a clash of two inserts, or a commit without an answer, `work` is run
        again from its beginning, a bounded number of times. So it must be right to run it again even if the first
        run was committed after all. Raises Unavailable when that did not help, and Overloaded when no connection
        became free. What `work` raises itself rolls back and is raised as it is.
        """
        return await self._retries.run("write", self._transaction, work)

    async def write_on_driver(
        self, work: Callable[[DriverConnection], Awaitable[Result]], *, beside_orders: bool = False
    ) -> Result:
        """Like `write`, on the driver's own connection, on which `work` itself begins and commits.

        It is the connection of batches, which orders wait for, unless `beside_orders`. Raises TooLarge, and
        RowLocked, without another attempt.
        """
        return await self._retries.run("batch", partial(self._writer, beside_orders=beside_orders), work)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        async with self._beside_batches, engine.connect() as connection, self._writer_lock, connection.begin():
            yield connection

    @asynccontextmanager
    async def _writer(self, *, beside_orders: bool) -> AsyncIterator[DriverConnection]:
        turn = self._beside_batches if beside_orders else nullcontext()
        engine = self._engine if beside_orders else self._batch_engine
        async with turn, self._driver_connection(engine, self._writer_lock) as connection:
            yield connection

    @asynccontextmanager
    async def _driver_connection(
        self, engine: AsyncEngine, lock: AbstractAsyncContextManager[object]
    ) -> AsyncIterator[DriverConnection]:
        """Give a connection while the lock is held, which is released after its transaction has ended."""
        # From the pool itself: a connection of Core's takes four times as long.
        pooled = await engine.raw_connection()
        try:
            async with lock:
                try:
                    yield DriverConnection(pooled.driver_connection, pooled.info)
                except BaseException:
                    # Closing the connection ends its transaction and releases its locks.
                    await greenlet_spawn(pooled.invalidate)
                    raise
        finally:
            pooled.close()

    async def open_batch_connection(self) -> None:
        """Open the connection of batches, for which no file descriptor may be left later.

        If that fails, the first batch tries again.
        """
        with suppress(DBAPIError, self._driver.Error, OSError):
            async with asyncio.timeout(OPENING_SECONDS), self._writer(beside_orders=False):
                pass

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose reads all see the database as of the first, however long they take.

        Raises Unavailable if the database fails: there is no retry.
        """
        engine = self._engine
        if engine.dialect.name != "sqlite":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            async with engine.connect() as connection:
                try:
                    async with connection.begin():
                        await lift_timeouts(connection)
                        yield connection
                finally:
                    # The session's settings end with the connection.
                    await connection.invalidate()
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"The database failed: {getattr(error, 'orig', None) or error}") from None

    async def probe(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Return what `work` returns of a connection that is reserved for probes, however busy the others are.

        There are PROBE_CONNECTIONS of these. If one fails, another is tried, once: it may have been lost long ago.
        """
        for attempt in (1, 2):
            async with self._probe_engine.connect() as connection:
                try:
                    return await work(connection)
                except BaseException as error:
                    await connection.invalidate()
                    raise_if_cancelled()
                    if attempt == 2 or not isinstance(error, DBAPIError | self._driver.Error | OSError):
                        raise
        raise AssertionError

    def connections(self) -> tuple[int, int]:
        """Return how many connections are in use, and the most there can be; those of probes do not count."""
        pools = [cast("QueuePool", engine.pool) for engine in (self._engine, self._batch_engine)]
        return sum(pool.checkedout() for pool in pools), sum(pool.size() for pool in pools)

    async def migrate(self, work: Callable[[SyncConnection], Result]) -> Result:
        """Return what `work` returned once it is committed, however long it takes.

        Only one migration of the database runs at a time; another waits for it. `work` runs once, in one
        transaction; MySQL and MariaDB commit each change of a table at once all the same. Raises Unavailable, with
        the database's message, if the database fails.
        """
        engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        try:
            async with engine.connect() as connection:
                try:
                    async with migration_lock(connection, self._probe_engine), connection.begin():
                        return await connection.run_sync(work)
                finally:
                    # The session's settings end with the connection.
                    await connection.invalidate()
        except (DBAPIError, self._driver.Error) as error:
            raise Unavailable(f"The database failed: {getattr(error, 'orig', None) or error}") from None

    async def close(self) -> None:
        for engine in (self._engine, self._batch_engine, self._probe_engine):
            await engine.dispose()


@asynccontextmanager
async def open_database(config: Config, sqlite_file: Path) -> AsyncIterator[Database]:
    """Give the database that the configuration names: MySQL or MariaDB, or else the embedded file."""
    freshness = Freshness()
    if "mysql" in config:
        mysql = config["mysql"]
        counts = (mysql["maxsize"] - 1, 1, PROBE_CONNECTIONS)
        engines = [mysql_engine(mysql, count, freshness) for count in counts]
    else:
        prepare_file(sqlite_file)
        engines = [sqlite_engine(sqlite_file, count) for count in (SQLITE_CONNECTIONS, 1, PROBE_CONNECTIONS)]
    database = Database(engines[0], engines[1], engines[2], freshness)
    try:
        yield database
    finally:
        await database.close()
