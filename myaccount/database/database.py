"""One engine on either database, and the one way into a transaction: again, where the database says so."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from ..errors import Overloaded, Unavailable
from ..observability.metrics import RETRIES, count_transaction
from ..settings.schema import Config
from ..system.cancellation import raise_if_cancelled
from .embedded_file import prepare_file
from .engines import mysql_engine, sqlite_engine
from .error_kinds import ErrorKind, RowLocked, TooLarge, kind_of
from .freshness import Freshness
from .migration_lock import allow_silence, only_migration
from .reasons import reason_of

_logger = logging.getLogger(__name__)

Connection = TypeVar("Connection")
Result = TypeVar("Result")

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.02
# Each waits for the lock, and meanwhile keeps a connection that others need.
LOCKED_ATTEMPTS: Final = 2
# With all its attempts and whatever they wait for. Alone, none of our transactions takes a fiftieth of this.
TRANSACTION_TIMEOUT_SECONDS: Final = 5

SQLITE_CONNECTIONS: Final = 4
# One for whether it can be written to, and one for what waits in it.
CHECK_CONNECTIONS: Final = 2


def utc_now() -> datetime:
    """Return the time as the tables have it: UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class DriverConnection(NamedTuple):
    """A connection as the driver has it, and what is known of it beside that (SQLAlchemy's `info`)."""

    driver: Any
    info: Mapping[str, Any]


class Database:
    """The service's database; `name` is what its server, or the file system, calls it."""

    def __init__(
        self, engine: AsyncEngine, batch_engine: AsyncEngine, check_engine: AsyncEngine, freshness: Freshness
    ) -> None:
        self._engine = engine
        self._freshness = freshness
        # Batches have a connection of their own, so that no flood of anything else keeps orders waiting.
        self._batch_engine = batch_engine
        self._check_engine = check_engine
        # SQLite has one writer at a time and lets those that wait have no order; ours come in turn.
        self.embedded = engine.dialect.name == "sqlite"
        self._turn = asyncio.Lock() if self.embedded else nullcontext()
        url = engine.url
        self.name = url.database or ""
        # For people: with the server's address, if it has one.
        self.place = f"{self.name} at {url.host}:{url.port}" if url.host else self.name
        # What goes past SQLAlchemy raises the driver's own errors.
        self._driver = engine.dialect.loaded_dbapi

    async def read(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Return what `work` returns of one connection, to which it must not write."""
        return await self._again("read", self._engine.begin, work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run `work` in one transaction and return what it returned once that is committed.

        After a deadlock, a lost connection, a clash of two inserts, or a commit whose answer never came, the
        work is run again from its beginning, a bounded number of times; it must be so that this is right even
        if the first time was committed after all. Raises Unavailable when that did not help, and Overloaded
        when no connection came free. What `work` raises itself rolls back and is raised as it is.
        """
        return await self._again("write", self._writing, work)

    async def batch(self, work: Callable[[DriverConnection], Awaitable[Result]]) -> Result:
        """Like `write`, on a driver's own connection, on which `work` itself begins and commits.

        Raises TooLarge at once, since the same batch would meet that again.
        """
        return await self._again("batch", self._batching, work)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        async with engine.connect() as connection, self._turn, connection.begin():
            yield connection

    @asynccontextmanager
    async def _batching(self) -> AsyncIterator[DriverConnection]:
        async with self._batch_engine.connect() as connection, self._turn:
            raw = await connection.get_raw_connection()
            try:
                yield DriverConnection(raw.driver_connection, connection.info)
            except BaseException:
                # Its transaction and its locks end with the connection.
                await connection.invalidate()
                raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose reads, however long they take, all see the database as at the first.

        Raises Unavailable if the database fails: nothing is read again.
        """
        engine = self._engine
        if engine.dialect.name != "sqlite":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            async with engine.connect() as connection:
                async with connection.begin():
                    await allow_silence(connection)
                    yield connection
                # With it ends what was set for it.
                await connection.invalidate()
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"The database failed: {getattr(error, 'orig', None) or error}") from None

    async def check(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Return what `work` returns of a connection for which it need not wait, however busy the others are.

        There are CHECK_CONNECTIONS of these. Once, if one fails, another is tried: it may have been lost long ago.
        """
        for attempt in (1, 2):
            async with self._check_engine.connect() as connection:
                try:
                    return await work(connection)
                except BaseException as error:
                    await connection.invalidate()
                    raise_if_cancelled()
                    if attempt == 2 or not isinstance(error, DBAPIError | self._driver.Error | OSError):
                        raise
        raise AssertionError

    def connections(self) -> tuple[int, int]:
        """Return how many connections are in use, and how many there may be, but for those of checks."""
        pools = [cast("QueuePool", engine.pool) for engine in (self._engine, self._batch_engine)]
        return sum(pool.checkedout() for pool in pools), sum(pool.size() for pool in pools)

    async def migrate(self, work: Callable[[SyncConnection], Result]) -> Result:
        """Return what `work` returned once it is committed, however long it takes.

        It is the only migration of the database while it runs; another waits for it. It is run once, in one
        transaction, of which MySQL and MariaDB commit each change of a table at once. Raises Unavailable, with the
        database's words, if the database fails.
        """
        engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        try:
            async with engine.connect() as connection:
                try:
                    async with only_migration(connection), connection.begin():
                        return await connection.run_sync(work)
                finally:
                    # With it ends what was set for it.
                    await connection.invalidate()
        except (DBAPIError, self._driver.Error) as error:
            raise Unavailable(f"The database failed: {getattr(error, 'orig', None) or error}") from None

    async def close(self) -> None:
        for engine in (self._engine, self._batch_engine, self._check_engine):
            await engine.dispose()

    async def _again(
        self,
        kind: str,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        work: Callable[[Connection], Awaitable[Result]],
    ) -> Result:
        reason = f"it did not answer within {TRANSACTION_TIMEOUT_SECONDS} seconds"
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS):
                for attempt in range(1, ATTEMPTS + 1):
                    try:
                        async with connect() as connection:
                            result = await work(connection)
                        count_transaction(kind, "done")
                        return result
                    except (DBAPIError, self._driver.Error, OSError) as error:
                        raise_if_cancelled()
                        self._judge(kind, attempt, error)
                        reason = reason_of(error)
                        self._note(error, attempt)
                    # The jitter is no secret.
                    await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        except PoolTimeoutError:
            count_transaction(kind, "overloaded")
            raise Overloaded("All connections to the database are busy. Send the same request again.") from None
        except TimeoutError:
            # The reason is what the last attempt ended with, if one did.
            pass
        count_transaction(kind, "unavailable")
        raise Unavailable(
            "The database cannot be reached. Send the same request again in a moment.",
            cause=f"the database {self.place}: {reason}",
        )

    def _judge(self, kind: str, attempt: int, error: Exception) -> None:
        """Raise what another attempt cannot mend."""
        match kind_of(error):
            case ErrorKind.OURS:
                raise error
            case ErrorKind.TOO_LARGE:
                raise TooLarge(str(getattr(error, "orig", None) or error)) from error
            case ErrorKind.LOCKED if kind == "batch" or attempt >= LOCKED_ATTEMPTS:
                count_transaction(kind, "unavailable")
                raise RowLocked(
                    "Another transaction holds a row that this needs. Send the same request again in a moment.",
                    cause=f"the database {self.place}: {reason_of(error)}",
                ) from error
            case ErrorKind.READ_ONLY:
                # The address may lead to another server by now.
                self._freshness.replace_all()

    def _note(self, error: Exception, attempt: int) -> None:
        """Log a failed attempt; raise what was no accident, since it came every time."""
        RETRIES.inc()
        # The refusal of what failed to the last is an error, and logged with the requests that it concerns.
        _logger.info("Transaction failed, attempt %s of %s: %s", attempt, ATTEMPTS, reason_of(error))
        if attempt == ATTEMPTS and kind_of(error) is ErrorKind.DUPLICATE:
            raise error


@asynccontextmanager
async def open_database(config: Config, sqlite_file: Path) -> AsyncIterator[Database]:
    """Give the database that the configuration names: MySQL or MariaDB, or else the embedded file."""
    freshness = Freshness()
    if "mysql" in config:
        mysql = config["mysql"]
        counts = (mysql["maxsize"] - 1, 1, CHECK_CONNECTIONS)
        engines = [mysql_engine(mysql, count, freshness) for count in counts]
    else:
        prepare_file(sqlite_file)
        engines = [sqlite_engine(sqlite_file, count) for count in (SQLITE_CONNECTIONS, 1, CHECK_CONNECTIONS)]
    database = Database(engines[0], engines[1], engines[2], freshness)
    try:
        yield database
    finally:
        await database.close()
